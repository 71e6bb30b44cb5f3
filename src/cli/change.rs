//! `specwave change RUN FILE`: a newer plan for a run under way.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Failure, Global, acting};
use crate::pipeline::change::{self, PlanChange};

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Change the plan of a run under way: add, remove, order and redo units.
///
/// FILE is JSON: {"add": [{"key", "title", "description", "after": [], "before": [], "priority", "effort", "files": []}], "remove": [KEY, …],
/// "depend": [{"task", "depends_on"}], "redo": [KEY, …]}; every list may be left out. The run moves to the newer plan at once and as a whole:
/// units that nothing changed for keep their state, others are taken from their workers. A change that would make a cycle is refused.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// The run: its id, the end of one, or the specification's name
    run: String,
    /// The change
    file: PathBuf,
    /// Why; kept in the audit log and the units' history
    #[arg(long, default_value = "changed by a person")]
    reason: String,
}

/// Runs the command.
pub async fn run(args: ChangeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let wanted = read(&args)?;
    acting::on_run(global, &args.run, async |desk, run| {
        let mut tx = desk.postgres.tenant(desk.actor.organization).await?;
        let changed = change::change(&desk.engine, &mut tx, &desk.actor, run.id, &wanted, &args.reason).await;
        let (_, replanned) = changed.map_err(|error| Failure::usage(error.to_string()))?;
        tx.commit().await?;
        anstream::eprintln!(
            "the plan of {} is changed: {} added, {} removed, {} taken from their workers, {} to be done again",
            run.id,
            wanted.add.len(),
            wanted.remove.len(),
            replanned.fenced.len(),
            replanned.reopened.len()
        );
        Ok(())
    })
    .await
}

fn read(args: &ChangeArgs) -> Result<PlanChange, Failure> {
    let path = args.file.display();
    let unreadable = |error: std::io::Error| Failure::usage(format!("cannot read {path}: {error}"));
    if std::fs::metadata(&args.file).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{path} is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(&args.file).map_err(unreadable)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{path} is no change of a plan: {error}")).hint("`specwave change --help` shows the form"))
}
