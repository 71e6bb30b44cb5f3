//! Compliance: what the evidence says of each requirement. Pure; read by validate, health and the report.
//!
//! A requirement passes when evidence speaks of its subject and none of it is against; text similarity is never evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Requirement, RequirementClass, Subject, Verdict};

/// Below this share of weighted passed requirements a run always goes to repair.
pub const COMPLIANCE_MIN: f64 = 0.8;
/// The most pieces of evidence of one kind that are kept as proof of one requirement; the others are counted.
const PROOFS_MAX: usize = 1;

/// One observation about a subject, made in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it speaks of.
    pub subject: Subject,
    /// How it was made.
    pub kind: EvidenceKind,
    /// What was observed, in a phrase: `POST /books answered 201 (create)`, `tests.test_books::test_create_book`.
    pub source: String,
    /// What it says.
    pub verdict: Verdict,
    /// What was seen, when it speaks against.
    pub detail: String,
}

/// How an observation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// A test of the built project.
    Test,
    /// A call of the probe.
    Call,
    /// A place of the running service's own description.
    Description,
    /// A check of the whole project, or what the probe saw of the service as a whole.
    Check,
}

impl EvidenceKind {
    /// The noun for one of them.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Call => "call",
            Self::Description => "described place",
            Self::Check => "check",
        }
    }
}

/// What the evidence says of all requirements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compliance {
    /// Weighted passed / (passed + failed); none when nothing is verified.
    pub score: Option<f64>,
    /// Verified / all.
    pub coverage: f64,
    /// Each requirement, in order.
    pub requirements: Vec<Judgement>,
}

/// What the evidence says of one requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The requirement's key.
    pub key: String,
    /// Its text.
    pub text: String,
    /// Its class.
    pub class: RequirementClass,
    /// Its subject.
    pub subject: Subject,
    /// Its standing.
    pub standing: Standing,
    /// How much evidence there is for it, or against it when it failed, by kind.
    pub witnesses: BTreeMap<EvidenceKind, usize>,
    /// Some of it, of each kind.
    pub proof: Vec<String>,
}

/// How a requirement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Evidence for it and none against it.
    Passed,
    /// Evidence against it.
    Failed,
    /// No evidence.
    Unverified,
}

impl Compliance {
    /// Judges every requirement by the evidence.
    pub fn judge(requirements: &[Requirement], evidence: &[Evidence]) -> Self {
        let mut by_subject: BTreeMap<&Subject, Vec<&Evidence>> = BTreeMap::new();
        for piece in evidence {
            by_subject.entry(&piece.subject).or_default().push(piece);
        }
        let judged: Vec<(u32, Judgement)> = requirements
            .iter()
            .map(|requirement| {
                (requirement.weight, judge_one(requirement, by_subject.get(&requirement.subject).map_or(&[], Vec::as_slice)))
            })
            .collect();
        let weight = |standing| {
            judged.iter().filter(|(_, judgement)| judgement.standing == standing).map(|(weight, _)| f64::from(*weight)).sum::<f64>()
        };
        let (passed, failed) = (weight(Standing::Passed), weight(Standing::Failed));
        let verified = judged.iter().filter(|(_, judgement)| judgement.standing != Standing::Unverified).count();
        Self {
            score: (passed + failed > 0.0).then(|| passed / (passed + failed)),
            coverage: ratio(verified, judged.len()),
            requirements: judged.into_iter().map(|(_, judgement)| judgement).collect(),
        }
    }

    /// How many requirements stand so.
    pub fn count(&self, standing: Standing) -> usize {
        self.requirements.iter().filter(|judgement| judgement.standing == standing).count()
    }

    /// Requirements that keep a run from `succeeded`: failed ones, and unverified ones of a class that needs evidence.
    pub fn unmet(&self) -> impl Iterator<Item = &Judgement> {
        self.requirements.iter().filter(|judgement| match judgement.standing {
            Standing::Passed => false,
            Standing::Failed => true,
            Standing::Unverified => judgement.class.needs_evidence(),
        })
    }
}

fn judge_one(requirement: &Requirement, evidence: &[&Evidence]) -> Judgement {
    let against: Vec<&&Evidence> = evidence.iter().filter(|piece| piece.verdict == Verdict::Failed).collect();
    let in_favour: Vec<&&Evidence> = evidence.iter().filter(|piece| piece.verdict == Verdict::Passed).collect();
    let (standing, mut decisive) = match (against.is_empty(), in_favour.is_empty()) {
        (false, _) => (Standing::Failed, against),
        (true, false) => (Standing::Passed, in_favour),
        (true, true) => (Standing::Unverified, Vec::new()),
    };
    let mut witnesses: BTreeMap<EvidenceKind, usize> = BTreeMap::new();
    let mut proof = Vec::new();
    decisive.sort_by_key(|piece| piece.kind);
    for piece in decisive {
        let count = witnesses.entry(piece.kind).or_default();
        *count += 1;
        if *count <= PROOFS_MAX {
            proof.push(if standing == Standing::Failed { format!("{}: {}", piece.source, piece.detail) } else { piece.source.clone() });
        }
    }
    Judgement {
        key: requirement.key.clone(),
        text: requirement.text.clone(),
        class: requirement.class,
        subject: requirement.subject.clone(),
        standing,
        witnesses,
        proof,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requirements are far below 2^52")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(key: &str, class: RequirementClass, weight: u32) -> Requirement {
        let subject = Subject::Operation(key.to_owned());
        Requirement { key: key.to_owned(), text: key.to_owned(), class, priority: 3, weight, subject, position: None }
    }

    fn evidence(key: &str, verdict: Verdict) -> Evidence {
        let (subject, source) = (Subject::Operation(key.to_owned()), "GET / answered 500".to_owned());
        Evidence { subject, kind: EvidenceKind::Call, source, verdict, detail: "500".to_owned() }
    }

    #[test]
    fn one_voice_against_outweighs_all_in_favour() {
        let requirements = [
            requirement("a", RequirementClass::Api, 3),
            requirement("b", RequirementClass::Api, 1),
            requirement("c", RequirementClass::Usability, 1),
        ];
        let seen = [
            evidence("a", Verdict::Passed),
            evidence("b", Verdict::Passed),
            evidence("b", Verdict::Failed),
            evidence("c", Verdict::Skipped),
        ];
        let compliance = Compliance::judge(&requirements, &seen);
        let standings: Vec<Standing> = compliance.requirements.iter().map(|judgement| judgement.standing).collect();
        assert_eq!(standings, [Standing::Passed, Standing::Failed, Standing::Unverified]);
        assert_eq!(compliance.score, Some(0.75));
        assert!((compliance.coverage - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(compliance.unmet().map(|judgement| judgement.key.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn no_evidence_is_no_score() {
        let compliance = Compliance::judge(&[requirement("a", RequirementClass::Functional, 3)], &[]);
        assert_eq!((compliance.score, compliance.coverage), (None, 0.0));
        assert_eq!(compliance.unmet().count(), 1);
    }
}
