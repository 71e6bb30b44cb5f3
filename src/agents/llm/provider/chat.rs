//! What is asked of a model and what it answers, whichever protocol carries it.

use genai::chat::StopReason;

use crate::agents::usage::Usage;

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// This program.
    User,
    /// The model.
    Model,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// By whom.
    pub speaker: Speaker,
    /// What.
    pub text: String,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Of which model.
    pub model: String,
    /// Who it is to be.
    pub system: String,
    /// What was said so far, the last by this program.
    pub messages: Vec<Message>,
    /// None for models that refuse one.
    pub temperature: Option<f64>,
    /// The most tokens of the answer.
    pub output_tokens_max: u32,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It was finished.
    End,
    /// It became too long.
    Length,
    /// The model or a filter refused.
    Refusal,
    /// Something else, in the provider's word.
    Other(String),
}

/// An answer that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What the model wrote; for a refusal, what it said instead.
    pub text: String,
    /// Why it ended.
    pub stop: Stop,
    /// What the provider says it used; none when it says nothing.
    pub usage: Option<Usage>,
    /// The provider's name of the answer.
    pub id: Option<String>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
}

impl Stop {
    /// What a provider's word means; without one nothing is assumed.
    pub(super) fn of(finish: Option<String>) -> Self {
        match StopReason::from(finish.unwrap_or_else(|| "none stated".to_owned())) {
            StopReason::Completed(_) | StopReason::StopSequence(_) => Self::End,
            StopReason::MaxTokens(_) => Self::Length,
            StopReason::ContentFilter(_) => Self::Refusal,
            StopReason::ToolCall(reason) | StopReason::Other(reason) => Self::Other(reason),
        }
    }
}
