//! One question to the model: set aside, asked, tried again where that can help, and written down.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::error::Cause;
use super::fault::CallError;
use super::prices::Prices;
use super::provider::{Provider, Reply, Request, Stop};
use crate::agents::meter::{Bound, Held, Meter, Spent};
use crate::agents::transcript::Transcript;
use crate::agents::usage::Usage;

/// What a provider adds to a conversation and to each message, in tokens: role words and separators, taken generously.
const OVERHEAD_TOKENS: u64 = 64;

/// When and how often a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Repetitions of one request.
    pub most: u32,
    /// The longest wait before the first one; it doubles with each. Full jitter ("Exponential Backoff And Jitter", Brooker 2015).
    pub base: Duration,
    /// The longest wait of all, unless the server asks for a longer one.
    pub cap: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { most: 4, base: Duration::from_secs(1), cap: Duration::from_secs(30) }
    }
}

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// What for: `unit`, `continuation` or `correction`.
    pub purpose: &'static str,
    /// What was set aside.
    pub bound: Bound,
    /// What was written down.
    pub spent: Spent,
    /// How it ended.
    pub result: Result<Answered, CallError>,
    /// How long the next one had to wait.
    pub wait: Option<Wait>,
}

/// An answer without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Why it ended.
    pub stop: Stop,
    /// What the provider says it used.
    pub usage: Option<Usage>,
    /// The provider's name of the answer.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
}

/// A wait before a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long.
    pub duration: Duration,
    /// True when the server asked for it.
    pub asked: bool,
}

/// Everything that was done for one unit, also when nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Every request.
    pub calls: Vec<CallRecord>,
    /// What was said.
    pub transcript: Transcript,
}

impl Record {
    /// Tokens that providers reported, summed.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        self.calls.iter().filter_map(|call| call.result.as_ref().ok()?.usage).for_each(|usage| sum += usage);
        sum
    }

    /// Requests that may have used something and whose use nobody reported.
    pub fn unreported(&self) -> usize {
        self.calls.iter().filter(|call| !call.spent.measured).count()
    }

    /// What it cost in millionths; none when the model has no price or the use of a request is unknown.
    pub fn cost_micros(&self) -> Option<u64> {
        self.calls.iter().map(|call| call.spent.cost_micros.filter(|_| call.spent.measured)).sum()
    }
}

/// One conversation under way.
pub(super) struct Calls<'a> {
    pub(super) provider: &'a Provider,
    pub(super) prices: &'a Prices,
    pub(super) retries: Retries,
    pub(super) meter: &'a dyn Meter,
    pub(super) deadline: Instant,
    pub(super) record: Record,
}

impl Calls<'_> {
    /// Asks until there is an answer, the failure is no transient one, or repetitions or time are used up.
    pub(super) async fn ask(&mut self, purpose: &'static str, request: &Request) -> Result<Reply, Cause> {
        let bound = bound(self.prices, request);
        let mut repeated = 0;
        loop {
            let Ok(held) = timeout_at(self.deadline, Held::reserve(self.meter, bound)).await else { return Err(Cause::Deadline) };
            let held = held?;
            let result = self.provider.complete(request, self.deadline).await;
            let spent = self.spent(&result, bound, &request.model);
            held.settle(spent).await;
            let answered = result.as_ref().map_err(Clone::clone).map(|reply| Answered {
                stop: reply.stop.clone(),
                usage: reply.usage,
                id: reply.id.clone(),
                model: reply.model.clone(),
            });
            let wait = result.as_ref().err().and_then(|error| self.wait(error, repeated));
            self.record.calls.push(CallRecord { purpose, bound, spent, result: answered, wait });
            match (result, wait) {
                (Ok(reply), _) => {
                    self.note("model", &reply.text);
                    return Ok(reply);
                }
                (Err(error), None) => {
                    self.note("note", &error.message);
                    return Err(Cause::Call(error));
                }
                (Err(error), Some(wait)) => {
                    self.note("note", &format!("{}; asked again after {} ms", error.message, wait.duration.as_millis()));
                    sleep(wait.duration).await;
                    repeated += 1;
                }
            }
        }
    }

    /// Writes something into the transcript.
    pub(super) fn note(&mut self, kind: &'static str, text: &str) {
        let clean = self.provider.clean(text);
        self.record.transcript.add(kind, &clean);
    }

    /// What a request used: what the provider says, nothing when it did no work, else all that was set aside.
    fn spent(&self, result: &Result<Reply, CallError>, bound: Bound, model: &str) -> Spent {
        let measured = |usage: Usage| Spent { tokens: usage.tokens(), cost_micros: self.prices.cost_micros(model, &usage), measured: true };
        match result {
            Ok(Reply { usage: Some(usage), .. }) => measured(*usage),
            Err(error) if !error.charged => Spent { cost_micros: Some(0), ..measured(Usage::default()) },
            Ok(_) | Err(_) => bound.used_up(),
        }
    }

    /// How long to wait before the next repetition; none when there is none.
    fn wait(&self, error: &CallError, repeated: u32) -> Option<Wait> {
        if !error.fault.is_transient() || repeated >= self.retries.most {
            return None;
        }
        let wait = match error.retry_after {
            Some(duration) => Wait { duration, asked: true },
            None => Wait { duration: backoff(&self.retries, repeated, fastrand::f64()), asked: false },
        };
        // Past the deadline there is no one to wait for the answer: whoever retries the unit is told the hint.
        (Instant::now() + wait.duration < self.deadline).then_some(wait)
    }
}

fn backoff(retries: &Retries, repeated: u32, jitter: f64) -> Duration {
    retries.base.saturating_mul(2_u32.saturating_pow(repeated)).min(retries.cap).mul_f64(jitter.clamp(0.0, 1.0))
}

/// The most that a request may use. A token stands for at least one byte of text in every tokenizer that works on bytes, so the number of
/// bytes is never below the number of tokens; usually it is three to four times as many.
pub(super) fn bound(prices: &Prices, request: &Request) -> Bound {
    let bytes: usize = request.system.len() + request.messages.iter().map(|message| message.text.len()).sum::<usize>();
    let input = bytes as u64 + OVERHEAD_TOKENS * (1 + request.messages.len() as u64);
    let output = u64::from(request.output_tokens_max);
    Bound { tokens: input.saturating_add(output), cost_micros: prices.bound_micros(&request.model, input, output) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_with_full_jitter() {
        let retries = Retries { most: 9, base: Duration::from_secs(1), cap: Duration::from_secs(5) };
        let check = |repeated, jitter, secs| assert_eq!(backoff(&retries, repeated, jitter), Duration::from_secs_f64(secs));
        check(0, 1.0, 1.0);
        check(1, 1.0, 2.0);
        check(2, 0.5, 2.0);
        check(3, 1.0, 5.0);
        check(40, 1.0, 5.0);
        check(3, 0.0, 0.0);
    }
}
