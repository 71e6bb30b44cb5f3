//! Patterns: what worked (or failed), kept for later runs.

use serde::{Deserialize, Serialize};

use super::{PatternId, RunId};

/// A verified outcome worth remembering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pattern {
    /// Its id, derived from tenant, kind and content (UUIDv5), so that learning twice stores once.
    pub id: PatternId,
    /// What it shows.
    pub kind: PatternKind,
    /// One line.
    pub title: String,
    /// The words that were embedded.
    pub text: String,
    /// The code, when there is some.
    pub code: String,
    /// The language of `code`.
    pub language: String,
    /// The framework of `code`.
    pub framework: String,
    /// The unit's sort of work, for example `api`.
    pub unit_type: String,
    /// The specification's format.
    pub spec_type: String,
    /// True when the outcome was verified good, false when it is a failure to avoid.
    pub success: bool,
    /// The run that proved it.
    pub run: RunId,
    /// The unit that made it.
    pub unit_key: String,
    /// The names of the checks it passed, or the one it failed.
    pub evidence: Vec<String>,
}

/// What a pattern shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatternKind {
    /// A unit of work and how it was planned.
    Task,
    /// Code that passed its checks.
    Code,
    /// A whole plan that was finished.
    Sequence,
}

impl PatternKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Task, Self::Code, Self::Sequence];
}

/// A pattern found by a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PatternHit {
    /// The pattern.
    pub pattern: Pattern,
    /// Cosine similarity, -1 to 1; comparable only between hits of the same embedder.
    pub score: f32,
    /// The embedder that made both vectors.
    pub embedder: String,
}
