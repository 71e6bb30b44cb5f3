//! What handlers are given: path and query of their own types, bodies within a limit. Whatever does not fit is refused as a problem.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::error::ApiError;

/// Most bytes of a body that is no specification.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Up to so many times of what is allowed is read of a body that is refused for its size.
const DISCARDED_FACTOR: usize = 4;
/// The length of an identifier as text; its other spellings are refused, so that each thing has one address.
const ID_CHARS: usize = 36;

/// The one identifier in a path.
#[derive(Debug, Clone, Copy)]
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: From<Uuid>> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let axum::extract::Path(text) = path.map_err(|rejection| ApiError::BadRequest(rejection.body_text()))?;
        let id = (text.len() == ID_CHARS).then(|| text.parse().ok()).flatten();
        let id: Uuid = id.ok_or_else(|| ApiError::BadRequest("the path holds no identifier in its form of 36 characters".to_owned()))?;
        Ok(Self(T::from(id)))
    }
}

/// The query string.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|rejection| ApiError::BadRequest(rejection.body_text()))
    }
}

/// A JSON body of at most [`BODY_BYTES_MAX`], with its bytes.
#[derive(Debug, Clone)]
pub struct JsonBody<T> {
    /// What it says.
    pub value: T,
    /// As it came.
    pub bytes: Vec<u8>,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if media_type(&request) != "application/json" {
            return Err(ApiError::UnsupportedMediaType("application/json"));
        }
        let bytes = body(request, BODY_BYTES_MAX).await?;
        Ok(Self { value: json(&bytes)?, bytes })
    }
}

/// The media type of the body in lower case, without its parameters; empty when none is stated.
pub fn media_type(request: &Request) -> String {
    let stated = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The body, when it is not larger than that.
pub async fn body(request: Request, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let stated = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if stated.is_some_and(|length| length > bytes_max) {
        discard(request.into_body(), bytes_max.saturating_mul(DISCARDED_FACTOR)).await;
        return Err(ApiError::TooLarge(bytes_max));
    }
    let read = axum::body::to_bytes(request.into_body(), bytes_max).await;
    read.map(Vec::from).map_err(|error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |cause| cause.source());
        let too_large = causes.map(ToString::to_string).any(|cause| cause.contains("length limit exceeded"));
        if too_large { ApiError::TooLarge(bytes_max) } else { ApiError::BadRequest("the body could not be read".to_owned()) }
    })
}

/// Reads on and keeps nothing: most clients look at the answer only after they have sent everything.
async fn discard(body: Body, bytes_max: usize) {
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        bytes += chunk.len();
        if bytes > bytes_max {
            return;
        }
    }
}

/// What the JSON says: 400 when it is no JSON, 422 when it is of another shape.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            ApiError::unprocessable(format!("the body does not fit: {error}"), "/api/openapi.json describes it")
        } else {
            ApiError::BadRequest(format!("the body is no JSON: {error}"))
        }
    })
}
