//! What the agent is asked to do.

use crate::agents::{Briefing, Repair};
use crate::model::Task;
use crate::redact::redact;

/// Said of a project whose specification names no language.
const TARGET_OPEN: &str = "what the specification asks for; where it leaves that open, what is customary for such a project";

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
    /// True when it may change other files as well, in a work tree.
    pub widened: bool,
    /// Language and framework: `Python 3.12, FastAPI, SQLAlchemy 2`.
    pub target: String,
    /// What is known about the project, assembled and bounded by `context`.
    pub context: String,
    /// Why an earlier delivery failed, when there was one.
    pub repair: Option<Repair>,
}

impl LlmTask {
    /// The unit for an agent with that role. What looks like a secret in a specification or in files stays here.
    pub(in crate::agents) fn of(unit: Task, briefing: Briefing, role: &str) -> Self {
        Self {
            key: unit.key,
            title: redact(&unit.title),
            description: redact(&unit.description),
            criteria: unit.criteria.iter().map(|criterion| redact(criterion)).collect(),
            role: role.to_owned(),
            files: unit.files,
            taken: briefing.taken,
            widened: briefing.widened,
            target: if briefing.target.is_empty() { TARGET_OPEN.to_owned() } else { briefing.target },
            context: redact(&briefing.context),
            repair: briefing.repair,
        }
    }
}
