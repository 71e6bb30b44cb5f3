//! Runs: submitted, found, moved from state to state.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{StoreError, TenantTx, text};
use crate::model::{PlanId, RunEvent, RunId, RunState, SpecId};

/// A run to be submitted.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// What it builds.
    pub spec: SpecId,
    /// Which version of it.
    pub spec_version: u32,
    /// Equal for equal commands; SHA-256 in hex.
    pub run_key: &'a str,
    /// The target pack's name.
    pub target: &'a str,
    /// The canonical output directory.
    pub output_dir: &'a str,
    /// What else the command said.
    pub options: &'a Value,
    /// Who asked.
    pub actor: &'a str,
}

/// A run as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// What it builds.
    pub spec: SpecId,
    /// The specification's slug.
    pub slug: String,
    /// Which version of it.
    pub spec_version: u32,
    /// The plan, once there is one.
    pub plan: Option<PlanId>,
    /// Equal for equal commands.
    pub run_key: String,
    /// The target pack's name.
    pub target: String,
    /// Where the result goes.
    pub output_dir: String,
    /// What else the command said.
    pub options: Value,
    /// Where it stands.
    pub state: RunState,
    /// Why it stands there, when that needs saying.
    pub reason: String,
    /// Who asked for it.
    pub actor: String,
    /// When it was submitted.
    pub created_at: OffsetDateTime,
    /// When it was first driven.
    pub started_at: Option<OffsetDateTime>,
    /// When it finished.
    pub finished_at: Option<OffsetDateTime>,
}

