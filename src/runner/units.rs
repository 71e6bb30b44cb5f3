//! The units of one run, at most so many at once: claim what is ready, perform, settle, until nothing is left to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::RENEWALS_PER_LEASE;
use super::unit::{self, Shared};
use crate::engine::{Claim, Dispatch};
use crate::pipeline::PipelineError;

/// What this process holds, and how to end each.
type Held = Arc<Mutex<BTreeMap<Key, (Claim, CancellationToken)>>>;
/// A unit's place and its token: one that was fenced here may be claimed again before its first try has ended.
type Key = (usize, i64);

/// Works until no unit is open, nothing can be done without somebody's help, or the run is asked to stop.
pub(super) async fn work(shared: &Arc<Shared>, lost: &CancellationToken) -> Result<(), PipelineError> {
    let held: Held = Arc::default();
    let heartbeat = heartbeat(shared, Arc::clone(&held));
    let mut performing = JoinSet::new();
    let outcome = dispatch(shared, &held, &mut performing).await;
    let finished = drain(shared, &held, &mut performing, lost).await;
    heartbeat.abort();
    outcome.and(finished)
}

async fn dispatch(shared: &Arc<Shared>, held: &Held, performing: &mut JoinSet<Result<(), PipelineError>>) -> Result<(), PipelineError> {
    let mut shared = Arc::clone(shared);
    let run = shared.run.clone();
    let order = if run.submission.options.strict_waves { Dispatch::Waves } else { Dispatch::Readiness };
    let claim = |room: usize| {
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        Box::pin(run.engine.claim_next(run.organization, run.id, room, order))
    };
    let mut claiming = None;
    loop {
        run.check_stop()?;
        let room = run.config.concurrency.saturating_sub(performing.len());
        if room > 0 && claiming.is_none() {
            claiming = Some(claim(room));
        }
        tokio::select! {
            claimed = async { claiming.as_mut().expect("there is one").await }, if claiming.is_some() => {
                claiming = None;
                let units = claimed?;
                if units.is_empty() {
                    // Nothing is left to wait for: what was performed here is settled.
                    while let Some(ended) = performing.join_next().await {
                        joined(ended)?;
                    }
                    return Ok(());
                }
                if units.iter().any(|unit| unit.plan != shared.plan_id) {
                    shared = Arc::new(shared.replanned().await?);
                }
                for unit in units {
                    let stop = CancellationToken::new();
                    lock(held).insert(key(&unit.claim), (unit.claim, stop.clone()));
                    let span = tracing::info_span!("unit", unit = unit.key);
                    performing.spawn(perform(Arc::clone(&shared), Arc::clone(held), unit, stop).instrument(span));
                }
            }
            Some(ended) = performing.join_next() => joined(ended)?,
            () = run.stop.cancelled() => {}
        }
    }
}

async fn perform(shared: Arc<Shared>, held: Held, unit: crate::engine::ClaimedUnit, stop: CancellationToken) -> Result<(), PipelineError> {
    let key = key(&unit.claim);
    let result = unit::perform(&shared, unit, &stop).await;
    lock(&held).remove(&key);
    result
}

/// Lets what runs finish within the grace period, then gives it back.
async fn drain(
    shared: &Shared,
    held: &Held,
    performing: &mut JoinSet<Result<(), PipelineError>>,
    lost: &CancellationToken,
) -> Result<(), PipelineError> {
    let grace = if lost.is_cancelled() { Duration::ZERO } else { shared.run.config.grace };
    let all = async {
        while let Some(ended) = performing.join_next().await {
            joined(ended)?;
        }
        Ok(())
    };
    if let Ok(finished) = tokio::time::timeout(grace, all).await {
        return finished;
    }
    for (_, stop) in lock(held).values() {
        stop.cancel();
    }
    while let Some(ended) = performing.join_next().await {
        joined(ended)?;
    }
    Ok(())
}

fn joined(ended: Result<Result<(), PipelineError>, tokio::task::JoinError>) -> Result<(), PipelineError> {
    match ended {
        Ok(Err(PipelineError::Stopped)) => Ok(()),
        Ok(result) => result,
        Err(error) => Err(PipelineError::Plan(format!("a worker task ended abnormally: {error}"))),
    }
}

/// Renews the leases of what this process holds, ends the work on what it lost, and gives back what dead workers held: a unit whose
/// worker could not settle it would be waited for without end.
fn heartbeat(shared: &Arc<Shared>, held: Held) -> JoinHandle<()> {
    let run = shared.run.clone();
    tokio::spawn(async move {
        let mut every = tokio::time::interval(run.config.scheduling.lease / RENEWALS_PER_LEASE);
        loop {
            every.tick().await;
            let claims: Vec<Claim> = lock(&held).values().map(|(claim, _)| *claim).collect();
            match run.engine.heartbeat(run.organization, &claims).await {
                Ok(lost) => {
                    for claim in lost {
                        if let Some((_, stop)) = lock(&held).get(&key(&claim)) {
                            stop.cancel();
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "leases could not be renewed; trying again"),
            }
            if let Err(error) = run.engine.sweep().await {
                tracing::warn!(%error, "the units of dead workers could not be given back; trying again");
            }
        }
    })
}

fn key(claim: &Claim) -> Key {
    (claim.ordinal, claim.token)
}

fn lock(held: &Held) -> std::sync::MutexGuard<'_, BTreeMap<Key, (Claim, CancellationToken)>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
