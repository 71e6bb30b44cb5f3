//! A model as one agent among others: its profile, and the model that it is.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{Cause, LlmAgent, LlmError, LlmOutcome, LlmTask, Record};
use crate::agents::{Account, Agent, AgentError, Bound, Delivered, Delivery, Listener, Meter, Metered, News};
use crate::agents::{Refused, Reservation, Spent, Work};
use crate::generate::GeneratedFile;
use crate::model::AgentKind;

/// A profile that a model stands behind.
#[derive(Debug)]
pub struct ModelWorker {
    name: String,
    role: String,
    version: String,
    agent: LlmAgent,
}

impl ModelWorker {
    /// The agent of that name, with its own instructions.
    pub fn new(name: &str, role: &str, agent: LlmAgent) -> Self {
        let role_hash = hex::encode(Sha256::digest(role));
        let version = format!("{} role {}", agent.version(), &role_hash[..12]);
        Self { name: name.to_owned(), role: role.to_owned(), version, agent }
    }

    async fn ask(&self, work: Work) -> Result<Delivered, AgentError> {
        let task = LlmTask::of(work.unit, work.briefing, &self.role);
        let meter = Telling { agent: &self.name, meter: work.meter.as_ref(), listener: work.listener.as_ref(), so_far: Mutex::default() };
        match self.agent.perform(&task, &meter).await {
            Ok(LlmOutcome { files, record }) => {
                let file = |(path, content)| GeneratedFile { path, content, executable: false };
                Ok(Delivered { files: files.into_iter().map(file).collect(), asked: None, account: account(record) })
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// The meter, and whoever listens is told of each request and of what was used so far, as far as the provider said.
struct Telling<'a> {
    agent: &'a str,
    meter: &'a dyn Meter,
    listener: &'a dyn Listener,
    /// Requests, and tokens.
    so_far: Mutex<(u32, u64)>,
}

impl Telling<'_> {
    /// Counts, and gives what there is so far.
    fn count(&self, requests: u32, tokens: u64) -> (u32, u64) {
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        *so_far = (so_far.0.saturating_add(requests), so_far.1.saturating_add(tokens));
        *so_far
    }
}

impl Meter for Telling<'_> {
    fn reserve(&self, bound: Bound) -> Metered<'_, Result<Reservation, Refused>> {
        Box::pin(async move {
            let reserved = self.meter.reserve(bound).await?;
            let (requests, _) = self.count(1, 0);
            self.listener.tell(News {
                agent: self.agent.to_owned(),
                step: format!("asks its model, request {requests}"),
                ..News::default()
            });
            Ok(reserved)
        })
    }

    fn spend(&self, reservation: Reservation, spent: Spent) -> Metered<'_, ()> {
        let (_, tokens) = self.count(0, if spent.measured { spent.tokens } else { 0 });
        self.listener.tell(News { agent: self.agent.to_owned(), tokens: Some(tokens), ..News::default() });
        self.meter.spend(reservation, spent)
    }

    fn abandon(&self, reservation: Reservation, spent: Spent) {
        self.meter.abandon(reservation, spent);
    }
}

fn failed(error: LlmError) -> AgentError {
    if let Cause::Asks(question) = error.cause {
        return AgentError::Asks { question, account: Box::new(account(*error.record)) };
    }
    let class = error.class();
    let again = error.retry_after().map(|wait| format!("; the provider wants to be asked again in {} s", wait.as_secs()));
    let message = format!("{error}{}", again.unwrap_or_default());
    AgentError::Failed { class, message, account: Box::new(account(*error.record)) }
}

fn account(record: Record) -> Account {
    Account {
        usage: record.usage(),
        calls: record.calls.len(),
        unreported: record.unreported(),
        cost_micros: record.cost_micros(),
        transcript: record.transcript,
    }
}

impl Agent for ModelWorker {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> AgentKind {
        AgentKind::Llm
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn perform(&self, work: Work) -> Delivery<'_> {
        Box::pin(self.ask(work))
    }
}
