//! `specwave resume RUN`: goes on with a run that was paused, or that ended partial or failed.

use std::process::ExitCode;
use std::sync::Arc;

use super::{Failure, Global, drive, select};
use crate::app::App;
use crate::model::{RunId, RunState};
use crate::pipeline::again;

/// Go on with a run.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// The run: its id, the end of one, or the specification's name [default: the newest]
    run: Option<String>,
    /// Who builds what has waited for an agent: an agent's name, or auto [default: the setting agents.default]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Print events as JSON lines, the report as the last one
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: ResumeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let agent = args.agent.clone().map(|name| ("agents.default", toml::Value::String(name)));
    let app = App::open(Arc::new(global.config(agent.into_iter().collect())?)).await?;
    let code = resume(&app, &args).await;
    app.close().await;
    code
}

/// Takes up what has waited for an agent, when one is configured now. True when that set the run going.
async fn wake(app: &App, run: RunId) -> anyhow::Result<bool> {
    if app.config.agents.default.is_none() {
        return Ok(false);
    }
    let mut tx = app.postgres.tenant(app.actor.organization).await?;
    let woken = again::agent_configured(&mut tx, &app.actor, run).await?;
    tx.commit().await?;
    Ok(!woken.is_empty())
}

async fn resume(app: &App, args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let row = select::run(&app.postgres, app.actor.organization, args.run.as_deref()).await?;
    let engine = app.engine();
    match row.state {
        RunState::Paused | RunState::Partial | RunState::Failed => {
            if !wake(app, row.id).await? {
                engine.resume(&app.actor, row.id).await?;
            }
        }
        RunState::Queued | RunState::Running => {}
        state => {
            return Err(Failure::usage(format!("run {} is {}, it cannot go on", row.id, state.as_str()))
                .hint("start a new one with `specwave run`")
                .into());
        }
    }
    Ok(drive::to_end(app, engine, row.id, "resumed", args.json).await?.code)
}
