//! Who performs a unit. One trait, one file or folder per kind of agent; `profile` says what an agent is for, `roster` which ones can be had,
//! `assignment` chooses and says why.
//!
//! Called by `runner`. An agent delivers files; it never judges them, stores them, or changes a unit's state.

pub mod agentapi;
pub mod asking;
pub mod assignment;
#[cfg(test)]
mod assignment_tests;
pub mod command;
mod drawing;
pub mod generator;
pub mod listener;
pub mod listing;
pub mod llm;
pub mod manual;
pub mod meter;
pub mod profile;
pub mod repair;
pub mod roster;
pub mod transcript;
pub mod tryout;
pub mod usage;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use asking::AskError;
pub use assignment::{Assignment, Request, assign, expected_kind};
pub use generator::GeneratorAgent;
pub use listener::{Listener, News};
pub use manual::HandedIn;
pub use meter::{Bound, Meter, Metered, Refused, Reservation, Spent};
pub use profile::{Profile, ProfileError};
pub use repair::{Evidence, Repair};
pub use roster::Roster;
pub use transcript::{Entry, Transcript};
pub use usage::Usage;

use crate::engine::ErrorClass;
use crate::exec::Recorder;
use crate::generate::{GeneratedFile, Prior};
use crate::model::{AgentKind, SpecDocument, Task};

/// What an agent is given.
pub struct Work {
    /// The unit.
    pub unit: Task,
    /// The whole specification; an agent that talks to a model sends only the context.
    pub document: Arc<SpecDocument>,
    /// Files of the last delivery that the unit carries on from.
    pub prior: Arc<Prior>,
    /// What whoever reads is told.
    pub briefing: Briefing,
    /// The directory to change, for whoever works in one; nobody else is given any.
    pub worktree: Option<PathBuf>,
    /// Who counts what it uses.
    pub meter: Arc<dyn Meter>,
    /// Who hears what it tells while it works.
    pub listener: Arc<dyn Listener>,
    /// Where the commands are written down that it has run.
    pub recorder: Recorder,
}

/// What an agent that reads is told. Generators read the specification itself and get an empty one.
#[derive(Debug, Clone, Default)]
pub struct Briefing {
    /// What is known about the project, within a budget.
    pub context: String,
    /// Language and framework in words; empty when the specification leaves it open.
    pub target: String,
    /// Files that belong to other units.
    pub taken: Vec<String>,
    /// True when files may be changed that the unit does not declare.
    pub widened: bool,
    /// What was wrong with the try before.
    pub repair: Option<Repair>,
}

/// What an agent leaves behind.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The files; none of whoever works in a tree.
    pub files: Vec<GeneratedFile>,
    /// What whoever works in a tree asks in its last line, or why that is no question; it counts where nothing was changed.
    pub asked: Option<Result<String, AskError>>,
    /// What it used and said.
    pub account: Account,
}

/// What a try used, in the providers' own numbers, and what was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Tokens.
    pub usage: Usage,
    /// Requests that were made.
    pub calls: usize,
    /// Requests among them whose use nobody reported.
    pub unreported: usize,
    /// What it cost in millionths of the currency of prices; none when nobody knows.
    pub cost_micros: Option<u64>,
    /// The conversation, without secrets.
    pub transcript: Transcript,
}

/// The files of one unit, on their way.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<Delivered, AgentError>> + Send + 'a>>;

/// Something that performs units.
pub trait Agent: Send + Sync {
    /// Its name, recorded with every attempt: `generator/fastapi`.
    fn name(&self) -> &str;

    /// What kind of agent it is.
    fn kind(&self) -> AgentKind;

    /// What its results depend on besides the work itself; part of a unit's input hash.
    fn version(&self) -> &str;

    /// True when equal work gives equal files, so that trying again is pointless. Whoever is not reads a briefing.
    fn deterministic(&self) -> bool;

    /// True when it changes a work tree: what it delivers is what has changed there, and not files of its own.
    fn works_in_a_tree(&self) -> bool {
        false
    }

    /// True when something of it may live on after the work and still have the tree open: nobody else is given any part of that.
    fn lives_on(&self) -> bool {
        false
    }

    /// The name of a secret that it was given, when a text holds its value: nothing that holds one is taken or kept.
    fn gives_away(&self, _text: &[u8]) -> Option<&str> {
        None
    }

    /// How long it may need for a unit, where that is more than what units are usually given.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Performs the unit. Dropping the future abandons the work.
    fn perform(&self, work: Work) -> Delivery<'_>;
}

/// Why an agent delivered nothing.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The generator cannot build this unit.
    #[error("the generator could not build the unit: {0}")]
    Generate(#[source] crate::generate::GenerateError),
    /// The agent's own task ended abnormally.
    #[error("the agent stopped abnormally: {0}")]
    Stopped(String),
    /// It cannot go on without knowing something.
    #[error("it asks: {question}")]
    Asks {
        /// What, without secrets.
        question: String,
        /// What was used and said until then.
        account: Box<Account>,
    },
    /// It tried, and this came of it.
    #[error("{message}")]
    Failed {
        /// What kind of failure.
        class: ErrorClass,
        /// What happened, without secrets.
        message: String,
        /// What was used and said until then.
        account: Box<Account>,
    },
}

impl AgentError {
    /// What kind of failure it is, for whoever decides about another attempt.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Generate(_) | Self::Stopped(_) => ErrorClass::Permanent,
            Self::Asks { .. } => ErrorClass::NeedsInput,
            Self::Failed { class, .. } => *class,
        }
    }

    /// What was used and said before it failed.
    pub fn account(self) -> Account {
        match self {
            Self::Generate(_) | Self::Stopped(_) => Account::default(),
            Self::Asks { account, .. } | Self::Failed { account, .. } => *account,
        }
    }

    /// What it wants to know, when that is why.
    pub fn question(&self) -> Option<&str> {
        match self {
            Self::Asks { question, .. } => Some(question),
            _ => None,
        }
    }
}
