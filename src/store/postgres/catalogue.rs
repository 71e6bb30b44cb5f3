//! Lists of specifications, runs and patterns, in pages, newest first.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::patterns::{self, PatternFilter, PatternRow};
use super::plans::name_of;
use super::runs::RunRow;
use super::{StoreError, TenantTx};
use crate::model::{PatternId, RunId, RunState, SpecId};

/// A specification at its newest version, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecEntry {
    /// Its id, the same across versions.
    pub id: SpecId,
    /// Its identity within the organization.
    pub slug: String,
    /// The title.
    pub title: String,
    /// The newest version, from 1.
    pub version: u32,
    /// SHA-256 of the newest version's bytes, in hex.
    pub content_hash: String,
    /// How many bytes those are.
    pub size_bytes: u64,
    /// When it was first submitted.
    pub created_at: OffsetDateTime,
    /// When it was last submitted.
    pub updated_at: OffsetDateTime,
    /// Its newest run.
    pub run: Option<RunId>,
}

/// Which runs to list; all when empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunFilter {
    /// Only of that specification.
    pub spec: Option<SpecId>,
    /// Only in that state.
    pub state: Option<RunState>,
}

/// Where a pattern stands among all, by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatternPlace {
    /// When it was first learned.
    pub created_at: OffsetDateTime,
    /// Its id.
    pub id: PatternId,
}

impl fmt::Display for PatternPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.created_at.unix_timestamp_nanos(), self.id)
    }
}

impl FromStr for PatternPlace {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let corrupt = || StoreError::corrupt("place of a pattern", text);
        let (nanos, id) = text.split_once(' ').ok_or_else(corrupt)?;
        let created_at = nanos.parse().ok().and_then(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).ok());
        Ok(Self { created_at: created_at.ok_or_else(corrupt)?, id: id.parse().map_err(|_| corrupt())? })
    }
}

/// The specification of that id.
pub async fn spec(tx: &mut TenantTx, id: SpecId) -> Result<Option<SpecEntry>, StoreError> {
    let query = "select s.id, s.slug, s.title, s.version, v.content_hash, octet_length(v.content)::bigint as size_bytes, s.created_at, s.updated_at, \
                 (select r.id from runs r where r.organization_id = s.organization_id and r.spec_id = s.id order by r.created_at desc, r.id desc limit 1) as run \
                 from specs s join spec_versions v on v.organization_id = s.organization_id and v.spec_id = s.id and v.version = s.version \
                 where s.organization_id = $1 and s.id = $2";
    let row = sqlx::query(query).bind(tx.organization().0).bind(id.0).fetch_optional(&mut **tx).await?;
    row.as_ref().map(read_spec).transpose()
}

/// Specifications that were first submitted before `before`, newest first.
pub async fn specs(tx: &mut TenantTx, before: Option<SpecId>, limit: u32) -> Result<Vec<SpecEntry>, StoreError> {
    let query = "select s.id, s.slug, s.title, s.version, v.content_hash, octet_length(v.content)::bigint as size_bytes, s.created_at, s.updated_at, \
                 (select r.id from runs r where r.organization_id = s.organization_id and r.spec_id = s.id order by r.created_at desc, r.id desc limit 1) as run \
                 from specs s join spec_versions v on v.organization_id = s.organization_id and v.spec_id = s.id and v.version = s.version \
                 where s.organization_id = $1 and ($2::uuid is null or s.id < $2) order by s.id desc limit $3";
    let query = sqlx::query(query).bind(tx.organization().0).bind(before.map(|id| id.0)).bind(i64::from(limit));
    query.fetch_all(&mut **tx).await?.iter().map(read_spec).collect()
}

fn read_spec(row: &PgRow) -> Result<SpecEntry, StoreError> {
    let version: i32 = row.try_get("version")?;
    Ok(SpecEntry {
        id: SpecId(row.try_get("id")?),
        slug: row.try_get("slug")?,
        title: row.try_get("title")?,
        version: version.cast_unsigned(),
        content_hash: row.try_get("content_hash")?,
        size_bytes: row.try_get::<i64, _>("size_bytes")?.cast_unsigned(),
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        run: row.try_get::<Option<uuid::Uuid>, _>("run")?.map(RunId),
    })
}

/// Runs that were submitted before `before`, newest first.
pub async fn runs(tx: &mut TenantTx, filter: RunFilter, before: Option<RunId>, limit: u32) -> Result<Vec<RunRow>, StoreError> {
    let query = "select r.id, spec_id, s.slug, spec_version, plan_id, run_key, target, output_dir, options, state, reason, actor, \
                 r.created_at, started_at, finished_at \
                 from runs r join specs s on s.organization_id = r.organization_id and s.id = r.spec_id \
                 where r.organization_id = $1 and ($2::uuid is null or r.spec_id = $2) and ($3::text is null or r.state = $3) \
                 and ($4::uuid is null or r.id < $4) order by r.id desc limit $5";
    let query = sqlx::query(query).bind(tx.organization().0).bind(filter.spec.map(|id| id.0)).bind(filter.state.map(RunState::as_str));
    let rows = query.bind(before.map(|id| id.0)).bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    rows.iter().map(RunRow::read).collect()
}

/// The newest run that has not ended.
pub async fn newest_active_run(tx: &mut TenantTx) -> Result<Option<RunId>, StoreError> {
    let query = "select id from runs where organization_id = $1 and state in ('queued', 'running', 'paused') \
                 order by state = 'running' desc, id desc limit 1";
    let id: Option<uuid::Uuid> = sqlx::query_scalar(query).bind(tx.organization().0).fetch_optional(&mut **tx).await?;
    Ok(id.map(RunId))
}

/// How many runs stand in each state.
pub async fn runs_by_state(tx: &mut TenantTx) -> Result<BTreeMap<RunState, u64>, StoreError> {
    let query = "select state, count(*) from runs where organization_id = $1 group by state";
    let rows: Vec<(String, i64)> = sqlx::query_as(query).bind(tx.organization().0).fetch_all(&mut **tx).await?;
    let read = |(state, count): (String, i64)| {
        let state = RunState::parse(&state).ok_or_else(|| StoreError::corrupt("run state", state))?;
        Ok((state, count.cast_unsigned()))
    };
    rows.into_iter().map(read).collect()
}

/// Patterns that were learned before that place, newest first.
pub async fn patterns(
    tx: &mut TenantTx,
    filter: &PatternFilter<'_>,
    before: Option<PatternPlace>,
    limit: u32,
) -> Result<Vec<PatternRow>, StoreError> {
    let query = "select id, kind, title, text, code, language, framework, unit_type, spec_type, success, run_id, unit_key, evidence, version, \
                 created_at, (select count(*) from pattern_uses u where u.organization_id = p.organization_id and u.pattern_id = p.id) as uses \
                 from patterns p where organization_id = $1 and ($2::text is null or kind = $2) and ($3::text is null or language = $3) \
                 and ($4::text is null or unit_type = $4) and ($5::boolean is null or success = $5) \
                 and ($6::timestamptz is null or (created_at, id) < ($6, $7)) order by created_at desc, id desc limit $8";
    let kind = filter.kind.as_ref().map(name_of).transpose()?;
    let query = sqlx::query(query).bind(tx.organization().0).bind(kind).bind(filter.language).bind(filter.unit_type).bind(filter.success);
    let query = query.bind(before.map(|place| place.created_at)).bind(before.map(|place| place.id.0)).bind(i64::from(limit));
    query.fetch_all(&mut **tx).await?.iter().map(patterns::read).collect()
}
