//! An agent behind a server as one agent among others: it is told which tree to work in, and waited for until it rests.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::form::Wanted;
use super::{AgentApi, AgentApiError, AgentApiTask, Cause};
use crate::agents::asking::asked;
use crate::agents::llm::LlmTask;
use crate::agents::llm::prompt::Prompts;
use crate::agents::meter::Held;
use crate::agents::{Account, Agent, AgentError, Bound, Delivered, Delivery, News, Transcript, Work};
use crate::engine::ErrorClass;
use crate::model::AgentKind;
use crate::redact::redact;

/// A profile that a server stands behind.
#[derive(Debug)]
pub struct AgentApiWorker {
    name: String,
    role: String,
    version: String,
    api: AgentApi,
    prompts: Prompts,
    deadline: Duration,
    bound: Bound,
    /// One server is one agent: who comes second waits.
    free: Semaphore,
}

impl AgentApiWorker {
    /// The agent of that name, with its own instructions.
    pub fn new(name: &str, role: &str, wanted: Wanted, prompts: Prompts) -> Result<Self, Cause> {
        let role_hash = hex::encode(Sha256::digest(role));
        let version = format!("agentapi {} {} role {}", wanted.settings.base_url, prompts.version_for_trees(), &role_hash[..12]);
        Ok(Self {
            name: name.to_owned(),
            role: role.to_owned(),
            version,
            api: AgentApi::new(wanted.settings)?,
            prompts,
            deadline: wanted.deadline,
            bound: Bound { tokens: wanted.tokens_max, cost_micros: wanted.cost_max_micros },
            free: Semaphore::new(1),
        })
    }

    async fn work(&self, work: Work) -> Result<Delivered, AgentError> {
        let Some(worktree) = work.worktree.clone() else {
            return Err(AgentError::Stopped("it was given no directory to work in".to_owned()));
        };
        let failed = |class, message: String| AgentError::Failed { class, message, account: Box::default() };
        let _turn = self.free.acquire().await.map_err(|error| AgentError::Stopped(error.to_string()))?;
        let task = LlmTask::of(work.unit, work.briefing, &self.role);
        let told = self.prompts.worktree(&task).map_err(|error| failed(ErrorClass::Permanent, error.to_string()))?;
        let task = AgentApiTask { prompt: format!("{}\n\n{told}", place(&worktree)), uploads: Vec::new() };
        let held = Held::reserve(work.meter.as_ref(), self.bound).await;
        let held = held.map_err(|refused| failed(ErrorClass::Budget, refused.to_string()))?;
        // A terminal's screen grows at its end, where it says what it does now.
        let last = |said: &str| said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned();
        let heard = |said: &str| work.listener.tell(News { agent: self.name.clone(), step: last(said), ..News::default() });
        let performed = self.api.perform_heard(&task, &CancellationToken::new(), Instant::now() + self.deadline, &heard).await;
        // The protocol tells no use: all that was set aside counts.
        held.settle(self.bound.used_up()).await;
        match performed {
            Ok(outcome) => {
                let asked = asked(&redact(&outcome.last.content));
                Ok(Delivered { files: Vec::new(), asked, account: account(&outcome.transcript) })
            }
            Err(AgentApiError { cause: cause @ Cause::NeedsInput(_), transcript }) => {
                // Its terminal still stands at the question: whoever answers must know that.
                let question = redact(&format!("{cause}; hint: {}", cause.hint()));
                Err(AgentError::Asks { question, account: Box::new(account(&transcript)) })
            }
            Err(error) => {
                let (class, message) = (error.cause.class(), format!("{error}; hint: {}", error.cause.hint()));
                Err(AgentError::Failed { class, message, account: Box::new(account(&error.transcript)) })
            }
        }
    }
}

/// The server runs where it was started; what counts is what changes here.
fn place(worktree: &Path) -> String {
    format!("Work in the directory {} and change nothing outside of it; \"this directory\" below means that one.", worktree.display())
}

fn account(said: &Transcript) -> Account {
    let mut account = Account { calls: 1, unreported: 1, ..Account::default() };
    account.transcript.add("note", "sandbox: not confined by specwave, for its server runs by itself");
    for entry in &said.entries {
        account.transcript.add(entry.kind, &entry.text);
    }
    account.transcript.left_out_bytes += said.left_out_bytes;
    account
}

impl Agent for AgentApiWorker {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> AgentKind {
        AgentKind::AgentApi
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn works_in_a_tree(&self) -> bool {
        true
    }

    /// Its server does, and what that has started.
    fn lives_on(&self) -> bool {
        true
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.deadline)
    }

    fn perform(&self, work: Work) -> Delivery<'_> {
        Box::pin(self.work(work))
    }
}
