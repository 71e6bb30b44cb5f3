//! One task: the agent is told, followed and asked after until it rests.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::error::Cause;
use super::events::Events;
use super::prompts::question;
use super::view::{Progress, View};
use super::wire::{Event, Message, MessageKind, Role, Status};
use super::{AgentApi, AgentApiTask};
use crate::agents::Transcript;

/// So often in a row a lost stream is opened again; a stream that says something ends the row.
const CONNECTIONS_MAX: u32 = 6;
/// The wait before the second connection, which doubles with each, with full jitter; and before a prompt is sent again.
const RECONNECT_BASE: Duration = Duration::from_millis(200);
/// So often a prompt is sent that the agent did not take: because it was busy, or because the answer was lost.
const SENDS_MAX: u32 = 5;
/// So many questions are answered in one task: an agent that asks on and on has no use of its answers.
const ANSWERS_MAX: u32 = 20;
/// How long an answer may be without an effect.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// The status of every refusal that is about the agent and not about the request.
const BUSINESS: u16 = 500;
/// Ctrl-C, as a terminal sends it.
const INTERRUPT: &str = "\x03";

/// A task under way.
pub(super) struct Session<'a> {
    api: &'a AgentApi,
    events: Option<Events>,
    view: View,
    notes: Transcript,
    /// Connections in a row that said nothing.
    silent: u32,
    answers: u32,
    /// True from the moment at which the agent may have been told something.
    told: bool,
    /// Who is given each message of the agent as it grows.
    heard: &'a (dyn Fn(&str) + Sync),
}

impl<'a> Session<'a> {
    pub(super) fn new(api: &'a AgentApi, heard: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self { api, heard, events: None, view: View::default(), notes: Transcript::default(), silent: 0, answers: 0, told: false }
    }

    /// From an agent at rest to an agent at rest; its last message.
    pub(super) async fn run(&mut self, task: &AgentApiTask) -> Result<Message, Cause> {
        self.rest().await?;
        let prompt = self.hand_over(task).await?;
        self.view.begin();
        self.tell(&prompt).await?;
        self.follow().await?;
        // Events were upserted as they came; this is what the server has in the end.
        for message in self.api.messages().await? {
            self.view.take(Event::Message(message))?;
        }
        self.view.last().cloned().ok_or(Cause::Busy)
    }

    /// Interrupts the agent, whatever it does. Nobody waits for more than one call.
    pub(super) async fn interrupt(&mut self) {
        if !self.told {
            return;
        }
        match self.api.send(INTERRUPT, MessageKind::Raw).await {
            Ok(()) => self.notes.tell("keys", "Ctrl-C"),
            Err(cause) => self.notes.tell("note", &format!("the agent could not be interrupted: {cause}")),
        }
    }

    pub(super) fn said(&self) -> Vec<Message> {
        if self.told { self.view.said() } else { Vec::new() }
    }

    /// What was said, then what happened beside it.
    pub(super) fn transcript(&self) -> Transcript {
        let mut transcript = Transcript::default();
        for message in self.said() {
            transcript.tell(if message.role == Role::Agent { "agent" } else { "user" }, &message.content);
        }
        for note in &self.notes.entries {
            transcript.tell(note.kind, &note.text);
        }
        transcript.left_out_bytes += self.notes.left_out_bytes;
        transcript
    }

    /// Waits until an agent that was busy before rests, and answers what it may ask.
    async fn rest(&mut self) -> Result<(), Cause> {
        loop {
            match self.view.status() {
                Some(Status::Stable) if !self.answered().await? => return Ok(()),
                _ => self.hear(None).await?,
            };
        }
    }

    /// Uploads the files; the prompt with their places.
    async fn hand_over(&mut self, task: &AgentApiTask) -> Result<String, Cause> {
        let mut places = Vec::new();
        for (name, content) in &task.uploads {
            places.push(self.api.upload(name, content.clone()).await?);
        }
        if places.is_empty() {
            return Ok(task.prompt.clone());
        }
        Ok(format!("{}\n\nFiles that were handed over:\n- {}", task.prompt, places.join("\n- ")))
    }

    /// Sends the prompt until the agent has it. While a message is sent the server answers nobody, so nothing is concluded meanwhile.
    async fn tell(&mut self, prompt: &str) -> Result<(), Cause> {
        let mut failed = Cause::Busy;
        for _ in 0..SENDS_MAX {
            match self.sent(prompt).await {
                Ok(()) => return Ok(()),
                Err(cause @ Cause::Refused { status: BUSINESS, .. }) => {
                    // Busy again since it rested, perhaps by a person at its terminal; the status of a refusal does not tell it from others.
                    self.told = false;
                    failed = if self.api.status().await? == Status::Running { Cause::Busy } else { cause };
                }
                Err(cause) if cause.lost() => {
                    self.notes.tell("note", &format!("sending was not confirmed: {cause}"));
                    if self.taken().await? {
                        return Ok(());
                    }
                    failed = cause;
                }
                Err(cause) => return Err(cause),
            }
            // What was heard before a refusal may be older than the work that caused it.
            self.forget();
            sleep(RECONNECT_BASE).await;
            self.rest().await?;
            self.view.begin();
        }
        Err(failed)
    }

