//! Files that a person hands in for a unit.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::{Id, body, json, media_type};
use super::idempotency::{Begun, IdempotencyKey, Key, Once};
use super::reply::Reply;
use super::state::Api;
use super::tasks::{TaskStatus, find};
use crate::model::UnitId;
use crate::pipeline::hand_in::{self, HandIn, HandInError};

/// Most bytes of a body with files: many requests are worked on at once, and each is held in memory. What is larger goes by the command line.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Files for a unit.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"files": [{"path": "src/storage.py", "content": "\"\"\"Storage.\"\"\"\n"}], "note": "by hand"}))]
pub struct HandInRequest {
    /// The unit's files and nothing else.
    #[schema(min_items = 1, max_items = 1000)]
    files: Vec<HandedFile>,
    /// What there is to say about them; at most 2,000 bytes.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: String,
}

/// One of them.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandedFile {
    /// Where it lies below the project's root, its names separated by `/`.
    #[schema(min_length = 1, max_length = 1024)]
    path: String,
    /// What it holds.
    content: String,
    /// How `content` is written.
    #[serde(default)]
    encoding: Encoding,
    /// True when it may be executed.
    #[serde(default)]
    executable: bool,
}

/// How a content is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    /// As it is.
    #[default]
    Text,
    /// As base64, with padding.
    Base64,
}

impl HandedFile {
    fn bytes(self) -> Result<Vec<u8>, ApiError> {
        match self.encoding {
            Encoding::Text => Ok(self.content.into_bytes()),
            Encoding::Base64 => STANDARD.decode(&self.content).map_err(|error| {
                ApiError::unprocessable(format!("the content of {:?} is no base64: {error}", self.path), "write it with padding")
            }),
        }
    }
}

/// Hands in what a person has done of a unit that waits or has failed: its files are checked like any agent's.
///
/// The answer comes before the checks: what does not pass goes back with what they say, as the unit's history shows.
#[utoipa::path(post, path = "/tasks/{id}/files", tag = "Tasks", operation_id = "handInFiles", request_body = HandInRequest,
    params(("id" = UnitId, Path, description = "The unit."), Key),
    responses((status = 202, description = "They are stored, and will be checked.", body = TaskStatus,
        headers(("Location" = String, description = "Where the unit stands.")))))]
pub async fn hand_in(State(api): State<Api>, Id(id): Id<UnitId>, key: IdempotencyKey, request: Request) -> Result<Response, ApiError> {
    if media_type(&request) != "application/json" {
        return Err(ApiError::UnsupportedMediaType("application/json"));
    }
    let bytes = body(request, BODY_BYTES_MAX).await?;
    let HandInRequest { files, note } = json(&bytes)?;
    let once = Once::new(key, &format!("POST /tasks/{id}/files"), &[&bytes]);
    drop(bytes);
    let mut handed = HandIn::default();
    for file in files {
        let (path, executable) = (file.path.clone(), file.executable);
        handed.add(&path, file.bytes()?, executable)?;
    }
    let mut tx = match once.begin(&api).await? {
        Begun::New(tx) => tx,
        Begun::Answered(response) => return Ok(response),
    };
    let unit = find(&mut tx, id).await?;
    hand_in::take(&mut tx, &api.app.actor, &unit, &handed, &note).await?;
    let status = TaskStatus::from(find(&mut tx, id).await?);
    let reply = Reply::json(StatusCode::ACCEPTED, &status)?.at(format!("/api/v1/tasks/{id}/status"));
    once.end(&api, tx, reply).await
}

impl From<HandInError> for ApiError {
    fn from(error: HandInError) -> Self {
        let (detail, hint) = (error.to_string(), error.hint());
        match error {
            HandInError::Store(error) => error.into(),
            HandInError::Again(error) => error.into(),
            HandInError::State { .. } => Self::Conflict { detail, hint: hint.to_owned() },
            HandInError::Path(_) | HandInError::Twice(_) | HandInError::TooMuch | HandInError::Nothing | HandInError::Note(_) => {
                Self::unprocessable(detail, hint)
            }
        }
    }
}
