//! Driving a run from a terminal, for `run` and `resume`: progress, Ctrl-C, following a run that lives elsewhere, the ending.

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::failure::{CANCELLED, UNFINISHED, chain};
use super::progress::Progress;
use super::signals::stop_on_signals;
use super::{Failure, findings, output, report_view};
use crate::app::App;
use crate::engine::{Drive, Engine, EngineError, RunGuard};
use crate::model::{Event, EventKind, RunId, RunState, UnitState};
use crate::pipeline::{Events, PipelineError, report};
use crate::runner::slots::Slot;
use crate::runner::{self, projection};
use crate::store::postgres::StoreError;

/// How often a run that lives elsewhere is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// How a command ended.
pub struct Ending {
    /// The exit code.
    pub code: ExitCode,
}

/// Drives the run to its end, or follows who does, and prints what came of it.
pub async fn to_end(app: &App, engine: Engine, run: RunId, how: &str, json: bool) -> anyhow::Result<Ending> {
    let mut progress = Progress::new(json);
    progress.show(&event(run, EventKind::RunStarted { how: how.to_owned() }));
    let stop = stop_on_signals();
    let state = loop {
        match engine.drive(app.actor.organization, run).await? {
            Drive::Taken { guard, lost } => {
                if lost > 0 {
                    let message = format!("{lost} units of a worker that died are taken over");
                    progress.show(&event(run, EventKind::Warning { message }));
                }
                break drive(app, &engine, guard, &mut progress, &stop).await?;
            }
            Drive::Elsewhere { .. } => {
                if stop.is_cancelled() {
                    break RunState::Running;
                }
                follow(app, &engine, run, &mut progress, &stop).await?;
            }
            Drive::Finished { state } => break state,
        }
    };
    let report = report::of_run(&app.postgres, &engine, app.actor.organization, run).await?;
    let compliance = report::compliance(&report);
    progress.show(&event(run, EventKind::RunFinished { state, summary: report.summary.clone() }));
    if json {
        output::print_json_line(&report)?;
    } else {
        report_view::print_ending(&report, compliance.as_ref());
    }
    Ok(Ending { code: code(state) })
}

async fn drive(app: &App, engine: &Engine, guard: RunGuard, progress: &mut Progress, stop: &CancellationToken) -> anyhow::Result<RunState> {
    let (events, mut received) = Events::channel(guard.run);
    let following = CancellationToken::new();
    let followed = tokio::spawn(projection::keep_in_step(app.projections(), following.clone()));
    let _stop_following = following.clone().drop_guard();
    let run = app.run(engine.clone(), guard, events, stop.clone()).await?;
    let slot = Slot::only();
    let driving = runner::drive(&run, &slot);
    tokio::pin!(driving);
    let outcome = loop {
        tokio::select! {
            outcome = &mut driving => break outcome,
            Some(event) = received.recv() => progress.show(&event),
        }
    };
    while let Ok(event) = received.try_recv() {
        progress.show(&event);
    }
    following.cancel();
    if let Err(error) = followed.await {
        tracing::warn!(%error, "the projections were left before the run's end arrived there");
    }
    outcome.map_err(|error| failure(app, &error))
}

/// Shows what another process does until it has ended or its lease has.
async fn follow(app: &App, engine: &Engine, run: RunId, progress: &mut Progress, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut known = std::collections::BTreeMap::new();
    loop {
        let snapshot = engine.snapshot(app.actor.organization, run).await?;
        if !snapshot.units.is_empty() && known.is_empty() {
            progress.show(&event(run, EventKind::UnitsPlanned { units: snapshot.units.len(), waves: 0 }));
        }
        for unit in &snapshot.units {
            if known.insert(unit.key.clone(), unit.state) != Some(unit.state) && unit.state != UnitState::Pending {
                let kind = EventKind::Unit { key: unit.key.clone(), state: unit.state, agent: None, duration_ms: None, reason: None };
                progress.show(&event(run, kind));
            }
        }
        if snapshot.run.state.finished() || snapshot.driver.is_none() || stop.is_cancelled() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(FOLLOW_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn event(run: RunId, kind: EventKind) -> Event {
    Event { schema_version: crate::model::event::EVENT_SCHEMA_VERSION, run, kind }
}

/// The exit code of a run that stands so.
pub(super) fn code(state: RunState) -> ExitCode {
    match state {
        RunState::Succeeded => ExitCode::SUCCESS,
        RunState::Partial | RunState::Failed | RunState::Superseded => ExitCode::from(UNFINISHED),
        RunState::Queued | RunState::Running | RunState::Paused | RunState::Cancelled => ExitCode::from(CANCELLED),
    }
}

/// What ended the driving, with its exit code and hint.
fn failure(app: &App, error: &PipelineError) -> anyhow::Error {
    match error {
        PipelineError::Store(store) | PipelineError::Engine(EngineError::Store(store)) if store.is_unavailable() => lost(app, store).into(),
        PipelineError::Store(store) | PipelineError::Engine(EngineError::Store(store)) => Failure::database(store).into(),
        PipelineError::Specification(found) => {
            anstream::eprint!("{}", findings::render(found, "specification"));
            Failure::usage(error.to_string()).into()
        }
        error => match error.hint() {
            Some(hint) => Failure::unfinished(chain(error)).hint(hint).into(),
            None => Failure::unfinished(chain(error)).into(),
        },
    }
}

/// The database went away in the middle: what is settled is in it, and the same command takes up the rest.
fn lost(app: &App, error: &StoreError) -> Failure {
    let hint = if app.config.database_url.is_some() {
        "nothing settled is lost: when the server is back, the same command goes on"
    } else {
        "nothing settled is lost: the same command starts the managed server again and goes on"
    };
    Failure::database(error).hint(hint)
}
