//! A circuit breaker in front of a store that the work can do without: graph, vectors, cache.
//!
//! Closed, every call goes through, within its deadline. After so many failures in a row it opens: calls are refused at once, and
//! whoever made them takes the way that needs no server. After a pause one call tries again (half-open); its success closes the
//! circuit. What was missed and when is kept, so that a report can name it. (Nygard, *Release It!*, 2007.)

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// Outages that are remembered; older ones are forgotten first.
const OUTAGES_MAX: usize = 64;

/// Thresholds of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call tries again.
    pub open: Duration,
}

/// The breaker of one store; clones share it.
#[derive(Debug, Clone)]
pub struct Breaker {
    store: &'static str,
    thresholds: Thresholds,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Set while it is open: when it opened or last tried.
    opened_at: Option<Instant>,
    /// True while the one call of a half-open circuit is under way.
    trying: bool,
    outages: VecDeque<Outage>,
}

/// A time in which a store was not used, or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// `graph`, `vectors` or `cache`.
    pub store: &'static str,
    /// The first failure.
    pub began_at: OffsetDateTime,
    /// The first success after it; none while it lasts.
    pub ended_at: Option<OffsetDateTime>,
    /// What the first failure was.
    pub reason: String,
}

/// Where a breaker stands, for `doctor` and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// One call may try.
    HalfOpen,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        })
    }
}

/// Why a call did not give an answer.
#[derive(Debug, thiserror::Error)]
pub enum Refused<E> {
    /// The circuit is open: the store was not asked.
    #[error("the {store} store failed {failures} times in a row and is left alone for a moment")]
    Open {
        /// The store.
        store: &'static str,
        /// How often it failed.
        failures: u32,
    },
    /// No answer came in time.
    #[error("the {store} store gave no answer within {} ms", within.as_millis())]
    Deadline {
        /// The store.
        store: &'static str,
        /// The deadline.
        within: Duration,
    },
    /// The store's own error.
    #[error(transparent)]
    Failed(E),
}

impl Breaker {
    /// A closed breaker in front of that store.
    pub fn new(store: &'static str, thresholds: Thresholds) -> Self {
        Self { store, thresholds, state: Arc::default() }
    }

    /// Makes the call within its deadline, unless the circuit is open. An error for which `is_outage` is false (a wrong question) is an
    /// answer: the store is well.
    pub async fn call<T, E: fmt::Display>(
        &self,
        within: Duration,
        is_outage: impl FnOnce(&E) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Refused<E>> {
        let mut attempt = self.enter()?;
        match tokio::time::timeout(within, call).await {
            Ok(Ok(value)) => {
                attempt.well();
                Ok(value)
            }
            Ok(Err(error)) if is_outage(&error) => {
                attempt.failed(error.to_string());
                Err(Refused::Failed(error))
            }
            Ok(Err(error)) => {
                attempt.well();
                Err(Refused::Failed(error))
            }
            Err(_) => {
                let refused = Refused::Deadline { store: self.store, within };
                attempt.failed(refused.to_string());
                Err(refused)
            }
        }
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        let state = self.state();
        match state.opened_at {
            None => Position::Closed,
            Some(since) if since.elapsed() < self.thresholds.open => Position::Open,
            Some(_) => Position::HalfOpen,
        }
    }

    /// Every outage that is remembered, oldest first.
    pub fn outages(&self) -> Vec<Outage> {
        self.state().outages.iter().cloned().collect()
    }

    fn enter<E>(&self) -> Result<Attempt<'_>, Refused<E>> {
        let mut state = self.state();
        if let Some(since) = state.opened_at {
            if state.trying || since.elapsed() < self.thresholds.open {
                return Err(Refused::Open { store: self.store, failures: state.failures });
            }
            state.trying = true;
        }
        Ok(Attempt { breaker: self, open: true })
    }

    fn well(&self) {
        let mut state = self.state();
        if state.failures > 0 {
            tracing::info!(store = self.store, "the store answers again");
            if let Some(outage) = state.outages.back_mut() {
                outage.ended_at.get_or_insert_with(OffsetDateTime::now_utc);
            }
        }
        (state.failures, state.opened_at, state.trying) = (0, None, false);
    }