impl RunRow {
    pub(super) fn read(row: &PgRow) -> Result<Self, StoreError> {
        let state: String = row.try_get("state")?;
        let version: i32 = row.try_get("spec_version")?;
        Ok(Self {
            id: RunId(row.try_get("id")?),
            spec: SpecId(row.try_get("spec_id")?),
            slug: row.try_get("slug")?,
            spec_version: u32::try_from(version).map_err(|error| StoreError::corrupt("version", error))?,
            plan: row.try_get::<Option<uuid::Uuid>, _>("plan_id")?.map(PlanId),
            run_key: row.try_get("run_key")?,
            target: row.try_get("target")?,
            output_dir: row.try_get("output_dir")?,
            options: row.try_get::<Json<Value>, _>("options")?.0,
            state: RunState::parse(&state).ok_or_else(|| StoreError::corrupt("run state", state))?,
            reason: row.try_get("reason")?,
            actor: row.try_get("actor")?,
            created_at: row.try_get("created_at")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}

/// Adds a queued run and its free lease. Refused by `runs_unfinished_key` when the same command is unfinished.
pub async fn insert(tx: &mut TenantTx, run: &NewRun<'_>) -> Result<RunId, StoreError> {
    let organization = tx.organization().0;
    let id = RunId::new();
    let insert = "insert into runs (organization_id, id, spec_id, spec_version, run_key, target, output_dir, options, actor) \
                  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let insert = sqlx::query(insert).bind(organization).bind(id.0).bind(run.spec.0).bind(run.spec_version.cast_signed());
    let insert = insert.bind(run.run_key).bind(run.target).bind(run.output_dir).bind(text::json(run.options)?).bind(run.actor);
    insert.execute(&mut **tx).await?;
    let lease = "insert into run_leases (organization_id, run_id) values ($1, $2)";
    sqlx::query(lease).bind(organization).bind(id.0).execute(&mut **tx).await?;
    Ok(id)
}

/// The run of that id.
pub async fn find(tx: &mut TenantTx, id: RunId) -> Result<Option<RunRow>, StoreError> {
    let query = "select r.id, spec_id, s.slug, spec_version, plan_id, run_key, target, output_dir, options, state, reason, actor, \
                 r.created_at, started_at, finished_at \
                 from runs r join specs s on s.organization_id = r.organization_id and s.id = r.spec_id \
                 where r.organization_id = $1 and r.id = $2";
    let row = sqlx::query(query).bind(tx.organization().0).bind(id.0).fetch_optional(&mut **tx).await?;
    row.as_ref().map(RunRow::read).transpose()
}

/// The newest runs, of one specification or of all, newest first.
pub async fn newest(tx: &mut TenantTx, slug: Option<&str>, limit: u32) -> Result<Vec<RunRow>, StoreError> {
    let query = "select r.id, spec_id, s.slug, spec_version, plan_id, run_key, target, output_dir, options, state, reason, actor, \
                 r.created_at, started_at, finished_at \
                 from runs r join specs s on s.organization_id = r.organization_id and s.id = r.spec_id \
                 where r.organization_id = $1 and ($2::text is null or s.slug = $2) \
                 order by r.created_at desc, r.id desc limit $3";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(slug).bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    rows.iter().map(RunRow::read).collect()
}

/// The runs that a person may mean: an id, the end of one (4 characters or more), or a specification's slug for its newest run.
/// At most 10, newest first.
pub async fn resolve(tx: &mut TenantTx, text: &str) -> Result<Vec<RunRow>, StoreError> {
    if let Ok(id) = text.parse() {
        return Ok(find(tx, id).await?.into_iter().collect());
    }
    let by_slug = newest(tx, Some(text), 1).await?;
    if !by_slug.is_empty() || text.len() < 4 || !text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Ok(by_slug);
    }
    let query = "select r.id, spec_id, s.slug, spec_version, plan_id, run_key, target, output_dir, options, state, reason, actor, \
                 r.created_at, started_at, finished_at \
                 from runs r join specs s on s.organization_id = r.organization_id and s.id = r.spec_id \
                 where r.organization_id = $1 and r.id::text like '%' || lower($2) \
                 order by r.created_at desc, r.id desc limit 10";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(text).fetch_all(&mut **tx).await?;
    rows.iter().map(RunRow::read).collect()
}

/// The unfinished run of that command.
pub async fn unfinished_of_key(tx: &mut TenantTx, run_key: &str) -> Result<Option<RunId>, StoreError> {
    let query = "select id from runs where organization_id = $1 and run_key = $2 and state in ('queued', 'running', 'paused')";
    let id: Option<uuid::Uuid> = sqlx::query_scalar(query).bind(tx.organization().0).bind(run_key).fetch_optional(&mut **tx).await?;
    Ok(id.map(RunId))
}

/// The newest run of that command, whatever its state.
pub async fn newest_of_key(tx: &mut TenantTx, run_key: &str) -> Result<Option<RunId>, StoreError> {
    let query = "select id from runs where organization_id = $1 and run_key = $2 order by created_at desc, id desc limit 1";
    let id: Option<uuid::Uuid> = sqlx::query_scalar(query).bind(tx.organization().0).bind(run_key).fetch_optional(&mut **tx).await?;
    Ok(id.map(RunId))
}

/// Unfinished runs of other versions of that specification into that directory, oldest first.
pub async fn unfinished_of_spec(tx: &mut TenantTx, spec: SpecId, version: u32, output_dir: &str) -> Result<Vec<RunId>, StoreError> {
    let query = "select id from runs where organization_id = $1 and spec_id = $2 and spec_version <> $3 and output_dir = $4 \
                 and state in ('queued', 'running', 'paused') order by id";
    let query = sqlx::query_scalar(query).bind(tx.organization().0).bind(spec.0).bind(version.cast_signed()).bind(output_dir);
    let ids: Vec<uuid::Uuid> = query.fetch_all(&mut **tx).await?;
    Ok(ids.into_iter().map(RunId).collect())
}

/// Moves the run by that event. Returns the state before and the state after; the second is none when the event cannot happen now.
/// None when there is no such run.
pub async fn transition(
    tx: &mut TenantTx,
    id: RunId,
    event: RunEvent,
    reason: &str,
) -> Result<Option<(RunState, Option<RunState>)>, StoreError> {
    let lock = "select state from runs where organization_id = $1 and id = $2 for no key update";
    let state: Option<String> = sqlx::query_scalar(lock).bind(tx.organization().0).bind(id.0).fetch_optional(&mut **tx).await?;
    let Some(state) = state else { return Ok(None) };
    let before = RunState::parse(&state).ok_or_else(|| StoreError::corrupt("run state", state))?;
    let Some(after) = before.next(event) else { return Ok(Some((before, None))) };
    let update = "update runs set state = $3, reason = $4, \
                  started_at = case when $3 = 'running' then coalesce(started_at, now()) else started_at end, \
                  finished_at = case when $5 then now() end \
                  where organization_id = $1 and id = $2";
    let update = sqlx::query(update)
        .bind(tx.organization().0)
        .bind(id.0)
        .bind(after.as_str())
        .bind(text::without_nul(reason))
        .bind(after.finished());
    update.execute(&mut **tx).await?;
    Ok(Some((before, Some(after))))
}

/// Gives the run its plan, unless it has one: then that one is returned. The caller has locked the run.
pub async fn set_plan(tx: &mut TenantTx, id: RunId, plan: PlanId) -> Result<Option<PlanId>, StoreError> {
    let update = "with given as (update runs set plan_id = $3 where organization_id = $1 and id = $2 and plan_id is null) \
                  select plan_id from runs where organization_id = $1 and id = $2";
    let update = sqlx::query_scalar(update).bind(tx.organization().0).bind(id.0).bind(plan.0);
    let before: Option<Option<uuid::Uuid>> = update.fetch_optional(&mut **tx).await?;
    Ok(before.flatten().map(PlanId))
}
