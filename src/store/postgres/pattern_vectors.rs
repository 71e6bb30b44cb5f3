//! What a vector store must hold, read in the shape that a catch-up needs: versions first, then only the rows that it lacks.

use sqlx::Row;
use uuid::Uuid;

use super::plans::{name_of, named};
use super::{StoreError, TenantTx};
use crate::model::{PatternId, PatternKind};

/// A vector with what can be asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorRow {
    /// The pattern.
    pub id: PatternId,
    /// Its kind.
    pub kind: PatternKind,
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

/// A pattern that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The pattern.
    pub id: PatternId,
    /// Its kind.
    pub kind: PatternKind,
    /// The version of its row.
    pub version: i64,
    /// True when there is a vector of the embedder that was asked for.
    pub embedded: bool,
}

/// Ids and versions of all patterns of a kind that this embedder has seen, by id.
pub async fn versions(tx: &mut TenantTx, model: &str, kind: PatternKind) -> Result<Vec<(PatternId, i64)>, StoreError> {
    let query = "select p.id, p.version from patterns p \
                 join pattern_vectors v on v.organization_id = p.organization_id and v.pattern_id = p.id and v.model = $2 \
                 where p.organization_id = $1 and p.kind = $3 order by p.id";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(model).bind(name_of(&kind)?).fetch_all(&mut **tx).await?;
    rows.iter().map(|row| Ok((PatternId(row.try_get("id")?), row.try_get("version")?))).collect()
}

/// How many patterns of a kind this embedder has seen.
pub async fn count(tx: &mut TenantTx, model: &str, kind: PatternKind) -> Result<u64, StoreError> {
    let query = "select count(*) from patterns p \
                 join pattern_vectors v on v.organization_id = p.organization_id and v.pattern_id = p.id and v.model = $2 \
                 where p.organization_id = $1 and p.kind = $3";
    let count: i64 = sqlx::query_scalar(query).bind(tx.organization().0).bind(model).bind(name_of(&kind)?).fetch_one(&mut **tx).await?;
    Ok(count.cast_unsigned())
}

/// The oldest transaction that is open now: whatever an older one changed can be read.
pub async fn horizon(tx: &mut TenantTx) -> Result<u64, StoreError> {
    let query = "select pg_snapshot_xmin(pg_current_snapshot())::text";
    read_horizon(&sqlx::query_scalar::<_, String>(query).fetch_one(&mut **tx).await?)
}

/// The patterns that transactions from `since` on have changed, and the horizon from which to ask the next time; one statement, so both
/// are of one moment.
pub async fn changed(tx: &mut TenantTx, model: &str, since: u64) -> Result<(u64, Vec<Changed>), StoreError> {
    let query = "select now.horizon, p.id, p.kind, p.version, v.pattern_id is not null as embedded \
                 from (select pg_snapshot_xmin(pg_current_snapshot())::text as horizon) now \
                 left join patterns p on p.organization_id = $1 and p.changed_xid >= $3::text::xid8 \
                 left join pattern_vectors v on v.organization_id = p.organization_id and v.pattern_id = p.id and v.model = $2";
    let query = sqlx::query(query).bind(tx.organization().0).bind(model).bind(since.to_string());
    let rows = query.fetch_all(&mut **tx).await?;
    let (mut horizon, mut changed) = (since, Vec::with_capacity(rows.len()));
    for row in rows {
        horizon = read_horizon(row.try_get("horizon")?)?;
        if let Some(id) = row.try_get::<Option<Uuid>, _>("id")? {
            let kind = named("pattern kind", row.try_get("kind")?)?;
            let (version, embedded) = (row.try_get("version")?, row.try_get("embedded")?);
            changed.push(Changed { id: PatternId(id), kind, version, embedded });
        }
    }
    Ok((horizon, changed))
}

fn read_horizon(text: &str) -> Result<u64, StoreError> {
    text.parse().map_err(|error: std::num::ParseIntError| StoreError::corrupt("snapshot", error.to_string()))
}

/// The vectors that this embedder made of those patterns, by id.
pub async fn find(tx: &mut TenantTx, model: &str, ids: &[PatternId]) -> Result<Vec<VectorRow>, StoreError> {
    let query = "select p.id, p.kind, p.version, v.vector, p.language, p.framework, p.unit_type, p.spec_type, p.success from patterns p \
                 join pattern_vectors v on v.organization_id = p.organization_id and v.pattern_id = p.id and v.model = $3 \
                 where p.organization_id = $1 and p.id = any($2) order by p.id";
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query(query).bind(tx.organization().0).bind(ids).bind(model).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(VectorRow {
            id: PatternId(row.try_get("id")?),
            kind: named("pattern kind", row.try_get("kind")?)?,
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
