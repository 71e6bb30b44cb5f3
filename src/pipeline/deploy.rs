//! Phase 8: the checked tree into the output directory.
//!
//! Reads the artifacts; writes the output directory through its journal, after the run's token was compared under the
//! directory's lock. Safe to repeat: an interrupted delivery is rolled forward, an equal tree changes nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::{self, Done};
use super::validate::counted;
use super::{PipelineError, Run};
use crate::exec::output::{Conflict, ConflictReason, DeployOptions, Deployed, Edits, Output};
use crate::model::{EventKind, Phase};

/// What was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What was written, removed and kept; none when nothing was built.
    pub deployed: Option<Deployed>,
}

/// Delivers the tree.
pub async fn phase(run: &Run) -> Result<Delivery, PipelineError> {
    journal::phase(run, Phase::Deploy, 1, async {
        let Some(out) = run.submission.out.clone() else {
            return Ok(Done::new(Delivery { deployed: None }, "nothing is put into a directory: the work is on the run's branch"));
        };
        let tree = run.tree().await?;
        if tree.is_empty() {
            return Ok(Done::new(Delivery { deployed: None }, "nothing was built, nothing is delivered"));
        }
        let edits = if run.submission.options.force { Edits::Overwrite } else { Edits::Keep };
        let options = DeployOptions { edits, label: run.id.to_string() };
        let (directory, engine, guard) = (out.clone(), run.engine.clone(), run.guard);
        let runtime = tokio::runtime::Handle::current();
        let deliver = move || {
            let recheck = || match runtime.block_on(engine.holds(&guard)) {
                Ok(true) => Ok(()),
                Ok(false) => Err("another process has taken the run over".into()),
                Err(error) => Err(Box::from(error)),
            };
            Output::open(&directory)?.deploy(&tree, &options, recheck)
        };
        let deployed = tokio::task::spawn_blocking(deliver).await.map_err(|error| PipelineError::Plan(error.to_string()))??;
        for conflict in &deployed.conflicts {
            run.events.send(EventKind::Warning { message: told(conflict) }).await;
        }
        let summary = summary(&out, &deployed);
        Ok(Done::new(Delivery { deployed: Some(deployed) }, summary))
    })
    .await
}

fn told(conflict: &Conflict) -> String {
    match conflict.reason {
        ConflictReason::Foreign => format!("{} is not ours and stays as it is; --force replaces it", conflict.path),
        ConflictReason::Edited => format!("{} was edited and stays as it is; --force replaces it", conflict.path),
        ConflictReason::Blocked => format!("{} is in the way and is never touched; move it and run again", conflict.path),
    }
}

fn summary(out: &Path, deployed: &Deployed) -> String {
    let parts = [
        Some(format!("{} written to {}", counted(deployed.written.len(), "file"), out.display())),
        Some(deployed.removed.len()).filter(|count| *count > 0).map(|count| format!("{count} removed")),
        Some(deployed.conflicts.len()).filter(|count| *count > 0).map(|count| format!("{count} left as they are")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
