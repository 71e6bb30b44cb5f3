//! Phase 10: what verified outcomes teach, into PostgreSQL and the vectors.
//!
//! Reads the units' files and checks; writes patterns, how well the standards are met, and where patterns stand by now. Safe to repeat: the same
//! outcome is the same pattern, and one verdict moves a standing once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::health::Health;
use super::journal::{self, Done};
use super::validate::{Validation, counted};
use super::{PipelineError, Run, standards};
use crate::learning::trial::Standing;
use crate::learning::{Harvest, UnitResult, campaign};
use crate::model::{CheckResult, Phase, Plan, SpecDocument, Subject, Verdict};
use crate::store::postgres::{StoreError, TenantTx, artifacts, attempts, health};

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
        let units = results(run, plan, validation).await?;
        let (language, framework) = run.pack_for(document).map_or(("", ""), |pack| (pack.language(), pack.framework()));
        standards::count(run).await?;
        let succeeded = validation.complete() && health.healthy;
        let harvest = Harvest { tenant: run.organization, run: run.id, doc: document, plan, language, framework, units: &units, succeeded };
        let stored = run.memory.learn(&harvest.patterns()).await?;
        let mut tx = run.tx().await?;
        let campaign = campaign::judge(&mut tx).await?;
        tx.commit().await?;
        let mut degraded = Vec::new();
        if !run.embedder.neural {
            degraded.push(format!("the lexical embedder {} serves: {}", run.embedder.name, run.embedder.reason));
        }
        let count = stored.new + stored.known;
        let demoted = if campaign.standing == Standing::Demoted { "; they harm, and are shown to nobody" } else { "" };
        let summary = format!("{}, {} new, embedded by {}{demoted}", counted(count, "pattern"), stored.new, run.embedder.name);
        Ok(Done::new(Learned { patterns: count, embedder: run.embedder.name.to_owned(), degraded }, summary))
    })
    .await
}

/// The finished units with their text files and what was checked: by the unit itself, by the calls to its operations, and
/// the whole project's verdict.
async fn results(run: &Run, plan: &Plan, validation: &Validation) -> Result<Vec<UnitResult>, PipelineError> {
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
    let calls = calls(&mut tx, run).await?;
    let result = |(key, files): (String, Vec<(String, String)>)| {
        let own = checks.get(&key).into_iter().flatten();
        let steps = plan.tasks.iter().filter(|step| step.parent.as_deref() == Some(key.as_str()));
        let called = steps.filter_map(|step| calls.get(step.key.strip_prefix("api/")?)).flatten();
        let checks = own.chain(called).chain(&validation.checks).cloned().collect();
        UnitResult { key, files, checks }
    };
    Ok(files.into_iter().map(result).collect())
}

/// What the probe of the last validation found, by operation, each case once.
async fn calls(tx: &mut TenantTx, run: &Run) -> Result<BTreeMap<String, Vec<CheckResult>>, StoreError> {
    let made = health::of_run(tx, run.id).await?;
    let of_validation = || made.iter().filter(|call| call.phase == Phase::Validate.as_str());
    let round = of_validation().map(|call| call.round).max();
    let mut by_operation: BTreeMap<String, BTreeMap<(Verdict, String), CheckResult>> = BTreeMap::new();
    for call in of_validation().filter(|call| Some(call.round) == round) {
        let Some(Subject::Operation(operation)) = &call.check.subject else { continue };
        let case = (call.check.verdict, call.check.name.clone());
        by_operation.entry(operation.clone()).or_default().entry(case).or_insert_with(|| call.check.clone());
    }
    Ok(by_operation.into_iter().map(|(operation, cases)| (operation, cases.into_values().collect())).collect())
}
