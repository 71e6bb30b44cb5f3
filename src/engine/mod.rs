//! Durable execution: runs and their units, moved from state to state in PostgreSQL and nowhere else.
//!
//! It knows neither phases nor agents. A runner submits a run, drives it, claims its units, performs them, and settles what became
//! of them:
//!
//! ```text
//! submit ─► drive ─► load_plan ─► claim ─► (perform) ─► settle ─► claim … ─► finish
//!                       │            ▲                    │
//!                  units ready       └─── changes() ◄─────┘ dependents ready, in the same transaction
//! ```
//!
//! Invariants: a unit is settled only by who holds its current token; no transaction is open while a unit is performed; every time
//! is the database's clock; whatever is in memory here can be lost at any instant.

pub mod acts;
mod budget;
mod drive;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod oracle;
mod rank;
#[cfg(test)]
mod reference;
mod replan;
mod retry;
mod runs;
#[cfg(test)]
mod scheduling_tests;
mod settle;
mod submit;
mod sweep;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod units;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

pub use budget::{Reserved, Shortage};
pub use drive::{Drive, RunGuard};
pub use retry::{Decision, ErrorClass, RetryPolicy};
pub use runs::RunSnapshot;
pub use settle::{Settled, Settlement, UnitResult};
pub use submit::{Submission, Submitted, SubmittedAs};
pub use sweep::Swept;
pub use units::Claimed;

pub use crate::store::postgres::reopen::ReopenedUnit;
pub use crate::store::postgres::replan::Replanned;
pub use crate::store::postgres::runs::RunRow;
pub use crate::store::postgres::units::{Claim, ClaimedUnit, Dispatch, UnitRow};

use crate::model::budget::{BudgetScope, Ceiling};
use crate::model::{Limits, RunId, RunState, Strategy, WorkerId};
use crate::store::postgres::presence::Presence;
use crate::store::postgres::{Postgres, StoreError};

/// How the engine behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// How long a claim, and the driving of a run, lasts without a sign of life.
    pub lease: Duration,
    /// When and how often failed units are tried again.
    pub retry: RetryPolicy,
    /// Which ready unit goes first; fixed when a run's plan is loaded.
    pub strategy: Strategy,
    /// How many units may be running at once.
    pub limits: Limits,
    /// What each scope of a run may use; fixed when a run's plan is loaded.
    pub budgets: BTreeMap<BudgetScope, Ceiling>,
    /// After so long without progress, a settled unit or a phase, a running run is stuck: a sweep takes it from whoever drives it.
    pub stuck_after: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            strategy: Strategy::default(),
            limits: Limits::default(),
            budgets: BTreeMap::new(),
            stuck_after: Duration::from_hours(1),
        }
    }
}

/// What the engine refuses.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The store of facts failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such run.
    #[error("run {run} does not exist")]
    NoSuchRun {
        /// The run.
        run: RunId,
    },
    /// The run cannot do that in its state.
    #[error("run {run} is {state}, it cannot be {verb}")]
    WrongState {
        /// The run.
        run: RunId,
        /// Where it stands.
        state: &'static str,
        /// What was asked.
        verb: &'static str,
    },
    /// A newer plan must keep the place of every task.
    #[error("the new plan of run {run} does not keep {key} in its place")]
    Moved {
        /// The run.
        run: RunId,
        /// The first task that is elsewhere.
        key: String,
    },
    /// Units of that name cannot be reopened, woken or handed in.
    #[error("no unit {keys} of run {run} can be {verb}")]
    NoSuchUnit {
        /// The run.
        run: RunId,
        /// What was asked for, comma-separated.
        keys: String,
        /// What was asked.
        verb: &'static str,
    },
}

impl EngineError {
    /// True when the same call may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }

    /// What a person can do about it, when there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::NoSuchRun { .. } => Some("`specwave status` lists the runs"),
            Self::WrongState { .. } => Some("`specwave status RUN` shows where it stands"),
            Self::Moved { .. } => None,
            Self::NoSuchUnit { .. } => Some("`specwave report RUN` lists the units and their states"),
        }
    }

    fn wrong_state(run: RunId, state: RunState, verb: &'static str) -> Self {
        Self::WrongState { run, state: state.as_str(), verb }
    }
}

/// The engine of one process. Cheap to clone; all clones share one writer.
#[derive(Debug, Clone)]
pub struct Engine {
    store: Postgres,
    options: EngineOptions,
    worker: WorkerId,
    writer: writer::Writer,
    changes: Arc<watch::Sender<u64>>,
    presence: Arc<Presence>,
    host: Arc<str>,
}

impl Engine {
    /// Starts the writer of this process; call it within a tokio runtime. The writer ends with the last clone.
    pub fn new(store: Postgres, options: EngineOptions) -> Self {
        let changes = Arc::new(watch::channel(0).0);
        let worker = WorkerId::new();
        let claimer = writer::Claimer { worker, lease: options.lease, limits: options.limits.clone() };
        let writer = writer::Writer::start(store.clone(), claimer, Arc::clone(&changes));
        Self { store, options, worker, writer, changes, presence: Arc::new(Presence::new(worker)), host: host(worker).into() }
    }

    /// Ends this worker's sign of life; call it before the store is closed.
    pub async fn close(&self) {
        self.presence.end().await;
    }

    /// The id under which this process claims.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// The machine that this process runs on.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How it behaves.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The store of facts.
    pub fn store(&self) -> &Postgres {
        &self.store
    }

    /// Wakes whenever this process changed something that may have made a unit ready. Other processes' changes are found by polling.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes whoever waits for [`Engine::changes`]; to be called after the commit of a transaction that used [`acts`].
    pub fn announce(&self) {
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
        self.writer.look();
    }
}

/// The machine's name; where it has none, one that no other process has, so that nobody is taken for a neighbour.
fn host(worker: WorkerId) -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() || name == "(none)" { worker.to_string() } else { name }
}
