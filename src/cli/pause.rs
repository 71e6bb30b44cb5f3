//! `specwave pause RUN`: stops a run until it is resumed.

use std::process::ExitCode;

use super::{Global, acting};

/// Stop a run until it is resumed.
#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    /// The run: its id, the end of one, or the specification's name
    run: String,
    /// Why; kept in the audit log
    #[arg(long, default_value = "paused by a person")]
    reason: String,
}

/// Runs the command.
pub async fn run(args: PauseArgs, global: &Global) -> anyhow::Result<ExitCode> {
    acting::on_run(global, &args.run, async |desk, run| {
        desk.engine.pause(&desk.actor, run.id, &args.reason).await?;
        anstream::eprintln!("paused {}; `specwave resume {}` goes on", run.id, run.id);
        Ok(())
    })
    .await
}
