//! `specwave logs RUN [UNIT]`: attempts, checks and what they printed; the log of whatever ran.

use std::process::ExitCode;

use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::{Failure, Global, output, select};
use crate::app;
use crate::model::Actor;
use crate::store::postgres::attempts::{self, AttemptRow};

/// Show attempts, checks and what they printed.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// The run: its id, the end of one, or the specification's name [default: the newest]
    run: Option<String>,
    /// Only units whose key contains this
    unit: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: LogsArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let organization = Actor::local(&config.user).organization;
    let read = async {
        let row = select::run(&postgres, organization, args.run.as_deref()).await?;
        let mut tx = postgres.tenant(organization).await?;
        anyhow::Ok(attempts::list(&mut tx, row.id, None).await?)
    }
    .await;
    postgres.close().await.map_err(|error| Failure::database(&error))?;
    let wanted = |attempt: &AttemptRow| args.unit.as_ref().is_none_or(|part| attempt.key.contains(part.as_str()));
    let attempts: Vec<AttemptRow> = read?.into_iter().filter(wanted).collect();
    if args.json {
        output::print_json(&attempts.iter().map(document).collect::<Vec<_>>())?;
    } else {
        attempts.iter().for_each(print);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(attempt: &AttemptRow) {
    let bold = anstyle::Style::new().bold();
    let duration = (attempt.finished_at - attempt.started_at).whole_milliseconds();
    anstream::println!(
        "{bold}{}{bold:#} {} by {} in {duration} ms",
        attempt.key,
        attempt.outcome,
        if attempt.agent.is_empty() { "nobody" } else { &attempt.agent }
    );
    if !attempt.error.is_empty() {
        anstream::println!("  {}", attempt.error.replace('\n', "\n  "));
    }
    for check in &attempt.checks {
        let verdict = format!("{:?}", check.verdict).to_lowercase();
        anstream::println!("  {verdict:7} {} ({} ms)  $ {}", check.name, check.duration_ms, check.command);
        if verdict == "failed" {
            anstream::println!("    {}", check.detail.replace('\n', "\n    "));
        }
    }
    if !attempt.log.is_empty() {
        anstream::println!("  {}", attempt.log.replace('\n', "\n  "));
    }
}

fn document(attempt: &AttemptRow) -> serde_json::Value {
    json!({
        "unit": attempt.key,
        "outcome": attempt.outcome,
        "error_class": attempt.error_class,
        "error": attempt.error,
        "agent": attempt.agent,
        "input_hash": attempt.input_hash,
        "checks": attempt.checks,
        "log": attempt.log,
        "started_at": attempt.started_at.format(&Rfc3339).ok(),
        "finished_at": attempt.finished_at.format(&Rfc3339).ok(),
    })
}
