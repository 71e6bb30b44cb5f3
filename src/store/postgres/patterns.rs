//! Patterns and their vectors: the facts that the vector store is made from.

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::plans::{name_of, named};
use super::{StoreError, TenantTx, outbox};
use crate::model::{Pattern, PatternId, PatternKind, RunId, UnitId};

/// Patterns about the same things that are weighed against each other.
const ADVICE_MAX: i64 = 2_000;

/// A stored pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternRow {
    /// The pattern.
    pub pattern: Pattern,
    /// Bumped by every change; projections ignore older ones.
    pub version: i64,
    /// How many units were shown it.
    pub uses: u64,
    /// When it was first learned.
    pub created_at: OffsetDateTime,
}

/// What speaks for and against a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdviceRow {
    /// The pattern.
    pub id: PatternId,
    /// Its title.
    pub title: String,
    /// What it is about; the same for what worked and what failed at the same thing.
    pub topic: String,
    /// True when it worked.
    pub success: bool,
    /// Runs that verified it.
    pub verified: u32,
    /// Units that were told it and whose first try has ended.
    pub told: u32,
    /// Those among them whose first try passed.
    pub passed: u32,
    /// When a run last verified it, or a unit that was told it last passed.
    pub confirmed_at: OffsetDateTime,
}

/// What to list; everything when empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatternFilter<'a> {
    /// Only of that kind.
    pub kind: Option<PatternKind>,
    /// Only in that language.
    pub language: Option<&'a str>,
    /// Only of that sort of work.
    pub unit_type: Option<&'a str>,
    /// Only successes, or only failures.
    pub success: Option<bool>,
}

/// Keeps a pattern with the vector that `model` made of its text. When another run learns the same again, that verifies it once more.
/// Returns the pattern's version, which the projection carries.
pub async fn store(tx: &mut TenantTx, pattern: &Pattern, model: &str, vector: &[f32]) -> Result<i64, StoreError> {
    let insert = "insert into patterns (organization_id, id, kind, title, text, code, language, framework, unit_type, spec_type, success, \
                  run_id, unit_key, evidence) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
                  on conflict on constraint patterns_pkey do update set title = excluded.title, text = excluded.text, code = excluded.code, \
                  success = excluded.success, run_id = excluded.run_id, unit_key = excluded.unit_key, evidence = excluded.evidence, \
                  version = patterns.version + 1, updated_at = now(), \
                  verified = patterns.verified + case when patterns.run_id = excluded.run_id then 0 else 1 end, \
                  verified_at = case when patterns.run_id = excluded.run_id then patterns.verified_at else now() end \
                  returning version";
    let organization = tx.organization().0;
    let insert = sqlx::query_scalar(insert).bind(organization).bind(pattern.id.0).bind(name_of(&pattern.kind)?);
    let insert = insert.bind(&pattern.title).bind(&pattern.text).bind(&pattern.code).bind(&pattern.language).bind(&pattern.framework);
    let insert = insert.bind(&pattern.unit_type).bind(&pattern.spec_type).bind(pattern.success).bind(pattern.run.0);
    let version: i64 = insert.bind(&pattern.unit_key).bind(&pattern.evidence).fetch_one(&mut **tx).await?;
    let insert = "insert into pattern_vectors (organization_id, pattern_id, model, dimension, vector) \
                  values ($1, $2, $3, cardinality($4::real[]), $4) \
                  on conflict on constraint pattern_vectors_pkey do update set dimension = excluded.dimension, vector = excluded.vector";
    sqlx::query(insert).bind(organization).bind(pattern.id.0).bind(model).bind(vector).execute(&mut **tx).await?;
    let payload = serde_json::json!({ "model": model });
    outbox::append(tx, &outbox::Change { aggregate: "pattern", id: pattern.id.0, version, kind: "pattern_stored", payload: &payload })
        .await?;
    Ok(version)
}

