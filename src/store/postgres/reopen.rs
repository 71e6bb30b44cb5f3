//! Going back: finished units are opened again with everything behind them, leases that ran out are taken away, runs are called off.
//!
//! The caller has locked the runs (`settle::lock_runs`).

use sqlx::Row;
use uuid::Uuid;

use super::settle::{self, Place};
use super::{StoreError, TenantTx};
use crate::model::{AttemptId, RunId, UnitId, UnitState, WorkerId};

/// After so many lost leases a unit counts as what kills its workers.
pub const LOST_LEASES_MAX: i32 = 20;

/// A unit that was sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReopenedUnit {
    /// The unit.
    pub unit: UnitId,
    /// Its key.
    pub key: String,
    /// Where it stood. From `running` it was fenced: its worker's outcome will come late.
    pub before: UnitState,
    /// True when it was asked for, false when it only depends on one that was.
    pub asked: bool,
}

/// Opens the finished units of those keys again, with everything behind them. Keys of unfinished units change nothing.
///
/// A success that was asked back is withdrawn: it is never reused. Units that still stand behind another failure are blocked again.
pub async fn reopen(tx: &mut TenantTx, run: RunId, keys: &[String], reason: &str) -> Result<Vec<ReopenedUnit>, StoreError> {
    let organization = tx.organization().0;
    let rows = sqlx::query(include_str!("reopen.sql")).bind(organization).bind(run.0).bind(keys).fetch_all(&mut **tx).await?;
    let mut reopened = Vec::new();
    let mut tokens: Vec<i64> = Vec::new();
    for row in &rows {
        let before: String = row.try_get("before")?;
        tokens.push(row.try_get("token")?);
        reopened.push(ReopenedUnit {
            unit: UnitId(row.try_get("id")?),
            key: row.try_get("key")?,
            before: UnitState::parse(&before).ok_or_else(|| StoreError::corrupt("unit state", before))?,
            asked: row.try_get("asked")?,
        });
    }
    let withdrawn: Vec<Uuid> = reopened.iter().filter(|unit| unit.asked).map(|unit| unit.unit.0).collect();
    withdraw(tx, run, &withdrawn).await?;
    let units: Vec<Uuid> = reopened.iter().map(|unit| unit.unit.0).collect();
    record(tx, run, &units, &tokens, "reopened", reason).await?;
    block_behind_failures(tx, run).await?;
    Ok(reopened)
}

/// Withdraws the successes of those units: their own, and the earlier ones of the same input that they reused.
async fn withdraw(tx: &mut TenantTx, run: RunId, units: &[Uuid]) -> Result<(), StoreError> {
    let update = "with own as ( \
                      select id, reused from task_attempts where organization_id = $1 and run_id = $2 and unit_id = any($3) \
                  ) \
                  update task_attempts a set withdrawn_at = now() \
                  where a.organization_id = $1 and a.withdrawn_at is null and a.outcome in ('succeeded', 'handed_in') \
                  and a.id in (select id from own union select reused from own)";
    sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(units).execute(&mut **tx).await?;
    Ok(())
}

/// Adds one row to the history of each unit.
pub(super) async fn record(
    tx: &mut TenantTx,
    run: RunId,
    units: &[Uuid],
    tokens: &[i64],
    outcome: &'static str,
    reason: &str,
) -> Result<(), StoreError> {
    let attempts: Vec<Uuid> = units.iter().map(|_| AttemptId::new().0).collect();
    let insert = "with given as ( \
                      select * from unnest($3::uuid[], $4::bigint[], $5::uuid[]) as given (unit_id, token, attempt_id) \
                  ) \
                  insert into task_attempts (organization_id, id, run_id, unit_id, token, spec_id, key, outcome, error, started_at) \
                  select $1, attempt_id, $2, unit_id, given.token, r.spec_id, t.key, $6, $7, now() \
                  from given join run_tasks t on t.organization_id = $1 and t.id = unit_id join runs r on r.organization_id = $1 and r.id = $2";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(run.0).bind(units).bind(tokens).bind(attempts);
    insert.bind(outcome).bind(reason).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn block_behind_failures(tx: &mut TenantTx, run: RunId) -> Result<(), StoreError> {
    let query = "select run_id, ordinal from run_tasks \
                 where organization_id = $1 and run_id = $2 and state in ('failed', 'cancelled')";
    let failed: Vec<Place> = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    settle::block(tx, &failed).await
}

/// Whose leases are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Those that were not renewed in time.
    Expired,
    /// Those of a worker that is known to be gone.
    Worker(WorkerId),
    /// All of them, because the run is stuck.
    Stuck,
}

