//! A model as one agent among others: its profile, and the model that it is.

use sha2::{Digest, Sha256};

use super::{LlmAgent, LlmError, LlmOutcome, LlmTask, Record};
use crate::agents::{Account, Agent, AgentError, Delivered, Delivery, Work};
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
        match self.agent.perform(&task, work.meter.as_ref()).await {
            Ok(LlmOutcome { files, record }) => {
                let file = |(path, content)| GeneratedFile { path, content, executable: false };
                Ok(Delivered { files: files.into_iter().map(file).collect(), account: account(record) })
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: LlmError) -> AgentError {
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
