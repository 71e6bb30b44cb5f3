//! The commands that were executed for a run.

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use uuid::Uuid;

use super::cursor::{self, Page};
use super::error::ApiError;
use super::extract::{Id, Query};
use super::patterns;
use super::reply::Json;
use super::runs;
use super::state::Api;
use crate::model::RunId;
use crate::pipeline::executed::Executed;
use crate::store::postgres::commands::{self, Wanted};

/// Which commands, and which part of the list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CommandsQuery {
    /// Those of units whose key, or of phases whose name, contains this.
    #[param(max_length = 100)]
    part: Option<String>,
    /// `next` of the part before; left out: the first one.
    #[param(max_length = 512, pattern = "^[0-9a-f]+[.][0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Entries at most.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// Lists the commands that were executed for a run, in the order in which they began: what ran where, within which limits, how it ended.
#[utoipa::path(get, path = "/runs/{id}/commands", tag = "Runs", operation_id = "listCommands",
    params(("id" = RunId, Path, description = "The run."), CommandsQuery),
    responses((status = 200, description = "A part of the list.", body = Page<Executed>)))]
pub async fn list(State(api): State<Api>, Id(id): Id<RunId>, Query(query): Query<CommandsQuery>) -> Result<Json<Page<Executed>>, ApiError> {
    let part = patterns::named(query.part.as_deref())?;
    let (limit, question) = (cursor::limit(query.limit)?, json!(["commands", id, part]));
    let after: Option<Uuid> = cursor::position(&api.cursors, &question, query.cursor.as_deref())?;
    let mut tx = api.begin().await?;
    runs::view(&mut tx, id).await?;
    let wanted = Wanted { part, after, limit: i64::from(limit) + 1 };
    let rows = commands::list(&mut tx, id, wanted).await?;
    Ok(Json(cursor::page(&api.cursors, &question, limit, rows, |row| row.id.to_string(), Executed::from)))
}
