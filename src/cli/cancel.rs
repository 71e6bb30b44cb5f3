//! `specwave cancel RUN`: calls a run off for good.

use std::process::ExitCode;

use super::{Global, acting};

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
    acting::on_run(global, &args.run, async |desk, run| {
        let running = desk.engine.cancel(&desk.actor, run.id, &args.reason).await?.len();
        let were = if running == 1 { "1 unit was".to_owned() } else { format!("{running} units were") };
        anstream::eprintln!("cancelled {} ({were} running)", run.id);
        Ok(())
    })
    .await
}
