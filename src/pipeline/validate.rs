//! Phase 7: the whole project in the run's own work tree: linters, types, its tests, and a probe of the running service.
//!
//! Reads the artifacts of every settled unit; writes the work tree, the checks and calls, and the validation report.
//! Safe to repeat: the tree is made anew and the service gets a fresh database each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::compliance::{COMPLIANCE_MIN, Compliance, Evidence, Standing};
use super::journal::{self, Done};
use super::service::{self, ServiceCheck};
use super::toolchain::Toolchain;
use super::{PipelineError, Run, junit};
use crate::model::{CheckResult, EventKind, Phase, Plan, SpecDocument, Subject, UnitState, Verdict};

/// What the checks of the whole project found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The tree that was checked.
    pub tree: PathBuf,
    /// The project's own checks.
    pub checks: Vec<CheckResult>,
    /// The probe; none when nothing can be started.
    pub probe: Option<ServiceCheck>,
    /// Every requirement and its evidence.
    pub compliance: Compliance,
    /// Units that nothing could build.
    pub waiting: Vec<String>,
    /// Units that failed or were blocked by one that failed.
    pub unfinished: Vec<String>,
}

impl Validation {
    /// True when the tree may be delivered: no check, no requirement and no unit failed.
    pub fn acceptable(&self) -> bool {
        let checked = self.checks.iter().all(|check| check.verdict == Verdict::Passed);
        checked
            && self.unfinished.is_empty()
            && self.compliance.count(Standing::Failed) == 0
            && self.compliance.score.is_none_or(|score| score >= COMPLIANCE_MIN)
    }

    /// True when nothing waits and every requirement that needs evidence has it.
    pub fn complete(&self) -> bool {
        self.acceptable() && self.waiting.is_empty() && self.compliance.unmet().next().is_none()
    }

    /// The verdict in a phrase.
    pub fn verdict(&self) -> String {
        let failed: Vec<&str> =
            self.checks.iter().filter(|check| check.verdict != Verdict::Passed).map(|check| check.name.as_str()).collect();
        let unproved = self.compliance.unmet().filter(|judgement| judgement.standing == Standing::Unverified).count();
        let parts = [
            (!self.unfinished.is_empty()).then(|| format!("{} not built", counted(self.unfinished.len(), "unit"))),
            (!failed.is_empty()).then(|| format!("failed checks: {}", failed.join(", "))),
            Some(self.compliance.count(Standing::Failed))
                .filter(|count| *count > 0)
                .map(|count| format!("{} failed", counted(count, "requirement"))),
            (!self.waiting.is_empty()).then(|| format!("{} waiting", counted(self.waiting.len(), "unit"))),
            (unproved > 0).then(|| format!("{} without evidence", counted(unproved, "requirement"))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "every requirement has its proof".to_owned() } else { parts.join(", ") }
    }
}

/// Checks the whole project once in this round.
pub async fn phase(run: &Run, document: &SpecDocument, plan: &Plan, round: u32) -> Result<Validation, PipelineError> {
    journal::phase(run, Phase::Validate, round, async {
        let units = run.units().await?;
        let in_state = |wanted: &[UnitState]| {
            units.iter().filter(|unit| wanted.contains(&unit.state)).map(|unit| unit.key.clone()).collect::<Vec<_>>()
        };
        let waiting = in_state(&[UnitState::Waiting]);
        let unfinished = in_state(&[UnitState::Failed, UnitState::Blocked, UnitState::Cancelled]);
        let tree = run.assemble_tree().await?;
        let mut evidence = Vec::new();
        let mut checks = Vec::new();
        let mut service = None;
        if let Some(toolchain) = run.toolchain(document).await? {
            checks = check_project(run, &toolchain, &tree, document, &mut evidence).await?;
            let (probed, seen) = service::check(run, &toolchain, &tree, document, Phase::Validate, round).await?;
            checks.push(probed.check.clone());
            evidence.extend(seen);
            service = Some(probed);
        }
        let compliance = Compliance::judge(&plan.requirements, &evidence);
        let validation = Validation { tree, checks, probe: service, compliance, waiting, unfinished };
        let summary = summary(&validation);
        Ok(Done::new(validation, summary))
    })
    .await
}

async fn check_project(
    run: &Run,
    toolchain: &Toolchain,
    tree: &std::path::Path,
    document: &SpecDocument,
    evidence: &mut Vec<Evidence>,
) -> Result<Vec<CheckResult>, PipelineError> {
    let mut results = Vec::new();
    for check in &toolchain.pack().commands().project_checks {
        let mut result = toolchain.check_project(&check.name, &check.command, tree, &run.stop).await?;
        if let Some(report) = &check.junit {
            let tests = read_tests(&tree.join(report))?;
            result.detail = format!("{}; {}", counts(&tests), result.detail);
            evidence.extend(test_evidence(toolchain, document, &tests)?);
        }
        let kind = EventKind::Check {
            name: result.name.clone(),
            passed: result.verdict == Verdict::Passed,
            duration_ms: result.duration_ms,
            summary: result.detail.lines().next().unwrap_or_default().to_owned(),
        };
        run.events.send(kind).await;
        let source = format!("{}: {}", check.name, check.title);
        evidence.push(Evidence {
            subject: Subject::Project(check.name.clone()),
            source,
            verdict: result.verdict,
            detail: result.detail.clone(),
        });
        results.push(result);
    }
    run.check_stop()?;
    Ok(results)
}

fn read_tests(path: &std::path::Path) -> Result<BTreeMap<String, Verdict>, PipelineError> {
    let what = "the test report".to_owned();
    match std::fs::read_to_string(path) {
        Ok(xml) => junit::read(&xml).map_err(|message| PipelineError::Io { what, source: std::io::Error::other(message) }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(PipelineError::Io { what, source }),
    }
}

fn counts(tests: &BTreeMap<String, Verdict>) -> String {
    let count = |verdict| tests.values().filter(|known| **known == verdict).count();
    format!("{} tests passed, {} failed, {} skipped", count(Verdict::Passed), count(Verdict::Failed), count(Verdict::Skipped))
}

fn test_evidence(
    toolchain: &Toolchain,
    document: &SpecDocument,
    tests: &BTreeMap<String, Verdict>,
) -> Result<Vec<Evidence>, PipelineError> {
    let proof = |proof: crate::generate::Proof| {
        let verdict = *tests.get(&proof.test)?;
        Some(Evidence { subject: proof.subject, source: format!("test {}", proof.test), verdict, detail: "the test failed".to_owned() })
    };
    Ok(toolchain.pack().proofs(document)?.into_iter().filter_map(proof).collect())
}

fn summary(validation: &Validation) -> String {
    let score =
        validation.compliance.score.map_or_else(|| "nothing verified".to_owned(), |score| format!("compliance {:.0} %", score * 100.0));
    let distinct: BTreeSet<&str> = validation.checks.iter().map(|check| check.name.as_str()).collect();
    format!("{score}, coverage {:.0} %, {}", validation.compliance.coverage * 100.0, counted(distinct.len(), "check"))
}

/// `1 unit`, `3 units`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
