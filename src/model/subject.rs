//! What a requirement is about and what a piece of evidence speaks of: the link between the two.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A checkable part of a specification. Its text form is stable and used as a key, for example `operation:GET /books`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An operation, by its key (`GET /books/{id}`).
    Operation(String),
    /// An entity, by its name.
    Entity(String),
    /// A field, as `Entity.field`.
    Field(String),
    /// A business rule, by its key.
    Rule(String),
    /// A check of the whole project, for example `tests` or `types`.
    Project(String),
    /// A statement that no machine check covers.
    Statement(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Operation(name) => ("operation", name),
            Self::Entity(name) => ("entity", name),
            Self::Field(name) => ("field", name),
            Self::Rule(name) => ("rule", name),
            Self::Project(name) => ("project", name),
            Self::Statement(name) => ("statement", name),
        };
        write!(out, "{kind}:{name}")
    }
}
