//! Phase 7: the whole project in the run's own work tree: linters, types, its tests, and a probe of the running service.
//!
//! Reads the artifacts of every settled unit; writes the work tree, the checks and calls, and the validation report.
//! Safe to repeat: the tree is made anew and the service gets a fresh database each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::compliance::{COMPLIANCE_MIN, Compliance, Evidence, EvidenceKind, Standing};
use super::journal::{self, Done};
use super::junit::Tests;
use super::service::{self, ServiceCheck};
use super::toolchain::Toolchain;
use super::{PipelineError, Run, junit, waves};
use crate::exec::sandbox;
use crate::generate::ProjectCheck;
use crate::model::spec::TechChoice;
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
    /// That commands were let run with a weaker sandbox than they need, and what there was.
    #[serde(default)]
    pub weaker_sandbox: Option<String>,
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
        if !parts.is_empty() {
            return parts.join(", ");
        }
        match self.compliance.count(Standing::Unverified) {
            0 => "every requirement has its proof".to_owned(),
            count => format!("every requirement that needs a proof has one; {count} of other kinds {} unverified", are(count)),
        }
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
        let (mut checks, service, evidence) = match run.toolchain(document).await? {
            Some(toolchain) => check_everything(run, &toolchain, &tree, document, round).await?,
            None => (Vec::new(), None, Vec::new()),
        };
        checks.extend(waves::last(run).await?);
        let compliance = Compliance::judge(&plan.requirements, &evidence);
        let weaker_sandbox = weaker_sandbox(run).await?;
        let validation = Validation { tree, checks, probe: service, compliance, waiting, unfinished, weaker_sandbox };
        let summary = summary(&validation);
        Ok(Done::new(validation, summary))
    })
    .await
}

/// What is recorded where somebody takes a weaker sandbox than commands need. Which level each command got is in its log.
async fn weaker_sandbox(run: &Run) -> Result<Option<String>, PipelineError> {
    if run.config.sandbox_required {
        return Ok(None);
    }
    let offer = tokio::task::spawn_blocking(|| sandbox::offered().tier).await;
    let offer = offer.map_err(|error| PipelineError::Plan(error.to_string()))?;
    let message = format!("commands were let run with a weaker sandbox than they need (--no-sandbox); this machine offers {offer}");
    run.events.send(EventKind::Warning { message: message.clone() }).await;
    Ok(Some(message))
}

/// The project's own checks and the probe of the running service, beside each other, at most as many as units at once.
async fn check_everything(
    run: &Run,
    toolchain: &Toolchain,
    tree: &Path,
    document: &SpecDocument,
    round: u32,
) -> Result<(Vec<CheckResult>, Option<ServiceCheck>, Vec<Evidence>), PipelineError> {
    let places = Arc::new(Semaphore::new(run.config.concurrency));
    let mut checking = JoinSet::new();
    for (ordinal, check) in toolchain.pack().commands().project_checks.iter().cloned().enumerate() {
        let (run, toolchain, tree, places) = (run.clone(), toolchain.clone(), tree.to_owned(), Arc::clone(&places));
        checking.spawn(async move {
            let _place = places.acquire().await;
            check_project(&run, &toolchain, &tree, &check).await.map(|(result, tests)| (ordinal, check, result, tests.by_name))
        });
    }
    let (probed, mut evidence) = {
        let _place = places.acquire().await;
        service::check(run, toolchain, tree, document, Phase::Validate, round).await?
    };
    let mut found = Vec::new();
    while let Some(ended) = checking.join_next().await {
        found.push(ended.map_err(|error| PipelineError::Plan(format!("a check ended abnormally: {error}")))??);
    }
    found.sort_by_key(|(ordinal, ..)| *ordinal);
    let mut checks = Vec::new();
    for (_, check, result, tests) in found {
        evidence.extend(test_evidence(toolchain, document, &tests)?);
        let (subject, kind) = (Subject::Project(check.name), EvidenceKind::Check);
        evidence.push(Evidence { subject, kind, source: check.title, verdict: result.verdict, detail: result.detail.clone() });
        checks.push(result);
    }
    if checks.iter().all(|check| check.verdict == Verdict::Passed) {
        evidence.extend(stack_evidence(toolchain, document));
    }
    checks.push(probed.check.clone());
    run.check_stop()?;
    Ok((checks, Some(probed), evidence))
}

