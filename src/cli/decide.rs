//! `specwave retry | reopen | approve | reject RUN UNIT`: what a person decides about a unit.

use std::process::ExitCode;

use super::{Failure, Global, acting};
use crate::engine::RunRow;
use crate::model::UnitState;
use crate::pipeline::again::{self, Wish};
use crate::store::postgres::tasks::{self, UnitEntry};

/// Try units once more.
///
/// Failed units start anew, waiting ones are offered to whoever is configured by now, and a retry that is not due yet is due at once.
#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    #[command(flatten)]
    unit: UnitArgs,
    /// Why; kept in the audit log and the unit's history
    #[arg(long, default_value = "tried again by a person")]
    reason: String,
}

/// Do finished units once more, and everything that depends on them.
#[derive(Debug, clap::Args)]
pub struct ReopenArgs {
    #[command(flatten)]
    unit: UnitArgs,
    /// Why; kept in the audit log and the unit's history
    #[arg(long, default_value = "reopened by a person")]
    reason: String,
}

/// Approve a unit that waits for a person: what waits for it goes on.
#[derive(Debug, clap::Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    unit: UnitArgs,
    /// What was looked at; kept in the audit log and the unit's history
    #[arg(long, default_value = "")]
    note: String,
}

/// Reject a unit that waits for a person: it has failed, and what waits for it is blocked.
#[derive(Debug, clap::Args)]
pub struct RejectArgs {
    #[command(flatten)]
    unit: UnitArgs,
    /// Why; kept in the audit log and the unit's history
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct UnitArgs {
    /// The run: its id, the end of one, or the specification's name
    run: String,
    /// The unit's key, as `specwave report` shows it; several for several
    #[arg(required = true, num_args = 1.., value_name = "UNIT")]
    units: Vec<String>,
}

/// Runs `retry`.
pub async fn retry(args: RetryArgs, global: &Global) -> anyhow::Result<ExitCode> {
    decide(&args.unit, &Wish::Retry { reason: args.reason.clone() }, "is tried again", global).await
}

/// Runs `reopen`.
pub async fn reopen(args: ReopenArgs, global: &Global) -> anyhow::Result<ExitCode> {
    decide(&args.unit, &Wish::Again { reason: args.reason.clone() }, "is done again", global).await
}

/// Runs `approve`.
pub async fn approve(args: ApproveArgs, global: &Global) -> anyhow::Result<ExitCode> {
    decide(&args.unit, &Wish::Approve { note: args.note.clone() }, "is approved", global).await
}

/// Runs `reject`.
pub async fn reject(args: RejectArgs, global: &Global) -> anyhow::Result<ExitCode> {
    decide(&args.unit, &Wish::Reject { reason: args.reason.clone() }, "is rejected", global).await
}

/// All of the units or none: one transaction.
async fn decide(args: &UnitArgs, wish: &Wish, done: &str, global: &Global) -> anyhow::Result<ExitCode> {
    acting::on_run(global, &args.run, async |desk, run| {
        let mut tx = desk.postgres.tenant(desk.actor.organization).await?;
        let mut decided: Vec<UnitEntry> = Vec::new();
        for key in &args.units {
            let unit = tasks::unit_of_key(&mut tx, run.id, key).await?.ok_or_else(|| unknown(&run, key))?;
            again::unit(&mut tx, &desk.actor, &unit, wish).await.map_err(|error| Failure::usage(error.to_string()))?;
            decided.push(unit);
        }
        tx.commit().await?;
        for unit in decided {
            anstream::eprintln!("{} {done}", unit.key);
        }
        let snapshot = desk.engine.snapshot(desk.actor.organization, run.id).await?;
        let open = [UnitState::Ready, UnitState::Pending].iter().any(|state| snapshot.counts.contains_key(state));
        if snapshot.driver.is_none() && open {
            anstream::eprintln!("nobody works on the run: `specwave resume {}` goes on with it here", run.id);
        }
        Ok(())
    })
    .await
}

fn unknown(run: &RunRow, key: &str) -> Failure {
    Failure::usage(format!("run {} has no unit {key:?}", run.id)).hint("`specwave report RUN` lists the units")
}
