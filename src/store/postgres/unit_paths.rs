//! Which unit of a run a path belongs to, where the plan leaves paths to the unit.

use super::{StoreError, TenantTx};
use crate::model::RunId;

/// The paths that a unit chose, and the unit's key, for every unit of a run.
pub async fn list(tx: &mut TenantTx, run: RunId) -> Result<Vec<(String, String)>, StoreError> {
    let query = "select path, key from unit_paths where organization_id = $1 and run_id = $2 order by path";
    Ok(sqlx::query_as(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?)
}

/// Makes these the paths of a unit, and no others. The caller holds the run's lock and has seen that nobody has them.
pub async fn replace(tx: &mut TenantTx, run: RunId, key: &str, paths: &[&str]) -> Result<(), StoreError> {
    let delete = "delete from unit_paths where organization_id = $1 and run_id = $2 and key = $3";
    sqlx::query(delete).bind(tx.organization().0).bind(run.0).bind(key).execute(&mut **tx).await?;
    let insert = "insert into unit_paths (organization_id, run_id, path, key) select $1, $2, path, $3 from unnest($4::text[]) path";
    sqlx::query(insert).bind(tx.organization().0).bind(run.0).bind(key).bind(paths).execute(&mut **tx).await?;
    Ok(())
}
