//! `specwave status [RUN]`: the newest runs, or how one stands.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::output::say;
use super::watch::{self, Watch};
use super::{Failure, Global, ask, output, select};
use crate::app;
use crate::engine::{Engine, EngineOptions, RunSnapshot};
use crate::model::{Actor, Question, RunState, UnitState};
use crate::store::postgres::progress::{self, Told};
use crate::store::postgres::runs::{self, RunRow};
use crate::store::postgres::{Postgres, leases, questions};

/// Runs in the list.
const LISTED: u32 = 20;

/// Show the newest runs, or how one stands.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// The run: its id, the end of one, or the specification's name
    run: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Follow the run, by default the newest one, until it has ended: a view on a terminal, elsewhere a line for each change
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1, requires = "watch", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
}

/// Runs the command.
pub async fn run(args: StatusArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let actor = Actor::local(&config.user);
    if args.watch {
        let engine = Engine::new(postgres.clone(), app::engine_options(&config.scheduling));
        let interval = std::time::Duration::from_secs(args.interval);
        let watch = Watch { postgres: &postgres, engine: &engine, actor: &actor, interval, json: args.json };
        let followed = watch.follow(args.run.as_deref()).await;
        postgres.close().await.map_err(|error| Failure::database(&error))?;
        return followed;
    }
    let shown = match &args.run {
        None => list(&postgres, &actor, args.json).await,
        Some(text) => one(&postgres, &actor, text, args.json).await,
    };
    postgres.close().await.map_err(|error| Failure::database(&error))?;
    shown.map(|()| ExitCode::SUCCESS)
}

async fn list(postgres: &Postgres, actor: &Actor, json: bool) -> anyhow::Result<()> {
    let mut tx = postgres.tenant(actor.organization).await?;
    let rows = runs::newest(&mut tx, None, LISTED).await?;
    if json {
        return output::print_json(&rows.iter().map(document).collect::<Vec<_>>());
    }
    let mut rows = rows;
    for row in rows.iter_mut().filter(|row| row.state == RunState::Running) {
        let lease = leases::find(&mut tx, row.id).await?;
        if lease.is_none_or(|lease| lease.owner.is_none() || lease.expired) {
            "nobody drives it; `specwave resume` goes on".clone_into(&mut row.reason);
        }
    }
    if rows.is_empty() {
        anstream::eprintln!("no run yet; start one with `specwave run SPEC`");
        return Ok(());
    }
    let row = |row: &RunRow| {
        let created = row.created_at.format(&Rfc3339).unwrap_or_default();
        let created = created.split('.').next().unwrap_or_default().to_owned();
        vec![row.id.to_string(), row.slug.clone(), row.state.as_str().to_owned(), created, row.reason.clone()]
    };
    output::print_table(&["run", "specification", "state", "created (UTC)", ""], &rows.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

async fn one(postgres: &Postgres, actor: &Actor, text: &str, json: bool) -> anyhow::Result<()> {
    let row = select::run(postgres, actor.organization, Some(text)).await?;
    let engine = Engine::new(postgres.clone(), EngineOptions::default());
    let snapshot = engine.snapshot(actor.organization, row.id).await?;
    let mut tx = postgres.tenant(actor.organization).await?;
    let open: Vec<Question> = questions::of_run(&mut tx, row.id, None).await?.into_iter().filter(Question::open).collect();
    let told: BTreeMap<String, Told> = progress::of_run(&mut tx, row.id).await?.into_iter().map(|row| (row.key, row.told)).collect();
    tx.commit().await?;
    if json {
        let units: Vec<_> =
            snapshot.units.iter().map(|unit| json!({"key": unit.key, "state": unit.state, "attempts": unit.attempt})).collect();
        return output::print_json(
            &json!({"run": document(&snapshot.run), "driver": snapshot.driver, "stuck": snapshot.stuck, "units": units,
                "progress": watch::told_documents(&told), "questions": open}),
        );
    }
    print(&snapshot, &told, &open);
    Ok(())
}

fn print(snapshot: &RunSnapshot, told: &BTreeMap<String, Told>, open: &[Question]) {
    let run = &snapshot.run;
    say!("{} {} version {}: {}", run.id, run.slug, run.spec_version, run.state.as_str());
    if !run.reason.is_empty() {
        say!("  {}", run.reason);
    }
    match (snapshot.driver, run.state.finished()) {
        (Some(driver), _) => say!("  driven by worker {driver}"),
        (None, false) => say!("  nobody drives it; `specwave resume {}` goes on", run.id),
        (None, true) => {}
    }
    if snapshot.stuck {
        say!("  stuck: no unit was settled for a long time");
    }
    let counts: Vec<String> = snapshot.counts.iter().map(|(state, count)| format!("{count} {}", state.as_str())).collect();
    say!("  units: {}", if counts.is_empty() { "not planned yet".to_owned() } else { counts.join(", ") });
    for unit in snapshot.units.iter().filter(|unit| matches!(unit.state, UnitState::Running | UnitState::Failed | UnitState::Waiting)) {
        let told = told.get(&unit.key).filter(|_| unit.state == UnitState::Running).map(|told| format!(" {}", watch::in_brackets(told)));
        say!("  {:9} {}{}", unit.state.as_str(), unit.key, told.unwrap_or_default());
    }
    for question in open {
        ask::print(question, "  ");
    }
    say!("  output: {}", run.output_dir);
}

fn document(row: &RunRow) -> serde_json::Value {
    json!({
        "id": row.id,
        "specification": row.slug,
        "version": row.spec_version,
        "target": row.target,
        "state": row.state,
        "reason": row.reason,
        "output_dir": row.output_dir,
        "created_at": row.created_at.format(&Rfc3339).ok(),
        "finished_at": row.finished_at.and_then(|at| at.format(&Rfc3339).ok()),
    })
}
