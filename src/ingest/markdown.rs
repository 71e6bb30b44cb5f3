//! Reads structured Markdown: headings name the parts, tables hold fields and endpoints. The format is described in `FORMAT.md`.

use super::draft::{Draft, DraftEndpoint, DraftEntity, DraftField, Text};
use super::markdown_blocks::{Block, blocks};
use super::source::Source;
use super::{Ingested, assemble, prose_sentences};
use crate::model::spec::StatementOrigin;
use crate::model::{Finding, Position, SpecFormat};

/// Reads one structured Markdown document.
pub(super) fn read(source: &Source<'_>) -> Ingested {
    match blocks(source) {
        Ok(blocks) => {
            let mut reader = Reader::default();
            for block in blocks {
                reader.take(block);
            }
            assemble::assemble(reader.finish(), source, SpecFormat::Markdown)
        }
        Err(finding) => Ingested::refused(finding),
    }
}

/// The part of the document that a heading opened.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Part {
    #[default]
    Introduction,
    TechStack,
    Entities,
    Endpoints,
    Rules,
    NonFunctional,
    Criteria,
    Other,
}

impl Part {
    fn of(title: &str) -> Self {
        match title.to_lowercase().replace('-', " ").as_str() {
            "tech stack" | "technology stack" | "technology" => Self::TechStack,
            "entities" | "data model" => Self::Entities,
            "endpoints" | "api" => Self::Endpoints,
            "rules" | "business rules" => Self::Rules,
            "non functional" | "non functional requirements" => Self::NonFunctional,
            "acceptance criteria" => Self::Criteria,
            _ => Self::Other,
        }
    }

    fn origin(self) -> StatementOrigin {
        match self {
            Self::NonFunctional => StatementOrigin::NonFunctional,
            Self::Criteria => StatementOrigin::Criterion,
            Self::Rules => StatementOrigin::Rule,
            _ => StatementOrigin::Prose,
        }
    }
}

#[derive(Default)]
struct Reader {
    draft: Draft,
    part: Part,
    section: String,
}

impl Reader {
    fn take(&mut self, block: Block) {
        match block {
            Block::Heading { level, text } => self.heading(level, text),
            Block::Table { header, rows } => self.table(&header, rows),
            Block::Paragraph { text, .. } => self.paragraph(&text),
            Block::Item { text, .. } => self.item(text),
        }
    }

    fn finish(mut self) -> Draft {
        if self.draft.title.is_empty() {
            let hint = "begin the document with `# Title`";
            self.draft.findings.push(Finding::error("missing-title", "the document has no title", Some(Position::line(1)), hint));
        }
        self.draft
    }

    fn heading(&mut self, level: u8, text: Text) {
        match (level, self.part) {
            (1, _) if self.draft.title.is_empty() => self.draft.title = text.text,
            (1 | 2, _) => {
                self.part = Part::of(&text.text);
                self.section = text.text;
            }
            (3, Part::Entities) => {
                let name = Text::new(unquoted(&text.text), text.position);
                self.draft.entities.push(DraftEntity { name, description: String::new(), fields: Vec::new() });
            }
            _ => self.section = text.text,
        }
    }

    fn paragraph(&mut self, text: &Text) {
        match self.part {
            Part::Introduction => match text.text.strip_prefix("Version:") {
                Some(version) => self.draft.version = Some(version.trim().to_owned()),
                None => join(&mut self.draft.summary, &text.text),
            },
            Part::Entities => match self.draft.entities.last_mut() {
                Some(entity) => join(&mut entity.description, &text.text),
                None => self.sentences(text),
            },
            Part::TechStack => self.draft.choose(text),
            _ => self.sentences(text),
        }
    }

    fn item(&mut self, text: Text) {
        match self.part {
            Part::TechStack => self.draft.choose(&text),
            Part::Rules => self.draft.rules.push(text),
            Part::NonFunctional | Part::Criteria => self.draft.state(&text.text, &self.section, self.part.origin(), text.position),
            Part::Introduction => join(&mut self.draft.summary, &text.text),
            _ => self.sentences(&text),
        }
    }

