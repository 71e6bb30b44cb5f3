//! The worker loop: finds runs that nobody drives and takes each to its end, at most so many at once, and helps with the units of those that
//! others drive.
//!
//! Called by `serve` and `worker`. What it finds are queued runs, running ones whose driver is gone, and units that are ready. It reads the queue anew each time, so a
//! nudge that is lost only costs a moment. It holds no rule of a phase, and it never takes a paused run: somebody resumes that.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::slots::{Slot, Slots};
use super::{POLL_EVERY, drive, help};
use crate::engine::{Drive, Engine, RunGuard};
use crate::model::{Event, OrganizationId, RunEvent, RunId};
use crate::pipeline::{Events, PipelineError, Run};
use crate::store::postgres::StoreError;
use crate::store::postgres::leases::{self, OpenRun};

/// Runs that are looked at beyond those that are driven: another process may be taking some of them at the same moment.
const LOOK_AHEAD: usize = 8;
/// Runs for each slot that may be driven here at once, those whose units are under way included.
const PARKED_PER_SLOT: usize = 4;
/// The fencing token of one who does not drive: none is smaller than 0.
const NOBODY: i64 = -1;

/// Makes a run of the right to drive it. It comes from above this module, which wires what a run needs.
pub type Prepare =
    Arc<dyn Fn(RunGuard, Events, CancellationToken) -> Pin<Box<dyn Future<Output = anyhow::Result<Run>> + Send>> + Send + Sync>;

/// The queue of one process.
#[derive(Clone)]
pub struct Queue {
    engine: Engine,
    runs_max: usize,
    slots: Slots,
    prepare: Prepare,
}

/// Which runs are worked on here, and by which task.
#[derive(Default)]
struct Here {
    tasks: JoinSet<()>,
    runs: Vec<(Id, RunId)>,
}

impl Queue {
    /// A worker that walks so many runs through their phases at once; `prepare` makes a run of the right to drive it.
    pub fn new(engine: Engine, runs_max: usize, prepare: Prepare) -> Self {
        Self { engine, runs_max, slots: Slots::new(runs_max), prepare }
    }

