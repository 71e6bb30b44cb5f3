//! Retry policy: which failures are tried again, how often, and after how long. Pure.

use std::time::Duration;

use crate::model::{Backoff, Escalation};

/// What kind of failure it was. Transient ones are tried again as they are, unfit ones with what was found about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// It may go away by itself: a lost connection, an overloaded service.
    Transient,
    /// The same try would fail the same way.
    Permanent,
    /// What was delivered did not pass its checks; whoever made it may do better when told why.
    Unfit,
    /// A person must say something.
    NeedsInput,
    /// The budget is used up.
    Budget,
    /// It took longer than it may.
    Timeout,
    /// It was called off.
    Cancelled,
}

impl ErrorClass {
    /// The text in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Unfit => "unfit",
            Self::NeedsInput => "needs_input",
            Self::Budget => "budget",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

/// When, how often, and by whom a failed unit is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts at a unit, the first one included, for each who tries it; 1 means none is repeated.
    pub attempts_max: u32,
    /// How long to wait before the next one.
    pub backoff: Backoff,
    /// The wait, or the longest one after the first failure of [`Backoff::Exponential`], which doubles with each.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
    /// Who tries it after the assigned agent has failed for good. Sorted by itself: steps are taken in their own order.
    pub escalation: Vec<Escalation>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            backoff: Backoff::Exponential,
            base: Duration::from_secs(1),
            cap: Duration::from_mins(1),
            escalation: Vec::new(),
        }
    }
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The same agent tries again after that time.
    Again(Duration),
    /// That one is to try it now.
    Escalate(Escalation),
    /// It has failed.
    GiveUp,
}

impl RetryPolicy {
    /// What follows a failure of that class at that step. `attempt` counts the outcomes of the step before this one; `jitter` is a random
    /// number from 0 to 1.
    pub fn decide(&self, class: ErrorClass, attempt: u32, step: Escalation, jitter: f64) -> Decision {
        match class {
            ErrorClass::Transient => self.delay(attempt, jitter).map_or_else(|| self.next_after(step), Decision::Again),
            ErrorClass::Unfit if attempt + 1 < self.attempts_max => Decision::Again(Duration::ZERO),
            ErrorClass::Permanent | ErrorClass::Unfit | ErrorClass::Timeout => self.next_after(step),
            ErrorClass::NeedsInput if self.escalation.contains(&Escalation::Person) => Decision::Escalate(Escalation::Person),
            ErrorClass::NeedsInput | ErrorClass::Budget | ErrorClass::Cancelled => Decision::GiveUp,
        }
    }

    /// Who comes after that step.
    pub fn next_after(&self, step: Escalation) -> Decision {
        self.escalation.iter().copied().filter(|next| *next > step).min().map_or(Decision::GiveUp, Decision::Escalate)
    }

    /// Exponential backoff has full jitter and is bounded in length ("Exponential Backoff And Jitter", Brooker 2015).
    fn delay(&self, attempt: u32, jitter: f64) -> Option<Duration> {
        if attempt + 1 >= self.attempts_max {
            return None;
        }
        match self.backoff {
            Backoff::None => None,
            Backoff::Immediate => Some(Duration::ZERO),
            Backoff::Fixed => Some(self.base.min(self.cap)),
            Backoff::Exponential => {
                let longest = self.base.saturating_mul(2_u32.saturating_pow(attempt)).min(self.cap);
                Some(longest.mul_f64(jitter.clamp(0.0, 1.0)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: [ErrorClass; 5] =
        [ErrorClass::Permanent, ErrorClass::NeedsInput, ErrorClass::Budget, ErrorClass::Timeout, ErrorClass::Cancelled];

    #[test]
    fn only_transient_failures_are_repeated_and_the_wait_doubles_up_to_the_cap() {
        let policy = RetryPolicy { attempts_max: 10, base: Duration::from_secs(1), cap: Duration::from_secs(5), ..RetryPolicy::default() };
        let check = |class, attempt, jitter, expect: Option<f64>| {
            let expect = expect.map_or(Decision::GiveUp, |secs| Decision::Again(Duration::from_secs_f64(secs)));
            assert_eq!(policy.decide(class, attempt, Escalation::Assigned, jitter), expect, "{class:?} {attempt} {jitter}");
        };
        check(ErrorClass::Transient, 0, 1.0, Some(1.0));
        check(ErrorClass::Transient, 1, 1.0, Some(2.0));
        check(ErrorClass::Transient, 1, 0.25, Some(0.5));
        check(ErrorClass::Transient, 3, 1.0, Some(5.0));
        check(ErrorClass::Transient, 8, 1.0, Some(5.0));
        check(ErrorClass::Transient, 9, 1.0, None);
        for class in OTHERS {
            check(class, 0, 1.0, None);
        }
    }

    #[test]
    fn each_backoff_waits_in_its_own_way() {
        let check = |backoff, attempt, expect| {
            let policy = RetryPolicy { backoff, base: Duration::from_secs(2), ..RetryPolicy::default() };
            assert_eq!(policy.decide(ErrorClass::Transient, attempt, Escalation::Assigned, 0.5), expect, "{backoff:?} {attempt}");
        };
        let again = |secs| Decision::Again(Duration::from_secs(secs));
        check(Backoff::None, 0, Decision::GiveUp);
        check(Backoff::Immediate, 0, again(0));
        check(Backoff::Fixed, 0, again(2));
        check(Backoff::Fixed, 1, again(2));
        check(Backoff::Fixed, 2, Decision::GiveUp);
        check(Backoff::Exponential, 0, again(1));
        check(Backoff::Exponential, 1, again(2));
    }

    #[test]
    fn what_failed_for_good_goes_to_the_next_step_that_is_set() {
        let policy = RetryPolicy { escalation: vec![Escalation::Person, Escalation::DebuggingAgent], ..RetryPolicy::default() };
        let check = |class, attempt, step, expect| assert_eq!(policy.decide(class, attempt, step, 0.0), expect, "{class:?} {step:?}");
        check(ErrorClass::Permanent, 0, Escalation::Assigned, Decision::Escalate(Escalation::DebuggingAgent));
        check(ErrorClass::Timeout, 0, Escalation::AnotherAgent, Decision::Escalate(Escalation::DebuggingAgent));
        check(ErrorClass::Transient, 0, Escalation::DebuggingAgent, Decision::Again(Duration::ZERO));
        check(ErrorClass::Transient, 2, Escalation::DebuggingAgent, Decision::Escalate(Escalation::Person));
        check(ErrorClass::Permanent, 0, Escalation::Person, Decision::GiveUp);
        check(ErrorClass::Unfit, 1, Escalation::Assigned, Decision::Again(Duration::ZERO));
        check(ErrorClass::Unfit, 2, Escalation::Assigned, Decision::Escalate(Escalation::DebuggingAgent));
        check(ErrorClass::NeedsInput, 0, Escalation::Assigned, Decision::Escalate(Escalation::Person));
        check(ErrorClass::Budget, 0, Escalation::Assigned, Decision::GiveUp);
        check(ErrorClass::Cancelled, 0, Escalation::Assigned, Decision::GiveUp);
    }
}