    fn sentences(&mut self, text: &Text) {
        // Prose among the rules explains them; only their bullets are rules.
        let origin = if self.part == Part::Rules { StatementOrigin::Prose } else { self.part.origin() };
        for sentence in prose_sentences::sentences(&text.text) {
            let origin = if origin == StatementOrigin::Prose { prose_sentences::origin(sentence) } else { origin };
            self.draft.state(sentence, &self.section, origin, text.position);
        }
    }

    fn table(&mut self, header: &[Text], rows: Vec<Vec<Text>>) {
        match self.part {
            Part::Entities => self.fields(header, rows),
            Part::Endpoints => self.endpoints(header, rows),
            _ => {
                for row in rows {
                    let line = row.iter().map(|cell| cell.text.as_str()).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(", ");
                    let position = row.first().map_or(Position::line(1), |cell| cell.position);
                    self.draft.state(&line, &self.section, self.part.origin(), position);
                }
            }
        }
    }

    fn fields(&mut self, header: &[Text], rows: Vec<Vec<Text>>) {
        let columns = [&["field", "name", "attribute"][..], &["type"], &["rules", "constraints"], &["description", "meaning", "notes"]];
        let Some([name, field_type, rules, description]) = self.columns(header, columns, "| field | type | rules |") else { return };
        let Some(entity) = self.draft.entities.last_mut() else {
            let position = header.first().map(|cell| cell.position);
            let finding = Finding::error("table-without-entity", "this table belongs to no entity", position, "put it under `### Name`");
            self.draft.findings.push(finding);
            return;
        };
        for row in rows {
            let Some((name_cell, type_cell)) = cell(&row, name).zip(cell(&row, field_type)) else { continue };
            let rules = cell(&row, rules).unwrap_or_else(|| Text::new("", type_cell.position));
            let description = cell(&row, description).map(|cell| cell.text).unwrap_or_default();
            entity.fields.push(DraftField { name: plain(&name_cell), field_type: plain(&type_cell), rules, description });
        }
    }

    fn endpoints(&mut self, header: &[Text], rows: Vec<Vec<Text>>) {
        let columns = [&["method"][..], &["path", "url"], &["purpose", "behaviour", "behavior", "description"], &["entity"]];
        let Some([method, path, purpose, entity]) = self.columns(header, columns, "| method | path | purpose | entity |") else { return };
        for row in rows {
            let Some((method, path)) = cell(&row, method).zip(cell(&row, path)) else { continue };
            let purpose = cell(&row, purpose).unwrap_or_else(|| Text::new("", path.position));
            let entity = cell(&row, entity).as_ref().map(plain).filter(|cell| !cell.text.is_empty() && cell.text != "-");
            self.draft.endpoints.push(DraftEndpoint { method: plain(&method), path: plain(&path), purpose, entity });
        }
    }

    /// The index of each column, the first two of which must exist.
    fn columns<const N: usize>(&mut self, header: &[Text], names: [&[&str]; N], example: &str) -> Option<[usize; N]> {
        let find = |names: &[&str]| header.iter().position(|cell| names.contains(&cell.text.to_lowercase().as_str()));
        let found = names.map(|names| find(names).unwrap_or(usize::MAX));
        let missing = names.iter().zip(found).take(2).find(|(_, index)| *index == usize::MAX);
        let Some((names, _)) = missing else { return Some(found) };
        let position = header.first().map(|cell| cell.position);
        let message = format!("this table has no column `{}`", names[0]);
        self.draft.findings.push(Finding::error("missing-column", message, position, format!("write the header as `{example}`")));
        None
    }
}

fn cell(row: &[Text], index: usize) -> Option<Text> {
    row.get(index).cloned()
}

fn plain(text: &Text) -> Text {
    Text::new(unquoted(&text.text), text.position)
}

/// A name without the backticks or stars around it.
fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['`', '*']).trim().to_owned()
}

fn join(paragraphs: &mut String, next: &str) {
    if !paragraphs.is_empty() {
        paragraphs.push_str("\n\n");
    }
    paragraphs.push_str(next);
}
