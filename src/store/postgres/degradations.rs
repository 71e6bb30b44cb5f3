//! When a run had to do without a store, and why. Written by the run's driver, read by its report.

use sqlx::Row;
use time::OffsetDateTime;

use super::{StoreError, TenantTx, text};
use crate::model::RunId;
use crate::store::breaker::Outage;

/// An outage as a run lived through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DegradationRow {
    /// `graph`, `vectors` or `cache`.
    pub store: String,
    /// When it began.
    pub began_at: OffsetDateTime,
    /// When it ended; none while it lasts, or when it outlasted the run.
    pub ended_at: Option<OffsetDateTime>,
    /// What went wrong first.
    pub reason: String,
}

/// Writes an outage down, or that it has ended.
pub async fn record(tx: &mut TenantTx, run: RunId, outage: &Outage) -> Result<(), StoreError> {
    let insert = "insert into degradations (organization_id, run_id, store, began_at, ended_at, reason) values ($1, $2, $3, $4, $5, $6) \
                  on conflict on constraint degradations_pkey do update set ended_at = excluded.ended_at";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(run.0).bind(outage.store).bind(outage.began_at);
    insert.bind(outage.ended_at).bind(text::without_nul(&outage.reason)).execute(&mut **tx).await?;
    Ok(())
}

/// Every outage of a run, oldest first.
pub async fn of_run(tx: &mut TenantTx, run: RunId) -> Result<Vec<DegradationRow>, StoreError> {
    let query =
        "select store, began_at, ended_at, reason from degradations where organization_id = $1 and run_id = $2 order by began_at, store";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(DegradationRow {
            store: row.try_get("store")?,
            began_at: row.try_get("began_at")?,
            ended_at: row.try_get("ended_at")?,
            reason: row.try_get("reason")?,
        })
    };
    rows.iter().map(read).collect()
}
