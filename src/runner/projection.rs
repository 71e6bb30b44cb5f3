//! Keeps the projections in step with the facts while a process works: graph and vectors, where a server has them.
//!
//! Called by `run` and `serve`. Several processes may do it at once; each change is taken in by whoever has the turn. What is not
//! taken in before the process ends is the next one's.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::projection::relay::{Step, TargetError};
use crate::store::projection::{Projection, Projections};

/// How often the outbox is looked at when there was nothing new.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The wait after a failure, doubled for each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest of them.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often changes that nobody needs any more are removed.
const PRUNE_EVERY: Duration = Duration::from_mins(10);
/// How long a process that ends brings what it did to the projections.
const LAST_WITHIN: Duration = Duration::from_secs(5);

/// Follows until it is asked to stop, and then a moment longer, so that the end of what was done arrives.
pub async fn keep_in_step(projections: Projections, stop: CancellationToken) {
    let followed = projections.followed();
    if followed.is_empty() {
        return prune_until(&projections, &stop).await;
    }
    let following = followed.iter().map(|projection| follow(&projections, *projection, &stop));
    tokio::join!(futures_util::future::join_all(following), prune_until(&projections, &stop));
}

async fn follow(projections: &Projections, projection: Projection, stop: &CancellationToken) {
    let mut pause = PAUSE;
    let mut well = true;
    loop {
        // A step that is dropped in the middle is taken again: every write of it may be repeated.
        let stepped = tokio::select! {
            stepped = Box::pin(projections.step(projection)) => stepped,
            () = stop.cancelled() => break,
        };
        let wait = match stepped {
            Ok(Step::TookIn { .. } | Step::Rebuilt(_)) => {
                (pause, well) = (PAUSE, told_well(projection, well));
                Duration::ZERO
            }
            Ok(Step::UpToDate | Step::Elsewhere) => {
                (pause, well) = (PAUSE, told_well(projection, well));
                LOOK_EVERY
            }
            Err(error) => {
                well = told_ill(projection, well, &error);
                let wait = pause;
                pause = PAUSE_MAX.min(pause * 2);
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => break,
        }
    }
    if well {
        match Box::pin(projections.catch_up(projection, LAST_WITHIN)).await {
            Ok(true) => {}
            Ok(false) => tracing::info!(projection = projection.name(), "the next process brings the rest"),
            Err(error) => tracing::warn!(projection = projection.name(), %error, "the next process brings the rest"),
        }
    }
}

fn told_well(projection: Projection, well: bool) -> bool {
    if !well {
        tracing::info!(projection = projection.name(), "the projection follows again");
    }
    true
}

fn told_ill(projection: Projection, well: bool, error: &TargetError) -> bool {
    if well {
        tracing::warn!(projection = projection.name(), %error, "the projection does not follow; trying again");
    }
    false
}

async fn prune_until(projections: &Projections, stop: &CancellationToken) {
    let mut next = Instant::now() + PRUNE_EVERY;
    while !stop.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stop.cancelled() => return,
        }
        match projections.prune().await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "old changes are removed"),
            Err(error) => tracing::warn!(%error, "old changes could not be removed; trying again later"),
        }
        next = Instant::now() + PRUNE_EVERY;
    }
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;
