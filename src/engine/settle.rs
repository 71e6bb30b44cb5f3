//! Settling: what a worker says became of a unit, and what the engine made of it.

use serde::{Deserialize, Serialize};

use super::retry::ErrorClass;
use super::{Engine, EngineError};
use crate::model::{Artifact, AttemptId, CheckResult, OrganizationId, UnitState};
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
        let held = self.writer.write(organization, outcome).await?;
        Ok(if held { Settled::Now(state) } else { Settled::Late })
    }

    /// Applies the retry policy.
    fn outcome(&self, settlement: Settlement) -> Outcome {
        let Settlement { claim, result, agent, input_hash, checks, log } = settlement;
        let mut outcome = Outcome {
            claim,
            attempt: AttemptId::new(),
            state: UnitState::Ready,
            outcome: "released",
            error_class: None,
            error: String::new(),
            counts: true,
            retry_secs: None,
            agent,
            input_hash,
            reused: None,
            checks,
            log,
            artifacts: Vec::new(),
        };
        match result {
            UnitResult::Succeeded { artifacts } => {
                outcome = Outcome { state: UnitState::Succeeded, outcome: "succeeded", artifacts, ..outcome };
            }
            UnitResult::Cached { attempt } => {
                outcome = Outcome { state: UnitState::Cached, outcome: "cached", reused: Some(attempt), counts: false, ..outcome };
            }
            UnitResult::Failed { class, error } => {
                let delay = self.options.retry.delay(class, claim.attempt, fastrand::f64());
                let state = if delay.is_some() { UnitState::Ready } else { UnitState::Failed };
                let retry_secs = delay.map(|delay| delay.as_secs_f64());
                outcome = Outcome { state, outcome: "failed", error_class: Some(class.as_str()), error, retry_secs, ..outcome };
            }
            UnitResult::Waiting { reason } => {
                outcome = Outcome { state: UnitState::Waiting, outcome: "waiting", error: reason, counts: false, ..outcome };
            }
            UnitResult::Released { reason } => outcome = Outcome { error: reason, counts: false, ..outcome },
        }
        outcome
    }
}
