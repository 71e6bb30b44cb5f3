//! Lending a hand: units of a run that another process drives. Whoever helps claims, performs and settles like the driver does; the phases
//! are the driver's alone.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{planned, prior, shared, units};
use crate::generate::Prior;
use crate::pipeline::{PipelineError, Run};

/// Works on the run's units until none is open any more, or the run is asked to stop here. Elsewhere than on the driver's machine there is no
/// earlier delivery to carry on from, whatever lies under the same path here; nor is there the run's repository, so that runs that need
/// one are left to the driver's machine.
pub async fn help(run: &Run, same_host: bool) -> Result<(), PipelineError> {
    let Some(planned) = planned::of_run(&run.postgres, run.organization, run.id).await? else { return Ok(()) };
    if !same_host && run.works_on_a_branch() {
        return Ok(());
    }
    let prior = if same_host { prior(run).await? } else { Prior::default() };
    let shared = Arc::new(shared(run, planned, prior).await?);
    // What is asked to stop here stays the driver's: nothing is lost but this hand.
    let span = tracing::info_span!("run", run = %run.id, helping = true);
    let worked = units::work(&shared, &CancellationToken::new()).instrument(span).await;
    run.leave().await;
    worked
}
