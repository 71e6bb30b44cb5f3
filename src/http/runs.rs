//! Runs: started, listed, looked at, stopped and resumed.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::cursor::{self, Page};
use super::error::ApiError;
use super::etag::{IfMatch, Seen};
use super::extract::{Id, JsonBody, Query};
use super::idempotency::{Begun, IdempotencyKey, Key, Once};
use super::reply::{Json, Reply};
use super::state::Api;
use super::submission::{Format, Submission, present};
use crate::engine::{RunRow, acts};
use crate::model::{PlanId, RunId, RunState, SpecId};
use crate::store::postgres::catalogue::{self, RunFilter};
use crate::store::postgres::{TenantTx, runs, settle, specs};

/// Most characters of a reason.
const REASON_CHARS_MAX: usize = 500;
/// Where to look for runs.
pub const RUNS_HINT: &str = "GET /api/v1/runs lists the runs";

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// What it builds.
    pub spec: SpecId,
    /// The specification's slug.
    pub slug: String,
    /// Which version of it.
    pub spec_version: u32,
    /// The plan; null until there is one.
    pub plan: Option<PlanId>,
    /// The target pack.
    pub target: String,
    /// Where the result goes, on the server.
    pub output_dir: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it stands there, when that needs saying.
    pub reason: String,
    /// Who asked for it.
    pub actor: String,
    /// When it was submitted.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When a worker first took it; null before.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended; null while it has not.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
}

impl From<RunRow> for RunView {
    fn from(row: RunRow) -> Self {
        let RunRow { id, spec, slug, spec_version, plan, target, output_dir, state, reason, actor, .. } = row;
        let (created_at, started_at, finished_at) = (row.created_at, row.started_at, row.finished_at);
        Self { id, spec, slug, spec_version, plan, target, output_dir, state, reason, actor, created_at, started_at, finished_at }
    }
}

/// Which runs.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunsQuery {
    /// Only of that specification.
    spec: Option<SpecId>,
    /// Only in that state.
    state: Option<RunState>,
    /// `next` of the part before; left out: the first one.
    #[param(max_length = 512, pattern = "^[0-9a-f]+[.][0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Entries at most.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// A run of a stored specification.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "spec": "01900000-0000-7000-8000-000000000000" }))]
pub struct RunRequest {
    /// The specification.
    spec: SpecId,
    /// Which version of it; left out: the newest.
    #[schema(minimum = 1, maximum = 2_147_483_647, nullable = false)]
    #[serde(default, deserialize_with = "present")]
    version: Option<u32>,
    /// The format, when it is not to be detected.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "present")]
    format: Option<Format>,
    /// The target pack; left out: the one that the document names, else the setting `run.target`.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "present")]
    target: Option<String>,
    /// True: a new run, even where the same one is unfinished, which it takes the place of.
    #[serde(default)]
    fresh: bool,
}

/// Builds a stored specification.
#[utoipa::path(post, path = "/runs", tag = "Runs", operation_id = "startRun", request_body = RunRequest, params(Key),
    responses((status = 202, description = "The run that builds it: a new one, or the same that is unfinished.", body = RunView,
        headers(("Location" = String, description = "The run.")),
        links(
            ("run" = (operation_id = "getRun", parameters(("id" = "$response.body#/id")))),
            ("cancel" = (operation_id = "cancelRun", parameters(("id" = "$response.body#/id")))),
        ))))]
pub async fn start(State(api): State<Api>, key: IdempotencyKey, body: JsonBody<RunRequest>) -> Result<Response, ApiError> {
    let once = Once::new(key, "POST /runs", &[&body.bytes]);
    let RunRequest { spec, version, format, target, fresh } = body.value;
    let mut tx = api.begin().await?;
    let entry = catalogue::spec(&mut tx, spec).await?.ok_or_else(|| unknown_spec(spec))?;
    let version = version.unwrap_or(entry.version);
    let (content, source_name) = specs::content(&mut tx, spec, version).await?.ok_or_else(|| unknown_spec(spec))?;
    tx.commit().await?;
    let (submission, intake) = Submission::stored(content, &entry.slug, &source_name, format, target).take(&api).await?;
    let mut tx = match once.begin(&api).await? {
        Begun::New(tx) => tx,
        Begun::Answered(response) => return Ok(response),
    };
    let run = submission.make_run(&api, &mut tx, &intake, fresh).await?.run;
    let reply = Reply::json(StatusCode::ACCEPTED, &view(&mut tx, run).await?)?.at(format!("/api/v1/runs/{run}"));
    once.end(&api, tx, reply).await
}

fn unknown_spec(spec: SpecId) -> ApiError {
    ApiError::unprocessable(format!("there is no specification {spec} in that version"), "GET /api/v1/specs lists the specifications")
}

/// Lists the runs, newest first.
#[utoipa::path(get, path = "/runs", tag = "Runs", operation_id = "listRuns", params(RunsQuery),
    responses((status = 200, description = "A part of the list.", body = Page<RunView>)))]
