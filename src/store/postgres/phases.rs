//! The journal of a run's phases: begun, succeeded with an output, failed. A phase that succeeded in a round is never done again in it.

use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{StoreError, TenantTx, leases, text};
use crate::model::RunId;

/// One phase of one round.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseRow {
    /// Its name.
    pub phase: String,
    /// The round, from 0.
    pub round: u32,
    /// `running`, `succeeded` or `failed`.
    pub state: String,
    /// How often it was begun.
    pub starts: u32,
    /// What it produced.
    pub output: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was last begun.
    pub started_at: OffsetDateTime,
    /// When it ended.
    pub finished_at: Option<OffsetDateTime>,
}

/// Writes down that the phase begins. Returns the output instead when it succeeded before: then it must not be done again.
pub async fn begin(tx: &mut TenantTx, run: RunId, phase: &str, round: u32) -> Result<Option<Value>, StoreError> {
    if let Some(output) = recorded(tx, run, phase, round).await? {
        return Ok(Some(output));
    }
    let insert = "insert into run_phases (organization_id, run_id, phase, round) values ($1, $2, $3, $4) \
                  on conflict on constraint run_phases_pkey do update \
                  set state = 'running', error = null, finished_at = null, started_at = now(), starts = run_phases.starts + 1 \
                  where run_phases.state <> 'succeeded'";
    sqlx::query(insert).bind(tx.organization().0).bind(run.0).bind(phase).bind(round.cast_signed()).execute(&mut **tx).await?;
    leases::progress(tx, run).await?;
    Ok(None)
}

/// Writes down that the phase succeeded, with what it produced.
pub async fn succeed(tx: &mut TenantTx, run: RunId, phase: &str, round: u32, output: &Value) -> Result<(), StoreError> {
    let update = "update run_phases set state = 'succeeded', output = $5, error = null, finished_at = now() \
                  where organization_id = $1 and run_id = $2 and phase = $3 and round = $4 and state <> 'succeeded'";
    let update = sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(phase).bind(round.cast_signed());
    update.bind(text::json(output)?).execute(&mut **tx).await?;
    leases::progress(tx, run).await
}

/// Writes down that the phase failed.
pub async fn fail(tx: &mut TenantTx, run: RunId, phase: &str, round: u32, error: &str) -> Result<(), StoreError> {
    let update = "update run_phases set state = 'failed', error = $5, finished_at = now() \
                  where organization_id = $1 and run_id = $2 and phase = $3 and round = $4 and state <> 'succeeded'";
    let update = sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(phase).bind(round.cast_signed());
    update.bind(text::without_nul(error)).execute(&mut **tx).await?;
    Ok(())
}

/// The output of the phase, when it succeeded in that round.
pub async fn recorded(tx: &mut TenantTx, run: RunId, phase: &str, round: u32) -> Result<Option<Value>, StoreError> {
    let query = "select output from run_phases \
                 where organization_id = $1 and run_id = $2 and phase = $3 and round = $4 and state = 'succeeded'";
    let query = sqlx::query_scalar(query).bind(tx.organization().0).bind(run.0).bind(phase).bind(round.cast_signed());
    let output: Option<Json<Value>> = query.fetch_optional(&mut **tx).await?;
    Ok(output.map(|Json(output)| output))
}

/// What a phase produced in each round in which it succeeded, the first round first.
pub async fn outputs(tx: &mut TenantTx, run: RunId, phase: &str) -> Result<Vec<Value>, StoreError> {
    let query = "select output from run_phases \
                 where organization_id = $1 and run_id = $2 and phase = $3 and state = 'succeeded' order by round";
    let outputs: Vec<Json<Value>> =
        sqlx::query_scalar(query).bind(tx.organization().0).bind(run.0).bind(phase).fetch_all(&mut **tx).await?;
    Ok(outputs.into_iter().map(|Json(output)| output).collect())
}

/// Every phase of a run, in the order it was first begun.
pub async fn list(tx: &mut TenantTx, run: RunId) -> Result<Vec<PhaseRow>, StoreError> {
    let query = "select phase, round, state, starts, output, error, started_at, finished_at from run_phases \
                 where organization_id = $1 and run_id = $2 order by started_at, round, phase";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(PhaseRow {
            phase: row.try_get("phase")?,
            round: row.try_get::<i32, _>("round")?.cast_unsigned(),
            state: row.try_get("state")?,
            starts: row.try_get::<i32, _>("starts")?.cast_unsigned(),
            output: row.try_get::<Option<Json<Value>>, _>("output")?.map(|Json(output)| output),
            error: row.try_get("error")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Lets those phases be done again, in every round.
pub async fn reopen(tx: &mut TenantTx, run: RunId, phases: &[&str]) -> Result<(), StoreError> {
    let update = "update run_phases set state = 'running', output = null, error = null, finished_at = null \
                  where organization_id = $1 and run_id = $2 and phase = any($3)";
    sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(phases).execute(&mut **tx).await?;
    Ok(())
}
