//! How much is done at once and for how long: requests beyond the limit are turned away at once instead of queueing without end.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::error::ApiError;

/// Requests that are worked on at once. Each holds at most one connection of the pool, and waits for one at most a few seconds.
const REQUESTS_MAX: usize = 512;
/// How long a request may take until its answer begins, its body's arrival included. Parsing the largest document takes a few seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// When a request that was turned away had better come back.
const RETRY: Duration = Duration::from_secs(1);

/// The places that there are.
#[derive(Debug, Clone)]
pub struct Load(Arc<Semaphore>);

impl Default for Load {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REQUESTS_MAX)))
    }
}

/// Gives the request a place and its time. A stream counts until its first byte; `events` has a limit of its own for the rest.
pub async fn limit(State(load): State<Load>, request: Request, next: Next) -> Response {
    let Ok(_place) = load.0.try_acquire() else {
        return ApiError::Unavailable { detail: "too many requests are being worked on".to_owned(), retry: RETRY }.into_response();
    };
    let answered = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let detail = format!("the request took longer than {} s", REQUEST_TIMEOUT.as_secs());
        ApiError::Unavailable { detail, retry: RETRY }.into_response()
    })
}