pub async fn list(State(api): State<Api>, Query(query): Query<RunsQuery>) -> Result<Json<Page<RunView>>, ApiError> {
    let (limit, question) = (cursor::limit(query.limit)?, json!(["runs", query.spec, query.state]));
    let before = cursor::position(&api.cursors, &question, query.cursor.as_deref())?;
    let filter = RunFilter { spec: query.spec, state: query.state };
    let mut tx = api.begin().await?;
    let rows = catalogue::runs(&mut tx, filter, before, u32::from(limit) + 1).await?;
    Ok(Json(cursor::page(&api.cursors, &question, limit, rows, |row| row.id.to_string(), RunView::from)))
}

/// Shows a run.
#[utoipa::path(get, path = "/runs/{id}", tag = "Runs", operation_id = "getRun", params(("id" = RunId, Path, description = "The run.")),
    responses((status = 200, description = "The run.", body = RunView)))]
pub async fn show(State(api): State<Api>, Id(id): Id<RunId>) -> Result<Json<RunView>, ApiError> {
    let mut tx = api.begin().await?;
    Ok(Json(view(&mut tx, id).await?))
}

/// Why something is asked of a run or a unit.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReasonQuery {
    /// In words, for the audit log; at most 500 characters.
    #[param(max_length = 500)]
    reason: Option<String>,
}

impl ReasonQuery {
    /// The reason, or that one where none is given.
    pub(super) fn or(self, otherwise: &str) -> Result<String, ApiError> {
        let reason = self.reason.unwrap_or_else(|| otherwise.to_owned());
        if reason.chars().count() > REASON_CHARS_MAX {
            return Err(ApiError::BadRequest(format!("the reason has more than {REASON_CHARS_MAX} characters")));
        }
        Ok(reason)
    }
}

/// What can be asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Cancel,
    Pause,
    Resume,
}

/// Calls a run off for good, with every unfinished unit.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "Runs", operation_id = "cancelRun",
    params(("id" = RunId, Path, description = "The run."), ReasonQuery, Key, Seen),
    responses(
        (status = 200, description = "It is called off.", body = RunView),
        (status = 412, description = "It has changed since the caller looked."),
    ))]
pub async fn cancel(
    State(api): State<Api>,
    Id(run): Id<RunId>,
    Query(query): Query<ReasonQuery>,
    seen: IfMatch,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    act(&api, run, Act::Cancel, query, &seen, key).await
}

/// Stops a run until it is resumed: nothing more is begun.
#[utoipa::path(post, path = "/runs/{id}/pause", tag = "Runs", operation_id = "pauseRun",
    params(("id" = RunId, Path, description = "The run."), ReasonQuery, Key, Seen),
    responses(
        (status = 200, description = "It is paused.", body = RunView),
        (status = 412, description = "It has changed since the caller looked."),
    ))]
pub async fn pause(
    State(api): State<Api>,
    Id(run): Id<RunId>,
    Query(query): Query<ReasonQuery>,
    seen: IfMatch,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    act(&api, run, Act::Pause, query, &seen, key).await
}

/// Lets a paused, partial or failed run go on; a worker takes it up.
#[utoipa::path(post, path = "/runs/{id}/resume", tag = "Runs", operation_id = "resumeRun",
    params(("id" = RunId, Path, description = "The run."), Key, Seen),
    responses(
        (status = 202, description = "It goes on.", body = RunView, headers(("Location" = String, description = "The run."))),
        (status = 412, description = "It has changed since the caller looked."),
    ))]
pub async fn resume(State(api): State<Api>, Id(run): Id<RunId>, seen: IfMatch, key: IdempotencyKey) -> Result<Response, ApiError> {
    act(&api, run, Act::Resume, ReasonQuery::default(), &seen, key).await
}

async fn act(api: &Api, run: RunId, act: Act, query: ReasonQuery, seen: &IfMatch, key: IdempotencyKey) -> Result<Response, ApiError> {
    let reason = query.or("asked for over HTTP")?;
    let once = Once::new(key, &format!("POST /runs/{run} {act:?}"), &[reason.as_bytes()]);
    let mut tx = match once.begin(api).await? {
        Begun::New(tx) => tx,
        Begun::Answered(response) => return Ok(response),
    };
    // Locked first: what the caller has seen is what is changed.
    settle::lock_runs(&mut tx, &[run]).await?;
    seen.check(&view(&mut tx, run).await?)?;
    let actor = &api.app.actor;
    match act {
        Act::Cancel => drop(acts::cancel(&mut tx, actor, run, &reason).await?),
        Act::Pause => drop(acts::pause(&mut tx, actor, run, &reason).await?),
        Act::Resume => drop(acts::resume(&mut tx, actor, run).await?),
    }
    let view = view(&mut tx, run).await?;
    let reply = match act {
        Act::Resume => Reply::json(StatusCode::ACCEPTED, &view)?.at(format!("/api/v1/runs/{run}")),
        Act::Cancel | Act::Pause => Reply::json(StatusCode::OK, &view)?,
    };
    once.end(api, tx, reply).await
}

/// The run as it is shown.
pub async fn view(tx: &mut TenantTx, run: RunId) -> Result<RunView, ApiError> {
    Ok(runs::find(tx, run).await?.ok_or_else(|| ApiError::missing("run", run, RUNS_HINT))?.into())
}
