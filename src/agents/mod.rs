//! Who performs a unit. One trait, one file per kind of agent; `assignment` chooses and says why.
//!
//! Called by `runner`. An agent delivers files; it never judges them, stores them, or changes a unit's state.

pub mod assignment;
pub mod generator;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

pub use assignment::{Assignment, assign};
pub use generator::GeneratorAgent;

use crate::generate::{GeneratedFile, Prior};
use crate::model::{AgentKind, SpecDocument, Task};

/// What an agent is given.
#[derive(Debug, Clone)]
pub struct Work {
    /// The unit.
    pub unit: Task,
    /// The whole specification; an agent that talks to a model sends only the context.
    pub document: Arc<SpecDocument>,
    /// Files of the last delivery that the unit carries on from.
    pub prior: Arc<Prior>,
}

/// The files of one unit, on their way.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<Vec<GeneratedFile>, AgentError>> + Send + 'a>>;

/// Something that performs units.
pub trait Agent: Send + Sync {
    /// Its name, recorded with every attempt: `generator/fastapi`.
    fn name(&self) -> &str;

    /// What kind of agent it is.
    fn kind(&self) -> AgentKind;

    /// What its results depend on besides the work itself; part of a unit's input hash.
    fn version(&self) -> &str;

    /// True when equal work gives equal files, so that trying again is pointless.
    fn deterministic(&self) -> bool;

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
}
