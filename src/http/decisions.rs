//! What a person decides about a unit of a run: approved, rejected, tried once more, done again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::error::ApiError;
use super::etag::{IfMatch, Seen};
use super::extract::{Id, Query};
use super::idempotency::{Begun, IdempotencyKey, Key, Once};
use super::reply::Reply;
use super::runs::ReasonQuery;
use super::state::Api;
use super::tasks::{TaskStatus, find};
use crate::model::UnitId;
use crate::pipeline::again::{self, Wish};
use crate::store::postgres::settle;

/// Approves a unit that waits for a person and has no files to deliver: what waits for it goes on.
#[utoipa::path(post, path = "/tasks/{id}/approve", tag = "Tasks", operation_id = "approveTask",
    params(("id" = UnitId, Path, description = "The unit."), ReasonQuery, Key, Seen),
    responses(
        (status = 200, description = "It is approved.", body = TaskStatus),
        (status = 412, description = "It has changed since the caller looked."),
    ))]
pub async fn approve(
    State(api): State<Api>,
    Id(id): Id<UnitId>,
    Query(query): Query<ReasonQuery>,
    seen: IfMatch,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let wish = Wish::Approve { note: query.or("approved over HTTP")? };
    decide(&api, id, &wish, "approve", StatusCode::OK, &seen, key).await
}

/// Rejects a unit that waits for a person: it has failed, and what waits for it is blocked.
#[utoipa::path(post, path = "/tasks/{id}/reject", tag = "Tasks", operation_id = "rejectTask",
    params(("id" = UnitId, Path, description = "The unit."), ReasonQuery, Key, Seen),
    responses(
        (status = 200, description = "It is rejected.", body = TaskStatus),
        (status = 412, description = "It has changed since the caller looked."),
    ))]
pub async fn reject(
    State(api): State<Api>,
    Id(id): Id<UnitId>,
    Query(query): Query<ReasonQuery>,
    seen: IfMatch,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let wish = Wish::Reject { reason: query.or("rejected over HTTP")? };
    decide(&api, id, &wish, "reject", StatusCode::OK, &seen, key).await
}

/// Has a unit tried once more: a failed one anew, a waiting one by whoever is configured by now, a retry that is not due yet at once.
#[utoipa::path(post, path = "/tasks/{id}/retry", tag = "Tasks", operation_id = "retryTask",
    params(("id" = UnitId, Path, description = "The unit."), ReasonQuery, Key, Seen),
    responses(
        (status = 202, description = "It is tried again.", body = TaskStatus, headers(("Location" = String, description = "Where it stands."))),
        (status = 412, description = "It has changed since the caller looked."),
    ))]
pub async fn retry(
    State(api): State<Api>,
    Id(id): Id<UnitId>,
    Query(query): Query<ReasonQuery>,
    seen: IfMatch,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let wish = Wish::Retry { reason: query.or("tried again over HTTP")? };
    decide(&api, id, &wish, "retry", StatusCode::ACCEPTED, &seen, key).await
}

/// Has a unit done once more, and everything that depends on it.
#[utoipa::path(post, path = "/tasks/{id}/reopen", tag = "Tasks", operation_id = "reopenTask",
    params(("id" = UnitId, Path, description = "The unit."), ReasonQuery, Key, Seen),
    responses(
        (status = 202, description = "It is done again.", body = TaskStatus, headers(("Location" = String, description = "Where it stands."))),
        (status = 412, description = "It has changed since the caller looked."),
    ))]
pub async fn reopen(
    State(api): State<Api>,
    Id(id): Id<UnitId>,
    Query(query): Query<ReasonQuery>,
    seen: IfMatch,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let wish = Wish::Again { reason: query.or("reopened over HTTP")? };
    decide(&api, id, &wish, "reopen", StatusCode::ACCEPTED, &seen, key).await
}

/// Does it, once, to the unit as the caller has seen it.
async fn decide(
    api: &Api,
    id: UnitId,
    wish: &Wish,
    verb: &str,
    status: StatusCode,
    seen: &IfMatch,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let once = Once::new(key, &format!("POST /tasks/{id}/{verb}"), &[format!("{wish:?}").as_bytes()]);
    let mut tx = match once.begin(api).await? {
        Begun::New(tx) => tx,
        Begun::Answered(response) => return Ok(response),
    };
    let run = find(&mut tx, id).await?.run;
    // Locked first: what the caller has seen is what is changed.
    settle::lock_runs(&mut tx, &[run]).await?;
    let unit = find(&mut tx, id).await?;
    seen.check(&TaskStatus::from(unit.clone()))?;
    again::unit(&mut tx, &api.app.actor, &unit, wish).await?;
    let reply = Reply::json(status, &TaskStatus::from(find(&mut tx, id).await?))?;
    let accepted = status == StatusCode::ACCEPTED;
    let reply = if accepted { reply.at(format!("/api/v1/tasks/{id}/status")) } else { reply };
    once.end(api, tx, reply).await
}
