//! Retry policy: which failures are tried again, how often, and after how long. Pure.

use std::time::Duration;

/// What kind of failure it was. Only transient ones are tried again as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// It may go away by itself: a lost connection, an overloaded service.
    Transient,
    /// The same try would fail the same way.
    Permanent,
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
            Self::NeedsInput => "needs_input",
            Self::Budget => "budget",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Exponential backoff with full jitter, bounded in number and length ("Exponential Backoff And Jitter", Brooker 2015).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts at a unit, the first one included; 1 means none is repeated.
    pub attempts_max: u32,
    /// The longest wait after the first failure; it doubles with each.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts_max: 3, base: Duration::from_secs(1), cap: Duration::from_mins(1) }
    }
}

impl RetryPolicy {
    /// How long to wait before the next attempt, or none when there is to be no other. `attempt` counts the outcomes before this one;
    /// `jitter` is a random number from 0 to 1.
    pub fn delay(&self, class: ErrorClass, attempt: u32, jitter: f64) -> Option<Duration> {
        if class != ErrorClass::Transient || attempt + 1 >= self.attempts_max {
            return None;
        }
        let longest = self.base.saturating_mul(2_u32.saturating_pow(attempt)).min(self.cap);
        Some(longest.mul_f64(jitter.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_failures_are_repeated_and_the_wait_doubles_up_to_the_cap() {
        let policy = RetryPolicy { attempts_max: 10, base: Duration::from_secs(1), cap: Duration::from_secs(5) };
        let check = |class, attempt, jitter, expect: Option<f64>| {
            assert_eq!(policy.delay(class, attempt, jitter), expect.map(Duration::from_secs_f64), "{class:?} {attempt} {jitter}");
        };
        check(ErrorClass::Transient, 0, 1.0, Some(1.0));
        check(ErrorClass::Transient, 1, 1.0, Some(2.0));
        check(ErrorClass::Transient, 1, 0.25, Some(0.5));
        check(ErrorClass::Transient, 3, 1.0, Some(5.0));
        check(ErrorClass::Transient, 8, 1.0, Some(5.0));
        check(ErrorClass::Transient, 9, 1.0, None);
        for class in [ErrorClass::Permanent, ErrorClass::NeedsInput, ErrorClass::Budget, ErrorClass::Timeout, ErrorClass::Cancelled] {
            check(class, 0, 1.0, None);
        }
    }
}
