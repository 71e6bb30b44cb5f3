//! `specwave reset RUN`: takes a run that does not move from whoever works on it.

use std::process::ExitCode;

use super::{Global, acting};

/// Take a run that does not move from whoever works on it.
///
/// Its units are given back, and what their workers settle later changes nothing. A `worker` or `serve` process, or `resume`, takes it up.
#[derive(Debug, clap::Args)]
pub struct ResetArgs {
    /// The run: its id, the end of one, or the specification's name
    run: String,
    /// Why; kept in the audit log
    #[arg(long, default_value = "reset by a person")]
    reason: String,
}

/// Runs the command.
pub async fn run(args: ResetArgs, global: &Global) -> anyhow::Result<ExitCode> {
    acting::on_run(global, &args.run, async |desk, run| {
        let units = desk.engine.reset(&desk.actor, run.id, &args.reason).await?;
        let units = if units == 1 { "1 unit was".to_owned() } else { format!("{units} units were") };
        anstream::eprintln!("reset {} ({units} given back); `specwave resume {}` takes it up here", run.id, run.id);
        Ok(())
    })
    .await
}
