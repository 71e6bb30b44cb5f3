//! The agents: who there is, what for, and what became of their units. They are added at the command line only: a profile names programs
//! that the server runs.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::reply::Json;
use super::state::Api;
use crate::agents::listing::Listing;
use crate::agents::{Roster, profile};
use crate::store::postgres::assignments;

/// Every agent of the registry. A person writes each profile, so that they come in one piece.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Agents {
    /// By name.
    items: Vec<Listing>,
    /// Who builds what no generator builds: a name, `auto`, or null for nobody.
    default: Option<String>,
}

/// Lists the agents.
#[utoipa::path(get, path = "/agents", tag = "Agents", operation_id = "listAgents",
    responses((status = 200, description = "The agents.", body = Agents)))]
pub async fn list(State(api): State<Api>) -> Result<Json<Agents>, ApiError> {
    let default = api.app.config.agents.default.clone();
    Ok(Json(Agents { items: listings(&api).await?, default }))
}

/// Shows an agent: its profile, whether it can be sent, and how its first tries went.
#[utoipa::path(get, path = "/agents/{name}", tag = "Agents", operation_id = "getAgent",
    params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The agent.", body = Listing)))]
pub async fn show(
    State(api): State<Api>,
    name: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Json<Listing>, ApiError> {
    let Path(name) = name.map_err(|rejection| ApiError::BadRequest(rejection.body_text()))?;
    let found = listings(&api).await?.into_iter().find(|listing| listing.profile.name == name);
    let shown: String = name.chars().take(crate::model::profile::AGENT_NAME_CHARS_MAX).collect();
    found.map(Json).ok_or_else(|| ApiError::missing("agent", shown, "GET /api/v1/agents lists the agents"))
}

async fn listings(api: &Api) -> Result<Vec<Listing>, ApiError> {
    let mut tx = api.begin().await?;
    let profiles = profile::registered(&mut tx).await?;
    let standings = assignments::standings(&mut tx).await?;
    tx.commit().await?;
    let config = Arc::clone(&api.app.config);
    // What stands behind a profile is made anew: prompts are read from files, and programs are looked for.
    let listed = tokio::task::spawn_blocking(move || {
        let roster = Roster::new(profiles.clone(), &config.agents, None, config.unit_timeout);
        profiles.iter().map(|profile| Listing::of(profile, &roster, standings.get(&profile.name))).collect()
    });
    listed.await.map_err(|error| ApiError::internal(&error))
}