/// One check of the whole project, told when it ends; with it the verdicts of the single tests.
async fn check_project(run: &Run, toolchain: &Toolchain, tree: &Path, check: &ProjectCheck) -> Result<(CheckResult, Tests), PipelineError> {
    let mut result = toolchain.check_project(check, tree, &run.commands.of_phase(Phase::Validate), &run.stop).await?;
    // What was called off has found nothing.
    run.check_stop()?;
    let mut tests = Tests::default();
    if let Some(report) = &check.junit {
        tests = read_tests(&tree.join(report))?;
        let covered = check.coverage.as_ref().and_then(|report| line_coverage(&tree.join(report)));
        let covered = covered.map(|percent| format!(", {percent:.1} % of the lines covered")).unwrap_or_default();
        result.detail = format!("{}{covered}; {}", counts(&tests), result.detail);
    }
    let kind = EventKind::Check {
        name: result.name.clone(),
        passed: result.verdict == Verdict::Passed,
        duration_ms: result.duration_ms,
        summary: result.detail.lines().next().unwrap_or_default().to_owned(),
    };
    run.events.send(kind).await;
    Ok((result, tests))
}

/// Choices of the tech stack that the pack itself makes true: its own name, its language, its framework.
fn stack_evidence(toolchain: &Toolchain, document: &SpecDocument) -> Vec<Evidence> {
    let pack = toolchain.pack();
    let made_with = |topic: &str| match topic.to_lowercase().as_str() {
        "target" => Some(pack.name()),
        "language" => Some(pack.language()),
        "framework" => Some(pack.framework()),
        _ => None,
    };
    let proof = |choice: &TechChoice| {
        let made_with = made_with(&choice.topic).filter(|name| name.eq_ignore_ascii_case(choice.choice.trim()))?;
        Some(Evidence {
            subject: Subject::Project(format!("tech-stack/{}", choice.topic)),
            kind: EvidenceKind::Check,
            source: format!("built by the target pack {} {} with {made_with}", pack.name(), pack.version()),
            verdict: Verdict::Passed,
            detail: String::new(),
        })
    };
    document.tech_stack.iter().filter_map(proof).collect()
}

/// The line coverage in a coverage.py report, in per cent.
fn line_coverage(path: &Path) -> Option<f64> {
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    report.get("totals")?.get("percent_covered")?.as_f64()
}

fn read_tests(path: &Path) -> Result<Tests, PipelineError> {
    let what = "the test report".to_owned();
    match std::fs::read_to_string(path) {
        Ok(xml) => junit::read(&xml).map_err(|message| PipelineError::Io { what, source: std::io::Error::other(message) }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Tests::default()),
        Err(source) => Err(PipelineError::Io { what, source }),
    }
}

/// The cases, as the tool's own last line counts them, and of how many tests they are.
fn counts(tests: &Tests) -> String {
    let count = |verdict| tests.cases.get(&verdict).copied().unwrap_or(0);
    let of = format!("{} in {}", counted(tests.by_name.len(), "test"), counted(tests.cases.values().sum(), "case"));
    format!("{of}: {} passed, {} failed, {} skipped", count(Verdict::Passed), count(Verdict::Failed), count(Verdict::Skipped))
}

fn test_evidence(
    toolchain: &Toolchain,
    document: &SpecDocument,
    tests: &BTreeMap<String, Verdict>,
) -> Result<Vec<Evidence>, PipelineError> {
    let proof = |proof: crate::generate::Proof| {
        let verdict = *tests.get(&proof.test)?;
        let detail = "the test failed".to_owned();
        Some(Evidence { subject: proof.subject, kind: EvidenceKind::Test, source: proof.test, verdict, detail })
    };
    Ok(toolchain.pack().proofs(document)?.into_iter().filter_map(proof).collect())
}

fn summary(validation: &Validation) -> String {
    let score =
        validation.compliance.score.map_or_else(|| "nothing verified".to_owned(), |score| format!("compliance {:.0} %", score * 100.0));
    let distinct: BTreeSet<&str> = validation.checks.iter().map(|check| check.name.as_str()).collect();
    format!("{score}, coverage {:.0} %, {}", validation.compliance.coverage * 100.0, counted(distinct.len(), "check"))
}

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// `1 unit`, `3 units`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
