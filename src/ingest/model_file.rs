//! Reads the structured model as YAML or JSON: the same parts as structured Markdown, cell by cell. Described in `FORMAT.md`.

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::draft::{Draft, DraftEndpoint, DraftEntity, DraftField, Text};
use super::limits::yaml_options;
use super::source::Source;
use super::{Ingested, assemble};
use crate::model::spec::StatementOrigin;
use crate::model::{Finding, Position, SpecFormat};

/// Reads one model document.
pub(super) fn read(source: &Source<'_>) -> Ingested {
    match serde_saphyr::from_str_with_options::<Document>(source.text, yaml_options()) {
        Ok(document) => assemble::assemble(document.draft(), source, SpecFormat::Model),
        Err(error) => Ingested::refused(unreadable(&error)),
    }
}

/// The finding for a text that is no model document.
fn unreadable(error: &serde_saphyr::Error) -> Finding {
    let error = error.without_snippet();
    let place = error.location().filter(|location| location.line() > 0);
    let position = place.map(|location| Position { line: bounded(location.line()), column: bounded(location.column()) });
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default().trim_end_matches('.');
    // What the library adds: the place, which the finding carries, and advice to programmers.
    let message = position.map_or(message, |at| message.trim_end_matches(&format!(" at line {}, column {}", at.line, at.column)));
    let message = message.split(", set ").next().unwrap_or_default().to_owned();
    let budget = ["budget", "alias", "limit", "depth", "nest", "recursion"].iter().any(|word| message.to_lowercase().contains(word));
    let (code, hint) = if budget {
        ("input-too-complex", "use fewer anchors and flatter structures")
    } else if message.contains("unknown field") {
        ("unknown-key", "remove the key or correct it")
    } else {
        ("bad-model", "see the model file in the description of the format")
    };
    Finding::error(code, format!("the model file cannot be read: {message}"), position, hint)
}

