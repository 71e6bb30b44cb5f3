//! `specwave cancel RUN`: calls a run off for good.

use std::process::ExitCode;

use super::{Failure, Global, select};
use crate::app;
use crate::engine::{Engine, EngineOptions};
use crate::model::Actor;

/// Call a run off for good.
#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    /// The run: its id, the end of one, or the specification's name
    run: String,
    /// Why; kept in the audit log
    #[arg(long, default_value = "cancelled by a person")]
    reason: String,
}

/// Runs the command.
pub async fn run(args: CancelArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let actor = Actor::local(&config.user);
    let cancelled = async {
        let row = select::run(&postgres, actor.organization, Some(&args.run)).await?;
        let engine = Engine::new(postgres.clone(), EngineOptions::default());
        let running = engine.cancel(&actor, row.id, &args.reason).await?;
        let running = running.len();
        let were = if running == 1 { "1 unit was".to_owned() } else { format!("{running} units were") };
        anstream::eprintln!("cancelled {} ({were} running)", row.id);
        anyhow::Ok(())
    }
    .await;
    postgres.close().await.map_err(|error| Failure::database(&error))?;
    cancelled.map(|()| ExitCode::SUCCESS)
}
