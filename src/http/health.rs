//! Whether this process lives, and whether it can work.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::reply::Json;
use super::state::Api;

/// How long a store may take to say that it is well.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// That the process answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Live {
    /// `live`.
    #[schema(example = "live")]
    status: &'static str,
    /// The version of this program.
    version: &'static str,
}

/// How each store is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ready {
    /// `ready`, or `degraded`: everything works, something slower.
    #[schema(example = "ready")]
    status: &'static str,
    /// `up` or `down` by store.
    stores: BTreeMap<&'static str, StoreState>,
}

/// How one store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// It answers.
    Up,
    /// It does not; what it does is done without it, or not at all.
    Down,
}

/// Says that the process answers; asks nothing.
#[utoipa::path(get, path = "/health/live", tag = "Operation", operation_id = "live", security(()),
    responses((status = 200, description = "The process answers.", body = Live)))]
pub async fn live() -> Json<Live> {
    Json(Live { status: "live", version: env!("CARGO_PKG_VERSION") })
}

/// Asks every store how it is: 503 when PostgreSQL does not answer; without any other one the work goes on, slower.
#[utoipa::path(get, path = "/health/ready", tag = "Operation", operation_id = "ready", security(()),
    responses(
        (status = 200, description = "Requests can be served; a store other than PostgreSQL may be down.", body = Ready),
    ))]
pub async fn ready(State(api): State<Api>) -> Result<Json<Ready>, ApiError> {
    let postgres = tokio::time::timeout(ASK_TIMEOUT, api.app.postgres.info()).await.is_ok_and(|answer| answer.is_ok());
    if !postgres {
        return Err(ApiError::Unavailable { detail: "postgresql does not answer".to_owned(), retry: ASK_TIMEOUT });
    }
    let vectors = if api.app.vectors_status.hint.is_none() { StoreState::Up } else { StoreState::Down };
    let stores = BTreeMap::from([("postgres", StoreState::Up), ("vectors", vectors)]);
    let status = if stores.values().all(|store| *store == StoreState::Up) { "ready" } else { "degraded" };
    Ok(Json(Ready { status, stores }))
}
