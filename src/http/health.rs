//! Whether this process lives, and whether it can work.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::reply::Json;
use super::state::Api;
use crate::store::breaker::{Breaker, Position};

/// How long a store may take to say that it is well.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// The one store that nothing works without.
const POSTGRES: &str = "postgres";

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
    stores: Stores,
}

/// `up` or `down` by store.
pub type Stores = BTreeMap<&'static str, StoreState>;

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
        (status = 503, description = "PostgreSQL does not answer; `stores` says how each one is.",
            headers(("Retry-After" = u64, description = "When to ask again, in seconds."))),
    ))]
pub async fn ready(State(api): State<Api>) -> Result<Json<Ready>, ApiError> {
    let found = stores(&api).await;
    let state = |up: bool| if up { StoreState::Up } else { StoreState::Down };
    let stores: Stores = found.into_iter().map(|(store, up)| (store, state(up))).collect();
    if stores.get(POSTGRES) == Some(&StoreState::Down) {
        return Err(ApiError::NotReady { detail: "postgresql does not answer".to_owned(), stores, retry: ASK_TIMEOUT });
    }
    let status = if stores.values().all(|state| *state == StoreState::Up) { "ready" } else { "degraded" };
    Ok(Json(Ready { status, stores }))
}

/// Which stores answer. PostgreSQL is asked; of the others it is known how they answered the work so far.
pub async fn stores(api: &Api) -> [(&'static str, bool); 4] {
    let postgres = tokio::time::timeout(ASK_TIMEOUT, api.app.postgres.info()).await.is_ok_and(|answer| answer.is_ok());
    let answers = |breaker: Option<&Breaker>| breaker.is_none_or(|breaker| breaker.position() == Position::Closed);
    let app = &api.app;
    let vectors = app.vectors_status.hint.is_none() && answers(app.vectors.breaker());
    [(POSTGRES, postgres), ("graph", answers(app.graph.breaker())), ("vectors", vectors), ("cache", answers(app.cache.breaker()))]
}
