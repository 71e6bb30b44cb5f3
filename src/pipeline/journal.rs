//! The journal: a phase that is recorded in its round returns its output and is not done again.

use std::future::Future;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{PipelineError, Run};
use crate::model::{EventKind, Phase};

/// What a phase leaves behind: its output for the phases after it, and a phrase for people.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done<T> {
    /// What it found, in a phrase.
    pub summary: String,
    /// Its output.
    pub value: T,
}

impl<T> Done<T> {
    /// An output and what to say of it.
    pub fn new(value: T, summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), value }
    }
}

/// Does a phase once: begins it, does the work, records the output. A stop leaves it begun, so that the next call does it.
pub async fn phase<T, W>(run: &Run, phase: Phase, round: u32, work: W) -> Result<T, PipelineError>
where
    T: Serialize + DeserializeOwned,
    W: Future<Output = Result<Done<T>, PipelineError>>,
{
    run.check_stop()?;
    if let Some(done) = recorded::<T>(run, phase, round).await? {
        if run.not_told_yet(phase, round) {
            let kind = EventKind::PhaseFinished { phase, round, duration_ms: 0, summary: done.summary, recorded: true };
            run.events.send(kind).await;
        }
        return Ok(done.value);
    }
    begin(run, phase, round).await?;
    let span = tracing::info_span!("phase", phase = phase.as_str(), round);
    match work.instrument(span).await {
        Ok(done) => {
            let output = serde_json::to_value(&done).map_err(|source| PipelineError::Journal { phase, source })?;
            run.succeed_phase(phase, round, &output).await?;
            run.not_told_yet(phase, round);
            let kind =
                EventKind::PhaseFinished { phase, round, duration_ms: run.took_ms(phase, round), summary: done.summary, recorded: false };
            run.events.send(kind).await;
            Ok(done.value)
        }
        Err(PipelineError::Stopped) => Err(PipelineError::Stopped),
        Err(error) => {
            run.fail_phase(phase, round, &error.to_string()).await?;
            Err(error)
        }
    }
}

/// Begins a phase, unless this process has begun it already: one that waits for units is begun by one call of the pipeline and ended
/// by a later one, and its time counts from the first.
pub async fn begin(run: &Run, phase: Phase, round: u32) -> Result<(), PipelineError> {
    if run.begins_now(phase, round) {
        run.begin_phase(phase, round).await?;
        run.events.send(EventKind::PhaseStarted { phase, round }).await;
    }
    Ok(())
}

async fn recorded<T: DeserializeOwned>(run: &Run, phase: Phase, round: u32) -> Result<Option<Done<T>>, PipelineError> {
    let Some(output) = run.recorded_phase(phase, round).await? else { return Ok(None) };
    serde_json::from_value(output).map(Some).map_err(|source| PipelineError::Journal { phase, source })
}
