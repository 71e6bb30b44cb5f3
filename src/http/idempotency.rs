//! `Idempotency-Key`: a request that is sent again is answered as the first time and does nothing more.
//!
//! The answer is kept in the transaction that does what was asked, so a process that dies in between has either done nothing or
//! answers the same afterwards. Refusals are not kept: they have changed nothing.

use axum::extract::FromRequestParts;
use axum::http::header::HeaderName;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::error::ApiError;
use super::reply::Reply;
use super::state::Api;
use crate::store::postgres::TenantTx;
use crate::store::postgres::idempotency::{self, Answer, Claimed};

const KEY: &str = "idempotency-key";
/// Says that the answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Most characters of a key.
const KEY_CHARS_MAX: usize = 255;

/// The caller's key, when it sent one.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let refused = || ApiError::BadRequest(format!("Idempotency-Key must be 1 to {KEY_CHARS_MAX} visible ASCII characters, once"));
        let mut values = parts.headers.get_all(KEY).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let key = value.to_str().map_err(|_| refused())?;
        let sane = !key.is_empty() && key.len() <= KEY_CHARS_MAX && key.bytes().all(|byte| byte.is_ascii_graphic());
        if sane && values.next().is_none() { Ok(Self(Some(key.to_owned()))) } else { Err(refused()) }
    }
}

/// The header as it is described.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes; `IdempotencyKey` reads")]
pub struct Key {
    /// A key of the caller's own: the same request under the same key is done once and answered alike, for 24 hours.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// A request that may have been done already.
#[derive(Debug)]
pub struct Once {
    key: Option<String>,
    request_hash: String,
}

/// How a request begins.
pub enum Begun {
    /// It is to be done, in this transaction.
    New(TenantTx),
    /// It was done; this was the answer.
    Answered(Response),
}

impl Once {
    /// A request of that operation (method and path), told from others by its parts.
    pub fn new(key: IdempotencyKey, operation: &str, parts: &[&[u8]]) -> Self {
        let digest = std::iter::once(&operation.as_bytes())
            .chain(parts)
            .fold(Sha256::new(), |digest, part| digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part));
        Self { key: key.0, request_hash: hex::encode(digest.finalize()) }
    }

    /// Begins its transaction, or finds the answer that it was given.
    pub async fn begin(&self, api: &Api) -> Result<Begun, ApiError> {
        let mut tx = api.begin().await?;
        let Some(key) = &self.key else { return Ok(Begun::New(tx)) };
        match idempotency::claim(&mut tx, key, &self.request_hash).await {
            Ok(Claimed::New) => Ok(Begun::New(tx)),
            Ok(Claimed::Answered(answer)) => Ok(Begun::Answered(again(answer))),
            Ok(Claimed::Taken) => {
                Err(ApiError::unprocessable("this Idempotency-Key was used for another request", "take a new key for each new request"))
            }
            Err(error) if error.is_transient() && !error.is_unavailable() => {
                Err(ApiError::Busy("the request with this Idempotency-Key is being done at this moment"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the answer, makes everything last, and wakes the workers of this process.
    pub async fn end(self, api: &Api, mut tx: TenantTx, reply: Reply) -> Result<Response, ApiError> {
        if let Some(key) = &self.key {
            let answer = Answer { status: reply.status.as_u16(), location: reply.location.clone(), body: reply.body.clone() };
            idempotency::keep(&mut tx, key, &answer).await?;
        }
        tx.commit().await?;
        api.engine.announce();
        Ok(reply.into_response())
    }
}

fn again(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = Reply { status, location: answer.location, body: answer.body }.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
