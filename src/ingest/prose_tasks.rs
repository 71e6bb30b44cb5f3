//! Numbered steps and the order they state: `5. Endpoint (depends on 3 & 4).`
//!
//! An edge exists only where the document names the step it waits for; the order of a list is not a dependency.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::draft::Text;
use super::limits::STATEMENTS_MAX;
use super::markdown_blocks::Block;
use super::{names, prose_sentences};
use crate::model::Finding;
use crate::model::spec::StatedTask;

/// Numbers: `3`, `3 & 4`, `1, 2 and 5`, `#3`, `2-4`.
const NUMBERS: &str = r"#?\d{1,4}(?:\s*(?:,\s*and|,|&|\+|/|and|-|–|to|through)\s*#?\d{1,4})*";

/// A phrase that names steps to wait for. A bare number counts after `depends on` only where nothing but punctuation follows it,
/// and after other words only behind `step` or `task`, so that "depends on 3 services" and "after 2 retries" are no edges.
static PHRASE: LazyLock<Regex> = LazyLock::new(|| {
    let noun = r"(?:steps?|tasks?|items?|points?|numbers?|nos?\.|#)";
    let pattern = format!(
        r"(?i)\b(?:(?:depend(?:s|ing|ent)?\s+(?:up)?on|dependenc(?:y|ies)|blocked\s+by|prerequisites?)\s*:?\s*{noun}?\s*(?P<bare>{NUMBERS})\s*(?:[).;,\]]|$)|(?:depend(?:s|ing|ent)?\s+(?:up)?on|blocked\s+by|after|once|requires?|needs?|following)\s*:?\s*{noun}\s*(?P<named>{NUMBERS})\b)"
    );
    Regex::new(&pattern).expect("the pattern is constant")
});

/// One step of a list of tasks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Its number in the list.
    pub(super) number: u64,
    text: Text,
    below: Vec<String>,
}

impl Step {
    /// A numbered item.
    pub(super) fn new(number: u64, text: Text) -> Self {
        Self { number, text, below: Vec::new() }
    }

    /// Adds a line that stands below it.
    pub(super) fn add(&mut self, line: &str) {
        self.below.push(line.to_owned());
    }
}

/// The lists of a document that state dependencies, by their number.
pub(super) fn planned_lists(blocks: &[Block]) -> BTreeSet<usize> {
    let mut numbered = None;
    let mut lists = BTreeSet::new();
    for block in blocks {
        match block {
            Block::Item { number: Some(_), text, list, depth } => {
                if *depth == 1 {
                    numbered = Some(*list);
                }
                if PHRASE.is_match(&text.text) {
                    lists.insert(*list);
                }
            }
            // "Depends on: 1" may stand below the step.
            Block::Item { number: None, text, depth, .. } if *depth > 1 && PHRASE.is_match(&text.text) => lists.extend(numbered),
            Block::Heading { .. } => numbered = None,
            _ => {}
        }
    }
    lists
}

/// The tasks of one list, with the edges that it states.
pub(super) fn tasks(section: &str, steps: Vec<Step>, before: &[StatedTask], findings: &mut Vec<Finding>) -> Vec<StatedTask> {
    let prefix = prefix(section, before);
    let numbers: BTreeSet<u64> = steps.iter().map(|step| step.number).collect();
    let room = STATEMENTS_MAX.saturating_sub(before.len());
    steps.into_iter().take(room).map(|step| task(section, &prefix, step, &numbers, findings)).collect()
}

/// The section's name as the first part of keys, numbered when an earlier list has it.
fn prefix(section: &str, before: &[StatedTask]) -> String {
    let slug = names::slug(if section.is_empty() { "tasks" } else { section });
    let taken = |prefix: &str| before.iter().any(|task| task.key.split('/').next() == Some(prefix));
    let numbered = (2..).map(|number| format!("{slug}-{number}"));
    std::iter::once(slug.clone()).chain(numbered).find(|prefix| !taken(prefix)).unwrap_or(slug)
}

fn task(section: &str, prefix: &str, step: Step, numbers: &BTreeSet<u64>, findings: &mut Vec<Finding>) -> StatedTask {
    let mut depends_on: Vec<u64> = Vec::new();
    let mut because = Vec::new();
    for line in std::iter::once(&step.text.text).chain(&step.below) {
        for found in PHRASE.captures_iter(line) {
            let Some(named) = found.name("bare").or_else(|| found.name("named")) else { continue };
            because.push(line[found.get(0).map_or(0, |whole| whole.start())..named.end()].to_owned());
            depends_on.extend(listed(named.as_str()));
        }
    }
    depends_on.sort_unstable();
    depends_on.dedup();
    depends_on.retain(|number| {
        let problem = if *number == step.number {
            Some(("self-dependency", format!("step {number} depends on itself")))
        } else if !numbers.contains(number) {
            Some(("unknown-step", format!("step {} depends on step {number}, which does not exist", step.number)))
        } else {
            None
        };
        if let Some((code, message)) = &problem {
            findings.push(Finding::warning(code, message, Some(step.text.position), "correct the number; this edge is left out"));
        }
        problem.is_none()
    });
    let (title, rest) = title(&step.text.text);
    let details = std::iter::once(rest).chain(step.below).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    StatedTask {
        key: format!("{prefix}/{}", step.number),
        title,
        details,
        section: section.to_owned(),
        depends_on: depends_on.into_iter().map(|number| format!("{prefix}/{number}")).collect(),
        because: (!because.is_empty()).then(|| because.join("; ")),
        position: step.text.position,
    }
}

