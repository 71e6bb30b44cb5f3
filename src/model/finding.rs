//! What a reader noticed about an input: never a panic, never a silent drop.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the submitted document; both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Position {
    /// The start of a line.
    pub fn line(line: u32) -> Self {
        Self { line, column: 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Info,
    /// Something was read differently from how it may have been meant, or cannot be built as stated.
    Warning,
    /// The document cannot be built from.
    Error,
}

/// One remark about an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A stable kebab-case name, for example `unknown-type`.
    pub code: String,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// Where, when there is a place.
    pub position: Option<Position>,
    /// What to do about it.
    pub hint: String,
}

impl Finding {
    /// A remark that stops the document from being built.
    pub fn error(code: &str, message: impl Into<String>, position: Option<Position>, hint: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message, position, hint)
    }

    /// A remark about something that will not come out as written.
    pub fn warning(code: &str, message: impl Into<String>, position: Option<Position>, hint: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message, position, hint)
    }

    /// A remark worth knowing.
    pub fn info(code: &str, message: impl Into<String>, position: Option<Position>, hint: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message, position, hint)
    }

    fn new(severity: Severity, code: &str, message: impl Into<String>, position: Option<Position>, hint: impl Into<String>) -> Self {
        Self { severity, code: code.to_owned(), message: message.into(), position, hint: hint.into() }
    }
}
