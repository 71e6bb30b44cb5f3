//! What can end a phase.

use thiserror::Error;

use crate::engine::EngineError;
use crate::exec::ExecError;
use crate::generate::GenerateError;
use crate::model::{Finding, Phase};
use crate::store::postgres::StoreError;

/// Why a phase did not end well.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// Somebody asked the run to stop; nothing is lost.
    #[error("the run was asked to stop")]
    Stopped,
    /// Another process drives the run now.
    #[error("another process has taken over run; this one stops without changing anything")]
    TakenOver,
    /// PostgreSQL.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The engine refused.
    #[error("the engine refused")]
    Engine(#[from] EngineError),
    /// The graph.
    #[error("the graph of the plan failed")]
    Graph(#[from] crate::store::graph::GraphError),
    /// A command could not be run at all.
    #[error("a command could not be run")]
    Exec(#[from] ExecError),
    /// The environment of the target could not be prepared.
    #[error("the target's tools could not be prepared")]
    Environment(#[from] crate::exec::environment::EnvironmentError),
    /// The output directory.
    #[error("the output directory could not be changed")]
    Output(#[from] crate::exec::output::OutputError),
    /// The work tree.
    #[error("the work tree could not be written")]
    Workspace(#[from] crate::exec::workspace::WorkspaceError),
    /// The run's repository.
    #[error("the run's repository failed")]
    Repository(#[from] crate::exec::repository::RepositoryError),
    /// The user's repository of the run is not there.
    #[error("the run grows in the git repository {path}, which cannot be opened on this machine: {reason}")]
    Elsewhere {
        /// Which.
        path: std::path::PathBuf,
        /// What git said.
        reason: String,
    },
    /// A target pack.
    #[error("the target pack failed")]
    Generate(#[from] GenerateError),
    /// The specification cannot be built from.
    #[error("the specification has {} that must be mended first", count(.0))]
    Specification(Vec<Finding>),
    /// The plan is not sound.
    #[error("the plan is not sound: {0}")]
    Plan(String),
    /// A recorded output that cannot be read, or an output that cannot be recorded.
    #[error("the journal of phase {} could not be read or written", .phase.as_str())]
    Journal {
        /// Which phase.
        phase: Phase,
        /// Why.
        source: serde_json::Error,
    },
    /// The service could not be probed.
    #[error("the service could not be probed")]
    Probe(#[from] super::probe::ProbeError),
    /// What was learned could not be stored.
    #[error("what was learned could not be stored")]
    Memory(#[from] crate::learning::MemoryError),
    /// A file that could not be read.
    #[error("cannot read {what}")]
    Io {
        /// What it is.
        what: String,
        /// Why.
        source: std::io::Error,
    },
}

impl PipelineError {
    /// What a person can do about it, when there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Exec(error) => Some(error.hint()),
            Self::Environment(error) => Some(error.hint()),
            Self::Output(error) => Some(error.hint()),
            Self::Workspace(error) => Some(error.hint()),
            Self::Repository(error) => Some(error.hint()),
            Self::Elsewhere { .. } => Some(
                "bring the repository back to that path, or resume the run on the machine where it was submitted: paths are not carried over",
            ),
            _ => None,
        }
    }
}

fn count(findings: &[Finding]) -> String {
    match findings.len() {
        1 => "one defect".to_owned(),
        many => format!("{many} defects"),
    }
}
