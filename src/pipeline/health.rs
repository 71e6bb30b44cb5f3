//! Phase 9: the probe again, on the delivered tree, with a fresh database. When it fails, the previous tree comes back.
//!
//! Reads the output directory; writes the calls. Safe to repeat: the service is started anew and always ended.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::deploy::Delivery;
use super::journal::{self, Done};
use super::service::{self, ServiceCheck};
use super::{PipelineError, Run};
use crate::exec::output::{Edits, Output};
use crate::model::{EventKind, Phase, SpecDocument, Verdict};

/// How the delivered service is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// True when every call was answered as documented, or there is nothing to start.
    pub healthy: bool,
    /// The probe; none when there is nothing to start.
    pub probe: Option<ServiceCheck>,
    /// True when the previous tree was brought back.
    pub undone: bool,
}

impl Health {
    /// Why it is not well.
    pub fn verdict(&self) -> String {
        let failures = self.probe.as_ref().map_or(0, |probe| probe.failed);
        let back = if self.undone { "the previous tree is back" } else { "there was no earlier tree to bring back" };
        format!("the delivered service failed {failures} calls of the probe; {back}")
    }
}

/// Probes the delivered tree.
pub async fn phase(run: &Run, document: &SpecDocument, delivery: &Delivery) -> Result<Health, PipelineError> {
    journal::phase(run, Phase::Health, 1, async {
        let toolchain = if delivery.deployed.is_some() { run.toolchain(document).await? } else { None };
        let (Some(toolchain), Some(out)) = (toolchain, &run.submission.out) else {
            let health = Health { healthy: true, probe: None, undone: false };
            return Ok(Done::new(health, "nothing to start"));
        };
        let (probed, _) = service::check(run, &toolchain, out, document, Phase::Health, 1).await?;
        let healthy = probed.check.verdict == Verdict::Passed;
        let undone = if healthy { false } else { undo(run, out, delivery).await? };
        let summary = format!("{} calls on the delivered tree, {} failed", probed.calls, probed.failed);
        Ok(Done::new(Health { healthy, probe: Some(probed), undone }, summary))
    })
    .await
}

async fn undo(run: &Run, out: &Path, delivery: &Delivery) -> Result<bool, PipelineError> {
    if delivery.deployed.as_ref().is_none_or(|deployed| deployed.written.is_empty() && deployed.removed.is_empty()) {
        return Ok(false);
    }
    let out = out.to_owned();
    let undo = move || -> Result<bool, crate::exec::output::OutputError> {
        let mut output = Output::open(&out)?;
        if !output.undoable() {
            return Ok(false);
        }
        output.undo(Edits::Keep)?;
        Ok(true)
    };
    let undone = tokio::task::spawn_blocking(undo).await.map_err(|error| PipelineError::Plan(error.to_string()))??;
    if undone {
        let message = "the delivered service is not well; the previous tree is back".to_owned();
        run.events.send(EventKind::Warning { message }).await;
    }
    Ok(undone)
}