    /// Whether the conversation has the prompt although nobody confirmed it.
    async fn taken(&mut self) -> Result<bool, Cause> {
        for message in self.api.messages().await? {
            self.view.take(Event::Message(message))?;
        }
        Ok(self.view.heard())
    }

    /// Sends and listens at once: the agent may speak before the server confirms.
    async fn sent(&mut self, prompt: &str) -> Result<(), Cause> {
        self.view.told();
        self.told = true;
        let api = self.api;
        let sending = api.send(prompt, MessageKind::User);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                sent = &mut sending => return sent,
                heard = self.next() => match heard {
                    Ok(event) => {
                        self.take(event)?;
                    }
                    Err(cause) if cause.lost() => return sending.await,
                    Err(cause) => return Err(cause),
                },
            }
        }
    }

    async fn follow(&mut self) -> Result<(), Cause> {
        loop {
            match self.view.progress() {
                Progress::Working => {
                    self.hear(None).await?;
                }
                Progress::Rests | Progress::RestsSilently if self.answered().await? => {}
                // Stable says only that the screen has not changed: it must stay so.
                Progress::Rests => {
                    if !self.hear(Some(Instant::now() + self.api.settings.settle)).await? {
                        return Ok(());
                    }
                }
                Progress::RestsSilently => {
                    self.hear(None).await?;
                }
            }
        }
    }

    /// True when the agent asked something and was answered; it works again then, or has asked the next question.
    async fn answered(&mut self) -> Result<bool, Cause> {
        let api = self.api;
        let shown = self.view.last().map_or("", |message| message.content.as_str()).to_owned();
        let Some((text, rule)) = question(&api.settings.prompts, &shown) else { return Ok(false) };
        let Some(answer) = rule.answer.as_ref().filter(|_| self.answers < ANSWERS_MAX) else { return Err(Cause::NeedsInput(text)) };
        self.answers += 1;
        self.notes.tell("keys", &format!("{} to: {text}", answer.escape_debug()));
        self.view.told();
        api.send(answer, MessageKind::Raw).await?;
        if !self.hear(Some(Instant::now() + ANSWER_MAX)).await? {
            return Err(Cause::NeedsInput(text));
        }
        Ok(true)
    }

    /// Takes the next event; false when there was none until a time. After a long silence the server is asked whether it is well.
    async fn hear(&mut self, until: Option<Instant>) -> Result<bool, Cause> {
        loop {
            let quiet = Instant::now() + self.api.settings.quiet;
            let heard = timeout_at(until.map_or(quiet, |until| until.min(quiet)), self.next()).await;
            match heard {
                Ok(event) => {
                    if self.take(event?)? {
                        return Ok(true);
                    }
                }
                Err(_) if until.is_some_and(|until| Instant::now() >= until) => return Ok(false),
                Err(_) => {
                    if Some(self.api.status().await?) != self.view.status() {
                        self.notes.tell("note", "the stream fell silent and was opened again");
                        self.forget();
                    }
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<bool, Cause> {
        if let Event::Fault { message, level } = &event {
            self.notes.tell("note", &format!("the agent reports ({level}): {message}"));
        }
        if let Event::Message(message) = &event
            && message.role == Role::Agent
            && self.told
        {
            (self.heard)(&message.content);
        }
        self.view.take(event)
    }

    fn forget(&mut self) {
        self.events = None;
        self.view.lost();
    }

    /// The next event, from a new connection where there is none. Cancel safe.
    async fn next(&mut self) -> Result<Event, Cause> {
        loop {
            let failed = match &mut self.events {
                None => match self.api.events().await {
                    Ok(events) => {
                        self.events = Some(events);
                        continue;
                    }
                    Err(cause) => cause,
                },
                Some(events) => match events.next().await {
                    Ok(Some(event)) => {
                        self.silent = 0;
                        return Ok(event);
                    }
                    Ok(None) => Cause::Unreachable { call: "GET /events", reason: "the stream ended".to_owned() },
                    Err(cause) => cause,
                },
            };
            self.silent += 1;
            if !failed.lost() || self.silent >= CONNECTIONS_MAX {
                return Err(failed);
            }
            self.notes.tell("note", &format!("{failed}; connected again"));
            self.forget();
            sleep(RECONNECT_BASE.saturating_mul(1 << self.silent).mul_f64(fastrand::f64())).await;
        }
    }
}
