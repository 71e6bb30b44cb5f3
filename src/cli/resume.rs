//! `specwave resume RUN`: goes on with a run that was paused, or that ended partial or failed.

use std::process::ExitCode;

use super::{Failure, Global, drive, select};
use crate::app::App;
use crate::model::RunState;

/// Go on with a run.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// The run: its id, the end of one, or the specification's name [default: the newest]
    run: Option<String>,
    /// Print events as JSON lines, the report as the last one
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: ResumeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let app = App::open(std::sync::Arc::new(global.config(Vec::new())?)).await?;
    let code = resume(&app, &args).await;
    app.close().await;
    code
}

async fn resume(app: &App, args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let row = select::run(&app.postgres, app.actor.organization, args.run.as_deref()).await?;
    let engine = app.engine();
    match row.state {
        RunState::Paused | RunState::Partial | RunState::Failed => drop(engine.resume(&app.actor, row.id).await?),
        RunState::Queued | RunState::Running => {}
        state => {
            return Err(Failure::usage(format!("run {} is {}, it cannot go on", row.id, state.as_str()))
                .hint("start a new one with `specwave run`")
                .into());
        }
    }
    Ok(drive::to_end(app, engine, row.id, "resumed", args.json).await?.code)
}
