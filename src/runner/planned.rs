//! What the phases of a run have found so far, for those who do not drive it.

use serde_json::Value;

use crate::model::{OrganizationId, Phase, Plan, PlanId, RunId, SpecDocument};
use crate::pipeline::PipelineError;
use crate::store::postgres::{Postgres, phases, plans, runs};

/// A run that is planned.
pub struct Planned {
    /// The document that it has read.
    pub document: SpecDocument,
    /// Which version of the plan.
    pub plan_id: PlanId,
    /// Its plan.
    pub plan: Plan,
}

/// The document that the run has read, and its plan; none before it is planned, or when there is no such run.
pub async fn of_run(postgres: &Postgres, organization: OrganizationId, run: RunId) -> Result<Option<Planned>, PipelineError> {
    let mut tx = postgres.tenant(organization).await?;
    let Some(plan_id) = runs::find(&mut tx, run).await?.and_then(|row| row.plan) else { return Ok(None) };
    let Some(plan) = plans::load(&mut tx, plan_id).await? else { return Ok(None) };
    let phase = Phase::Ingest;
    let Some(mut output) = phases::recorded(&mut tx, run, phase.as_str(), 1).await? else { return Ok(None) };
    let document = output.get_mut("value").map(Value::take).unwrap_or_default();
    let document = serde_json::from_value(document).map_err(|source| PipelineError::Journal { phase, source })?;
    Ok(Some(Planned { document, plan_id, plan }))
}
