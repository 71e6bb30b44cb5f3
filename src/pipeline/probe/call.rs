//! What was asked, what was answered, and what that says of the specification.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Subject, Verdict};
use crate::pipeline::compliance::{Evidence, EvidenceKind};

/// One request and the judgement of its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeCall {
    /// The operation's key.
    pub operation: String,
    /// What was tried: `create`, `not found`, `invalid: price below the minimum`, `rule: isbn never changes`.
    pub case: String,
    /// The method.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// The body as sent.
    pub request: Option<Value>,
    /// The status; none when there was no answer, or no request (`skipped`).
    pub status: Option<u16>,
    /// What the contract demands, for example `422`.
    pub expected: String,
    /// Whether it was met.
    pub verdict: Verdict,
    /// What was wrong, or why it was skipped; empty when nothing was.
    pub detail: String,
    /// How long the answer took.
    pub duration_ms: u64,
    /// What it is evidence of. Empty for steps that only prepare others, and for what proves no requirement.
    pub subjects: Vec<Subject>,
}

/// One statement of the service's own description, compared with the specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptionCheck {
    /// What it is evidence of.
    pub subject: Subject,
    /// Where it was looked for: `POST /books`, `POST /books request body`.
    pub place: String,
    /// Whether the description says what the specification says.
    pub verdict: Verdict,
    /// The differences.
    pub detail: String,
}

/// Everything that one probe found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// From the start of the process to its readiness.
    pub ready_ms: u64,
    /// The calls, in order.
    pub calls: Vec<ProbeCall>,
    /// The service's own description.
    pub description_checks: Vec<DescriptionCheck>,
    /// What was seen of the service as a whole: log, pages, errors, health, settings.
    pub conventions: Vec<Evidence>,
    /// How the service's process was confined, in words.
    pub confinement: String,
    /// The end of what the service printed.
    pub log: String,
}

impl ProbeReport {
    /// How many calls and description checks failed.
    pub fn failed(&self) -> usize {
        let checks = self.description_checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
        checks + self.calls.iter().filter(|call| call.verdict == Verdict::Failed).count()
    }

    /// What it says of each subject, for compliance.
    pub fn evidence(&self) -> Vec<Evidence> {
        let calls = self.calls.iter().flat_map(|call| {
            let answer = call.status.map_or("did not answer".to_owned(), |status| format!("answered {status}"));
            let source = match call.verdict {
                Verdict::Skipped => format!("{} ({}) was skipped", call.operation, call.case),
                _ => format!("{} {} {answer} ({})", call.method, call.path, call.case),
            };
            let detail =
                if call.verdict == Verdict::Failed { format!("{}, expected {}", call.detail, call.expected) } else { call.detail.clone() };
            call.subjects.iter().map(move |subject| Evidence {
                subject: subject.clone(),
                kind: EvidenceKind::Call,
                source: source.clone(),
                verdict: call.verdict,
                detail: detail.clone(),
            })
        });
        let checks = self.description_checks.iter().map(|check| Evidence {
            subject: check.subject.clone(),
            kind: EvidenceKind::Description,
            source: format!("described: {}", check.place),
            verdict: check.verdict,
            detail: check.detail.clone(),
        });
        calls.chain(checks).chain(self.conventions.iter().cloned()).collect()
    }
}
