//! What the agent is asked to do.

use crate::agents::Repair;

/// One unit, as a model is told about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LlmTask {
    /// Its key in the plan: `router/books`.
    pub key: String,
    /// One line.
    pub title: String,
    /// More lines.
    pub description: String,
    /// When it is done.
    pub criteria: Vec<String>,
    /// Who it is to be: the profile's own instructions.
    pub role: String,
    /// The files it must write; a trailing `/` declares a folder. Empty: it chooses.
    pub files: Vec<String>,
    /// Where it chooses: files that are there already and belong to others.
    pub taken: Vec<String>,
    /// Language and framework: `Python 3.12, FastAPI, SQLAlchemy 2`.
    pub target: String,
    /// What is known about the project, assembled and bounded by `context`.
    pub context: String,
    /// Why an earlier delivery failed, when there was one.
    pub repair: Option<Repair>,
}
