//! What somebody asks of a run, within a transaction of theirs: what is asked happens exactly when the rest of the transaction does.
//!
//! Called by [`Engine`](super::Engine), which commits at once, and by callers that write down more in the same transaction. After the
//! commit, [`Engine::announce`](super::Engine::announce) wakes whoever waits in this process.

use serde_json::json;

use super::{EngineError, ReopenedUnit};
use crate::model::{Actor, RunEvent, RunId, RunState, UnitId, UnitState};
use crate::store::postgres::{TenantTx, audit, leases, reopen, runs, settle, units};

/// Stops the run until it is resumed; see [`Engine::pause`](super::Engine::pause).
pub async fn pause(tx: &mut TenantTx, actor: &Actor, run: RunId, reason: &str) -> Result<RunState, EngineError> {
    let state = act(tx, actor, run, RunEvent::Pause, "paused", reason).await?;
    leases::revoke(tx, run).await?;
    Ok(state)
}

/// Calls the run off for good; see [`Engine::cancel`](super::Engine::cancel).
pub async fn cancel(tx: &mut TenantTx, actor: &Actor, run: RunId, reason: &str) -> Result<Vec<UnitId>, EngineError> {
    act(tx, actor, run, RunEvent::Cancel, "cancelled", reason).await?;
    leases::revoke(tx, run).await?;
    Ok(reopen::cancel_units(tx, run, reason).await?)
}

/// Lets a paused, partial or failed run go on; see [`Engine::resume`](super::Engine::resume).
pub async fn resume(tx: &mut TenantTx, actor: &Actor, run: RunId) -> Result<RunState, EngineError> {
    act(tx, actor, run, RunEvent::Resume, "resumed", "").await
}

/// Opens finished units again; see [`Engine::reopen`](super::Engine::reopen).
pub async fn reopen(tx: &mut TenantTx, actor: &Actor, run: RunId, keys: &[String], reason: &str) -> Result<Vec<ReopenedUnit>, EngineError> {
    settle::lock_runs(tx, &[run]).await?;
    let reopened = reopen::reopen(tx, run, keys, reason).await?;
    if reopened.is_empty() {
        return Err(EngineError::NoSuchUnit { run, keys: keys.join(", "), verb: "reopened" });
    }
    let after = json!({ "keys": keys, "reset": reopened.len(), "reason": reason });
    audit::record(tx, &actor.name, "unit.reopen", &run.to_string(), None, Some(&after)).await?;
    Ok(reopened)
}

/// Lets waiting units be tried again; see [`Engine::wake`](super::Engine::wake).
pub async fn wake(tx: &mut TenantTx, actor: &Actor, run: RunId, keys: &[String]) -> Result<u64, EngineError> {
    settle::lock_runs(tx, &[run]).await?;
    let woken = reopen::wake(tx, run, keys).await?;
    if woken == 0 {
        return Err(EngineError::NoSuchUnit { run, keys: keys.join(", "), verb: "woken" });
    }
    let after = json!({ "keys": keys, "woken": woken });
    audit::record(tx, &actor.name, "unit.wake", &run.to_string(), None, Some(&after)).await?;
    Ok(woken)
}

/// Lets units be tried once more: failed ones from the start, waiting ones because something can do them now, and those whose retry is
/// not due yet at once. Returns how many that were.
pub async fn retry(tx: &mut TenantTx, actor: &Actor, run: RunId, keys: &[String], reason: &str) -> Result<u64, EngineError> {
    settle::lock_runs(tx, &[run]).await?;
    let units = units::list(tx, run).await?;
    let failed = units.into_iter().filter(|unit| unit.state == UnitState::Failed && keys.contains(&unit.key));
    let failed: Vec<String> = failed.map(|unit| unit.key).collect();
    let opened =
        if failed.is_empty() { 0 } else { reopen::reopen(tx, run, &failed, reason).await?.iter().filter(|unit| unit.asked).count() };
    let tried = opened as u64 + reopen::wake(tx, run, keys).await? + reopen::make_due(tx, run, keys).await?;
    if tried == 0 {
        return Err(EngineError::NoSuchUnit { run, keys: keys.join(", "), verb: "tried again" });
    }
    let after = json!({ "keys": keys, "tried": tried, "reason": reason });
    audit::record(tx, &actor.name, "unit.retry", &run.to_string(), None, Some(&after)).await?;
    Ok(tried)
}

/// Settles a waiting unit: what waits for it goes on. The caller has made sure that it needs no files.
pub async fn approve(tx: &mut TenantTx, actor: &Actor, run: RunId, key: &str, note: &str) -> Result<(), EngineError> {
    decide(tx, actor, run, key, true, note).await
}

/// Settles a waiting unit as failed: what waits for it is blocked, until the unit is tried again.
pub async fn reject(tx: &mut TenantTx, actor: &Actor, run: RunId, key: &str, reason: &str) -> Result<(), EngineError> {
    decide(tx, actor, run, key, false, reason).await
}

async fn decide(tx: &mut TenantTx, actor: &Actor, run: RunId, key: &str, approved: bool, note: &str) -> Result<(), EngineError> {
    settle::lock_runs(tx, &[run]).await?;
    let verb = if approved { "approved" } else { "rejected" };
    if !reopen::decide(tx, run, key, approved, &actor.name, note).await? {
        return Err(EngineError::NoSuchUnit { run, keys: key.to_owned(), verb });
    }
    let after = json!({ "key": key, "note": note });
    audit::record(tx, &actor.name, &format!("unit.{verb}"), &run.to_string(), None, Some(&after)).await?;
    Ok(())
}

/// Takes a running run from whoever drives it and its units from whoever works on them: all of it may be taken up anew. Returns how many
/// units were given back.
pub async fn reset(tx: &mut TenantTx, actor: &Actor, run: RunId, reason: &str) -> Result<usize, EngineError> {
    settle::lock_runs(tx, &[run]).await?;
    let row = runs::find(tx, run).await?.ok_or(EngineError::NoSuchRun { run })?;
    if row.state != RunState::Running {
        return Err(EngineError::wrong_state(run, row.state, "reset"));
    }
    leases::revoke(tx, run).await?;
    let units = reopen::release_lost(tx, run, reopen::Lost::Stuck).await?;
    let after = json!({ "units": units, "reason": reason });
    audit::record(tx, &actor.name, "run.reset", &run.to_string(), None, Some(&after)).await?;
    Ok(units)
}

/// Moves a run on somebody's behalf, and writes down who asked.
async fn act(
    tx: &mut TenantTx,
    actor: &Actor,
    run: RunId,
    event: RunEvent,
    verb: &'static str,
    reason: &str,
) -> Result<RunState, EngineError> {
    settle::lock_runs(tx, &[run]).await?;
    let (before, after) = runs::transition(tx, run, event, reason).await?.ok_or(EngineError::NoSuchRun { run })?;
    let after = after.ok_or_else(|| EngineError::wrong_state(run, before, verb))?;
    let (was, is) = (json!({ "state": before.as_str() }), json!({ "state": after.as_str(), "reason": reason }));
    audit::record(tx, &actor.name, &format!("run.{verb}"), &run.to_string(), Some(&was), Some(&is)).await?;
    Ok(after)
}
