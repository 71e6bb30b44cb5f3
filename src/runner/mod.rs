//! Worker loops: drive a run through its phases and perform its units.
//!
//! [`drive`] alternates between the pipeline and the units: the pipeline parks the run while units are open, the units are
//! worked on, and the pipeline goes on. It claims, heartbeats and settles; it holds no rule of any phase.

mod asked;
mod attempt;
mod before;
mod branch;
mod choosing;
mod contexts;
mod enrolling;
mod gathering;
mod helping;
mod in_place;
pub mod inputs;
mod listening;
mod meter;
mod outages;
mod paths;
mod planned;
pub mod preview;
pub mod projection;
pub mod queue;
pub mod slots;
mod standards;
#[cfg(test)]
mod standing_tests;
pub mod sweeps;
mod told;
pub mod unit;
mod units;
mod waves;

use std::sync::Arc;
use std::time::Duration;

pub use helping::help;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::engine::EngineError;
use crate::exec::output;
use crate::generate::Prior;
use crate::model::{EventKind, Phase, RunEvent, RunState};
use crate::pipeline::{self, Parked, PipelineError, Run, Step, planning};
use branch::Branch;
use inputs::Inputs;
use outages::Outages;
use planned::Planned;
use slots::Slot;
use unit::Shared;

/// A lease is renewed so often in its time.
const RENEWALS_PER_LEASE: u32 = 3;
/// How often a run is taken up again after its database went away. Each time the database gets as long to come back as a
/// connection may take to be made.
const OUTAGES_MAX: u32 = 2;
/// The wait before that.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

/// Takes the run to its end, or to a pause when it is asked to stop. Returns the state that it is left in.
pub async fn drive(run: &Run, slot: &Slot) -> Result<RunState, PipelineError> {
    let lost = CancellationToken::new();
    let outages = Arc::new(Outages::watch());
    let renewal = renew(run.clone(), lost.clone(), Arc::clone(&outages));
    let outcome = ride_out(run, slot, &lost).instrument(tracing::info_span!("run", run = %run.id)).await;
    renewal.abort();
    run.leave().await;
    if let Err(error) = outages.note(run).await {
        tracing::warn!(%error, "what the run had to do without could not be written down");
    }
    let state = match outcome {
        Ok(state) => state,
        Err(PipelineError::Stopped) if lost.is_cancelled() => return decided_elsewhere(run).await,
        Err(PipelineError::Engine(EngineError::WrongState { .. })) => return decided_elsewhere(run).await,
        Err(error) if stopped(run, &lost, &error) => leave(run, RunEvent::Pause, "asked to stop; the same command goes on").await?,
        Err(error) if transient(&error) => {
            let reason = format!("{}; the same command goes on", one_line(&error));
            let state = leave(run, RunEvent::Pause, &reason).await?;
            run.events.send(EventKind::RunFinished { state, summary: reason }).await;
            return Err(error);
        }
        Err(error) => {
            let reason = one_line(&error);
            let state = leave(run, RunEvent::Fail, &reason).await?;
            run.events.send(EventKind::RunFinished { state, summary: reason }).await;
            return Err(error);
        }
    };
    Ok(state)
}

/// Takes a run up again whose database was away for a moment: what is journaled is not done twice, and units that could not be
/// settled are given back by the sweep. The managed server does not come back by itself.
async fn ride_out(run: &Run, slot: &Slot, lost: &CancellationToken) -> Result<RunState, PipelineError> {
    for _ in 0..OUTAGES_MAX {
        match advance_to_end(run, slot, lost).await {
            Err(error) if run.config.database_url.is_some() && away(&error) && !run.stop.is_cancelled() => {
                let message = format!("{}; trying again", one_line(&error));
                run.events.send(EventKind::Warning { message }).await;
                tokio::time::sleep(OUTAGE_PAUSE).await;
            }
            other => return other,
        }
    }
    advance_to_end(run, slot, lost).await
}

async fn advance_to_end(run: &Run, slot: &Slot, lost: &CancellationToken) -> Result<RunState, PipelineError> {
    loop {
        match pipeline::advance(run).await? {
            Step::Finished(state) => return Ok(state),
            Step::Parked(parked) => {
                let Parked { document, plan_id, plan } = *parked;
                let prior = prior(run).await?;
                let shared = Arc::new(shared(run, Planned { document, plan_id, plan }, prior).await?);
                slot.leave();
                let span = tracing::info_span!("phase", phase = Phase::Execute.as_str());
                let worked = perform(&shared, lost).instrument(span).await;
                slot.enter().await;
                worked?;
                // Called off, paused or taken over meanwhile: what comes next is not this process's to do.
                if !run.engine.holds(&run.guard).await? {
                    lost.cancel();
                    return Err(PipelineError::Stopped);
                }
            }
        }
    }
}

