//! The ends of waves, looked after while units are performed: when the last unit of one has been merged, the whole is checked beside those
//! that go on. Holds no place of a unit and no slot of a run.

use tokio_util::sync::CancellationToken;

use super::POLL_EVERY;
use super::unit::Shared;
use crate::pipeline::{PipelineError, waves};

/// Looks until the units are done. A check that has begun is ended, so that what it opens again is open when somebody looks.
pub(super) async fn watch(shared: &Shared, done: &CancellationToken) -> Result<(), PipelineError> {
    let run = &shared.run;
    if !waves::wanted(run) {
        return Ok(());
    }
    let mut changes = run.engine.changes();
    while !done.is_cancelled() {
        changes.mark_unchanged();
        waves::check(run, &shared.document, &shared.plan).await?;
        tokio::select! {
            // Units that are settled one right after the other are looked at together.
            () = async { let _ = changes.changed().await; tokio::time::sleep(POLL_EVERY).await } => {}
            () = done.cancelled() => {}
        }
    }
    Ok(())
}
