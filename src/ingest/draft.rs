//! What structured Markdown and the model file have in common: the parts as written, each with its place.
//!
//! Both readers fill a [`Draft`]; [`super::assemble`] checks it and derives the document, so that the two formats cannot differ.

use crate::model::spec::{Statement, StatementOrigin, TechChoice};
use crate::model::{Finding, Position};

use super::limits::STATEMENTS_MAX;

/// A piece of text and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// The text, trimmed.
    pub(super) text: String,
    /// Where it begins.
    pub(super) position: Position,
}

impl Text {
    /// A piece of text at a place.
    pub(super) fn new(text: impl Into<String>, position: Position) -> Self {
        Self { text: text.into(), position }
    }

    /// The place of the text that starts at this byte offset within it, as long as it stands on one line.
    pub(super) fn at(&self, offset: usize) -> Position {
        let characters = self.text.get(..offset).map_or(0, |before| before.chars().count());
        Position { line: self.position.line, column: self.position.column + u32::try_from(characters).unwrap_or(0) }
    }
}

/// A specification as written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) title: String,
    pub(super) version: Option<String>,
    pub(super) summary: String,
    pub(super) entities: Vec<DraftEntity>,
    pub(super) endpoints: Vec<DraftEndpoint>,
    pub(super) rules: Vec<Text>,
    pub(super) statements: Vec<Statement>,
    pub(super) tech_stack: Vec<TechChoice>,
    pub(super) findings: Vec<Finding>,
}

/// An entity as written.
#[derive(Debug)]
pub(super) struct DraftEntity {
    pub(super) name: Text,
    pub(super) description: String,
    pub(super) fields: Vec<DraftField>,
}

/// A row of an entity's table.
#[derive(Debug)]
pub(super) struct DraftField {
    pub(super) name: Text,
    pub(super) field_type: Text,
    pub(super) rules: Text,
    pub(super) description: String,
}

/// A row of the table of endpoints.
#[derive(Debug)]
pub(super) struct DraftEndpoint {
    pub(super) method: Text,
    pub(super) path: Text,
    pub(super) purpose: Text,
    pub(super) entity: Option<Text>,
}

impl Draft {
    /// Adds a statement, as long as there is room.
    pub(super) fn state(&mut self, text: &str, section: &str, origin: StatementOrigin, position: Position) {
        if !text.is_empty() && self.statements.len() < STATEMENTS_MAX {
            let statement = Statement { text: text.to_owned(), section: section.to_owned(), origin, position };
            self.statements.push(statement);
        }
    }

    /// Adds a line of the tech stack, `topic: choice`.
    pub(super) fn choose(&mut self, line: &Text) {
        let (topic, choice) = line.text.split_once(':').unwrap_or(("stack", &line.text));
        let (topic, choice) = (topic.trim().trim_matches('*').to_lowercase(), choice.trim().trim_matches('*').trim().to_owned());
        if !choice.is_empty() {
            self.tech_stack.push(TechChoice { topic, choice, position: line.position });
        }
    }
}