    /// Works until it is asked to stop, then lets every run pause. What the database refuses is tried again at the next look.
    pub async fn work(self, stop: CancellationToken) {
        let worked_on = metrics::gauge!("specwave_runs_driven");
        let (mut driven, mut helped) = (Here::default(), Here::default());
        let mut changes = self.engine.changes();
        let mut reachable = true;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            worked_on.set(f64::from(u32::try_from(driven.runs.len()).unwrap_or(u32::MAX)));
            match self.look(&mut driven, &mut helped, &stop).await {
                Ok(()) => reachable = true,
                Err(error) if reachable => {
                    tracing::warn!(error = %chain(&error), "the queue of runs cannot be read; trying again");
                    reachable = false;
                }
                Err(_) => {}
            }
            tokio::select! {
                Some(ended) = driven.tasks.join_next_with_id() => driven.ended(ended),
                Some(ended) = helped.tasks.join_next_with_id() => helped.ended(ended),
                _ = changes.changed() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
        while let Some(ended) = driven.tasks.join_next_with_id().await {
            driven.ended(ended);
        }
        while let Some(ended) = helped.tasks.join_next_with_id().await {
            helped.ended(ended);
        }
    }

    /// Takes as many runs as there are slots, and helps with as many others.
    async fn look(&self, driven: &mut Here, helped: &mut Here, stop: &CancellationToken) -> Result<(), StoreError> {
        let limit = u32::try_from(self.runs_max + LOOK_AHEAD).unwrap_or(u32::MAX);
        let mut system = self.engine.store().system().await?;
        let waiting = leases::runs_without_driver(&mut system, limit).await?;
        let open = leases::runs_with_open_units(&mut system, self.engine.worker(), self.engine.host(), limit).await?;
        system.commit().await?;
        for (organization, run) in waiting {
            if driven.has(run) || driven.runs.len() >= self.runs_max * PARKED_PER_SLOT {
                continue;
            }
            let Some(slot) = self.slots.try_take() else { break };
            driven.spawn(run, self.clone().drive(organization, run, slot, stop.child_token()));
        }
        for open in open {
            if helped.runs.len() < self.runs_max && !driven.has(open.run) && !helped.has(open.run) {
                helped.spawn(open.run, self.clone().help(open, stop.child_token()));
            }
        }
        Ok(())
    }

    /// Drives one run, unless somebody else was faster.
    async fn drive(self, organization: OrganizationId, run: RunId, slot: Slot, stop: CancellationToken) {
        let guard = match self.engine.drive(organization, run).await {
            Ok(Drive::Taken { guard, .. }) => guard,
            Ok(Drive::Elsewhere { .. } | Drive::Finished { .. }) => return,
            Err(error) => return tracing::warn!(%run, %error, "a run could not be taken; trying again"),
        };
        let (events, received) = Events::channel(run);
        let prepared = match (self.prepare)(guard, events, stop).await {
            Ok(prepared) => prepared,
            Err(error) => return self.refuse(&guard, &error).await,
        };
        let driving = self.to_end(guard, prepared, slot);
        tokio::join!(driving, log(run, received));
    }

    /// Works on the units of a run that somebody else drives.
    async fn help(self, open: OpenRun, stop: CancellationToken) {
        let run = open.run;
        let guard = RunGuard { organization: open.organization, run, token: NOBODY };
        let (events, received) = Events::channel(run);
        let helping = async {
            match (self.prepare)(guard, events, stop).await {
                Ok(prepared) => match help(&prepared, open.same_host).await {
                    Ok(()) | Err(PipelineError::Stopped) => {}
                    Err(error) => tracing::warn!(%run, error = %chain(&error), "the run is helped no more"),
                },
                Err(error) => tracing::warn!(%run, error = format!("{error:#}"), "the run cannot be helped here"),
            }
        };
        tokio::join!(helping, log(run, received));
    }

    /// Drives it in a task of its own, so that a defect of one run ends that run and not this process.
    async fn to_end(&self, guard: RunGuard, prepared: Run, slot: Slot) {
        let mut task = JoinSet::new();
        task.spawn(async move { drive(&prepared, &slot).await });
        match task.join_next().await {
            Some(Ok(Ok(state))) => tracing::info!(run = %guard.run, state = state.as_str(), "the run has ended or stopped"),
            Some(Ok(Err(error))) => tracing::warn!(run = %guard.run, error = %chain(&error), "the run was left"),
            Some(Err(error)) => self.refuse(&guard, &anyhow::anyhow!("its driver ended abnormally: {error}")).await,
            None => {}
        }
    }

    /// Fails a run that cannot be driven here, or it would be taken again without end. Where that cannot be written down, the lease
    /// runs out and the run is found again.
    async fn refuse(&self, guard: &RunGuard, error: &anyhow::Error) {
        let reason = crate::redact::redact(&format!("{error:#}"));
        tracing::error!(run = %guard.run, reason, "a run cannot be driven");
        let unavailable = error.chain().any(|cause| cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_unavailable));
        if unavailable {
            return;
        }
        if let Err(error) = self.engine.finish(guard, RunEvent::Fail, &reason).await {
            tracing::warn!(run = %guard.run, %error, "that could not be written down");
        }
    }
}

impl Here {
    fn has(&self, run: RunId) -> bool {
        self.runs.iter().any(|(_, here)| *here == run)
    }

    fn spawn(&mut self, run: RunId, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.runs.push((task.id(), run));
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.runs.retain(|(task, _)| *task != id);
    }
}

/// What happens in the run, for whoever reads the log; the facts are in the database.
async fn log(run: RunId, mut received: mpsc::Receiver<Event>) {
    while let Some(event) = received.recv().await {
        tracing::debug!(%run, event = ?event.kind, "a run goes on");
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
