//! `specwave logs RUN [UNIT]`: the attempts at units, then the checks of the whole project, with what each printed.

use std::process::ExitCode;

use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::follow::Follow;
use super::output::say;
use super::{Failure, Global, commands_view, output, select};
use crate::app;
use crate::engine::{Engine, EngineOptions};
use crate::model::{Actor, CheckResult, OrganizationId};
use crate::pipeline::executed::Executed;
use crate::pipeline::report;
use crate::store::postgres::attempts::{self, AttemptRow};
use crate::store::postgres::commands::{self, Wanted};
use crate::store::postgres::{Postgres, assignments};

/// Commands that are read at once.
const COMMANDS_AT_ONCE: i64 = 1_000;

/// Show attempts, checks and what they printed.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct LogsArgs {
    /// The run: its id, the end of one, or the specification's name [default: the newest]
    run: Option<String>,
    /// Only units and checks whose name contains this
    unit: Option<String>,
    /// Show what was said to agents and by them, too
    #[arg(long)]
    transcripts: bool,
    /// Show every command that was executed instead: where, within which limits, how it was confined, how it ended
    #[arg(long, conflicts_with = "transcripts")]
    commands: bool,
    /// Print what happens, from the beginning and until the run has ended: a line for each event, what agents tell at work included
    #[arg(long, conflicts_with_all = ["transcripts", "commands"])]
    follow: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: LogsArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let actor = Actor::local(&config.user);
    let organization = actor.organization;
    if args.follow {
        let followed = async {
            let run = select::run(&postgres, organization, args.run.as_deref()).await?.id;
            Follow { postgres: &postgres, actor: &actor, run, unit: args.unit.as_deref(), json: args.json }.to_end().await
        }
        .await;
        postgres.close().await.map_err(|error| Failure::database(&error))?;
        return followed;
    }
    if args.commands {
        let listed = executed(&postgres, organization, &args).await;
        postgres.close().await.map_err(|error| Failure::database(&error))?;
        return listed;
    }
    let read = async {
        let row = select::run(&postgres, organization, args.run.as_deref()).await?;
        let mut tx = postgres.tenant(organization).await?;
        let attempts = attempts::list(&mut tx, row.id, None).await?;
        let said = if args.transcripts {
            assignments::transcripts(&mut tx, row.id, args.unit.as_deref().unwrap_or_default()).await?
        } else {
            Vec::new()
        };
        tx.commit().await?;
        let engine = Engine::new(postgres.clone(), EngineOptions::default());
        let report = report::of_run(&postgres, &engine, organization, row.id).await?;
        anyhow::Ok((attempts, report.checks, said))
    }
    .await;
    postgres.close().await.map_err(|error| Failure::database(&error))?;
    let (mut attempts, mut checks, said) = read?;
    if let Some(part) = &args.unit {
        attempts.retain(|attempt| attempt.key.contains(part.as_str()));
        checks.retain(|check| check.name.contains(part.as_str()));
        if attempts.is_empty() && checks.is_empty() {
            return Err(Failure::usage(format!("no unit or check whose name contains {part:?} was tried in this run"))
                .hint("`specwave report RUN` lists the units")
                .into());
        }
    }
    if args.json {
        let said: Vec<_> = said
            .iter()
            .map(|(unit, token, agent, transcript)| json!({"unit": unit, "token": token, "agent": agent, "transcript": transcript}))
            .collect();
        let documents = json!({"attempts": attempts.iter().map(document).collect::<Vec<_>>(), "checks": checks, "transcripts": said});
        output::print_json(&documents)?;
    } else {
        attempts.iter().for_each(print);
        for (unit, _, agent, transcript) in &said {
            print_transcript(unit, agent, transcript);
        }
        checks.iter().for_each(print_check);
        if attempts.is_empty() && checks.is_empty() {
            anstream::eprintln!("nothing was tried in this run yet");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the commands of the run, part after part.
async fn executed(postgres: &Postgres, organization: OrganizationId, args: &LogsArgs) -> anyhow::Result<ExitCode> {
    let run = select::run(postgres, organization, args.run.as_deref()).await?.id;
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let mut tx = postgres.tenant(organization).await?;
        let rows = commands::list(&mut tx, run, Wanted { part: args.unit.as_deref(), after, limit: COMMANDS_AT_ONCE }).await?;
        tx.commit().await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id);
        let rows = rows.into_iter().map(Executed::from);
        if args.json {
            all.extend(rows);
        } else {
            rows.for_each(|row| commands_view::print(&row));
        }
    }
    match (args.json, after) {
        (true, _) => output::print_json(&json!({ "commands": all }))?,
        (false, None) => anstream::eprintln!("no command was executed for {}", args.unit.as_deref().unwrap_or("this run")),
        (false, Some(_)) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn print(attempt: &AttemptRow) {
    let bold = anstyle::Style::new().bold();
    let duration = (attempt.finished_at - attempt.started_at).whole_milliseconds();
    say!(
        "{bold}{}{bold:#} {} by {} in {duration} ms",
        attempt.key,
        attempt.outcome,
        if attempt.agent.is_empty() { "nobody" } else { &attempt.agent }
    );
    // The log of what ran says the rest of it.
    let error = if attempt.log.is_empty() { attempt.error.as_str() } else { attempt.error.lines().next().unwrap_or_default() };
    if !error.is_empty() {
        say!("  {}", error.replace('\n', "\n  "));
    }
    if !attempt.log.is_empty() {
        say!("  {}", attempt.log.trim_end().replace('\n', "\n  "));
    }
}

fn print_transcript(unit: &str, agent: &str, transcript: &serde_json::Value) {
    let bold = anstyle::Style::new().bold();
    say!("{bold}{unit}{bold:#} what was said to {agent} and by it");
    for entry in transcript["entries"].as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().trim_end().to_owned();
        say!("  {bold}{}{bold:#}\n  {}", text("kind"), text("text").replace('\n', "\n  "));
    }
    match transcript["left_out_bytes"].as_u64() {
        None | Some(0) => {}
        Some(bytes) => say!("  {bytes} bytes are left out"),
    }
}

fn print_check(check: &CheckResult) {
    let bold = anstyle::Style::new().bold();
    let verdict = check.verdict.as_str();
    say!("{bold}{}{bold:#} {verdict} in {} ms\n  $ {}", check.name, check.duration_ms, check.command);
    if !check.detail.is_empty() {
        say!("  {}", check.detail.trim_end().replace('\n', "\n  "));
    }
}

fn document(attempt: &AttemptRow) -> serde_json::Value {
    json!({
        "unit": attempt.key,
        "outcome": attempt.outcome,
        "error_class": attempt.error_class,
        "error": attempt.error,
        "agent": attempt.agent,
        "worker": attempt.worker.map(|worker| worker.to_string()),
        "input_hash": attempt.input_hash,
        "checks": attempt.checks,
        "log": attempt.log,
        "started_at": attempt.started_at.format(&Rfc3339).ok(),
        "finished_at": attempt.finished_at.format(&Rfc3339).ok(),
    })
}