    fn failed(&self, reason: String) {
        let mut state = self.state();
        if state.failures == 0 {
            tracing::warn!(store = self.store, reason, "the store does not answer; the work goes on without it");
            if state.outages.len() == OUTAGES_MAX {
                state.outages.pop_front();
            }
            state.outages.push_back(Outage { store: self.store, began_at: OffsetDateTime::now_utc(), ended_at: None, reason });
        }
        state.failures = state.failures.saturating_add(1);
        state.trying = false;
        if state.failures >= self.thresholds.failures {
            state.opened_at = Some(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way. Dropped without a verdict (the caller went away), it says nothing about the store.
struct Attempt<'a> {
    breaker: &'a Breaker,
    open: bool,
}

impl Attempt<'_> {
    fn well(&mut self) {
        self.open = false;
        self.breaker.well();
    }

    fn failed(&mut self, reason: String) {
        self.open = false;
        self.breaker.failed(reason);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.open {
            self.breaker.state().trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { failures: 2, open: Duration::from_mins(1) };

    async fn call(breaker: &Breaker, answer: Result<u8, &'static str>) -> String {
        let outcome = breaker.call(Duration::from_secs(1), |error| *error != "wrong question", async { answer }).await;
        outcome.map_or_else(|error| error.to_string(), |value| value.to_string())
    }

    #[tokio::test]
    async fn it_opens_after_failures_in_a_row_and_names_the_outage() {
        let breaker = Breaker::new("graph", THRESHOLDS);
        assert_eq!(call(&breaker, Err("gone")).await, "gone");
        assert_eq!(call(&breaker, Ok(1)).await, "1");
        assert_eq!(call(&breaker, Err("gone")).await, "gone");
        assert_eq!((breaker.position(), call(&breaker, Err("still gone")).await.as_str()), (Position::Closed, "still gone"));
        assert_eq!(breaker.position(), Position::Open);
        assert_eq!(call(&breaker, Ok(1)).await, "the graph store failed 2 times in a row and is left alone for a moment");
        let outages: Vec<_> = breaker.outages().into_iter().map(|outage| (outage.reason, outage.ended_at.is_some())).collect();
        assert_eq!(outages, [("gone".to_owned(), true), ("gone".to_owned(), false)]);
    }

    #[tokio::test]
    async fn after_the_pause_one_call_tries_and_closes_it() {
        let breaker = Breaker::new("graph", Thresholds { failures: 1, open: Duration::ZERO });
        call(&breaker, Err("gone")).await;
        assert_eq!(breaker.position(), Position::HalfOpen);
        let tries = breaker.call(Duration::from_secs(1), |_: &&str| true, async {
            assert_eq!(
                call(&breaker, Ok(2)).await,
                "the graph store failed 1 times in a row and is left alone for a moment",
                "one at a time"
            );
            Ok(1)
        });
        assert!(matches!(tries.await, Ok(1)));
        assert_eq!((breaker.position(), breaker.outages()[0].ended_at.is_some()), (Position::Closed, true));
    }

    #[tokio::test]
    async fn a_wrong_question_is_no_outage_and_a_late_answer_is_one() {
        let breaker = Breaker::new("cache", THRESHOLDS);
        for _ in 0..3 {
            assert_eq!(call(&breaker, Err("wrong question")).await, "wrong question");
        }
        assert_eq!(breaker.outages(), []);
        let late = breaker.call(Duration::from_millis(1), |_: &&str| true, std::future::pending::<Result<(), &str>>()).await;
        assert_eq!(late.unwrap_err().to_string(), "the cache store gave no answer within 1 ms");
        assert_eq!(breaker.outages().len(), 1);
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_lets_the_next_one_try() {
        let breaker = Breaker::new("graph", Thresholds { failures: 1, open: Duration::ZERO });
        call(&breaker, Err("gone")).await;
        let pending = breaker.call(Duration::from_secs(9), |_: &&str| true, std::future::pending::<Result<(), &str>>());
        drop(tokio::time::timeout(Duration::from_millis(1), pending).await);
        assert_eq!(call(&breaker, Ok(3)).await, "3");
    }
}
