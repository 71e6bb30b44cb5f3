//! What commands that act on a run share: the database, the engine, and the run that a person means.

use std::process::ExitCode;

use super::{Failure, Global, select};
use crate::app;
use crate::engine::{Engine, RunRow};
use crate::model::Actor;
use crate::store::postgres::Postgres;

/// What such a command works with.
pub struct Desk {
    /// The facts.
    pub postgres: Postgres,
    /// The engine.
    pub engine: Engine,
    /// On whose behalf it acts.
    pub actor: Actor,
}

/// Does something to the run that `text` means, and leaves the database in order.
pub async fn on_run(global: &Global, text: &str, act: impl AsyncFnOnce(&Desk, RunRow) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let engine = Engine::new(postgres.clone(), app::engine_options(&config.scheduling));
    let desk = Desk { postgres, engine, actor: Actor::local(&config.user) };
    let acted = async {
        let run = select::run(&desk.postgres, desk.actor.organization, Some(text)).await?;
        act(&desk, run).await
    }
    .await;
    desk.postgres.close().await.map_err(|error| Failure::database(&error))?;
    acted.map(|()| ExitCode::SUCCESS)
}
