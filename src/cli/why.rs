//! `specwave why UNIT`: why a unit stands where it stands, what happened to it, and what may follow.

use std::process::ExitCode;

use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::output::say;
use super::{Failure, Global, ask, output, select};
use crate::app;
use crate::ingest;
use crate::model::{Actor, Question, UnitEvent, UnitState};
use crate::pipeline::report;
use crate::store::postgres::assignments::{self, AssignmentRow};
use crate::store::postgres::attempts::{self, AttemptRow};
use crate::store::postgres::tasks::{self, DependencyEntry, UnitEntry};
use crate::store::postgres::{Postgres, questions, units};

/// Show why a unit stands where it stands, and what may follow.
#[derive(Debug, clap::Args)]
pub struct WhyArgs {
    /// The unit's key, as `specwave report` lists it
    unit: String,
    /// The run: its id, the end of one, or the specification's name [default: the newest]
    #[arg(long)]
    run: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

struct Story {
    unit: UnitEntry,
    dependencies: Vec<DependencyEntry>,
    history: Vec<AttemptRow>,
    sent: Vec<AssignmentRow>,
    asked: Vec<Question>,
}

/// Runs the command.
pub async fn run(args: WhyArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let story = read(&postgres, &Actor::local(&config.user), &args).await;
    postgres.close().await.map_err(|error| Failure::database(&error))?;
    let story = story?;
    if args.json {
        output::print_json(&document(&story))?;
    } else {
        print(&story);
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(postgres: &Postgres, actor: &Actor, args: &WhyArgs) -> anyhow::Result<Story> {
    let run = select::run(postgres, actor.organization, args.run.as_deref()).await?;
    let mut tx = postgres.tenant(actor.organization).await?;
    let Some(unit) = tasks::unit_of_key(&mut tx, run.id, &args.unit).await? else {
        let units = units::list(&mut tx, run.id).await?;
        let failure = Failure::usage(format!("run {} has no unit {:?}", run.id, args.unit));
        return Err(match ingest::nearest(&args.unit, units.iter().filter(|unit| !unit.gate).map(|unit| unit.key.as_str())) {
            Some(nearest) => failure.hint(format!("did you mean {nearest}?")),
            None => failure.hint("`specwave report RUN` lists the units"),
        }
        .into());
    };
    let dependencies = tasks::dependencies(&mut tx, &unit).await?;
    let history = attempts::list(&mut tx, run.id, Some(&unit.key)).await?;
    let sent = assignments::list(&mut tx, run.id, Some(&unit.key)).await?;
    let asked = questions::of_run(&mut tx, run.id, Some(&unit.key)).await?;
    tx.commit().await?;
    Ok(Story { unit, dependencies, history, sent, asked })
}

fn print(story: &Story) {
    let Story { unit, dependencies, history, sent, asked } = story;
    let bold = anstyle::Style::new().bold();
    say!("{bold}{}{bold:#} is {}: {}", unit.key, unit.state.as_str(), reason(story));
    for dependency in dependencies {
        let what = if dependency.gate { "all of " } else { "" };
        say!("  after {what}{} ({}): {}", dependency.key, dependency.state.as_str(), dependency.reason);
    }
    for attempt in history {
        let at = attempt.finished_at.format(&Rfc3339).unwrap_or_default();
        let by = if attempt.agent.is_empty() { String::new() } else { format!(" by {}", attempt.agent) };
        let class = attempt.error_class.as_deref().map(|class| format!(" ({class})")).unwrap_or_default();
        let error = attempt.error.lines().next().unwrap_or_default();
        let error = if error.is_empty() { String::new() } else { format!(": {error}") };
        let withdrawn = if attempt.withdrawn { ", withdrawn since" } else { "" };
        say!("  {at} {}{by}{class}{withdrawn}{error}", attempt.outcome);
        for file in report::undeclared(&attempt.checks) {
            say!("    it changed {file}, which no unit declares");
        }
        if let Some(row) = sent.iter().find(|row| row.token == attempt.token) {
            say!("    {} was sent: {}", row.agent, row.reason);
            if !row.arm_reason.is_empty() {
                say!("    similar work: {}", row.arm_reason);
            }
        }
    }
    for question in asked {
        ask::print(question, "  ");
    }
    for (event, state) in following(unit.state) {
        say!("  may become {} ({})", state.as_str(), event.words());
    }
}

/// The one sentence.
fn reason(story: &Story) -> String {
    let Story { unit, dependencies, history, .. } = story;
    let last = history.iter().rev().find(|attempt| !attempt.error.is_empty());
    let last =
        last.map_or_else(|| "nothing was written down".to_owned(), |attempt| attempt.error.lines().next().unwrap_or_default().to_owned());
    let named = |wanted: fn(&DependencyEntry) -> bool| {
        dependencies.iter().filter(|dependency| wanted(dependency)).map(|dependency| dependency.key.as_str()).collect::<Vec<_>>().join(", ")
    };
    match unit.state {
        UnitState::Pending => format!("it waits for {}", named(|dependency| !dependency.state.done())),
        UnitState::Blocked => {
            format!(
                "{} failed, is blocked or was called off",
                named(|dependency| matches!(dependency.state, UnitState::Failed | UnitState::Blocked | UnitState::Cancelled))
            )
        }
        UnitState::Ready => match unit.not_before {
            Some(at) => format!("it is tried again at {}", at.format(&Rfc3339).unwrap_or_default()),
            None => "everything that it waits for is done, and a worker may take it".to_owned(),
        },
        UnitState::Running => "a worker holds it".to_owned(),
        UnitState::Succeeded if history.iter().any(|attempt| attempt.outcome == "handed_in") => {
            "a person approved it or handed it in".to_owned()
        }
        UnitState::Succeeded => "its output passed its checks".to_owned(),
        UnitState::Cached => "an earlier success with the same input was reused".to_owned(),
        UnitState::Failed | UnitState::Waiting | UnitState::Cancelled => last,
    }
}

/// What the chart allows from there.
fn following(state: UnitState) -> impl Iterator<Item = (UnitEvent, UnitState)> {
    UnitEvent::ALL.into_iter().filter_map(move |event| Some((event, state.next(event)?)))
}

fn document(story: &Story) -> serde_json::Value {
    let Story { unit, dependencies, history, sent, asked } = story;
    json!({
        "run": unit.run,
        "unit": unit.key,
        "state": unit.state,
        "reason": reason(story),
        "wave": unit.wave,
        "not_before": unit.not_before.and_then(|at| at.format(&Rfc3339).ok()),
        "dependencies": dependencies.iter().map(|dependency| json!({
            "key": dependency.key, "state": dependency.state, "reason": dependency.reason, "gate": dependency.gate,
        })).collect::<Vec<_>>(),
        "history": history.iter().map(|attempt| json!({
            "outcome": attempt.outcome, "agent": attempt.agent, "error_class": attempt.error_class, "error": attempt.error,
            "undeclared": report::undeclared(&attempt.checks), "token": attempt.token, "worker": attempt.worker, "withdrawn": attempt.withdrawn,
            "started_at": attempt.started_at.format(&Rfc3339).ok(), "finished_at": attempt.finished_at.format(&Rfc3339).ok(),
        })).collect::<Vec<_>>(),
        "sent": sent.iter().map(|row| json!({
            "token": row.token, "agent": row.agent, "reason": row.reason, "choice": row.choice, "arm": row.arm,
            "arm_reason": row.arm_reason,
            "passed": row.ended.as_ref().and_then(|ended| ended.passed),
        })).collect::<Vec<_>>(),
        "questions": asked,
        "may_become": following(unit.state).map(|(event, state)| json!({"state": state, "by": event.words()})).collect::<Vec<_>>(),
    })
}
