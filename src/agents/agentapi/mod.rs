//! The client of an AgentAPI server: a terminal agent that is controlled over HTTP. One server is one agent.
//!
//! `calls` are the five calls, `events` and `frames` the stream, `view` what was heard so far, `session` one task from its prompt to
//! the agent's rest; `form` and `worker` make it one agent among others. Called by `roster` and `runner`, which judges by the unit's tree: what
//! the agent says is kept, never believed. It starts no server and reads no files.

mod calls;
mod error;
mod events;
mod form;
mod frames;
mod prompts;
mod session;
mod view;
mod wire;
mod worker;

#[cfg(test)]
#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../../../tests/standin/agentapi.rs"]
mod standin;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub use error::{AgentApiError, Cause};
pub use events::Events;
pub use form::{AgentApiForm, Answered, Wanted};
pub use prompts::PromptRule;
pub use wire::{Event, Message, MessageKind, Role, Status};
pub use worker::AgentApiWorker;

use session::Session;

use crate::agents::Transcript;

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A server does not answer while a message is sent to its agent, which takes up to 15 s: whoever waits less takes it for dead.
const CALL_MIN: Duration = Duration::from_secs(30);

/// Where the server is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct AgentApiSettings {
    /// `http://127.0.0.1:3284`.
    pub base_url: String,
    /// True when the server may be on another machine. It has no authentication: whoever reaches it commands the agent.
    pub remote: bool,
    /// How long one call may take; at least 30 s.
    pub call: Duration,
    /// How long the agent must rest before it counts as done.
    pub settle: Duration,
    /// How long the stream may be silent before the server is asked whether it is well.
    pub quiet: Duration,
    /// By what a question to a person is known, and what is answered.
    pub prompts: Vec<PromptRule>,
}

impl AgentApiSettings {
    /// The defaults for a server.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            remote: false,
            call: Duration::from_secs(45),
            settle: Duration::from_secs(3),
            quiet: Duration::from_mins(1),
            prompts: PromptRule::usual(),
        }
    }
}

/// What the agent is asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentApiTask {
    /// What is typed.
    pub prompt: String,
    /// Files that the agent is given: name and content.
    pub uploads: Vec<(String, Vec<u8>)>,
}

/// What the agent said until it rested. What it did is in the work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentApiOutcome {
    /// Since the task was sent, in their order.
    pub messages: Vec<Message>,
    /// Everything that happened, without secrets and of bounded size.
    pub transcript: Transcript,
    /// The agent's last message.
    pub last: Message,
}

/// A server that can be asked.
#[derive(Debug, Clone)]
pub struct AgentApi {
    client: reqwest::Client,
    base: Url,
    settings: AgentApiSettings,
}

impl AgentApi {
    /// A server as set. Connects to nothing.
    pub fn new(mut settings: AgentApiSettings) -> Result<Self, Cause> {
        let base = address(&settings.base_url, settings.remote)?;
        settings.call = settings.call.max(CALL_MIN);
        // The builder wants one whether TLS is spoken or not. That another part installed one already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).connect_timeout(CONNECT_MAX);
        let client = if loopback(&base) { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| Cause::Address(settings.base_url.clone(), error.to_string()))?;
        Ok(Self { client, base, settings })
    }

    /// Gives the agent a task and follows it until it rests. At the deadline, and when `stop` is cancelled, the agent is interrupted
    /// (Ctrl-C) before this returns, which may take one call's time.
    pub async fn perform(
        &self,
        task: &AgentApiTask,
        stop: &CancellationToken,
        deadline: Instant,
    ) -> Result<AgentApiOutcome, AgentApiError> {
        self.perform_heard(task, stop, deadline, &|_| {}).await
    }

    /// The same, and `heard` is given each message of the agent as it grows.
    pub async fn perform_heard(
        &self,
        task: &AgentApiTask,
        stop: &CancellationToken,
        deadline: Instant,
        heard: &(dyn Fn(&str) + Sync),
    ) -> Result<AgentApiOutcome, AgentApiError> {
        let mut session = Session::new(self, heard);
        let result = tokio::select! {
            result = session.run(task) => result,
            () = stop.cancelled() => Err(Cause::Cancelled),
            () = sleep_until(deadline) => Err(Cause::Deadline),
        };
        if let Err(Cause::Cancelled | Cause::Deadline) = result {
            session.interrupt().await;
        }
        match result {
            Ok(last) => Ok(AgentApiOutcome { messages: session.said(), transcript: session.transcript(), last }),
            Err(cause) => Err(AgentApiError { cause, transcript: Box::new(session.transcript()) }),
        }
    }
}

fn address(text: &str, remote: bool) -> Result<Url, Cause> {
    let wrong = |why: &str| Cause::Address(crate::redact::redact(text), why.to_owned());
    let url: Url = text.parse().map_err(|_| wrong("it is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("it is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has credentials, a query or a fragment"));
    }
    if !remote && !loopback(&url) {
        return Err(wrong("it is on another machine, which the settings do not allow"));
    }
    let mut url = url;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    address.map_or(host == "localhost", |address| address.is_loopback())
}
