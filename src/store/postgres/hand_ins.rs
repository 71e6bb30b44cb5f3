//! What persons have handed in for units.

use sqlx::types::Json;
use uuid::Uuid;

use super::units::Claim;
use super::{StoreError, TenantTx, text};
use crate::model::{Artifact, RunId};

/// Files that somebody has made by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandIn {
    /// Which one.
    pub id: Uuid,
    /// Who.
    pub person: String,
    /// The files; their contents are stored.
    pub files: Vec<Artifact>,
}

/// Keeps files for a unit. The caller stores their contents and has the unit tried.
pub async fn add(tx: &mut TenantTx, run: RunId, key: &str, person: &str, note: &str, files: &[Artifact]) -> Result<(), StoreError> {
    let insert = "insert into hand_ins (organization_id, id, run_id, key, person, note, files) values ($1, $2, $3, $4, $5, $6, $7)";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(Uuid::now_v7()).bind(run.0).bind(key).bind(text::without_nul(person));
    insert.bind(text::without_nul(note)).bind(Json(files)).execute(&mut **tx).await?;
    Ok(())
}

/// The newest files for a unit that no settled try has judged.
pub async fn open(tx: &mut TenantTx, run: RunId, key: &str) -> Result<Option<HandIn>, StoreError> {
    let query = "select h.id, h.person, h.files from hand_ins h \
                 where h.organization_id = $1 and h.run_id = $2 and h.key = $3 and not exists ( \
                     select from task_attempts a where a.organization_id = $1 and a.run_id = $2 and a.key = $3 and a.token = h.judged_token \
                         and a.outcome in ('succeeded', 'failed', 'cached') \
                 ) order by h.handed_at desc, h.id desc limit 1";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).bind(key);
    let found: Option<(Uuid, String, Json<Vec<Artifact>>)> = query.fetch_optional(&mut **tx).await?;
    Ok(found.map(|(id, person, Json(files))| HandIn { id, person, files }))
}

/// Writes down that the try of that claim judges everything that was handed in for its unit so far.
pub async fn judged(tx: &mut TenantTx, claim: &Claim, run: RunId, key: &str) -> Result<(), StoreError> {
    let update = "update hand_ins set judged_token = $4 where organization_id = $1 and run_id = $2 and key = $3 and handed_at <= now()";
    sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(key).bind(claim.token).execute(&mut **tx).await?;
    Ok(())
}
