//! How well the whole tree meets the standards, counted once a run, so that it can be followed over time (`specwave skills history`).
//!
//! Called when a run has been validated. It counts and judges nothing: units of agents were refused before, and generated files meet
//! the standards by their templates.

use super::{PipelineError, Run};
use crate::skills::{self, Skill, SkillMetrics, SourceFile};
use crate::store::postgres::skills as results;

/// Counts, and keeps the counts in place of those of an interrupted try.
pub(super) async fn count(run: &Run) -> Result<(), PipelineError> {
    let tree = run.tree().await?;
    let counted = tokio::task::spawn_blocking(move || {
        let all: Vec<&Skill> = skills::registry().all().collect();
        let files = tree.iter().map(|(path, file)| SourceFile { path, content: &file.content });
        SkillMetrics::of(&skills::validate(&all, files)).counts()
    });
    let counts = counted.await.map_err(|error| PipelineError::Plan(format!("the standards could not be counted: {error}")))?;
    let mut tx = run.tx().await?;
    results::record(&mut tx, run.id, &counts).await?;
    tx.commit().await?;
    Ok(())
}
