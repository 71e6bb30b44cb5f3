//! Phase 6.5: failures go back to the unit that owns the file they speak of, and only there.
//!
//! Reads the validation; reopens the owning units and what depends on them. Safe to repeat: reopening an open unit changes
//! nothing. The evidence is why a unit is opened again: whoever is sent to it is told. A unit that only a generator worked on is not
//! reopened, because another round would find the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compliance::Standing;
use super::journal::{self, Done};
use super::validate::{Validation, counted};
use super::{PipelineError, Run};
use crate::exec::capture::shorten;
use crate::model::{Phase, Plan, Role, Subject, Task, Verdict};

/// Characters of the evidence that a unit is opened again with.
const EVIDENCE_CHARS_MAX: usize = 2_000;

/// What became of the failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Units that are done again.
    pub reopened: Vec<String>,
    /// Units that own a failure but would give the same files again.
    pub hopeless: Vec<String>,
    /// Failures that belong to no unit.
    pub unrouted: Vec<String>,
}

/// Routes every failure; true when another round of execute and validate can help.
pub async fn phase(run: &Run, plan: &Plan, validation: &Validation, round: u32) -> Result<bool, PipelineError> {
    let repair = journal::phase(run, Phase::Repair, round, async {
        let (owners, unrouted) = route(plan, validation);
        let told = run.told_units().await?;
        let (repairable, hopeless): (Vec<String>, Vec<String>) = owners.keys().cloned().partition(|key| told.contains(key));
        for key in &repairable {
            run.reopen(std::slice::from_ref(key), &owners[key]).await?;
        }
        let summary = match (repairable.len(), hopeless.len()) {
            (0, 0) => "no failure belongs to a unit".to_owned(),
            (0, count) => format!("{} would give the same files again", counted(count, "unit")),
            (count, _) => format!("{} reopened", counted(count, "unit")),
        };
        Ok(Done::new(Repair { reopened: repairable, hopeless, unrouted }, summary))
    })
    .await?;
    Ok(!repair.reopened.is_empty())
}

/// The units that own the failures with what speaks against them, and the failures that no unit owns.
fn route(plan: &Plan, validation: &Validation) -> (BTreeMap<String, String>, Vec<String>) {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |owner: String, evidence: &str| {
        let known = owners.entry(owner).or_default();
        *known = shorten(&format!("{known}{evidence}\n"), EVIDENCE_CHARS_MAX);
    };
    let mut unrouted = Vec::new();
    for check in validation.checks.iter().filter(|check| check.verdict == Verdict::Failed) {
        let named: Vec<&Task> = plan.units().filter(|unit| unit.files.iter().any(|file| names(&check.detail, file))).collect();
        if named.is_empty() {
            unrouted.push(check.name.clone());
        }
        for unit in named {
            add(unit.key.clone(), &format!("{} failed: {}", check.name, check.detail));
        }
    }
    for judgement in validation.compliance.requirements.iter().filter(|judgement| judgement.standing == Standing::Failed) {
        if let Some(owner) = owner_of(plan, &judgement.key, &judgement.subject) {
            add(owner, &format!("the requirement {} is not met: {}", judgement.key, judgement.text));
        } else {
            unrouted.push(judgement.key.clone());
        }
    }
    (owners, unrouted)
}

/// True when the output names the file as a whole path, not as part of a longer one.
fn names(output: &str, file: &str) -> bool {
    let inside = |letter: char| letter.is_alphanumeric() || "_-./".contains(letter);
    output.match_indices(file).any(|(at, _)| {
        let before = output[..at].chars().next_back();
        let after = output[at + file.len()..].chars().next();
        !before.is_some_and(inside) && (file.ends_with('/') || !after.is_some_and(|letter| inside(letter) && letter != '.'))
    })
}

/// The unit nearest to the failure: for an operation the last one that serves it (its router), else the first (its model).
fn owner_of(plan: &Plan, requirement: &str, subject: &Subject) -> Option<String> {
    let serves = |task: &&Task| task.requirements.iter().any(|key| key == requirement);
    let unit_of = |task: &Task| match task.role {
        Role::Unit => Some(task.key.clone()),
        Role::Step => task.parent.clone(),
        Role::Container | Role::Gate | Role::Removed => None,
    };
    let of_operation = matches!(subject, Subject::Operation(_));
    let candidates: Vec<&Task> = plan.tasks.iter().filter(serves).filter(|task| task.phase == 3).collect();
    let chosen = if of_operation { candidates.last() } else { candidates.first() };
    chosen.and_then(|task| unit_of(task))
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_file_is_named_only_as_a_whole_path() {
        let check = |output, file, expected| assert_eq!(names(output, file), expected, "{file} in {output}");
        check("src/app/models/book.py:3:1: F401 unused", "src/app/models/book.py", true);
        check("error in old/src/app/models/book.py", "src/app/models/book.py", false);
        check("src/app/models/book.pyi:3", "src/app/models/book.py", false);
        check("migrations/versions/0001_initial.py:3", "migrations/versions/", true);
    }
}
