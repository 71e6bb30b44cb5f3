//! Specifications: submitted, listed, looked at.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::cursor::{self, Page};
use super::error::ApiError;
use super::extract::{Id, Query};
use super::idempotency::{Begun, IdempotencyKey, Key, Once};
use super::reply::{Json, Reply};
use super::runs::RunView;
use super::state::Api;
use super::submission::{Envelope, Submission, SubmissionQuery};
use crate::engine::SubmittedAs;
use crate::model::{Finding, RunId, SpecId};
use crate::pipeline::intake::Intake;
use crate::store::postgres::catalogue::{self, SpecEntry};
use crate::store::postgres::{TenantTx, runs, specs};

/// Where to look for specifications.
pub const SPECS_HINT: &str = "GET /api/v1/specs lists the specifications";

/// A specification at its newest version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SpecView {
    /// Its id, the same across versions.
    pub id: SpecId,
    /// Its identity within the organization: the given name, else its title's slug.
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
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last submitted.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Its newest run; null before the first.
    pub run: Option<RunId>,
}

impl From<SpecEntry> for SpecView {
    fn from(entry: SpecEntry) -> Self {
        let SpecEntry { id, slug, title, version, content_hash, size_bytes, created_at, updated_at, run } = entry;
        Self { id, slug, title, version, content_hash, size_bytes, created_at, updated_at, run }
    }
}

/// What became of a submission.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Submitted {
    /// The specification.
    pub spec: SpecView,
    /// The version that this content has.
    pub spec_version: u32,
    /// The run that builds it; null when none was asked for.
    pub run: Option<RunView>,
    /// How the run came about; null without one.
    pub how: Option<How>,
    /// What was noticed about the document.
    pub findings: Vec<Finding>,
}

/// How a run came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Nothing like it was submitted before.
    New,
    /// It was finished before: a new run, in which unchanged units are reused.
    Again,
    /// The same is unfinished: this is that run.
    Resumed,
    /// The same is under way: this is that run.
    Live,
    /// The content changed: the run of a new version.
    NewVersion,
}

impl From<SubmittedAs> for How {
    fn from(how: SubmittedAs) -> Self {
        match how {
            SubmittedAs::New => Self::New,
            SubmittedAs::Again => Self::Again,
            SubmittedAs::Resumed => Self::Resumed,
            SubmittedAs::Live { .. } => Self::Live,
            SubmittedAs::NewVersion => Self::NewVersion,
        }
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next` of the part before; left out: the first one.
    #[param(max_length = 512, pattern = "^[0-9a-f]+[.][0-9a-f]{32}$")]
    pub cursor: Option<String>,
    /// Entries at most.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u16>,
}

/// Submits a specification: parses it, plans it, and starts a run that builds it.
///
/// The same submission again leads to the same unfinished run.
#[utoipa::path(post, path = "/specs", tag = "Specifications", operation_id = "submitSpec", params(SubmissionQuery, Key),
    request_body(description = "The specification.", content(
        (Envelope = "application/json"),
        (String = "text/markdown"), (String = "text/plain"), (String = "application/yaml"),
        (String = "application/openapi+yaml"), (String = "application/openapi+json"),
    )),
    responses(
        (status = 202, description = "A run builds it.", body = Submitted, headers(("Location" = String, description = "The run.")),
            links(
                ("spec" = (operation_id = "getSpec", parameters(("id" = "$response.body#/spec/id")))),
                ("tasks" = (operation_id = "listTasks", parameters(("id" = "$response.body#/spec/id")))),
                ("run" = (operation_id = "getRun", parameters(("id" = "$response.body#/run/id")))),
                ("waves" = (operation_id = "getWaves", parameters(("id" = "$response.body#/run/id")))),
                ("cancel" = (operation_id = "cancelRun", parameters(("id" = "$response.body#/run/id")))),
            )),
        (status = 201, description = "It is stored and not built.", body = Submitted, headers(("Location" = String, description = "The specification."))),
    ))]
pub async fn submit(State(api): State<Api>, key: IdempotencyKey, submission: Submission) -> Result<Response, ApiError> {
    let once = Once::new(key, "POST /specs", &[&submission.identity]);
    let (submission, intake) = submission.take(&api).await?;
    let mut tx = match once.begin(&api).await? {
        Begun::New(tx) => tx,
        Begun::Answered(response) => return Ok(response),
    };
    let reply = store(&api, &mut tx, &submission, &intake).await?;
    once.end(&api, tx, reply).await
}

/// Stores the specification and its plan, and makes its run where one is wanted.
async fn store(api: &Api, tx: &mut TenantTx, submission: &Submission, intake: &Intake) -> Result<Reply, ApiError> {
    let (id, spec_version, run, how) = if submission.run {
        let submitted = submission.make_run(api, tx, intake, false).await?;
        (submitted.spec, submitted.spec_version, Some(submitted.run), Some(How::from(submitted.how)))
    } else {
        let (id, version) = specs::submit(tx, &submission.spec(intake)).await?;
        (id, version, None, None)
    };
    api.engine.store_plan_in(tx, id, spec_version, &intake.plan).await?;
    let view = catalogue::spec(tx, id).await?.ok_or_else(|| ApiError::missing("specification", id, SPECS_HINT))?;
    let run = match run {
        Some(run) => runs::find(tx, run).await?.map(RunView::from),
        None => None,
    };
    let (status, location) = match &run {
        Some(run) => (StatusCode::ACCEPTED, format!("/api/v1/runs/{}", run.id)),
        None => (StatusCode::CREATED, format!("/api/v1/specs/{id}")),
    };
    let submitted = Submitted { spec: view.into(), spec_version, run, how, findings: intake.findings.clone() };
    Ok(Reply::json(status, &submitted)?.at(location))
}

/// Lists the specifications, newest first.
#[utoipa::path(get, path = "/specs", tag = "Specifications", operation_id = "listSpecs", params(PageQuery),
    responses((status = 200, description = "A part of the list.", body = Page<SpecView>)))]
pub async fn list(State(api): State<Api>, Query(query): Query<PageQuery>) -> Result<Json<Page<SpecView>>, ApiError> {
    let (limit, question) = (cursor::limit(query.limit)?, json!(["specs"]));
    let before = cursor::position(&api.cursors, &question, query.cursor.as_deref())?;
    let mut tx = api.begin().await?;
    let rows = catalogue::specs(&mut tx, before, u32::from(limit) + 1).await?;
    Ok(Json(cursor::page(&api.cursors, &question, limit, rows, |row| row.id.to_string(), SpecView::from)))
}

/// Shows a specification.
#[utoipa::path(get, path = "/specs/{id}", tag = "Specifications", operation_id = "getSpec", params(("id" = SpecId, Path, description = "The specification.")),
    responses((status = 200, description = "The specification.", body = SpecView)))]
pub async fn show(State(api): State<Api>, Id(id): Id<SpecId>) -> Result<Json<SpecView>, ApiError> {
    let mut tx = api.begin().await?;
    let entry = catalogue::spec(&mut tx, id).await?.ok_or_else(|| ApiError::missing("specification", id, SPECS_HINT))?;
    Ok(Json(entry.into()))
}