/// Gives the units of lost leases back; one that lost too many fails as `crash_loop`. Returns how many there were.
pub async fn release_lost(tx: &mut TenantTx, run: RunId, lost: Lost) -> Result<usize, StoreError> {
    let organization = tx.organization().0;
    let (worker, reason) = match lost {
        Lost::Expired => (None, "the lease ran out or its worker is gone"),
        Lost::Worker(worker) => (Some(worker.0), "its worker is gone"),
        Lost::Stuck => (None, "the run was stuck"),
    };
    let update = "with gone as ( \
                      delete from unit_leases where organization_id = $1 and run_id = $2 \
                      and case when $5 then true when $3::uuid is null then expires_at < now() else owner = $3 end \
                      returning ordinal, token \
                  ) \
                  update run_tasks t set lost_leases = t.lost_leases + 1, \
                  state = case when t.lost_leases + 1 >= $4 then 'failed' else 'ready' end \
                  from gone where t.organization_id = $1 and t.run_id = $2 and t.ordinal = gone.ordinal and t.token = gone.token \
                  and t.state = 'running' returning t.ordinal, t.id, t.token, t.state";
    let update = sqlx::query_as(update).bind(organization).bind(run.0).bind(worker).bind(LOST_LEASES_MAX).bind(lost == Lost::Stuck);
    let released: Vec<(i32, Uuid, i64, String)> = update.fetch_all(&mut **tx).await?;
    let (failed, ready): (Vec<_>, Vec<_>) = released.iter().partition(|unit| unit.3 == "failed");
    for (units, outcome, reason) in [(&ready, "lost", reason), (&failed, "failed", "crash_loop")] {
        let ids: Vec<Uuid> = units.iter().map(|unit| unit.1).collect();
        let tokens: Vec<i64> = units.iter().map(|unit| unit.2).collect();
        record(tx, run, &ids, &tokens, outcome, reason).await?;
    }
    settle::block(tx, &failed.iter().map(|unit| (run.0, unit.0)).collect::<Vec<_>>()).await?;
    Ok(released.len())
}

/// Calls off every unfinished unit of a run. Running ones are fenced; returns those.
pub async fn cancel_units(tx: &mut TenantTx, run: RunId, reason: &str) -> Result<Vec<UnitId>, StoreError> {
    let update = "with fenced as ( \
                      delete from unit_leases where organization_id = $1 and run_id = $2 returning ordinal \
                  ) \
                  update run_tasks t set state = 'cancelled', token = t.token + 1, not_before = null \
                  where t.organization_id = $1 and t.run_id = $2 \
                  and t.state in ('pending', 'ready', 'running', 'waiting', 'blocked', 'failed') \
                  returning t.id, t.token, t.gate, t.ordinal in (select ordinal from fenced)";
    let rows: Vec<(Uuid, i64, bool, bool)> = sqlx::query_as(update).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    let units: Vec<_> = rows.iter().filter(|row| !row.2).collect();
    let ids: Vec<Uuid> = units.iter().map(|row| row.0).collect();
    let tokens: Vec<i64> = units.iter().map(|row| row.1).collect();
    record(tx, run, &ids, &tokens, "cancelled", reason).await?;
    Ok(units.iter().filter(|row| row.3).map(|row| UnitId(row.0)).collect())
}

/// Lets waiting units of those keys go on, because something can do them now. Returns how many did.
pub async fn wake(tx: &mut TenantTx, run: RunId, keys: &[String]) -> Result<u64, StoreError> {
    let update = "update run_tasks set state = 'ready', attempt = 0, escalation = 0 \
                  where organization_id = $1 and run_id = $2 and key = any($3) and state = 'waiting'";
    Ok(sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(keys).execute(&mut **tx).await?.rows_affected())
}

/// Settles a waiting unit as a person says: approved, it is done and what waits for it goes on; rejected, it has failed. False when no
/// unit of that key waits.
pub async fn decide(tx: &mut TenantTx, run: RunId, key: &str, approved: bool, who: &str, note: &str) -> Result<bool, StoreError> {
    let update = "update run_tasks set state = $4, token = token + 1 \
                  where organization_id = $1 and run_id = $2 and key = $3 and state = 'waiting' returning ordinal, id, token";
    let state = if approved { UnitState::Succeeded } else { UnitState::Failed };
    let update = sqlx::query_as(update).bind(tx.organization().0).bind(run.0).bind(key).bind(state.as_str());
    let decided: Option<(i32, Uuid, i64)> = update.fetch_optional(&mut **tx).await?;
    let Some((ordinal, unit, token)) = decided else { return Ok(false) };
    let outcome = if approved { "handed_in" } else { "failed" };
    let insert = "insert into task_attempts (organization_id, id, run_id, unit_id, token, spec_id, key, outcome, error, agent, started_at) \
                  select $1, $2, $3, $4, $5, spec_id, $6, $7, $8, $9, now() from runs where organization_id = $1 and id = $3";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(AttemptId::new().0).bind(run.0).bind(unit).bind(token);
    insert.bind(key).bind(outcome).bind(note).bind(format!("person/{who}")).execute(&mut **tx).await?;
    if approved {
        settle::advance(tx, vec![(run.0, ordinal)]).await?;
    } else {
        settle::block(tx, &[(run.0, ordinal)]).await?;
    }
    Ok(true)
}

/// Lets the retries of those keys be due at once. Returns how many were not.
pub async fn make_due(tx: &mut TenantTx, run: RunId, keys: &[String]) -> Result<u64, StoreError> {
    let update = "update run_tasks set not_before = null, ready_at = now() \
                  where organization_id = $1 and run_id = $2 and key = any($3) and state = 'ready' and not_before > now()";
    Ok(sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(keys).execute(&mut **tx).await?.rows_affected())
}
