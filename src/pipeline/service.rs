//! One probe of the built service, as a check of the run: started from a tree, exercised, stopped, told and recorded.
//!
//! Used by validate (on the work tree) and health (on the delivered one).

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::compliance::Evidence;
use super::probe::{self, ProbeError, ProbeReport};
use super::toolchain::Toolchain;
use super::{PipelineError, Run};
use crate::model::{CheckResult, EventKind, Phase, SpecDocument, Subject, Verdict};

/// Failed calls named in the summary.
const NAMED_MAX: usize = 5;

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceCheck {
    /// The verdict in one line.
    pub check: CheckResult,
    /// How long the service took to be ready, in milliseconds; none when it never was.
    pub ready_ms: Option<u64>,
    /// Calls that were made.
    pub calls: usize,
    /// Calls and comparisons that failed.
    pub failed: usize,
}

/// Probes the service of that tree; every call is recorded under the phase.
pub async fn check(
    run: &Run,
    toolchain: &Toolchain,
    tree: &Path,
    document: &SpecDocument,
    phase: Phase,
    round: u32,
) -> Result<(ServiceCheck, Vec<Evidence>), PipelineError> {
    let started = Instant::now();
    let outcome = probe::probe(document, &toolchain.service(tree), &run.commands.of_phase(phase), &run.stop).await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (service, evidence) = match outcome {
        Ok(report) => {
            run.record_checks(phase, round, &calls(&report)).await?;
            (judged(&report, duration_ms), report.evidence())
        }
        Err(ProbeError::Cancelled) => return Err(PipelineError::Stopped),
        Err(error @ (ProbeError::Migrate { .. } | ProbeError::Ended { .. } | ProbeError::NotReady { .. })) => {
            let check = result(Verdict::Failed, crate::redact::redact(&error.to_string()), duration_ms);
            run.record_checks(phase, round, std::slice::from_ref(&check)).await?;
            (ServiceCheck { check, ready_ms: None, calls: 0, failed: 1 }, Vec::new())
        }
        Err(error) => return Err(error.into()),
    };
    let kind = EventKind::Check {
        name: service.check.name.clone(),
        passed: service.check.verdict == Verdict::Passed,
        duration_ms,
        summary: service.check.detail.lines().next().unwrap_or_default().to_owned(),
    };
    run.events.send(kind).await;
    Ok((service, evidence))
}

fn judged(report: &ProbeReport, duration_ms: u64) -> ServiceCheck {
    let failed = report.failed();
    let compared = report.description_checks.len();
    let mut detail = format!(
        "{} calls and {compared} comparisons with its own description, {failed} failed; ready after {} ms",
        report.calls.len(),
        report.ready_ms
    );
    let calls = report.calls.iter().filter(|call| call.verdict == Verdict::Failed);
    let calls = calls.map(|call| format!("{} {} ({}): {}, expected {}", call.method, call.path, call.case, call.detail, call.expected));
    let places = report.description_checks.iter().filter(|check| check.verdict == Verdict::Failed);
    let places = places.map(|check| format!("description, {}: {}", check.place, check.detail));
    for line in calls.chain(places).take(NAMED_MAX) {
        detail.push('\n');
        detail.push_str(&line);
    }
    let verdict = if failed == 0 { Verdict::Passed } else { Verdict::Failed };
    ServiceCheck { check: result(verdict, detail, duration_ms), ready_ms: Some(report.ready_ms), calls: report.calls.len(), failed }
}

fn result(verdict: Verdict, detail: String, duration_ms: u64) -> CheckResult {
    let subject = Some(Subject::Project("probe".to_owned()));
    CheckResult {
        name: "probe".to_owned(),
        subject,
        verdict,
        command: "start the service and exercise every operation".to_owned(),
        detail,
        duration_ms,
    }
}

/// Every call and comparison as a row of `health_checks`.
fn calls(report: &ProbeReport) -> Vec<CheckResult> {
    let calls = report.calls.iter().map(|call| CheckResult {
        name: format!("probe/{}", call.case),
        subject: Some(Subject::Operation(call.operation.clone())),
        verdict: call.verdict,
        command: format!("{} {}", call.method, call.path),
        detail: match call.status {
            Some(status) => format!("answered {status}, expected {}; {}", call.expected, call.detail),
            None => format!("no answer, expected {}; {}", call.expected, call.detail),
        },
        duration_ms: call.duration_ms,
    });
    let places = report.description_checks.iter().map(|check| CheckResult {
        name: "description".to_owned(),
        subject: Some(check.subject.clone()),
        verdict: check.verdict,
        command: check.place.clone(),
        detail: check.detail.clone(),
        duration_ms: 0,
    });
    calls.chain(places).collect()
}