/// The patterns of those ids that exist, in no particular order.
pub async fn find(tx: &mut TenantTx, ids: &[PatternId]) -> Result<Vec<PatternRow>, StoreError> {
    let query = "select id, kind, title, text, code, language, framework, unit_type, spec_type, success, run_id, unit_key, evidence, version, \
                 created_at, (select count(*) from pattern_uses u where u.organization_id = p.organization_id and u.pattern_id = p.id) as uses \
                 from patterns p where organization_id = $1 and id = any($2)";
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query(query).bind(tx.organization().0).bind(ids).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

/// What speaks for and against those patterns and all others that are about the same things; of more than 2,000 the last confirmed.
pub async fn advice(tx: &mut TenantTx, ids: &[PatternId]) -> Result<Vec<AdviceRow>, StoreError> {
    let query = "select p.id, p.title, p.topic, p.success, p.verified, f.told, f.passed, greatest(p.verified_at, f.passed_at) as confirmed_at \
                 from patterns p cross join lateral ( \
                     select count(*) as told, count(*) filter (where a.passed) as passed, max(a.ended_at) filter (where a.passed) as passed_at \
                     from pattern_uses u \
                     join assignments a on a.organization_id = u.organization_id and a.unit_id = u.unit_id and a.first and a.passed is not null \
                     where u.organization_id = p.organization_id and u.pattern_id = p.id \
                 ) f \
                 where p.organization_id = $1 \
                 and p.topic in (select topic from patterns where organization_id = $1 and id = any($2)) \
                 order by confirmed_at desc, p.id limit $3";
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query(query).bind(tx.organization().0).bind(ids).bind(ADVICE_MAX).fetch_all(&mut **tx).await?;
    let small = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let read = |row: &PgRow| {
        Ok(AdviceRow {
            id: PatternId(row.try_get("id")?),
            title: row.try_get("title")?,
            topic: row.try_get("topic")?,
            success: row.try_get("success")?,
            verified: row.try_get::<i32, _>("verified")?.cast_unsigned(),
            told: small(row.try_get("told")?),
            passed: small(row.try_get("passed")?),
            confirmed_at: row.try_get("confirmed_at")?,
        })
    };
    rows.iter().map(read).collect()
}

/// The newest patterns that fit, newest first.
pub async fn list(tx: &mut TenantTx, filter: &PatternFilter<'_>, limit: u32) -> Result<Vec<PatternRow>, StoreError> {
    let query = "select id, kind, title, text, code, language, framework, unit_type, spec_type, success, run_id, unit_key, evidence, version, \
                 created_at, (select count(*) from pattern_uses u where u.organization_id = p.organization_id and u.pattern_id = p.id) as uses \
                 from patterns p where organization_id = $1 and ($2::text is null or kind = $2) and ($3::text is null or language = $3) \
                 and ($4::text is null or unit_type = $4) and ($5::boolean is null or success = $5) \
                 order by created_at desc, id desc limit $6";
    let kind = filter.kind.as_ref().map(name_of).transpose()?;
    let query = sqlx::query(query).bind(tx.organization().0).bind(kind).bind(filter.language).bind(filter.unit_type);
    let rows = query.bind(filter.success).bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

/// Removes a pattern with its vectors and the record of its uses; false when there is none of that id.
pub async fn delete(tx: &mut TenantTx, id: PatternId) -> Result<bool, StoreError> {
    let delete = "delete from patterns where organization_id = $1 and id = $2";
    let deleted = sqlx::query(delete).bind(tx.organization().0).bind(id.0).execute(&mut **tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// How many patterns there are.
pub async fn count(tx: &mut TenantTx) -> Result<u64, StoreError> {
    let query = "select count(*) from patterns where organization_id = $1";
    let count: i64 = sqlx::query_scalar(query).bind(tx.organization().0).fetch_one(&mut **tx).await?;
    Ok(count.cast_unsigned())
}

/// Every pattern, by id after `after`, at most `limit`: for writing all of them down, in pages.
pub async fn page(tx: &mut TenantTx, after: Option<PatternId>, limit: u32) -> Result<Vec<PatternRow>, StoreError> {
    let query = "select id, kind, title, text, code, language, framework, unit_type, spec_type, success, run_id, unit_key, evidence, version, \
                 created_at, 0::bigint as uses from patterns where organization_id = $1 and ($2::uuid is null or id > $2) order by id limit $3";
    let query = sqlx::query(query).bind(tx.organization().0).bind(after.map(|id| id.0)).bind(i64::from(limit));
    let rows = query.fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

/// Every pattern with its vector of that model, by id after `after`, at most `limit`: for making the vector store anew, in pages.
pub async fn vectors(
    tx: &mut TenantTx,
    model: &str,
    after: Option<PatternId>,
    limit: u32,
) -> Result<Vec<(PatternRow, Vec<f32>)>, StoreError> {
    let query = "select id, kind, title, text, code, language, framework, unit_type, spec_type, success, run_id, unit_key, evidence, version, \
                 created_at, 0::bigint as uses, vector \
                 from patterns p join pattern_vectors v on v.organization_id = p.organization_id and v.pattern_id = p.id and v.model = $2 \
                 where p.organization_id = $1 and ($3::uuid is null or p.id > $3) order by p.id limit $4";
    let query = sqlx::query(query).bind(tx.organization().0).bind(model).bind(after.map(|id| id.0)).bind(i64::from(limit));
    let rows = query.fetch_all(&mut **tx).await?;
    rows.iter().map(|row| Ok((read(row)?, row.try_get("vector")?))).collect()
}

/// Patterns that `model` has made no vector of, at most `limit`: after a change of embedder they are embedded anew.
pub async fn without_vector(tx: &mut TenantTx, model: &str, limit: u32) -> Result<Vec<PatternRow>, StoreError> {
    let query = "select id, kind, title, text, code, language, framework, unit_type, spec_type, success, run_id, unit_key, evidence, version, \
                 created_at, 0::bigint as uses from patterns p where organization_id = $1 and not exists ( \
                     select from pattern_vectors v where v.organization_id = p.organization_id and v.pattern_id = p.id and v.model = $2) \
                 order by id limit $3";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(model).bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

/// Writes down that a unit was shown those patterns.
pub async fn record_use(tx: &mut TenantTx, unit: UnitId, patterns: &[PatternId]) -> Result<(), StoreError> {
    let insert = "insert into pattern_uses (organization_id, pattern_id, unit_id) select $1, pattern_id, $2 from unnest($3::uuid[]) as pattern_id \
                  on conflict on constraint pattern_uses_pkey do nothing";
    let patterns: Vec<uuid::Uuid> = patterns.iter().map(|id| id.0).collect();
    sqlx::query(insert).bind(tx.organization().0).bind(unit.0).bind(patterns).execute(&mut **tx).await?;
    Ok(())
}

pub(super) fn read(row: &PgRow) -> Result<PatternRow, StoreError> {
    let pattern = Pattern {
        id: PatternId(row.try_get("id")?),
        kind: named("pattern kind", row.try_get("kind")?)?,
        title: row.try_get("title")?,
        text: row.try_get("text")?,
        code: row.try_get("code")?,
        language: row.try_get("language")?,
        framework: row.try_get("framework")?,
        unit_type: row.try_get("unit_type")?,
        spec_type: row.try_get("spec_type")?,
        success: row.try_get("success")?,
        run: RunId(row.try_get("run_id")?),
        unit_key: row.try_get("unit_key")?,
        evidence: row.try_get("evidence")?,
    };
    let uses = row.try_get::<i64, _>("uses")?.cast_unsigned();
    Ok(PatternRow { pattern, version: row.try_get("version")?, uses, created_at: row.try_get("created_at")? })
}