fn bounded(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

type Line = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    title: Line,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    tech_stack: Vec<Line>,
    #[serde(default)]
    entities: Vec<EntityPart>,
    #[serde(default)]
    endpoints: Vec<EndpointPart>,
    #[serde(default)]
    rules: Vec<Line>,
    #[serde(default)]
    non_functional: Vec<Line>,
    #[serde(default)]
    acceptance_criteria: Vec<Line>,
    #[serde(default)]
    notes: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityPart {
    name: Line,
    #[serde(default)]
    description: String,
    #[serde(default)]
    fields: Vec<FieldPart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldPart {
    name: Line,
    #[serde(rename = "type")]
    field_type: Line,
    #[serde(default)]
    rules: Option<Line>,
    /// The default as a value; beside `rules`, where it is text.
    #[serde(default)]
    default: Option<Spanned<Value>>,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointPart {
    method: Line,
    path: Line,
    #[serde(default)]
    purpose: Option<Line>,
    #[serde(default)]
    entity: Option<Line>,
}

impl Document {
    fn draft(self) -> Draft {
        let (title, summary) = (self.title.value.trim().to_owned(), self.summary.trim().to_owned());
        let mut draft = Draft { title, version: self.version, summary, ..Draft::default() };
        if draft.title.is_empty() {
            let position = Some(text(&self.title).position);
            draft.findings.push(Finding::error("missing-title", "the document has no title", position, "write `title: My service`"));
        }
        for line in &self.tech_stack {
            draft.choose(&text(line));
        }
        draft.entities = self.entities.into_iter().map(EntityPart::draft).collect();
        draft.endpoints = self.endpoints.into_iter().map(EndpointPart::draft).collect();
        draft.rules = self.rules.iter().map(text).collect();
        let sections = [
            (&self.notes, "Notes", StatementOrigin::Prose),
            (&self.non_functional, "Non-functional", StatementOrigin::NonFunctional),
            (&self.acceptance_criteria, "Acceptance criteria", StatementOrigin::Criterion),
        ];
        for (lines, section, origin) in sections {
            for line in lines {
                let line = text(line);
                draft.state(&line.text, section, origin, line.position);
            }
        }
        draft
    }
}

impl EntityPart {
    fn draft(self) -> DraftEntity {
        let fields = self.fields.into_iter().map(FieldPart::draft).collect();
        DraftEntity { name: text(&self.name), description: self.description.trim().to_owned(), fields }
    }
}

impl FieldPart {
    fn draft(self) -> DraftField {
        let (name, field_type) = (text(&self.name), text(&self.field_type));
        let mut rules = self.rules.as_ref().map_or_else(|| Text::new("", field_type.position), text);
        if let Some(default) = &self.default {
            let value = match &default.value {
                Value::String(text) => format!("\"{text}\""),
                other => other.to_string(),
            };
            if rules.text.is_empty() {
                rules.position = place(default);
            } else {
                rules.text.push_str(", ");
            }
            rules.text.push_str("default ");
            rules.text.push_str(&value);
        }
        DraftField { name, field_type, rules, description: self.description.trim().to_owned() }
    }
}

impl EndpointPart {
    fn draft(self) -> DraftEndpoint {
        let path = text(&self.path);
        let purpose = self.purpose.as_ref().map_or_else(|| Text::new("", path.position), text);
        DraftEndpoint { method: text(&self.method), path, purpose, entity: self.entity.as_ref().map(text) }
    }
}

fn text(line: &Line) -> Text {
    let words = line.value.split_whitespace().collect::<Vec<_>>().join(" ");
    // A NUL or another control character is kept, so that the checks of names see it.
    Text::new(words, place(line))
}

fn place<T>(spanned: &Spanned<T>) -> Position {
    let location = spanned.referenced;
    Position { line: bounded(location.line()).max(1), column: bounded(location.column()).max(1) }
}

#[cfg(test)]
mod tests {
    use super::super::read as read_any;
    use crate::model::SpecFormat;

    fn check(text: &str, place: &str, code: &str) {
        let ingested = read_any(text.as_bytes(), None, Some(SpecFormat::Model));
        let found: Vec<String> = ingested
            .findings
            .iter()
            .map(|finding| format!("{} {}", finding.position.map(|position| position.to_string()).unwrap_or_default(), finding.code))
            .collect();
        assert_eq!(found, [format!("{place} {code}")], "{:?}", ingested.findings);
    }

    #[test]
    fn mistakes_are_placed() {
        check("title: A\nentites: []\n", "2:1", "unknown-key");
        check("title: A\nentities:\n  - name: B\n    fields:\n      - {name: c, type: sting}\n", "5:25", "unknown-type");
        check("title: A\nentities: 3\n", "2:11", "bad-model");
        check("title: A\ntitle: B\n", "2:1", "bad-model");
        check("title: ''\n", "1:8", "missing-title");
        check("{\"title\": \"A\", ", "1:1", "bad-model");
    }

    #[test]
    fn bombs_and_deep_nesting_are_refused() {
        let deep = format!("title: A\nnotes: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
        let ingested = read_any(deep.as_bytes(), None, None);
        assert!(ingested.failed());
        let mut bomb = String::from("title: A\nnotes:\n  - &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            bomb.push_str("  - &a");
            bomb.push_str(&level.to_string());
            bomb.push_str(" [");
            bomb.push_str(&vec![format!("*a{}", level - 1); 9].join(", "));
            bomb.push_str("]\n");
        }
        assert!(read_any(bomb.as_bytes(), None, Some(SpecFormat::Model)).failed());
    }

    #[test]
    fn a_default_may_be_a_value() {
        let text = "title: A\nentities:\n  - name: B\n    fields:\n      - {name: c, type: list(string), default: [x, y]}\n      - {name: d, type: string, rules: required, default: 'a, b'}\n";
        let document = read_any(text.as_bytes(), None, None).document.expect("sound");
        assert_eq!(document.entities[0].field("c").and_then(|field| field.default.clone()), Some(serde_json::json!(["x", "y"])));
        assert_eq!(document.entities[0].field("d").and_then(|field| field.default.clone()), Some(serde_json::json!("a, b")));
    }
}
