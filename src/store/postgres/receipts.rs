//! Context receipts: where each part of an agent's context came from, and what was left out.

use serde_json::Value;
use sqlx::types::Json;

use super::units::Claim;
use super::{StoreError, TenantTx, text};
use crate::model::{RunId, UnitId};

/// Keeps the receipt of the context that was built for this claim. A second one for the same claim is dropped.
pub async fn save(tx: &mut TenantTx, claim: &Claim, receipt: &Value) -> Result<(), StoreError> {
    let insert = "insert into context_receipts (organization_id, unit_id, token, document) values ($1, $2, $3, $4) \
                  on conflict on constraint context_receipts_pkey do nothing";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(claim.unit.0).bind(claim.token).bind(text::json(receipt)?);
    insert.execute(&mut **tx).await?;
    Ok(())
}

/// The newest receipt of each unit of a run, by unit.
pub async fn of_run(tx: &mut TenantTx, run: RunId) -> Result<Vec<(UnitId, Value)>, StoreError> {
    let query = "select distinct on (c.unit_id) c.unit_id, document from context_receipts c \
                 join run_tasks t on t.organization_id = c.organization_id and t.id = c.unit_id \
                 where t.organization_id = $1 and t.run_id = $2 order by c.unit_id, c.token desc";
    let rows: Vec<(uuid::Uuid, Json<Value>)> = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|(unit, Json(document))| (UnitId(unit), document)).collect())
}

/// The newest receipt of a unit.
pub async fn of_unit(tx: &mut TenantTx, unit: UnitId) -> Result<Option<Value>, StoreError> {
    let query = "select document from context_receipts where organization_id = $1 and unit_id = $2 order by token desc limit 1";
    let document: Option<Json<Value>> = sqlx::query_scalar(query).bind(tx.organization().0).bind(unit.0).fetch_optional(&mut **tx).await?;
    Ok(document.map(|Json(document)| document))
}
