//! Why the agent delivered nothing.

use std::time::Duration;

use thiserror::Error;

use super::answer::AnswerError;
use super::calls::Record;
use super::fault::{CallError, Fault};
use super::prompt::PromptError;
use crate::agents::meter::Refused;
use crate::engine::ErrorClass;

/// The reason, with everything that was done before.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct LlmError {
    /// The reason.
    pub cause: Cause,
    /// Every request and what was said.
    pub record: Box<Record>,
}

/// The reasons.
#[derive(Debug, Error)]
pub enum Cause {
    /// A prompt cannot be made.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The budget does not allow it.
    #[error(transparent)]
    Budget(#[from] Refused),
    /// The provider did not answer, after all repetitions.
    #[error("no answer from the model: {0}")]
    Call(CallError),
    /// The time was over before a request could be made.
    #[error("the deadline passed before the next request to the model")]
    Deadline,
    /// The model or a filter refused.
    #[error("the model refused: {0}")]
    Refused(String),
    /// It wants to know something first.
    #[error("it asks: {0}")]
    Asks(String),
    /// The answer was cut off again and again.
    #[error("the answer was cut off {0} times and is still not whole\n  hint: allow more output tokens, or split the unit")]
    Truncated(u32),
    /// The answer could not be read, and the corrected one neither.
    #[error("the answer cannot be read: {0}")]
    Unreadable(AnswerError),
}

impl LlmError {
    /// What kind of failure it is, for whoever decides about another attempt.
    pub fn class(&self) -> ErrorClass {
        match &self.cause {
            Cause::Budget(_) => ErrorClass::Budget,
            Cause::Deadline => ErrorClass::Timeout,
            Cause::Asks(_) => ErrorClass::NeedsInput,
            Cause::Call(error) if error.fault == Fault::Deadline => ErrorClass::Timeout,
            Cause::Call(error) if error.fault.is_transient() => ErrorClass::Transient,
            Cause::Call(_) | Cause::Prompt(_) | Cause::Refused(_) | Cause::Truncated(_) | Cause::Unreadable(_) => ErrorClass::Permanent,
        }
    }

    /// When the provider wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.cause {
            Cause::Call(error) => error.retry_after,
            _ => None,
        }
    }
}
