//! What somebody decides about a unit: done once more, tried once more, approved or rejected; and the run is led back to where its units
//! are performed.
//!
//! Called by the HTTP interface and the command line, within their transaction. What planning found stays; the phases behind it are done again, in which units
//! that nothing changed for stay as they are.

use thiserror::Error;

use crate::engine::{EngineError, acts};
use crate::model::{Actor, Artifact, Phase, RunId, RunState, UnitState};
use crate::store::postgres::tasks::{self, UnitEntry};
use crate::store::postgres::units::{self, UnitRow};
use crate::store::postgres::{StoreError, TenantTx, assignments, hand_ins, phases, runs, settle};

/// The phases that work on what units left behind.
const BEHIND_PLANNING: [Phase; 6] = [Phase::Execute, Phase::Repair, Phase::Validate, Phase::Deploy, Phase::Health, Phase::Learn];

/// What somebody wants of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Do it again, with everything that depends on it.
    Again {
        /// Why.
        reason: String,
    },
    /// Try it once more, when it has failed or waits.
    Retry {
        /// Why.
        reason: String,
    },
    /// It waits for a person, who agrees.
    Approve {
        /// What was looked at.
        note: String,
    },
    /// A person has done it.
    HandIn {
        /// The files, whose contents are stored.
        files: Vec<Artifact>,
        /// What there is to say about them.
        note: String,
    },
    /// It waits for a person, who does not agree.
    Reject {
        /// Why.
        reason: String,
    },
}

/// Why that cannot be done.
#[derive(Debug, Error)]
pub enum AgainError {
    /// The store of facts failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something that it waits for is not done.
    #[error("unit {key} waits for {count} others that are not done")]
    DependenciesOpen {
        /// The unit.
        key: String,
        /// How many.
        count: u32,
    },
    /// The unit was called off.
    #[error("unit {key} was called off with its run")]
    Cancelled {
        /// The unit.
        key: String,
    },
    /// The run has ended for good.
    #[error("the run of unit {key} is {state}: it does not go on")]
    RunOver {
        /// The unit.
        key: String,
        /// Where the run stands.
        state: &'static str,
    },
    /// What waits for a person is a piece of work.
    #[error("unit {key} is to deliver {files}: it cannot be approved without")]
    FilesMissing {
        /// The unit.
        key: String,
        /// Its files, comma-separated.
        files: String,
    },
    /// The run is under way, and beyond its units.
    #[error("the run of unit {key} is being checked and delivered")]
    RunBeyond {
        /// The unit.
        key: String,
    },
}

/// Does that to the unit. The caller commits and then wakes the workers.
pub async fn unit(tx: &mut TenantTx, actor: &Actor, unit: &UnitEntry, wish: &Wish) -> Result<(), AgainError> {
    settle::lock_runs(tx, &[unit.run]).await?;
    let key = || unit.key.clone();
    let run = runs::find(tx, unit.run).await?.ok_or(EngineError::NoSuchRun { run: unit.run })?;
    match run.state {
        RunState::Succeeded | RunState::Cancelled | RunState::Superseded => {
            return Err(AgainError::RunOver { key: key(), state: run.state.as_str() });
        }
        RunState::Running if beyond_units(tx, unit).await? => return Err(AgainError::RunBeyond { key: key() }),
        _ => {}
    }
    match wish {
        Wish::Again { reason } => again(tx, actor, unit, reason).await?,
        Wish::Retry { reason } => drop(acts::retry(tx, actor, unit.run, &[key()], reason).await?),
        Wish::Approve { note } => {
            let files = tasks::declared_files(tx, unit).await?;
            if !files.is_empty() {
                return Err(AgainError::FilesMissing { key: key(), files: files.join(", ") });
            }
            acts::approve(tx, actor, unit.run, &unit.key, note).await?;
        }
        Wish::HandIn { files, note } => {
            hand_ins::add(tx, unit.run, &unit.key, &actor.name, note, files).await?;
            let reason = format!("handed in by {}", actor.name);
            acts::retry(tx, actor, unit.run, &[key()], &reason).await?;
        }
        // Nothing is to be done that was not before.
        Wish::Reject { reason } => return Ok(acts::reject(tx, actor, unit.run, &unit.key, reason).await?),
    }
    if run.state != RunState::Running {
        let again: Vec<&str> = BEHIND_PLANNING.iter().map(|phase| phase.as_str()).collect();
        phases::reopen(tx, unit.run, &again).await?;
    }
    if matches!(run.state, RunState::Paused | RunState::Partial | RunState::Failed) {
        acts::resume(tx, actor, unit.run).await?;
    }
    Ok(())
}

async fn again(tx: &mut TenantTx, actor: &Actor, unit: &UnitEntry, reason: &str) -> Result<(), AgainError> {
    let keys = [unit.key.clone()];
    match unit.state {
        UnitState::Pending | UnitState::Blocked => {
            return Err(AgainError::DependenciesOpen { key: unit.key.clone(), count: unit.pending.max(1) });
        }
        UnitState::Cancelled => return Err(AgainError::Cancelled { key: unit.key.clone() }),
        UnitState::Ready | UnitState::Running => {}
        UnitState::Waiting => drop(acts::wake(tx, actor, unit.run, &keys).await?),
        UnitState::Succeeded | UnitState::Cached | UnitState::Failed => drop(acts::reopen(tx, actor, unit.run, &keys, reason).await?),
    }
    Ok(())
}

/// Takes up what has waited for an agent, now that one is configured: units that nobody was ever sent to. What waits for a person because
/// agents have failed goes on waiting. Returns the units' keys; where there are any, the run goes on.
pub async fn agent_configured(tx: &mut TenantTx, actor: &Actor, run: RunId) -> Result<Vec<String>, AgainError> {
    let sent = assignments::keys(tx, run).await?;
    let waits = |row: &UnitRow| !row.gate && row.state == UnitState::Waiting && !sent.contains(&row.key);
    let keys: Vec<String> = units::list(tx, run).await?.into_iter().filter(waits).map(|row| row.key).collect();
    let wish = Wish::Retry { reason: "an agent is configured".to_owned() };
    for key in &keys {
        if let Some(entry) = tasks::unit_of_key(tx, run, key).await? {
            unit(tx, actor, &entry, &wish).await?;
        }
    }
    Ok(keys)
}

/// True when the run's driver has passed the phase in which units are performed.
async fn beyond_units(tx: &mut TenantTx, unit: &UnitEntry) -> Result<bool, StoreError> {
    let journal = phases::list(tx, unit.run).await?;
    // Phases that are to be done again are all running, and the last of them was begun last: only this one tells.
    let newest = journal.iter().filter(|row| row.phase == Phase::Execute.as_str()).max_by_key(|row| row.round);
    Ok(newest.is_some_and(|row| row.state != "running"))
}
