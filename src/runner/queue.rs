//! The worker loop of a server: finds runs that nobody drives and takes each to its end, at most so many at once.
//!
//! Called by `serve`. What it finds are queued runs, and running ones whose driver is gone. It reads the queue anew each time, so a
//! nudge that is lost only costs a moment. It holds no rule of a phase, and it never takes a paused run: somebody resumes that.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{POLL_EVERY, drive};
use crate::engine::{Drive, Engine, RunGuard};
use crate::model::{Event, OrganizationId, RunEvent, RunId};
use crate::pipeline::{Events, Run};
use crate::store::postgres::{StoreError, leases};

/// Runs that are looked at beyond those that are driven: another process may be taking some of them at the same moment.
const LOOK_AHEAD: usize = 8;

/// Makes a run of the right to drive it. It comes from above this module, which wires what a run needs.
pub type Prepare =
    Arc<dyn Fn(RunGuard, Events, CancellationToken) -> Pin<Box<dyn Future<Output = anyhow::Result<Run>> + Send>> + Send + Sync>;

/// The queue of one process.
#[derive(Clone)]
pub struct Queue {
    /// Whose worker it is.
    pub engine: Engine,
    /// Runs that are driven at once.
    pub runs_max: usize,
    /// How a run is made.
    pub prepare: Prepare,
}

/// Which runs are driven here, and by which task.
#[derive(Default)]
struct Driven {
    tasks: JoinSet<()>,
    runs: Vec<(Id, RunId)>,
}

impl Queue {
    /// Works until it is asked to stop, then lets every run pause. What the database refuses is tried again at the next look.
    pub async fn work(self, stop: CancellationToken) {
        let driven_here = metrics::gauge!("specwave_runs_driven");
        let mut driven = Driven::default();
        let mut changes = self.engine.changes();
        let mut reachable = true;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            driven_here.set(f64::from(u32::try_from(driven.runs.len()).unwrap_or(u32::MAX)));
            match self.take(&mut driven, &stop).await {
                Ok(()) => reachable = true,
                Err(error) if reachable => {
                    tracing::warn!(%error, "the queue of runs cannot be read; trying again");
                    reachable = false;
                }
                Err(_) => {}
            }
            tokio::select! {
                Some(ended) = driven.tasks.join_next_with_id() => driven.ended(ended),
                _ = changes.changed() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
        while let Some(ended) = driven.tasks.join_next_with_id().await {
            driven.ended(ended);
        }
    }

    /// Takes as many runs as there is room for.
    async fn take(&self, driven: &mut Driven, stop: &CancellationToken) -> Result<(), StoreError> {
        if driven.runs.len() >= self.runs_max {
            return Ok(());
        }
        let here: BTreeSet<RunId> = driven.runs.iter().map(|(_, run)| *run).collect();
        let mut system = self.engine.store().system().await?;
        let limit = u32::try_from(self.runs_max + LOOK_AHEAD).unwrap_or(u32::MAX);
        let found = leases::runs_without_driver(&mut system, limit).await?;
        system.commit().await?;
        let room = self.runs_max - driven.runs.len();
        for (organization, run) in found.into_iter().filter(|(_, run)| !here.contains(run)).take(room) {
            let task = driven.tasks.spawn(self.clone().drive(organization, run, stop.child_token()));
            driven.runs.push((task.id(), run));
        }
        Ok(())
    }

    /// Drives one run, unless somebody else was faster.
    async fn drive(self, organization: OrganizationId, run: RunId, stop: CancellationToken) {
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
        let driving = self.to_end(guard, prepared);
        tokio::join!(driving, log(run, received));
    }

    /// Drives it in a task of its own, so that a defect of one run ends that run and not this process.
    async fn to_end(&self, guard: RunGuard, prepared: Run) {
        let mut task = JoinSet::new();
        task.spawn(async move { drive(&prepared).await });
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

impl Driven {
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
