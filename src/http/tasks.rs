//! Tasks: the nodes of a specification's plan, and the units that they are in a run.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::cursor::{self, Page};
use super::error::ApiError;
use super::extract::{Id, Query};
use super::idempotency::{Begun, IdempotencyKey, Key, Once};
use super::reply::{Json, Reply};
use super::specs::SPECS_HINT;
use super::state::Api;
use crate::context::Receipt;
use crate::model::{CheckResult, Role, RunId, SpecId, TaskKind, TaskType, UnitId, UnitState};
use crate::pipeline::again::{self, AgainError, Wish};
use crate::pipeline::plan::type_name;
use crate::store::postgres::attempts::{self, AttemptRow};
use crate::store::postgres::tasks::{self, DependencyEntry, TaskEntry, TaskFilter, UnitEntry};
use crate::store::postgres::{TenantTx, catalogue, receipts};

/// Attempts that are shown of a unit, the newest ones.
const ATTEMPTS_SHOWN: usize = 20;
/// Bytes that are shown of what an attempt printed, the last ones.
const LOG_BYTES_SHOWN: usize = 16 * 1024;
/// Where to look for tasks.
const TASKS_HINT: &str = "GET /api/v1/specs/{id}/tasks lists the tasks with the ids of their units";

/// A node of a plan, and the unit that it is in the newest run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TaskView {
    /// The id of the unit in the newest run; null for other nodes and before the first run.
    id: Option<UnitId>,
    /// A stable path from the specification's own names.
    key: String,
    /// The key of the node above; null at the top.
    parent: Option<String>,
    /// Its level in the hierarchy.
    kind: TaskKind,
    /// Its part in the execution.
    role: Role,
    /// What sort of work it is.
    #[serde(rename = "type")]
    task_type: TaskType,
    /// 1 Planning & Analysis … 5 Deployment & Documentation.
    phase: u32,
    /// One line.
    title: String,
    /// 1 (first) to 5 (last).
    priority: u32,
    /// The wave, from 1; null for containers and steps.
    wave: Option<u32>,
    /// True when it lies on the critical path.
    critical: bool,
    /// Where the unit stands in the newest run; null where there is none.
    state: Option<UnitState>,
    /// Classified outcomes of the unit in the newest run; null where there is none.
    attempts: Option<u32>,
}

impl From<TaskEntry> for TaskView {
    fn from(entry: TaskEntry) -> Self {
        let TaskEntry { key, parent, kind, role, task_type, phase, title, priority, wave, critical, unit, state, attempts, .. } = entry;
        Self { id: unit, key, parent, kind, role, task_type, phase, title, priority, wave, critical, state, attempts }
    }
}

/// Which tasks.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TasksQuery {
    /// Only units in that state of the newest run.
    state: Option<UnitState>,
    /// Only of that sort of work.
    r#type: Option<TaskType>,
    /// Only of that wave.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    wave: Option<u32>,
    /// Only of that phase.
    #[param(minimum = 1, maximum = 5)]
    phase: Option<u8>,
    /// `next` of the part before; left out: the first one.
    #[param(max_length = 512, pattern = "^[0-9a-f]+[.][0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Entries at most.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

impl TasksQuery {
    fn filter(&self) -> Result<TaskFilter<'static>, ApiError> {
        let wave = self.wave.map(|wave| i32::try_from(wave).ok().filter(|wave| *wave > 0));
        let phase = self.phase.map(|phase| Some(i32::from(phase)).filter(|phase| (1..=5).contains(phase)));
        if wave == Some(None) || phase == Some(None) {
            return Err(ApiError::BadRequest("waves count from 1, phases from 1 to 5".to_owned()));
        }
        Ok(TaskFilter { state: self.state, task_type: self.r#type.map(type_name), wave: wave.flatten(), phase: phase.flatten() })
    }
}

/// Lists the nodes of the plan of a specification's newest version, with the states of its newest run.
#[utoipa::path(get, path = "/specs/{id}/tasks", tag = "Tasks", operation_id = "listTasks",
    params(("id" = SpecId, Path, description = "The specification."), TasksQuery),
    responses((status = 200, description = "A part of the list.", body = Page<TaskView>,
        links(
            ("task" = (operation_id = "getTask", parameters(("id" = "$response.body#/items/2/id")))),
            ("status" = (operation_id = "getTaskStatus", parameters(("id" = "$response.body#/items/2/id")))),
        ))))]
