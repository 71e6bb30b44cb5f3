//! The documents that a run ends with, by kind and round: `validation`, `repair`, `health`, `summary`.

use serde_json::Value;
use sqlx::types::Json;

use super::{StoreError, TenantTx, text};
use crate::model::RunId;

/// Keeps the report; one of the same kind and round is replaced, so that a repeated phase leaves one.
pub async fn save(tx: &mut TenantTx, run: RunId, kind: &str, round: u32, document: &Value) -> Result<(), StoreError> {
    let insert = "insert into reports (organization_id, run_id, kind, round, document) values ($1, $2, $3, $4, $5) \
                  on conflict on constraint reports_pkey do update set document = excluded.document, created_at = now()";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(run.0).bind(kind).bind(round.cast_signed()).bind(text::json(document)?);
    insert.execute(&mut **tx).await?;
    Ok(())
}

/// The report of that kind with the highest round.
pub async fn newest(tx: &mut TenantTx, run: RunId, kind: &str) -> Result<Option<Value>, StoreError> {
    let query = "select document from reports where organization_id = $1 and run_id = $2 and kind = $3 order by round desc limit 1";
    let document: Option<Json<Value>> =
        sqlx::query_scalar(query).bind(tx.organization().0).bind(run.0).bind(kind).fetch_optional(&mut **tx).await?;
    Ok(document.map(|Json(document)| document))
}

/// Every report of a run, as kind, round and document.
pub async fn list(tx: &mut TenantTx, run: RunId) -> Result<Vec<(String, u32, Value)>, StoreError> {
    let query = "select kind, round, document from reports where organization_id = $1 and run_id = $2 order by kind, round";
    let rows: Vec<(String, i32, Json<Value>)> = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|(kind, round, Json(document))| (kind, round.cast_unsigned(), document)).collect())
}
