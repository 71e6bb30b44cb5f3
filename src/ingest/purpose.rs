//! The purpose column of an endpoint: a verb phrase, then modifiers: `list; filter status; sort title; page size 10..50`.

use super::draft::Text;
use super::field_rules;
use super::nearest::nearest;
use crate::model::Finding;

/// The words that begin a modifier, for hints.
const MODIFIERS: [&str; 5] = ["filter", "search", "range", "sort", "page size"];
/// Words that a verb phrase may contain besides names of entities.
const FILLERS: [&str; 24] = [
    "a", "an", "the", "all", "one", "every", "each", "new", "existing", "its", "of", "by", "id", "with", "in", "for", "from", "their",
    "single", "this", "that", "given", "some", "to",
];
/// Rows of a page when none are asked for, and the most that are given.
pub(super) const PAGE_ROWS: (u32, u32) = (20, 100);
/// Most rows that a page may ever hold.
const PAGE_ROWS_MAX: u32 = 1_000;

/// What an endpoint does, as its purpose says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verb {
    /// Returns many rows.
    List,
    /// Returns something: one row or many, as the path says.
    Get,
    /// Returns one row.
    Read,
    /// Makes a row.
    Create,
    /// Replaces a row.
    Replace,
    /// Changes a row; replaces it under `PUT`.
    Change,
    /// Removes a row.
    Delete,
    /// Sets fields: names and values as written.
    Set(Vec<(Text, Text)>),
}

/// A purpose, read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Purpose {
    /// What is done; none when the phrase begins with no known verb.
    pub(super) verb: Option<Verb>,
    /// The first word that nothing explains.
    pub(super) unexplained: Option<String>,
    pub(super) filters: Vec<Text>,
    pub(super) searches: Vec<Text>,
    pub(super) ranges: Vec<Text>,
    pub(super) sorts: Vec<Text>,
    /// Rows by default and at most.
    pub(super) page: Option<(u32, u32)>,
}

/// Reads a purpose; `names` are the words of all entities' names.
pub(super) fn parse(text: &Text, names: &[String], findings: &mut Vec<Finding>) -> Purpose {
    let mut purpose = Purpose::default();
    let mut offset = 0;
    for (index, clause) in text.text.split(';').enumerate() {
        let begin = offset + clause.len() - clause.trim_start().len();
        let clause_text = Text::new(clause.trim().trim_matches('`'), text.at(begin));
        offset += clause.len() + 1;
        if index == 0 {
            purpose.phrase(&clause_text, names);
        } else if !clause_text.text.is_empty() {
            purpose.modifier(&clause_text, findings);
        }
    }
    purpose
}

impl Purpose {
    fn phrase(&mut self, clause: &Text, names: &[String]) {
        let words: Vec<String> = clause
            .text
            .split(|c: char| c.is_whitespace() || c == '-')
            .map(|word| word.trim_matches(['.', ',', '\'', '"']).to_lowercase())
            .filter(|word| !word.is_empty())
            .collect();
        let Some(first) = words.first() else { return };
        if first == "set" {
            self.set(clause);
            return;
        }
        self.verb = verb(first);
        let rest = if self.verb.is_some() { &words[1..] } else { &words[..] };
        self.unexplained = rest.iter().find(|word| !FILLERS.contains(&word.as_str()) && !names.contains(word)).cloned();
    }

    /// `set status = published, published_on = today`.
    fn set(&mut self, clause: &Text) {
        let mut assignments = Vec::new();
        for (offset, part) in field_rules::split(&clause.text) {
            let start = if assignments.is_empty() && offset == 0 { 3 } else { 0 };
            let part_text = part.get(start..).unwrap_or_default();
            let Some((name, value)) = part_text.split_once('=') else {
                self.unexplained = Some(part.to_owned());
                return;
            };
            let place = |piece: &str, begin: usize| {
                Text::new(piece.trim(), clause.at(offset + start + begin + piece.len() - piece.trim_start().len()))
            };
            assignments.push((place(name, 0), place(value, name.len() + 1)));
        }
        self.verb = Some(Verb::Set(assignments));
    }

