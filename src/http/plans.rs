//! Plans and what was noticed on the way: of a specification, of a run, or of a document that is only looked at.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::Id;
use super::reply::Json;
use super::runs::RUNS_HINT;
use super::specs::SPECS_HINT;
use super::state::Api;
use super::submission::{Envelope, Submission, SubmissionQuery};
use crate::model::report::RunReport;
use crate::model::{Finding, Plan, PlanId, RunId, SpecId};
use crate::pipeline::intake::Intake;
use crate::pipeline::report;
use crate::store::postgres::{TenantTx, catalogue, plans, runs, specs, tasks};

/// What was noticed about a specification.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SpecFindings {
    /// The specification.
    spec: SpecId,
    /// The version that was read.
    version: u32,
    /// In source order.
    findings: Vec<Finding>,
}

/// Plans a document and stores nothing: what `specwave plan --json` prints.
///
/// The same document gives the same plan, byte for byte.
#[utoipa::path(post, path = "/orchestration/analyze", tag = "Specifications", operation_id = "analyze", params(SubmissionQuery),
    request_body(description = "The specification.", content(
        (Envelope = "application/json"),
        (String = "text/markdown"), (String = "text/plain"), (String = "application/yaml"),
        (String = "application/openapi+yaml"), (String = "application/openapi+json"),
    )),
    responses((status = 200, description = "The plan.", body = Plan)))]
pub async fn analyze(State(api): State<Api>, submission: Submission) -> Result<Json<Plan>, ApiError> {
    let (_, intake) = submission.take(&api).await?;
    Ok(Json(Plan { findings: intake.findings, ..intake.plan }))
}

/// Shows the plan of a specification's newest version.
#[utoipa::path(get, path = "/specs/{id}/plan", tag = "Specifications", operation_id = "getSpecPlan",
    params(("id" = SpecId, Path, description = "The specification.")),
    responses((status = 200, description = "The plan.", body = Plan)))]
pub async fn of_spec(State(api): State<Api>, Id(spec): Id<SpecId>) -> Result<Json<Plan>, ApiError> {
    let mut tx = api.begin().await?;
    if let Some((plan, _)) = tasks::newest_plan(&mut tx, spec).await? {
        return stored(&mut tx, plan).await;
    }
    drop(tx);
    let (_, intake) = read_again(&api, spec).await?;
    Ok(Json(intake.plan))
}

/// Shows what was noticed about a specification's newest version: by its reader and by its analysis.
#[utoipa::path(get, path = "/specs/{id}/findings", tag = "Specifications", operation_id = "getSpecFindings",
    params(("id" = SpecId, Path, description = "The specification.")),
    responses((status = 200, description = "The findings.", body = SpecFindings)))]
pub async fn findings(State(api): State<Api>, Id(spec): Id<SpecId>) -> Result<Json<SpecFindings>, ApiError> {
    let (version, intake) = read_again(&api, spec).await?;
    Ok(Json(SpecFindings { spec, version, findings: intake.findings }))
}

/// Shows the plan of a run.
#[utoipa::path(get, path = "/runs/{id}/plan", tag = "Runs", operation_id = "getRunPlan",
    params(("id" = RunId, Path, description = "The run.")),
    responses(
        (status = 200, description = "The plan.", body = Plan),
        (status = 404, description = "There is no such run, or it has no plan yet."),
    ))]
pub async fn of_run(State(api): State<Api>, Id(run): Id<RunId>) -> Result<Json<Plan>, ApiError> {
    let mut tx = api.begin().await?;
    let row = runs::find(&mut tx, run).await?.ok_or_else(|| ApiError::missing("run", run, RUNS_HINT))?;
    let plan = row.plan.ok_or_else(|| ApiError::missing("plan yet of run", run, "ask again in a moment"))?;
    stored(&mut tx, plan).await
}

/// Shows what a run did and what it proved; in the middle of a run as far as it has come.
#[utoipa::path(get, path = "/runs/{id}/report", tag = "Runs", operation_id = "getReport",
    params(("id" = RunId, Path, description = "The run.")),
    responses((status = 200, description = "The report.", body = RunReport)))]
pub async fn report(State(api): State<Api>, Id(run): Id<RunId>) -> Result<impl IntoResponse, ApiError> {
    Ok(Json(report::of_run(&api.app.postgres, &api.engine, api.organization(), run).await?))
}

async fn stored(tx: &mut TenantTx, plan: PlanId) -> Result<Json<Plan>, ApiError> {
    let found = plans::load(tx, plan).await?;
    found.map(Json).ok_or_else(|| ApiError::missing("plan", plan, SPECS_HINT))
}

/// Reads the newest version once more: the same bytes say the same.
async fn read_again(api: &Api, spec: SpecId) -> Result<(u32, Intake), ApiError> {
    let mut tx = api.begin().await?;
    let missing = || ApiError::missing("specification", spec, SPECS_HINT);
    let entry = catalogue::spec(&mut tx, spec).await?.ok_or_else(missing)?;
    let (content, source_name) = specs::content(&mut tx, spec, entry.version).await?.ok_or_else(missing)?;
    tx.commit().await?;
    let (_, intake) = Submission::stored(content, &entry.slug, &source_name, None, None).take(api).await?;
    Ok((entry.version, intake))
}
