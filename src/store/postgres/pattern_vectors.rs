//! What a vector store must hold, read in the shape that a catch-up needs: versions first, then only the rows that it lacks.

use sqlx::Row;
use uuid::Uuid;

use super::{StoreError, TenantTx};
use crate::model::PatternId;

/// A vector with what can be asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorRow {
    /// The pattern.
    pub id: PatternId,
    /// The version of its row.
    pub version: i64,
    /// The vector.
    pub vector: Vec<f32>,
    /// The pattern's language.
    pub language: String,
    /// The pattern's framework.
    pub framework: String,
    /// The pattern's sort of work.
    pub unit_type: String,
    /// The format of the specification that it came from.
    pub spec_type: String,
    /// True when it worked.
    pub success: bool,
}

/// Ids and versions of all patterns of a kind (`task`, `code`, `sequence`) that this embedder has seen, by id.
pub async fn versions(tx: &mut TenantTx, model: &str, kind: &str) -> Result<Vec<(PatternId, i64)>, StoreError> {
    let query = "select p.id, p.version from patterns p \
                 join pattern_vectors v on v.organization_id = p.organization_id and v.pattern_id = p.id and v.model = $2 \
                 where p.organization_id = $1 and p.kind = $3 order by p.id";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(model).bind(kind).fetch_all(&mut **tx).await?;
    rows.iter().map(|row| Ok((PatternId(row.try_get("id")?), row.try_get("version")?))).collect()
}

/// The vectors that this embedder made of those patterns, by id.
pub async fn find(tx: &mut TenantTx, model: &str, ids: &[PatternId]) -> Result<Vec<VectorRow>, StoreError> {
    let query = "select p.id, p.version, v.vector, p.language, p.framework, p.unit_type, p.spec_type, p.success from patterns p \
                 join pattern_vectors v on v.organization_id = p.organization_id and v.pattern_id = p.id and v.model = $3 \
                 where p.organization_id = $1 and p.id = any($2) order by p.id";
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query(query).bind(tx.organization().0).bind(ids).bind(model).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(VectorRow {
            id: PatternId(row.try_get("id")?),
            version: row.try_get("version")?,
            vector: row.try_get("vector")?,
            language: row.try_get("language")?,
            framework: row.try_get("framework")?,
            unit_type: row.try_get("unit_type")?,
            spec_type: row.try_get("spec_type")?,
            success: row.try_get("success")?,
        })
    };
    rows.iter().map(read).collect()
}

/// The ids that begin with that text (hexadecimal, as ids are shown), at most two: enough to see that it is ambiguous.
pub async fn starting_with(tx: &mut TenantTx, start: &str) -> Result<Vec<PatternId>, StoreError> {
    let query = "select id from patterns where organization_id = $1 and starts_with(id::text, lower($2)) order by id limit 2";
    let ids: Vec<Uuid> = sqlx::query_scalar(query).bind(tx.organization().0).bind(start).fetch_all(&mut **tx).await?;
    Ok(ids.into_iter().map(PatternId).collect())
}
