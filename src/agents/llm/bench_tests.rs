//! An agent, the server on loopback that it asks, and a meter that keeps books: what the scenarios stand on.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use time::macros::date;

use super::prices::{Price, Prices};
use super::prompt::Prompts;
use super::prompt_tests::task;
use super::provider::{Provider, ProviderKind, ProviderSettings};
use super::standin::{ModelServer, Reply, anthropic};
use super::*;
use crate::agents::{Bound, Meter, Metered, Refused, Reservation, Spent};
use crate::config::Secret;

pub(super) const KEY: &str = "loopback-key-0123456789";
pub(super) const GOOD: &str = "%%%specwave file app/books.py\nname = \"naïve\"\n%%%specwave end app/books.py\n%%%specwave done 1\n";
/// Nothing in a test waits for so long.
pub(super) const LONG: Duration = Duration::from_mins(1);

/// Counts, and refuses after so many reservations.
#[derive(Debug)]
pub(super) struct Counter {
    allowed: usize,
    log: Mutex<Vec<Entry>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Reserved(Bound),
    Spent(u128, Spent),
    Abandoned(u128, Spent),
}

impl Counter {
    pub(super) fn new(allowed: usize) -> Self {
        Self { allowed, log: Mutex::new(Vec::new()) }
    }

    pub(super) fn log(&self) -> Vec<Entry> {
        self.log.lock().unwrap().clone()
    }
}

impl Meter for Counter {
    fn reserve(&self, bound: Bound) -> Metered<'_, Result<Reservation, Refused>> {
        Box::pin(async move {
            let mut log = self.log.lock().unwrap();
            let number = log.iter().filter(|entry| matches!(entry, Entry::Reserved(_))).count();
            if number == self.allowed {
                return Err(Refused { reason: "the run's tokens are used up".to_owned() });
            }
            log.push(Entry::Reserved(bound));
            Ok(Reservation(number as u128))
        })
    }

    fn spend(&self, reservation: Reservation, spent: Spent) -> Metered<'_, ()> {
        Box::pin(async move { self.log.lock().unwrap().push(Entry::Spent(reservation.0, spent)) })
    }

    fn abandon(&self, reservation: Reservation, spent: Spent) {
        self.log.lock().unwrap().push(Entry::Abandoned(reservation.0, spent));
    }
}

/// A server, an agent that asks it, and a meter.
pub(super) struct Bench {
    pub(super) server: ModelServer,
    pub(super) agent: LlmAgent,
    pub(super) meter: Counter,
    pub(super) task: LlmTask,
}

impl Bench {
    pub(super) fn new(kind: ProviderKind, replies: Vec<Reply>) -> Self {
        Self::with(kind, replies, |options| options, LONG)
    }

    pub(super) fn with(kind: ProviderKind, replies: Vec<Reply>, change: fn(LlmOptions) -> LlmOptions, stall: Duration) -> Self {
        let server = ModelServer::start(replies);
        let key = Some(Secret::from(KEY.to_owned()));
        let provider = Provider::new(ProviderSettings { kind, base_url: Some(server.base_url()), key, stall }).unwrap();
        let retries = Retries { most: 2, base: Duration::from_millis(1), cap: Duration::from_millis(2) };
        let options = LlmOptions { retries, deadline: LONG, continuations_max: 2, ..LlmOptions::new("model-high") };
        let options =
            LlmOptions { model: if kind == ProviderKind::Anthropic { "claude-test-1".to_owned() } else { options.model }, ..options };
        let agent = LlmAgent::new(provider, Prompts::load(None).unwrap(), prices(), change(options)).unwrap();
        let task = LlmTask { files: vec!["app/books.py".to_owned()], ..task() };
        Self { server, agent, meter: Counter::new(usize::MAX), task }
    }

    async fn perform(&self) -> Result<LlmOutcome, LlmError> {
        let result = self.agent.perform(&self.task, &self.meter).await;
        let record = match &result {
            Ok(outcome) => &outcome.record,
            Err(error) => &error.record,
        };
        self.check_books(record);
        assert!(!format!("{result:?}").contains(KEY), "the key is nowhere in what comes back");
        result
    }

    /// Every request was set aside before it and settled after it, and none was sent without.
    fn check_books(&self, record: &Record) {
        let mut expected = Vec::new();
        for (number, call) in record.calls.iter().enumerate() {
            expected.push(Entry::Reserved(call.bound));
            expected.push(Entry::Spent(number as u128, call.spent));
            assert!(call.spent.tokens <= call.bound.tokens, "{call:?}");
        }
        assert_eq!(self.meter.log(), expected);
        assert!(self.server.asked().len() <= record.calls.len());
    }

    pub(super) async fn good(&self) -> Record {
        let outcome = self.perform().await.unwrap();
        let files = BTreeMap::from([("app/books.py".to_owned(), "name = \"naïve\"\n".as_bytes().to_vec())]);
        assert_eq!(outcome.files, files);
        outcome.record
    }

    pub(super) async fn bad(&self) -> LlmError {
        self.perform().await.unwrap_err()
    }
}

pub(super) fn prices() -> Prices {
    let price = Price { input: 3_000_000, cached_input: 300_000, cache_write: None, output: 15_000_000 };
    let models = ["claude-test-1", "model-high"].map(|model| (model.to_owned(), price));
    Prices { currency: "USD".to_owned(), date: date!(2026 - 01 - 01), models: BTreeMap::from(models) }
}

pub(super) fn claude(text: &str) -> Reply {
    anthropic(text, "end_turn", (1_000, 200))
}

pub(super) fn purposes(record: &Record) -> Vec<&'static str> {
    record.calls.iter().map(|call| call.purpose).collect()
}

pub(super) fn said(request: &Value, at: usize) -> String {
    let content = &request["messages"][at]["content"];
    content.as_str().map_or_else(|| content[0]["text"].as_str().unwrap_or_default().to_owned(), str::to_owned)
}