/// The numbers of `1, 2 and 5` or `2-4`; ranges of at most 100.
fn listed(text: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = Vec::new();
    let mut range = false;
    for piece in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|c: char| !c.is_ascii_digit());
        if let Ok(number) = digits.parse::<u64>() {
            match numbers.last().copied().filter(|_| range) {
                Some(first) if first < number && number - first <= 100 => numbers.extend(first + 1..=number),
                _ => numbers.push(number),
            }
            range = false;
        }
        let after = &piece[digits.len()..];
        range |= after.contains(['-', '–', 't']);
    }
    numbers
}

/// The first sentence without its dependency and its full stop, and what follows it.
fn title(text: &str) -> (String, String) {
    let sentences = prose_sentences::sentences(text);
    let first = sentences.first().copied().unwrap_or(text);
    let mut title = first.to_owned();
    if let Some(found) = PHRASE.find(first) {
        let opened = first[..found.start()].rfind(['(', '[']);
        let bracketed = opened.filter(|open| !first[*open..found.start()].contains([')', ']']));
        if let Some(open) = bracketed {
            let close = first[found.start()..].find([')', ']']).map_or(first.len(), |close| found.start() + close + 1);
            title = format!("{} {}", first[..open].trim_end(), first[close..].trim_start());
        }
    }
    let title = title.trim().trim_end_matches('.').trim_end().to_owned();
    (if title.is_empty() { first.to_owned() } else { title }, sentences.get(1..).unwrap_or_default().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    fn check(lines: &[&str], edges: &[(u64, &[u64])]) {
        let step = |(index, line): (usize, &&str)| Step::new(index as u64 + 1, Text::new(*line, Position::line(1)));
        let tasks = tasks("Plan", lines.iter().enumerate().map(step).collect(), &[], &mut Vec::new());
        let found: Vec<(u64, Vec<u64>)> = tasks
            .iter()
            .filter(|task| !task.depends_on.is_empty())
            .map(|task| {
                let number = |key: &str| key.rsplit('/').next().and_then(|number| number.parse().ok()).expect("keys end with numbers");
                (number(&task.key), task.depends_on.iter().map(|key| number(key)).collect())
            })
            .collect();
        let expected: Vec<(u64, Vec<u64>)> = edges.iter().map(|(task, needs)| (*task, needs.to_vec())).collect();
        assert_eq!(found, expected, "{lines:?}");
    }

    #[test]
    fn every_phrase_is_an_edge() {
        check(&["a", "b", "c (depends on 1 & 2)."], &[(3, &[1, 2])]);
        check(&["a", "b", "c, depends on 1, 2"], &[(3, &[1, 2])]);
        check(&["a", "b", "c", "d", "e", "f depends on 1, 2 and 5"], &[(6, &[1, 2, 5])]);
        check(&["a", "b after step 1", "c once task 2 is done", "d (blocked by #3)"], &[(2, &[1]), (3, &[2]), (4, &[3])]);
        check(&["a", "b", "c", "d depends on steps 1-3."], &[(4, &[1, 2, 3])]);
        check(&["a", "b (Dependencies: 1)"], &[(2, &[1])]);
        check(&["a (depends on 2)", "b"], &[(1, &[2])]);
    }

    #[test]
    fn numbers_of_other_things_are_no_edges() {
        check(&["a", "b depends on 1 external service", "c after 2 retries", "d requires 1 GB", "e in 3 steps"], &[]);
    }

    #[test]
    fn wrong_numbers_are_reported() {
        let mut findings = Vec::new();
        let steps = vec![
            Step::new(1, Text::new("a (depends on 1)", Position::line(1))),
            Step::new(2, Text::new("b (depends on 9)", Position::line(2))),
        ];
        let tasks = tasks("Plan", steps, &[], &mut findings);
        assert!(tasks.iter().all(|task| task.depends_on.is_empty()));
        assert_eq!(findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), ["self-dependency", "unknown-step"]);
    }

    #[test]
    fn titles_lose_their_dependency() {
        let text = "Implement `POST /x` endpoint (depends on 3 & 4). Later: more.";
        assert_eq!(title(text), ("Implement `POST /x` endpoint".to_owned(), "Later: more.".to_owned()));
        assert_eq!(title("Ship after step 3"), ("Ship after step 3".to_owned(), String::new()));
    }
}
