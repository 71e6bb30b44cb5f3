//! The history of units: every claimed try and what became of it. Rows are only ever added.

use sqlx::Row;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{StoreError, TenantTx};
use crate::model::{AttemptId, CheckResult, RunId, UnitId, WorkerId};

/// One entry of a unit's history.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// Its id.
    pub id: AttemptId,
    /// The unit.
    pub unit: UnitId,
    /// The unit's key.
    pub key: String,
    /// The fencing token of the claim.
    pub token: i64,
    /// `succeeded`, `cached`, `handed_in`, `failed`, `waiting`, `released`, `lost`, `cancelled` or `reopened`.
    pub outcome: String,
    /// The class of the failure.
    pub error_class: Option<String>,
    /// What went wrong, or why it waits.
    pub error: String,
    /// Who did it.
    pub agent: String,
    /// The hash of everything that went in.
    pub input_hash: Option<String>,
    /// The worker.
    pub worker: Option<WorkerId>,
    /// The attempt whose result was reused.
    pub reused: Option<AttemptId>,
    /// What was checked.
    pub checks: Vec<CheckResult>,
    /// What was printed.
    pub log: String,
    /// When it was claimed.
    pub started_at: OffsetDateTime,
    /// When it was settled.
    pub finished_at: OffsetDateTime,
    /// True when its success was taken back.
    pub withdrawn: bool,
}

/// The history of a run, or of one unit of it: by key, oldest first within a unit.
pub async fn list(tx: &mut TenantTx, run: RunId, key: Option<&str>) -> Result<Vec<AttemptRow>, StoreError> {
    let query = "select id, unit_id, key, token, outcome, error_class, error, agent, input_hash, worker, reused, checks, log, started_at, \
                 finished_at, withdrawn_at is not null as withdrawn \
                 from task_attempts where organization_id = $1 and run_id = $2 and ($3::text is null or key = $3) \
                 order by key, token, finished_at, id";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).bind(key).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(AttemptRow {
            id: AttemptId(row.try_get("id")?),
            unit: UnitId(row.try_get("unit_id")?),
            key: row.try_get("key")?,
            token: row.try_get("token")?,
            outcome: row.try_get("outcome")?,
            error_class: row.try_get("error_class")?,
            error: row.try_get("error")?,
            agent: row.try_get("agent")?,
            input_hash: row.try_get("input_hash")?,
            worker: row.try_get::<Option<uuid::Uuid>, _>("worker")?.map(WorkerId),
            reused: row.try_get::<Option<uuid::Uuid>, _>("reused")?.map(AttemptId),
            checks: row.try_get::<Json<Vec<CheckResult>>, _>("checks")?.0,
            log: row.try_get("log")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            withdrawn: row.try_get("withdrawn")?,
        })
    };
    rows.iter().map(read).collect()
}
