//! A command as one agent among others: its profile, and the program that works in the unit's tree.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{CommandAgent, CommandError, CommandOutcome, CommandTask, Progress};
use crate::agents::asking::asked;
use crate::agents::llm::LlmTask;
use crate::agents::llm::prompt::Prompts;
use crate::agents::meter::Held;
use crate::agents::{Account, Agent, AgentError, Bound, Delivered, Delivery, News, Spent, Transcript, Usage, Work};
use crate::config::Environment;
use crate::engine::ErrorClass;
use crate::exec::Network;
use crate::exec::egress::{Contact, Egress, EgressLimits, EgressRecord, Verdict};
use crate::model::AgentKind;
use crate::redact::KnownSecrets;

/// A profile that a program stands behind.
pub struct CommandWorker {
    name: String,
    role: String,
    version: String,
    agent: CommandAgent,
    prompts: Prompts,
    /// What the program is given beside what every command gets; secret.
    env: BTreeMap<String, String>,
    /// The same, to be recognised.
    secrets: KnownSecrets,
}

impl fmt::Debug for CommandWorker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CommandWorker").field("name", &self.name).field("version", &self.version).finish_non_exhaustive()
    }
}

impl CommandWorker {
    /// The agent of that name, with its own instructions. It is given those variables of the environment that its settings name.
    pub fn new(name: &str, role: &str, agent: CommandAgent, prompts: Prompts, environment: &Environment) -> Self {
        let role_hash = hex::encode(Sha256::digest(role));
        let version = format!("{} {} role {}", agent.version(), prompts.version_for_trees(), &role_hash[..12]);
        let env = agent.settings().environment(|name| environment.get(name));
        let secrets = KnownSecrets::of(&env);
        Self { name: name.to_owned(), role: role.to_owned(), version, agent, prompts, env, secrets }
    }

    /// The proxy through which it reaches the hosts that its settings name; none where it has no network.
    async fn egress(&self) -> Result<Option<Egress>, String> {
        let hosts = &self.agent.settings().hosts;
        if hosts.is_empty() {
            return Ok(None);
        }
        let egress = Egress::start(hosts.clone(), EgressLimits::default()).await;
        egress.map(Some).map_err(|error| format!("{error}; hint: {}", error.hint()))
    }

    async fn work(&self, work: Work) -> Result<Delivered, AgentError> {
        let Some(worktree) = work.worktree.clone() else {
            return Err(AgentError::Stopped("it was given no directory to work in".to_owned()));
        };
        let failed = |class, message: String| AgentError::Failed { class, message, account: Box::default() };
        let task = LlmTask::of(work.unit, work.briefing, &self.role);
        let prompt = self.prompts.worktree(&task).map_err(|error| failed(ErrorClass::Permanent, error.to_string()))?;
        let settings = self.agent.settings();
        let bound = Bound { tokens: settings.tokens_max, cost_micros: settings.cost_max_micros };
        let held = Held::reserve(work.meter.as_ref(), bound).await;
        let held = held.map_err(|refused| failed(ErrorClass::Budget, refused.to_string()))?;
        let (env, recorder) = (self.env.clone(), work.recorder.clone());
        let mut task = CommandTask { key: task.key, prompt, worktree, env, network: Network::None, recorder };
        let egress = self.egress().await.map_err(|message| failed(ErrorClass::Transient, message))?;
        if let Some(egress) = &egress {
            task.network = egress.network();
            task.env.extend(egress.env());
            task.recorder = task.recorder.with_denials(egress.refusals());
        }
        let listener = Arc::clone(&work.listener);
        let mut progress = |progress: Progress| {
            tracing::debug!(unit = task.key, agent = self.name, ?progress, "at work");
            listener.tell(news(&self.name, progress));
        };
        // Whoever drops this future ends the program.
        let performed = self.agent.perform(&task, &mut progress, &CancellationToken::new()).await;
        let reached = match egress {
            Some(egress) => egress.stop().await,
            None => EgressRecord::default(),
        };
        match performed {
            Ok(outcome) => {
                held.settle(spent(&outcome, bound)).await;
                let asked = outcome.message.as_deref().and_then(asked);
                Ok(Delivered { files: Vec::new(), asked, account: account(&task.prompt, &outcome, &reached) })
            }
            Err(error) => {
                held.settle(spent(&error.outcome, bound)).await;
                let (class, message) = (error.class(), in_words(&error));
                Err(AgentError::Failed { class, message, account: Box::new(account(&task.prompt, &error.outcome, &reached)) })
            }
        }
    }
}

