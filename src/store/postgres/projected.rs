//! What the projections must hold, read from the tables as they are now: a change is announced by its id, and its content is fetched
//! here, so that an old announcement can never bring back an old state.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{StoreError, SystemTx, TenantTx};
use crate::model::{OrganizationId, PlanId, RunId, UnitState};

/// A unit of the newest run of its plan, as the graph shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectedUnit {
    /// The plan.
    pub plan: PlanId,
    /// The run.
    pub run: RunId,
    /// The unit's key.
    pub key: String,
    /// Where it stands; `ready` counts as `pending`, since going there is not announced.
    pub state: UnitState,
    /// Counts the changes of its state.
    pub version: i64,
    /// Classified outcomes so far.
    pub attempts: u32,
    /// Who tried it last; none before the first attempt.
    pub agent: Option<String>,
    /// How long the last attempt took, in milliseconds.
    pub duration_ms: Option<i64>,
}

/// The units of those ids.
pub async fn units(tx: &mut TenantTx, ids: &[uuid::Uuid]) -> Result<Vec<ProjectedUnit>, StoreError> {
    select(tx, ids, None).await
}

/// Every unit of a run.
pub async fn units_of_run(tx: &mut TenantTx, run: RunId) -> Result<Vec<ProjectedUnit>, StoreError> {
    select(tx, &[], Some(run)).await
}

async fn select(tx: &mut TenantTx, ids: &[uuid::Uuid], run: Option<RunId>) -> Result<Vec<ProjectedUnit>, StoreError> {
    let query = sqlx::query(include_str!("projected_units.sql")).bind(tx.organization().0).bind(ids).bind(run.map(|run| run.0));
    query.fetch_all(&mut **tx).await?.iter().map(unit).collect()
}

fn unit(row: &PgRow) -> Result<ProjectedUnit, StoreError> {
    let state: String = row.try_get("state")?;
    Ok(ProjectedUnit {
        plan: PlanId(row.try_get("plan_id")?),
        run: RunId(row.try_get("run_id")?),
        key: row.try_get("key")?,
        state: UnitState::parse(&state).ok_or_else(|| StoreError::corrupt("unit state", state))?,
        version: row.try_get("version")?,
        attempts: row.try_get::<i32, _>("attempt")?.cast_unsigned(),
        agent: row.try_get("agent")?,
        duration_ms: row.try_get("duration_ms")?,
    })
}

/// The newest run of a plan: the one whose states the graph shows.
pub async fn newest_run(tx: &mut TenantTx, plan: PlanId) -> Result<Option<RunId>, StoreError> {
    let query = "select id from runs where organization_id = $1 and plan_id = $2 order by id desc limit 1";
    let id: Option<uuid::Uuid> = sqlx::query_scalar(query).bind(tx.organization().0).bind(plan.0).fetch_optional(&mut **tx).await?;
    Ok(id.map(RunId))
}

/// The ids of all plans, oldest first.
pub async fn plans(tx: &mut TenantTx) -> Result<Vec<PlanId>, StoreError> {
    let query = "select id from plans where organization_id = $1 order by id";
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar(query).bind(tx.organization().0).fetch_all(&mut **tx).await?;
    Ok(ids.into_iter().map(PlanId).collect())
}

/// Every organization.
pub async fn organizations(tx: &mut SystemTx) -> Result<Vec<OrganizationId>, StoreError> {
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar("select id from organizations order by id").fetch_all(&mut **tx).await?;
    Ok(ids.into_iter().map(OrganizationId).collect())
}
