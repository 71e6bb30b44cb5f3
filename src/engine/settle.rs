//! Settling: what a worker says became of a unit, and what the engine made of it.

use serde::{Deserialize, Serialize};

use super::retry::{Decision, ErrorClass};
use super::{Engine, EngineError};
use crate::model::{Artifact, AttemptId, CheckResult, Escalation, OrganizationId, UnitState};
use crate::store::postgres::settle::Outcome;
use crate::store::postgres::units::Claim;

/// What became of a claimed unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The proof that it was this worker's.
    pub claim: Claim,
    /// What became of it.
    pub result: UnitResult,
    /// The agent that did it, by name.
    pub agent: String,
    /// The hash of everything that went in; a later unit with the same hash reuses this success.
    pub input_hash: Option<String>,
    /// What was checked.
    pub checks: Vec<CheckResult>,
    /// What was printed, bounded by the caller.
    pub log: String,
}

/// The possible ends of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitResult {
    /// The output passed its checks. The contents of the files are stored already (`artifacts::store_blobs`).
    Succeeded {
        /// The files.
        artifacts: Vec<Artifact>,
    },
    /// An earlier success with the same input is reused (`units::find_success`).
    Cached {
        /// The attempt that it was.
        attempt: AttemptId,
    },
    /// It failed; whether it is tried again is the retry policy's decision.
    Failed {
        /// What kind of failure.
        class: ErrorClass,
        /// What went wrong, one line.
        error: String,
    },
    /// Nothing configured can do it.
    Waiting {
        /// Why, and what to configure.
        reason: String,
    },
    /// There is nobody for the step that the unit stands at: the next one is to try it.
    Unable {
        /// Why.
        reason: String,
    },
    /// It is given back untried: the worker stops.
    Released {
        /// Why.
        reason: String,
    },
}

/// What the engine made of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// The unit stands there now. `ready` after a failure means that another try is due.
    Now(UnitState),
    /// The claim was lost before: nothing was changed.
    Late,
}

impl Engine {
    /// Writes down what became of a unit and moves on what waits for it, in one transaction with what other settlements of this process
    /// arrive meanwhile. Returns once that is committed.
    pub async fn settle(&self, organization: OrganizationId, settlement: Settlement) -> Result<Settled, EngineError> {
        let outcome = self.outcome(settlement);
        let state = outcome.state;
        let held = self.writer.settle(organization, outcome).await?;
        Ok(if held { Settled::Now(state) } else { Settled::Late })
    }

    /// Applies the retry policy.
    fn outcome(&self, settlement: Settlement) -> Outcome {
        let Settlement { claim, result, agent, input_hash, checks, log } = settlement;
        let mut outcome = Outcome { counts: true, agent, input_hash, checks, log, ..released(claim, String::new()) };
        match result {
            UnitResult::Succeeded { artifacts } => {
                outcome = Outcome { state: UnitState::Succeeded, outcome: "succeeded", artifacts, ..outcome };
            }
            UnitResult::Cached { attempt } => {
                outcome = Outcome { state: UnitState::Cached, outcome: "cached", reused: Some(attempt), counts: false, ..outcome };
            }
            UnitResult::Failed { class, error } => {
                let decision = self.options.retry.decide(class, claim.attempt, claim.escalation, fastrand::f64());
                outcome = after_failure(decision, Outcome { outcome: "failed", error_class: Some(class.as_str()), error, ..outcome });
            }
            UnitResult::Unable { reason } => {
                let decision = self.options.retry.next_after(claim.escalation);
                outcome = after_failure(decision, Outcome { outcome: "waiting", error: reason, counts: false, ..outcome });
            }
            UnitResult::Waiting { reason } => {
                outcome = Outcome { state: UnitState::Waiting, outcome: "waiting", error: reason, counts: false, ..outcome };
            }
            UnitResult::Released { reason } => outcome = Outcome { error: reason, counts: false, ..outcome },
        }
        outcome
    }
}

/// A claim that is given back untried.
pub(super) fn released(claim: Claim, reason: String) -> Outcome {
    Outcome {
        claim,
        attempt: AttemptId::new(),
        state: UnitState::Ready,
        outcome: "released",
        error_class: None,
        error: reason,
        counts: false,
        escalation: None,
        retry_secs: None,
        agent: String::new(),
        input_hash: None,
        reused: None,
        checks: Vec::new(),
        log: String::new(),
        artifacts: Vec::new(),
    }
}

/// The state that a decision leads to: at the last step of the escalation a unit waits for a person.
fn after_failure(decision: Decision, outcome: Outcome) -> Outcome {
    match decision {
        Decision::Again(delay) => Outcome { state: UnitState::Ready, retry_secs: Some(delay.as_secs_f64()), ..outcome },
        Decision::Escalate(Escalation::Person) => Outcome { state: UnitState::Waiting, escalation: Some(Escalation::Person), ..outcome },
        Decision::Escalate(step) => Outcome { state: UnitState::Ready, escalation: Some(step), ..outcome },
        Decision::GiveUp => Outcome { state: UnitState::Failed, ..outcome },
    }
}
