//! What a handler can answer instead of what was asked for: one variant for each status, and the one place where errors of the
//! modules below become statuses.

use std::time::Duration;

use axum::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::health::Stores;
use super::problem::Problem;
use crate::engine::EngineError;
use crate::learning::MemoryError;
use crate::model::Finding;
use crate::pipeline::PipelineError;
use crate::pipeline::intake::Refusal;
use crate::store::postgres::StoreError;

/// When to come back while PostgreSQL is away.
const RETRY_STORE: Duration = Duration::from_secs(2);

/// Why a request was not done.
#[derive(Debug)]
pub enum ApiError {
    /// 400: the request cannot be understood.
    BadRequest(String),
    /// 401: a token is needed, or it is not the right one.
    Unauthorized,
    /// 403: not from there.
    Forbidden {
        /// Why not.
        detail: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// 404: there is no such thing.
    NotFound {
        /// What there is not.
        detail: String,
        /// Where to look.
        hint: &'static str,
    },
    /// 405: the path exists, the method does not; `Allow` names those that do.
    MethodNotAllowed(HeaderValue),
    /// 409: not in this state.
    Conflict {
        /// Why not.
        detail: String,
        /// What to do about it.
        hint: String,
    },
    /// 409 with `Retry-After`: somebody else is doing the same.
    Busy(&'static str),
    /// 412: it changed since the caller looked.
    PreconditionFailed,
    /// 413: the body is larger than that many bytes.
    TooLarge(usize),
    /// 414: the address is longer than that many bytes.
    AddressTooLong(usize),
    /// 415: not in that form; these are.
    UnsupportedMediaType(&'static str),
    /// 422: understood, and cannot be done.
    Unprocessable {
        /// Why not.
        detail: String,
        /// What to do about it.
        hint: Option<String>,
        /// What was noticed about the submitted document.
        findings: Vec<Finding>,
    },
    /// 431: the headers are larger than that many bytes.
    HeadersTooLarge(usize),
    /// 503 with `Retry-After`: not now.
    Unavailable {
        /// Why not.
        detail: String,
        /// When to come back.
        retry: Duration,
    },
    /// 503 with `Retry-After`: a store that nothing works without does not answer.
    NotReady {
        /// Why not.
        detail: String,
        /// How each store is.
        stores: Stores,
        /// When to come back.
        retry: Duration,
    },
    /// 500: a defect. The detail goes to the log, not to the caller.
    Internal(String),
}

impl ApiError {
    /// 404 for a thing of that sort.
    pub fn missing(sort: &str, id: impl std::fmt::Display, hint: &'static str) -> Self {
        Self::NotFound { detail: format!("there is no {sort} {id}"), hint }
    }

    /// 422 without a document.
    pub fn unprocessable(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unprocessable { detail: detail.into(), hint: Some(hint.into()), findings: Vec::new() }
    }

    /// A defect.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        Self::Internal(causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}")))
    }

    fn problem(self) -> Problem {
        match self {
            Self::BadRequest(detail) => Problem::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail),
            Self::Unauthorized => Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", "a valid bearer token is needed")
                .hint("send `Authorization: Bearer TOKEN` with the token of the setting http.token"),
            Self::Forbidden { detail, hint } => Problem::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail).hint(hint),
            Self::NotFound { detail, hint } => Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail).hint(hint),
            Self::MethodNotAllowed(allow) => {
                let detail = format!("this path answers to {}", allow.to_str().unwrap_or_default());
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
            }
            Self::Conflict { detail, hint } => Problem::new(StatusCode::CONFLICT, "conflict", "Conflict", detail).hint(hint),
            Self::Busy(detail) => {
                Problem::new(StatusCode::CONFLICT, "busy", "Busy", detail).hint("send the same request again in a moment")
            }
            Self::PreconditionFailed => {
                let detail = "it has changed since the entity tag in If-Match was read";
                Problem::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "Precondition failed", detail)
                    .hint("read it again and decide anew")
            }
            Self::TooLarge(max) => {
                let detail = format!("the body is larger than {max} bytes");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large", detail)
            }
            Self::AddressTooLong(max) => {
                let detail = format!("the address is longer than {max} bytes");
                Problem::new(StatusCode::URI_TOO_LONG, "address-too-long", "Address too long", detail)
            }
            Self::UnsupportedMediaType(taken) => {
                let detail = format!("the body must be {taken}");
                Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
            }
            Self::Unprocessable { detail, hint, findings } => {
                Problem { hint, findings, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "Unprocessable", detail) }
            }
            Self::HeadersTooLarge(max) => {
                let detail = format!("the headers are larger than {max} bytes");
                Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", "Headers too large", detail)
            }
            Self::Unavailable { detail, .. } => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail)
                .hint("nothing is lost: try again in a moment"),
            Self::NotReady { detail, stores, .. } => {
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail);
                Problem { stores: Some(stores), ..problem.hint("nothing is lost: try again in a moment") }
            }
            Self::Internal(detail) => {
                tracing::error!(detail = crate::redact::redact(&detail), "a request met a defect");
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Internal error",
                    "the server met a defect; its log names this request",
                )
            }
        }
    }
}

impl IntoResponse for ApiError {
    /// The status, what goes with it, and the problem as an extension: `request` renders it, which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = Response::default();
        let headers = response.headers_mut();
        match &self {
            Self::Unauthorized => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"specwave\""))),
            Self::MethodNotAllowed(allow) => drop(headers.insert(ALLOW, allow.clone())),
            Self::Busy(_) => drop(headers.insert(RETRY_AFTER, HeaderValue::from(1))),
            Self::Unavailable { retry, .. } | Self::NotReady { retry, .. } => {
                drop(headers.insert(RETRY_AFTER, HeaderValue::from(retry.as_secs().max(1))));
            }
            _ => {}
        }
        let problem = self.problem();
        *response.status_mut() = StatusCode::from_u16(problem.status).expect("problems are made of statuses");
        response.extensions_mut().insert(problem);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() || error.is_transient() {
            tracing::warn!(%error, "a request met a store that is away or busy");
            return Self::Unavailable { detail: "the database is away or busy".to_owned(), retry: RETRY_STORE };
        }
        Self::internal(&error)
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::NoSuchRun { .. } => Self::NotFound { detail, hint: "GET /api/v1/runs lists the runs" },
            EngineError::WrongState { .. } => Self::Conflict { detail, hint: "GET /api/v1/runs/{id} shows where it stands".to_owned() },
            EngineError::Moved { .. } => Self::Conflict { detail, hint: "GET /api/v1/runs/{id}/plan shows the plan".to_owned() },
            EngineError::NoSuchUnit { .. } => {
                Self::Conflict { detail, hint: "GET /api/v1/tasks/{id}/status shows where the unit stands".to_owned() }
            }
        }
    }
}

impl From<PipelineError> for ApiError {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Store(error) => error.into(),
            PipelineError::Engine(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<MemoryError> for ApiError {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Store(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let hint = refusal.hint().map(str::to_owned);
        Self::Unprocessable { detail: refusal.to_string(), hint, findings: refusal.findings().to_vec() }
    }
}
