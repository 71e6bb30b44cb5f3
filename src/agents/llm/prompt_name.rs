//! Which prompts there are, and what can be wrong with one.

use std::path::PathBuf;

use thiserror::Error;

/// The largest prompt that is sent.
pub(super) const PROMPT_BYTES_MAX: usize = 1024 * 1024;

/// One of the prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PromptName {
    /// Who the model is, and the form of its answers.
    System,
    /// One unit.
    Unit,
    /// How to go on with an answer that was cut off.
    Continuation,
    /// What is wrong with an answer that could not be read.
    Correction,
    /// Why an earlier delivery failed.
    Repair,
    /// One unit, for whoever changes a work tree.
    Worktree,
}

impl PromptName {
    /// Every prompt.
    pub const ALL: [Self; 6] = [Self::System, Self::Unit, Self::Continuation, Self::Correction, Self::Repair, Self::Worktree];

    /// The name of its file, without `.md`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Unit => "unit",
            Self::Continuation => "continuation",
            Self::Correction => "correction",
            Self::Repair => "repair",
            Self::Worktree => "worktree",
        }
    }

    /// The variables that its template must use, and no others.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::System => &["answer_form", "role", "target"],
            Self::Unit => &["context", "files", "folders", "key", "taken", "unit"],
            Self::Continuation => &["path", "seam", "whole"],
            Self::Correction => &["problem"],
            Self::Repair => &["evidence", "files"],
            Self::Worktree => &["context", "evidence", "files", "folders", "key", "role", "taken", "target", "unit"],
        }
    }

    pub(super) fn built_in(self) -> &'static str {
        match self {
            Self::System => include_str!("prompts/system.md"),
            Self::Unit => include_str!("prompts/unit.md"),
            Self::Continuation => include_str!("prompts/continuation.md"),
            Self::Correction => include_str!("prompts/correction.md"),
            Self::Repair => include_str!("prompts/repair.md"),
            Self::Worktree => include_str!("prompts/worktree.md"),
        }
    }
}

/// What can be wrong with a prompt.
#[derive(Debug, Error)]
pub enum PromptError {
    /// A file or folder cannot be read.
    #[error("cannot read prompts from {path}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that replaces no prompt.
    #[error("{0} replaces no prompt; there are system.md, unit.md, continuation.md, correction.md, repair.md and worktree.md")]
    Unknown(PathBuf),
    /// The first lines do not state a version.
    #[error("the prompt {0} does not start with the lines `---`, `version: NUMBER`, `---`")]
    NoVersion(&'static str),
    /// A template that is no template.
    #[error("the prompt {name} cannot be used")]
    Template {
        /// Which.
        name: &'static str,
        /// Why.
        source: Box<minijinja::Error>,
    },
    /// It uses other variables than it is given.
    #[error("the prompt {name} {problem}")]
    Variables {
        /// Which.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// It would be too long to send.
    #[error("the prompt {name} has {bytes} bytes, at most {PROMPT_BYTES_MAX} are sent")]
    TooLong {
        /// Which.
        name: &'static str,
        /// Its length.
        bytes: usize,
    },
}