    fn modifier(&mut self, clause: &Text, findings: &mut Vec<Finding>) {
        let (word, rest) = clause.text.split_once(char::is_whitespace).unwrap_or((&clause.text, ""));
        let begin = clause.text.len() - rest.trim_start().len();
        let (rest, begin) = match rest.trim_start().strip_prefix("by ") {
            Some(after) => (after, begin + 3),
            None => (rest.trim_start(), begin),
        };
        let names = || field_rules::split(rest).into_iter().map(|(offset, name)| Text::new(name, clause.at(begin + offset)));
        match word.to_lowercase().as_str() {
            "filter" | "filters" => self.filters.extend(names()),
            "search" => self.searches.extend(names()),
            "range" | "ranges" => self.ranges.extend(names()),
            "sort" | "order" => self.sorts.extend(names()),
            "page" => {
                if let Some(page) = page(rest) {
                    self.page = Some(page);
                } else {
                    let message = format!("`{}` is no page size", clause.text);
                    let hint = "write `page size 20..100`: rows by default and at most 1000";
                    findings.push(Finding::error("bad-page-size", message, Some(clause.position), hint));
                }
            }
            lower => match nearest(lower, MODIFIERS) {
                Some(near) => {
                    let message = format!("`{word}` is no modifier of an endpoint");
                    findings.push(Finding::error("unknown-modifier", message, Some(clause.position), format!("did you mean `{near}`?")));
                }
                None => self.unexplained = self.unexplained.take().or_else(|| Some(clause.text.clone())),
            },
        }
    }
}

fn verb(word: &str) -> Option<Verb> {
    Some(match word {
        "list" | "lists" | "browse" | "index" => Verb::List,
        "get" | "gets" | "show" | "shows" | "view" | "fetch" | "retrieve" | "return" | "returns" => Verb::Get,
        "read" | "reads" => Verb::Read,
        "create" | "creates" | "add" | "adds" | "register" | "make" => Verb::Create,
        "replace" | "replaces" | "overwrite" => Verb::Replace,
        "change" | "changes" | "update" | "updates" | "edit" | "edits" | "modify" | "patch" => Verb::Change,
        "delete" | "deletes" | "remove" | "removes" => Verb::Delete,
        _ => return None,
    })
}

/// `size 10..50` or `size 10`.
fn page(text: &str) -> Option<(u32, u32)> {
    let text = text.strip_prefix("size")?.trim();
    let (default, max) = if let Some((default, max)) = text.split_once("..") {
        (default.trim().parse().ok()?, max.trim().parse().ok()?)
    } else {
        let default: u32 = text.parse().ok()?;
        (default, default.max(PAGE_ROWS.1))
    };
    (1 <= default && default <= max && max <= PAGE_ROWS_MAX).then_some((default, max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    fn read(text: &str) -> (Purpose, Vec<String>) {
        let mut findings = Vec::new();
        let purpose = parse(&Text::new(text, Position::line(1)), &["book".to_owned(), "books".to_owned()], &mut findings);
        (purpose, findings.into_iter().map(|finding| format!("{} {}", finding.position.expect("placed"), finding.hint)).collect())
    }

    fn places(texts: &[Text]) -> Vec<String> {
        texts.iter().map(|text| format!("{}@{}", text.text, text.position.column)).collect()
    }

    #[test]
    fn modifiers_are_read_with_their_places() {
        let (purpose, findings) = read("list all books; filter by a, b; search c; range d; sort by e, f; page size 10..50");
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!((purpose.verb, purpose.unexplained, purpose.page), (Some(Verb::List), None, Some((10, 50))));
        assert_eq!(places(&purpose.filters), ["a@27", "b@30"]);
        assert_eq!((places(&purpose.searches), places(&purpose.ranges)), (vec!["c@40".to_owned()], vec!["d@49".to_owned()]));
        assert_eq!(places(&purpose.sorts), ["e@60", "f@63"]);
    }

    #[test]
    fn assignments_are_read_with_their_places() {
        let (purpose, _) = read("set status = published, on = today");
        let Some(Verb::Set(set)) = purpose.verb else { panic!("{purpose:?}") };
        let shown: Vec<_> = set.iter().map(|(name, value)| places(&[name.clone(), value.clone()]).join(" ")).collect();
        assert_eq!(shown, ["status@5 published@14", "on@25 today@30"]);
        assert_eq!(read("set").0.unexplained.as_deref(), Some("set"));
    }

    #[test]
    fn unexplained_words_are_kept() {
        assert_eq!(read("list recommended books").0.unexplained.as_deref(), Some("recommended"));
        assert_eq!(read("import books").0.unexplained.as_deref(), Some("import"));
        assert_eq!(read("list; include author").0.unexplained.as_deref(), Some("include author"));
    }

    #[test]
    fn misspelt_modifiers_are_findings() {
        assert_eq!(read("list; fliter a").1, ["1:7 did you mean `filter`?"]);
        for text in ["list; page size 0..5", "list; page size 50..10", "list; page size many", "list; page size 1..5000"] {
            assert_eq!(read(text).1.len(), 1, "{text}");
        }
    }
}