pub async fn list(State(api): State<Api>, Id(spec): Id<SpecId>, Query(query): Query<TasksQuery>) -> Result<Json<Page<TaskView>>, ApiError> {
    let (limit, filter) = (cursor::limit(query.limit)?, query.filter()?);
    let question = json!(["tasks", spec, query.state, query.r#type, query.wave, query.phase]);
    let after = cursor::position(&api.cursors, &question, query.cursor.as_deref())?;
    let mut tx = api.begin().await?;
    let Some((plan, run)) = tasks::newest_plan(&mut tx, spec).await? else {
        catalogue::spec(&mut tx, spec).await?.ok_or_else(|| ApiError::missing("specification", spec, SPECS_HINT))?;
        return Ok(Json(Page { items: Vec::new(), next: None }));
    };
    let rows = tasks::list(&mut tx, plan, run, filter, after, u32::from(limit) + 1).await?;
    Ok(Json(cursor::page(&api.cursors, &question, limit, rows, |row| row.ordinal.to_string(), TaskView::from)))
}

/// Where a unit stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TaskStatus {
    /// Its id.
    id: UnitId,
    /// Its run.
    run: RunId,
    /// Its specification.
    spec: SpecId,
    /// Its key.
    key: String,
    /// One line.
    title: String,
    /// What sort of work it is.
    #[serde(rename = "type")]
    task_type: TaskType,
    /// The wave, from 1.
    wave: Option<u32>,
    /// Where it stands.
    state: UnitState,
    /// Dependencies that are not done.
    open_dependencies: u32,
    /// Classified outcomes so far.
    attempts: u32,
    /// When the next try is due, after a failed one; null when none is.
    #[serde(with = "time::serde::rfc3339::option")]
    not_before: Option<OffsetDateTime>,
    /// Since when somebody works on it; null when nobody does.
    #[serde(with = "time::serde::rfc3339::option")]
    started_at: Option<OffsetDateTime>,
}

impl From<UnitEntry> for TaskStatus {
    fn from(unit: UnitEntry) -> Self {
        let UnitEntry { id, run, spec, key, title, task_type, wave, state, pending, attempts, not_before, started_at, .. } = unit;
        Self { id, run, spec, key, title, task_type, wave, state, open_dependencies: pending, attempts, not_before, started_at }
    }
}

/// A unit with everything that is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TaskDetail {
    /// Where it stands.
    status: TaskStatus,
    /// What it waits for, or has waited for.
    depends_on: Vec<DependencyView>,
    /// Its history, oldest first; of many entries the newest 20.
    attempts: Vec<AttemptView>,
}

/// A unit, or a gate, that comes first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DependencyView {
    /// The id of the unit; null for a gate, which stands for all units of a container.
    id: Option<UnitId>,
    /// Its key.
    key: String,
    /// Where it stands.
    state: UnitState,
    /// Why it comes first.
    reason: String,
}

impl From<DependencyEntry> for DependencyView {
    fn from(entry: DependencyEntry) -> Self {
        Self { id: (!entry.gate).then_some(entry.id), key: entry.key, state: entry.state, reason: entry.reason }
    }
}

/// One entry of a unit's history.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AttemptView {
    /// `succeeded`, `cached`, `handed_in`, `failed`, `waiting`, `released`, `lost`, `cancelled` or `reopened`.
    outcome: String,
    /// The class of the failure; null when it did not fail.
    error_class: Option<String>,
    /// What went wrong, or why it waits.
    error: String,
    /// Who did it.
    agent: String,
    /// What was checked.
    checks: Vec<CheckResult>,
    /// What was printed; of much the last 16 KiB.
    log: String,
    /// When it was claimed.
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    /// When it was settled.
    #[serde(with = "time::serde::rfc3339")]
    finished_at: OffsetDateTime,
    /// True when its success was taken back.
    withdrawn: bool,
}

impl From<AttemptRow> for AttemptView {
    fn from(row: AttemptRow) -> Self {
        let AttemptRow { outcome, error_class, error, agent, checks, started_at, finished_at, withdrawn, .. } = row;
        Self { outcome, error_class, error, agent, checks, log: end_of(row.log), started_at, finished_at, withdrawn }
    }
}

/// The last bytes of a text, cut where a character begins.
fn end_of(mut text: String) -> String {
    let cut = text.len().saturating_sub(LOG_BYTES_SHOWN);
    let cut = (cut..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.split_off(cut)
}

/// Shows a unit: where it stands, what it waits for, its history with evidence and logs.
#[utoipa::path(get, path = "/tasks/{id}", tag = "Tasks", operation_id = "getTask",
    params(("id" = UnitId, Path, description = "The unit.")),
    responses((status = 200, description = "The unit.", body = TaskDetail)))]
