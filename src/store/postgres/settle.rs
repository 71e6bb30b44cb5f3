//! Settling: what became of claimed units, and what that means for those that wait for them.
//!
//! Everything here happens in one transaction that first locks the lease rows of the runs concerned, in order of their ids. So
//! writers of one run queue up there and cannot deadlock on its units; claimers are not held up, for they touch ready units only.
//! The order of locks everywhere: specification, run leases, runs, units.

use sqlx::Row;
use uuid::Uuid;

use super::units::{Claim, ordinal};
use super::{StoreError, TenantTx, artifacts, text};
use crate::model::{Artifact, AttemptId, CheckResult, Escalation, RunId, UnitState};

/// One outcome, ready to be written.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whose it is.
    pub claim: Claim,
    /// The attempt's id.
    pub attempt: AttemptId,
    /// The state to go to.
    pub state: UnitState,
    /// The outcome's name in `task_attempts`.
    pub outcome: &'static str,
    /// The class of the error, when it is one.
    pub error_class: Option<&'static str>,
    /// What went wrong, or why it waits.
    pub error: String,
    /// True when it counts as an attempt.
    pub counts: bool,
    /// Who is to try it next, when that changes.
    pub escalation: Option<Escalation>,
    /// In how many seconds the next try is due; none when none is.
    pub retry_secs: Option<f64>,
    /// The agent that did it.
    pub agent: String,
    /// The hash of everything that went in.
    pub input_hash: Option<String>,
    /// The attempt whose result is reused.
    pub reused: Option<AttemptId>,
    /// What was checked.
    pub checks: Vec<CheckResult>,
    /// What was printed.
    pub log: String,
    /// What was written.
    pub artifacts: Vec<Artifact>,
}

/// A place in a run.
pub type Place = (Uuid, i32);

/// Locks the runs for writing and notes that they made progress. Runs that do not exist are passed over.
pub async fn lock_runs(tx: &mut TenantTx, runs: &[RunId]) -> Result<(), StoreError> {
    let mut runs: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
    runs.sort_unstable();
    runs.dedup();
    let update = "with locked as ( \
                      select run_id from run_leases where organization_id = $1 and run_id = any($2) order by run_id for no key update \
                  ) \
                  update run_leases l set progress_at = now() from locked where l.organization_id = $1 and l.run_id = locked.run_id";
    sqlx::query(update).bind(tx.organization().0).bind(runs).execute(&mut **tx).await?;
    Ok(())
}

/// Writes the outcomes whose claims still hold; returns which those are, as ascending indexes. The rest came late and change nothing.
///
/// The caller has locked the runs. Attempts and leases are written by the same statement. An outcome that was written
/// before, by a call whose answer was lost, counts as held: its attempt's id tells.
pub async fn settle(tx: &mut TenantTx, outcomes: &[Outcome]) -> Result<Vec<usize>, StoreError> {
    let mut held = write(tx, outcomes).await?;
    if held.len() < outcomes.len() {
        let query = "select id from task_attempts where organization_id = $1 and id = any($2)";
        let ids: Vec<Uuid> = outcomes.iter().map(|outcome| outcome.attempt.0).collect();
        let written: Vec<Uuid> = sqlx::query_scalar(query).bind(tx.organization().0).bind(ids).fetch_all(&mut **tx).await?;
        held = (0..outcomes.len()).filter(|index| written.contains(&outcomes[*index].attempt.0)).collect();
    }
    Ok(held)
}

async fn write(tx: &mut TenantTx, outcomes: &[Outcome]) -> Result<Vec<usize>, StoreError> {
    let settle = sqlx::query_scalar(include_str!("settle.sql")).bind(tx.organization().0);
    let held: Vec<i64> = settle
        .bind(outcomes.iter().map(|outcome| outcome.claim.run.0).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| ordinal(outcome.claim.ordinal)).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.claim.token).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.state.as_str()).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| i32::from(outcome.counts)).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.retry_secs).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.attempt.0).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.outcome).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.error_class).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| text::without_nul(&outcome.error)).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.agent.as_str()).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.input_hash.as_deref()).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.reused.map(|attempt| attempt.0)).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| text::json(&outcome.checks)).collect::<Result<Vec<_>, _>>()?)
        .bind(outcomes.iter().map(|outcome| text::without_nul(&outcome.log)).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.escalation.map(Escalation::number)).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?;
    let held: Vec<usize> = held.into_iter().filter_map(|index| usize::try_from(index).ok()).collect();
    let of_state = |state: UnitState| -> Vec<Place> {
        held.iter().map(|index| &outcomes[*index]).filter(|outcome| outcome.state == state).map(place).collect()
    };
    let files = held.iter().flat_map(|index| outcomes[*index].artifacts.iter().map(|file| (outcomes[*index].attempt, file)));
    artifacts::store(tx, &files.collect::<Vec<_>>()).await?;
    let done = [of_state(UnitState::Succeeded), of_state(UnitState::Cached)].concat();
    crate::failpoint::hit("advance.inside");
    advance(tx, done).await?;
    block(tx, &of_state(UnitState::Failed)).await?;
    Ok(held)
}

fn place(outcome: &Outcome) -> Place {
    (outcome.claim.run.0, ordinal(outcome.claim.ordinal))
}

/// Counts the finished dependencies off those that wait for them, until no more gate passes. Whatever waits for nothing is ready.
pub async fn advance(tx: &mut TenantTx, mut done: Vec<Place>) -> Result<(), StoreError> {
    while !done.is_empty() {
        let rows = bind_places(sqlx::query(include_str!("advance.sql")), tx, &done).fetch_all(&mut **tx).await?;
        done = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, StoreError>>()?;
    }
    Ok(())
}

/// Blocks everything that waits, however far behind, for those that failed.
pub(super) async fn block(tx: &mut TenantTx, failed: &[Place]) -> Result<(), StoreError> {
    if failed.is_empty() {
        return Ok(());
    }
    bind_places(sqlx::query(include_str!("block.sql")), tx, failed).execute(&mut **tx).await?;
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_places<'q>(query: Query<'q>, tx: &TenantTx, places: &[Place]) -> Query<'q> {
    let query = query.bind(tx.organization().0);
    let query = query.bind(places.iter().map(|place| place.0).collect::<Vec<_>>());
    query.bind(places.iter().map(|place| place.1).collect::<Vec<_>>())
}
