//! Phase 10: what verified outcomes teach, into PostgreSQL and the vectors.
//!
//! Reads the units' files and checks; writes patterns. Safe to repeat: the same outcome is the same pattern.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::health::Health;
use super::journal::{self, Done};
use super::validate::{Validation, counted};
use super::{PipelineError, Run};
use crate::learning::{Harvest, UnitResult};
use crate::model::{CheckResult, Phase, Plan, SpecDocument};
use crate::store::postgres::{artifacts, attempts};

/// What was learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// Patterns that are stored now, new and known ones.
    pub patterns: usize,
    /// The embedder that made their vectors.
    pub embedder: String,
    /// What went on degraded.
    pub degraded: Vec<String>,
}

/// Learns from the run.
pub async fn phase(
    run: &Run,
    document: &SpecDocument,
    plan: &Plan,
    validation: &Validation,
    health: &Health,
) -> Result<Learned, PipelineError> {
    journal::phase(run, Phase::Learn, 1, async {
        let units = results(run, validation).await?;
        let (language, framework) = run.pack.as_ref().map_or(("", ""), |pack| (pack.language(), pack.framework()));
        let succeeded = validation.complete() && health.healthy;
        let harvest = Harvest { tenant: run.organization, run: run.id, doc: document, plan, language, framework, units: &units, succeeded };
        let stored = run.memory.learn(&harvest.patterns()).await?;
        let mut degraded = Vec::new();
        if !run.embedder.neural {
            degraded.push(format!("the lexical embedder {} serves: {}", run.embedder.name, run.embedder.reason));
        }
        let count = stored.new + stored.known;
        let summary = format!("{}, {} new, embedded by {}", counted(count, "pattern"), stored.new, run.embedder.name);
        Ok(Done::new(Learned { patterns: count, embedder: run.embedder.name.to_owned(), degraded }, summary))
    })
    .await
}

/// The finished units with their text files and what was checked, the whole project's verdict included.
async fn results(run: &Run, validation: &Validation) -> Result<Vec<UnitResult>, PipelineError> {
    let mut tx = run.tx().await?;
    let mut files: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (unit, artifact) in artifacts::of_run(&mut tx, run.id).await? {
        let content = artifacts::blob(&mut tx, &artifact.sha256).await?.unwrap_or_default();
        if let Ok(text) = String::from_utf8(content) {
            files.entry(unit).or_default().push((artifact.path, text));
        }
    }
    let checks: BTreeMap<String, Vec<CheckResult>> =
        attempts::list(&mut tx, run.id, None).await?.into_iter().map(|attempt| (attempt.key, attempt.checks)).collect();
    let result = |(key, files): (String, Vec<(String, String)>)| {
        let own = checks.get(&key).into_iter().flatten();
        let checks = own.chain(&validation.checks).cloned().collect();
        UnitResult { key, files, checks }
    };
    Ok(files.into_iter().map(result).collect())
}