/// Has the units performed, and looks after the ends of their waves beside that.
async fn perform(shared: &Arc<Shared>, lost: &CancellationToken) -> Result<(), PipelineError> {
    let done = CancellationToken::new();
    let working = async {
        let worked = units::work(shared, lost).await;
        done.cancel();
        worked
    };
    let (worked, watched) = tokio::join!(working, waves::watch(shared, &done));
    worked.and(watched)
}

async fn shared(run: &Run, planned: Planned, prior: Prior) -> Result<Shared, PipelineError> {
    let Planned { document, plan_id, plan } = planned;
    let branch = Branch::open(run).await?.map(Arc::new);
    let start = branch.as_ref().and_then(|branch| branch.users_start());
    let inputs = Inputs::new(&plan, planning::fragments(run, &document)?).starting_at(start.clone());
    let prior = match (&branch, start) {
        // What was delivered before is in the repository, where the user has merged it.
        (Some(branch), Some(_)) => branch.prior(&plan).await?,
        _ => prior,
    };
    let tools = run.toolchain(&document).await?;
    let timed = run.engine.ceilings(run.organization, run.id).await?.values().any(|ceiling| ceiling.time_ms.is_some());
    Ok(Shared {
        run: run.clone(),
        document: Arc::new(document),
        plan_id,
        plan: Arc::new(plan),
        inputs,
        prior: Arc::new(prior),
        tools,
        timed,
        branch,
    })
}

/// The files of the last delivery into the run's output directory.
async fn prior(run: &Run) -> Result<Prior, PipelineError> {
    let Some(out) = run.submission.out.clone() else { return Ok(Prior::default()) };
    let delivered =
        tokio::task::spawn_blocking(move || output::delivered(&out)).await.map_err(|error| PipelineError::Plan(error.to_string()))??;
    let files = delivered.map(|(_, tree)| tree.iter().map(|(path, file)| (path.to_owned(), file.content.clone())).collect());
    Ok(Prior { files: files.unwrap_or_default() })
}

/// Shows that the driver lives, and what it lives without; stops the run when it is another one's.
fn renew(run: Run, lost: CancellationToken, outages: Arc<Outages>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut every = tokio::time::interval(run.config.scheduling.lease / RENEWALS_PER_LEASE);
        loop {
            every.tick().await;
            match run.engine.renew(&run.guard).await {
                Ok(true) => {
                    if let Err(error) = outages.note(&run).await {
                        tracing::warn!(%error, "what the run does without could not be written down; trying again");
                    }
                }
                Ok(false) => {
                    lost.cancel();
                    run.stop.cancel();
                    return;
                }
                Err(error) => tracing::warn!(%error, "the run's lease could not be renewed; trying again"),
            }
        }
    })
}

async fn leave(run: &Run, event: RunEvent, reason: &str) -> Result<RunState, PipelineError> {
    Ok(run.engine.finish(&run.guard, event, &crate::redact::redact(reason)).await?)
}

/// The run is not this process's any more: somebody called it off or paused it, or another process drives it.
async fn decided_elsewhere(run: &Run) -> Result<RunState, PipelineError> {
    match run.engine.snapshot(run.organization, run.id).await?.run.state {
        RunState::Queued | RunState::Running => Err(PipelineError::TakenOver),
        state => Ok(state),
    }
}

/// True when the run ended because it was asked to. What fails in passing while everything is being stopped was stopped too: a
/// supervisor may go before it has reported.
fn stopped(run: &Run, lost: &CancellationToken, error: &PipelineError) -> bool {
    matches!(error, PipelineError::Stopped) || (run.stop.is_cancelled() && !lost.is_cancelled() && transient(error))
}

/// True when the run had better wait than fail: the cause lies outside it and may pass.
fn transient(error: &PipelineError) -> bool {
    match error {
        PipelineError::Store(error) => error.is_transient() || error.is_unavailable(),
        PipelineError::Engine(error) => error.is_transient(),
        PipelineError::Exec(error) => error.is_transient(),
        PipelineError::Environment(error) => error.is_transient(),
        PipelineError::Output(error) => error.is_transient(),
        PipelineError::Workspace(error) => error.is_transient(),
        PipelineError::Repository(error) => error.is_transient(),
        PipelineError::Elsewhere { .. } => true,
        _ => false,
    }
}

/// True when the database is away, and may come back.
fn away(error: &PipelineError) -> bool {
    match error {
        PipelineError::Store(error) | PipelineError::Engine(EngineError::Store(error)) => error.is_transient(),
        _ => false,
    }
}

fn one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// How long a worker waits before it looks again for what other processes changed.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(500);
