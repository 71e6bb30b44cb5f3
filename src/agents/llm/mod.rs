//! The agent that asks a language model for a unit's files.
//!
//! `answer` is the form of answers and its reader, `partial` one that was cut off, `prompt` what the model is told, `provider` one
//! request, `calls` its repetition and its price, `worker` the seam to every other agent. Called by `runner`. It decides nothing about the files
//! but that they are whole and the ones that were asked for; checks judge them.

pub mod answer;
mod calls;
mod error;
mod fault;
mod frames;
mod hints;
mod partial;
mod paths;
pub mod prices;
pub mod prompt;
mod prompt_name;
pub mod provider;
mod task;
mod worker;

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod answering_tests;
#[cfg(test)]
mod bench_tests;
#[cfg(test)]
mod failing_tests;
#[cfg(test)]
mod prompt_tests;
#[cfg(test)]
#[path = "../../../tests/standin/model.rs"]
mod standin;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

pub use calls::{Answered, CallRecord, Record, Retries, Wait};
pub use error::{Cause, LlmError};
pub use fault::{CallError, Fault};
pub use partial::Partial;
pub use task::LlmTask;
pub use worker::ModelWorker;

use answer::{Answer, AnswerError, parse};
use calls::Calls;
use prices::Prices;
use prompt::Prompts;
use provider::{Message, Provider, ProviderError, Request, Speaker, Stop};

use crate::agents::meter::Meter;

/// An answer that cannot be read is asked for again so often: a model that fails twice fails for another reason than a slip.
const CORRECTIONS_MAX: u32 = 1;
/// Of a refusal so much is told.
const REFUSAL_CHARS_MAX: usize = 500;

/// How the model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmOptions {
    /// Its name at the provider.
    pub model: String,
    /// How freely it chooses; none for models that refuse to be told.
    pub temperature: Option<f64>,
    /// The most tokens of one answer.
    pub output_tokens_max: u32,
    /// How often an answer that was cut off may go on.
    pub continuations_max: u32,
    /// How long a unit may take, waits included.
    pub deadline: Duration,
    /// How requests are repeated.
    pub retries: Retries,
}

impl LlmOptions {
    /// The defaults for a model.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            temperature: Some(0.2),
            output_tokens_max: 4_000,
            continuations_max: 3,
            deadline: Duration::from_mins(5),
            retries: Retries::default(),
        }
    }
}

/// What the agent delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmOutcome {
    /// Content by path below the project's root.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Every request and what was said.
    pub record: Record,
}

/// The agent.
#[derive(Debug)]
pub struct LlmAgent {
    provider: Provider,
    prompts: Prompts,
    prices: Prices,
    options: LlmOptions,
}

impl LlmAgent {
    /// An agent for one model of one provider.
    pub fn new(provider: Provider, prompts: Prompts, prices: Prices, options: LlmOptions) -> Result<Self, ProviderError> {
        provider.check_model(&options.model)?;
        Ok(Self { provider, prompts, prices, options })
    }

    /// What results depend on besides the task itself: provider, model, options and prompts.
    pub fn version(&self) -> String {
        let LlmOptions { model, temperature, output_tokens_max, continuations_max, .. } = &self.options;
        let temperature = temperature.map_or_else(|| "default".to_owned(), |temperature| temperature.to_string());
        let (kind, prompts) = (self.provider.kind(), self.prompts.version());
        format!("{kind}/{model} temperature {temperature} output {output_tokens_max}x{} {prompts}", continuations_max + 1)
    }

    /// Asks for the files of a unit. Every request is set aside with the meter before it is sent, and written down after it, also when
    /// the future is dropped. Gives the files when they are whole, well-formed and exactly the ones that were asked for.
    pub async fn perform(&self, task: &LlmTask, meter: &dyn Meter) -> Result<LlmOutcome, LlmError> {
        let mut calls = Calls {
            provider: &self.provider,
            prices: &self.prices,
            retries: self.options.retries,
            meter,
            deadline: Instant::now() + self.options.deadline,
            record: Record::default(),
        };
        match self.converse(task, &mut calls).await {
            Ok(files) => Ok(LlmOutcome { files, record: calls.record }),
            Err(cause) => Err(LlmError { cause, record: Box::new(calls.record) }),
        }
    }

    async fn converse(&self, task: &LlmTask, calls: &mut Calls<'_>) -> Result<BTreeMap<String, Vec<u8>>, Cause> {
        let system = self.prompts.system(task)?;
        let first = self.prompts.unit(task)?;
        calls.note("system", &system);
        let (mut purpose, mut cut, mut continued, mut corrected) = ("unit", None::<Partial>, 0, 0);
        let mut next = (String::new(), first.clone());
        loop {
            calls.note("user", &next.1);
            let reply = calls.ask(purpose, &self.request(&system, &first, &next)).await?;
            if reply.stop == Stop::Refusal {
                return Err(Cause::Refused(self.provider.clean(&reply.text).chars().take(REFUSAL_CHARS_MAX).collect()));
            }
            let text = cut.as_ref().map_or_else(|| Ok(reply.text.clone()), |cut| cut.join(&reply.text));
            let answer = text.and_then(|text| parse(&text)).and_then(|answer| answer.check_whole(reply.stop == Stop::Length));
            match answer.and_then(|answer| answer.check_declared(&task.files, &task.taken).map(|()| answer)) {
                Ok(Answer { question: Some(question), .. }) => return Err(Cause::Asks(self.provider.clean(&question))),
                Ok(answer) => {
                    for path in &answer.unfenced {
                        calls.note("note", &format!("the code fence around {path} was taken off"));
                    }
                    return Ok(answer.files.into_iter().map(|(path, content)| (path, content.into_bytes())).collect());
                }
                Err(AnswerError::Truncated(partial)) if !partial.kept().is_empty() => {
                    if continued == self.options.continuations_max {
                        return Err(Cause::Truncated(continued + 1));
                    }
                    continued += 1;
                    purpose = "continuation";
                    next = (partial.kept().to_owned(), self.prompts.continuation(&partial)?);
                    cut = Some(partial);
                }
                Err(problem) => {
                    if corrected == CORRECTIONS_MAX {
                        return Err(Cause::Unreadable(problem));
                    }
                    corrected += 1;
                    purpose = "correction";
                    let kept = cut.take().map(|cut| cut.kept().to_owned()).unwrap_or_default();
                    next = (kept + &reply.text, self.prompts.correction(&problem.to_string())?);
                }
            }
        }
    }

    /// The unit, and when the model has spoken since: what it said and what it is told now.
    fn request(&self, system: &str, first: &str, (said, told): &(String, String)) -> Request {
        let user = |text: &str| Message { speaker: Speaker::User, text: text.to_owned() };
        let mut messages = vec![user(first)];
        if told != first {
            // Providers refuse empty messages.
            let text = if said.trim().is_empty() { "(nothing)".to_owned() } else { said.clone() };
            messages.extend([Message { speaker: Speaker::Model, text }, user(told)]);
        }
        Request {
            model: self.options.model.clone(),
            system: system.to_owned(),
            messages,
            temperature: self.options.temperature,
            output_tokens_max: self.options.output_tokens_max,
        }
    }
}