/// What it does, in words.
fn news(agent: &str, progress: Progress) -> News {
    let news = News { agent: agent.to_owned(), ..News::default() };
    match progress {
        Progress::Started { session } => News { step: "began".to_owned(), session: Some(session), ..news },
        Progress::Text(text) => News { step: text, ..news },
        Progress::Tool { name, about } => News { step: format!("{name} {about}"), ..news },
        Progress::Edit { path } => News { step: format!("changes {path}"), ..news },
        Progress::Used { tokens } => News { tokens: Some(tokens), ..news },
    }
}

/// One host that was asked for, in a line.
fn contact(contact: &Contact) -> String {
    let Contact { host, port, sent_bytes, received_bytes, verdict } = contact;
    match verdict {
        Verdict::Connected(_) => format!("reached {host}:{port}: {sent_bytes} bytes sent, {received_bytes} received"),
        Verdict::Refused(reason) => format!("was not let through to {host}:{port}: {reason}"),
        Verdict::Failed(reason) => format!("did not reach {host}:{port}: {reason}"),
    }
}

fn in_words(error: &CommandError) -> String {
    let again = error.retry_after().map(|wait| format!("; it wants to be asked again in {} s", wait.as_secs()));
    format!("{error}{}; hint: {}", again.unwrap_or_default(), error.hint())
}

/// What it says that it used. What it does not say counts as the whole of what it might use, unless it never ran.
fn spent(outcome: &CommandOutcome, bound: Bound) -> Spent {
    if outcome.exit.is_none() {
        return Spent { tokens: 0, cost_micros: bound.cost_micros.map(|_| 0), measured: true };
    }
    let usage = &outcome.usage;
    let said = usage.input.is_some() || usage.output.is_some();
    let tokens = if said { usage.tokens() } else { bound.tokens };
    let cost_micros = bound.cost_micros.map(|limit| usage.cost_micros.unwrap_or(limit)).or(usage.cost_micros);
    Spent { tokens, cost_micros, measured: said && usage.complete }
}

fn account(prompt: &str, outcome: &CommandOutcome, reached: &EgressRecord) -> Account {
    let mut transcript = Transcript::default();
    transcript.add("user", &crate::redact::redact(prompt));
    for entry in &outcome.transcript.entries {
        transcript.add(entry.kind, &entry.text);
    }
    if outcome.exit.is_some() {
        transcript.add("note", &format!("sandbox: {}", outcome.tier));
    }
    for asked in &reached.contacts {
        transcript.add("note", &contact(asked));
    }
    transcript.left_out_bytes += outcome.transcript.left_out_bytes;
    let usage = outcome.usage;
    let said = usage.input.is_some() || usage.output.is_some();
    Account {
        usage: Usage {
            input: usage.input.unwrap_or(0),
            cached_input: usage.cached.unwrap_or(0),
            cache_write: 0,
            output: usage.output.unwrap_or(0),
        },
        calls: usage.turns.and_then(|turns| usize::try_from(turns).ok()).unwrap_or(1),
        unreported: usize::from(!said && outcome.exit.is_some()),
        cost_micros: usage.cost_micros,
        transcript,
    }
}

impl Agent for CommandWorker {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> AgentKind {
        AgentKind::Command
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

    fn gives_away(&self, text: &[u8]) -> Option<&str> {
        self.secrets.held_by(text)
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.agent.settings().deadline)
    }

    fn perform(&self, work: Work) -> Delivery<'_> {
        Box::pin(self.work(work))
    }
}