pub async fn show(State(api): State<Api>, Id(id): Id<UnitId>) -> Result<Json<TaskDetail>, ApiError> {
    let mut tx = api.begin().await?;
    let unit = find(&mut tx, id).await?;
    let depends_on = tasks::dependencies(&mut tx, &unit).await?.into_iter().map(DependencyView::from).collect();
    let mut history = attempts::list(&mut tx, unit.run, Some(&unit.key)).await?;
    let older = history.len().saturating_sub(ATTEMPTS_SHOWN);
    let attempts = history.drain(older..).map(AttemptView::from).collect();
    Ok(Json(TaskDetail { status: unit.into(), depends_on, attempts }))
}

/// Shows where a unit stands.
#[utoipa::path(get, path = "/tasks/{id}/status", tag = "Tasks", operation_id = "getTaskStatus",
    params(("id" = UnitId, Path, description = "The unit.")),
    responses((status = 200, description = "Where it stands.", body = TaskStatus)))]
pub async fn status(State(api): State<Api>, Id(id): Id<UnitId>) -> Result<Json<TaskStatus>, ApiError> {
    let mut tx = api.begin().await?;
    Ok(Json(find(&mut tx, id).await?.into()))
}

/// Shows the receipt of what a unit's agent was told: each part with its source and size, and what was left out and why.
#[utoipa::path(get, path = "/tasks/{id}/context", tag = "Tasks", operation_id = "getTaskContext",
    params(("id" = UnitId, Path, description = "The unit.")),
    responses((status = 200, description = "The newest receipt.", body = Receipt),
        (status = 404, description = "There is no such unit, or nothing was told: generators read the specification itself.")))]
pub async fn context(State(api): State<Api>, Id(id): Id<UnitId>) -> Result<Json<Value>, ApiError> {
    let mut tx = api.begin().await?;
    find(&mut tx, id).await?;
    let receipt = receipts::of_unit(&mut tx, id).await?;
    let hint = "generators read the specification itself and are told nothing";
    receipt.map(Json).ok_or_else(|| ApiError::missing("context of unit", id, hint))
}

/// Has a unit done, or done again, in the newest run that has it.
///
/// A unit that waits is tried, a finished one is opened again with everything behind it, and a run that had ended goes on.
#[utoipa::path(post, path = "/tasks/{id}/execute", tag = "Tasks", operation_id = "executeTask",
    params(("id" = UnitId, Path, description = "The unit."), Key),
    responses((status = 202, description = "It will be done.", body = TaskStatus, headers(("Location" = String, description = "Where it stands.")))))]
pub async fn execute(State(api): State<Api>, Id(id): Id<UnitId>, key: IdempotencyKey) -> Result<Response, ApiError> {
    let once = Once::new(key, &format!("POST /tasks/{id}/execute"), &[]);
    let mut tx = match once.begin(&api).await? {
        Begun::New(tx) => tx,
        Begun::Answered(response) => return Ok(response),
    };
    let asked = find(&mut tx, id).await?;
    let newest = tasks::newest_of_unit(&mut tx, &asked).await?.unwrap_or(id);
    let unit = find(&mut tx, newest).await?;
    let wish = Wish::Again { reason: "asked for over HTTP".to_owned() };
    again::unit(&mut tx, &api.app.actor, &unit, &wish).await?;
    let status = TaskStatus::from(find(&mut tx, newest).await?);
    let reply = Reply::json(StatusCode::ACCEPTED, &status)?.at(format!("/api/v1/tasks/{newest}/status"));
    once.end(&api, tx, reply).await
}

/// The unit of that id.
pub(super) async fn find(tx: &mut TenantTx, id: UnitId) -> Result<UnitEntry, ApiError> {
    tasks::unit(tx, id).await?.ok_or_else(|| ApiError::missing("unit", id, TASKS_HINT))
}

impl From<AgainError> for ApiError {
    fn from(error: AgainError) -> Self {
        let (detail, hint) = (error.to_string(), |hint: &str| hint.to_owned());
        match error {
            AgainError::Store(error) => error.into(),
            AgainError::Engine(error) => error.into(),
            AgainError::DependenciesOpen { .. } => {
                Self::Conflict { detail, hint: hint("GET /api/v1/tasks/{id} names them; execute those first") }
            }
            AgainError::FilesMissing { .. } => Self::Conflict { detail, hint: hint("POST /api/v1/tasks/{id}/files hands them in") },
            AgainError::Cancelled { .. } | AgainError::RunOver { .. } => {
                Self::Conflict { detail, hint: hint("POST /api/v1/runs starts a new run, in which unchanged units are reused") }
            }
            AgainError::RunBeyond { .. } => Self::Conflict { detail, hint: hint("wait until the run has ended, or pause it") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_cut_at_its_beginning_and_between_characters() {
        assert_eq!(end_of("short".to_owned()), "short");
        let cut = end_of(format!("é{}", "a".repeat(LOG_BYTES_SHOWN - 1)));
        assert_eq!(cut, "a".repeat(LOG_BYTES_SHOWN - 1));
    }
}
