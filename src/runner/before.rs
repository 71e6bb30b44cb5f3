//! The tries at a unit before this one: what the next one is told of them, and when another one would be pointless.

use std::collections::BTreeMap;

use super::told::Given;
use super::unit::Shared;
use crate::agents::{Evidence, Repair};
use crate::engine::ErrorClass;
use crate::model::Verdict;
use crate::pipeline::PipelineError;
use crate::store::postgres::artifacts;
use crate::store::postgres::assignments::{self, AssignmentRow};
use crate::store::postgres::attempts::{self, AttemptRow};

/// Files of the try before that are shown; of more, the first ones in their order.
const REPAIR_FILES_MAX: usize = 40;
/// Bytes of each of them.
const REPAIR_FILE_BYTES_MAX: usize = 64 * 1024;

/// The tries before this one in the same run with the same input.
pub(super) struct Before {
    /// The newest that has ended without passing.
    pub(super) failed: Option<AssignmentRow>,
    /// What was found about it.
    attempt: Option<AttemptRow>,
    /// Why the unit was opened again, when it was.
    reopened: Option<AttemptRow>,
}

impl Before {
    pub(super) async fn of(shared: &Shared, given: &Given<'_>) -> Result<Self, PipelineError> {
        let mut tx = shared.run.tx().await?;
        let rows = assignments::list(&mut tx, shared.run.id, Some(&given.unit.key)).await?;
        let attempts = attempts::list(&mut tx, shared.run.id, Some(&given.unit.key)).await?;
        tx.commit().await?;
        // A server that was away says nothing of what was delivered before.
        let transient = |attempt: &AttemptRow| attempt.error_class.as_deref() == Some(ErrorClass::Transient.as_str());
        let last = attempts.into_iter().rfind(|attempt| match attempt.outcome.as_str() {
            "failed" => !transient(attempt),
            outcome => outcome == "reopened",
        });
        let reopened = last.clone().filter(|attempt| attempt.outcome == "reopened");
        let attempt = last.filter(|attempt| attempt.outcome == "failed");
        let of_token = |row: &AssignmentRow| attempt.as_ref().is_some_and(|attempt| attempt.token == row.token);
        let failed = match &reopened {
            // What was taken back had passed the unit's own checks.
            Some(_) => rows.into_iter().rfind(|row| row.ended.as_ref().is_some_and(|ended| !ended.files.is_empty())),
            None => rows.into_iter().rfind(|row| row.input_hash == given.input_hash && of_token(row)),
        };
        Ok(Self { failed, attempt, reopened })
    }

    /// Its files, by their hashes.
    pub(super) fn files(&self) -> BTreeMap<String, String> {
        self.failed.as_ref().and_then(|row| row.ended.as_ref()).map(|ended| ended.files.clone()).unwrap_or_default()
    }

    /// What the next one is told of it.
    pub(super) async fn repair(&self, shared: &Shared) -> Result<Option<Repair>, PipelineError> {
        let Some(ended) = self.failed.as_ref().and_then(|row| row.ended.as_ref()) else { return Ok(None) };
        let mut evidence: Vec<Evidence> = Vec::new();
        for attempt in self.attempt.iter().chain(&self.reopened) {
            let failed = attempt.checks.iter().filter(|check| check.verdict == Verdict::Failed);
            evidence.extend(failed.map(|check| Evidence { check: check.name.clone(), output: check.detail.clone() }));
            if evidence.is_empty() {
                evidence.push(Evidence { check: "the try before".to_owned(), output: attempt.error.clone() });
            }
        }
        let mut files = Vec::new();
        let mut tx = shared.run.tx().await?;
        for (path, sha256) in ended.files.iter().take(REPAIR_FILES_MAX) {
            let content = artifacts::blob(&mut tx, sha256).await?.filter(|content| content.len() <= REPAIR_FILE_BYTES_MAX);
            files.extend(content.and_then(|content| String::from_utf8(content).ok()).map(|text| (path.clone(), text)));
        }
        tx.commit().await?;
        Ok(Some(Repair { files, evidence }))
    }

    /// What kind of failure it is that these files came to this: the same files with the same error again are nothing that another try
    /// of the same agent would mend.
    pub(super) fn class(&self, files: &BTreeMap<String, String>, error: &str) -> ErrorClass {
        let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        let same_files = self.failed.as_ref().and_then(|row| row.ended.as_ref()).is_some_and(|ended| ended.files == *files);
        let same_error = self.attempt.as_ref().is_some_and(|attempt| line(&attempt.error) == line(error));
        if same_files && same_error { ErrorClass::Permanent } else { ErrorClass::Unfit }
    }
}
