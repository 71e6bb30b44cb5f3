//! Why a program did not end as it does when it thinks that it is done.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::settings::SettingsError;
use super::task::CommandOutcome;
use crate::engine::ErrorClass;
use crate::exec::{ExecError, Exit, Limit};

/// The reason, with everything that is known about the run. The work tree may hold half of the work.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct CommandError {
    /// The reason.
    pub cause: Cause,
    /// What it did before.
    pub outcome: Box<CommandOutcome>,
}

/// The reasons.
#[derive(Debug, Error)]
pub enum Cause {
    /// There is no such program.
    #[error("the program {0} is not installed")]
    NotInstalled(String),
    /// It is not logged in, or its key is wrong.
    #[error("the agent is not logged in: {0}")]
    Unauthorized(String),
    /// Its account has nothing left.
    #[error("the agent's account is used up: {said}", said = .0)]
    Exhausted(String),
    /// It did too much for now.
    #[error("the agent's provider limits its rate: {said}")]
    RateLimited {
        /// What it said.
        said: String,
        /// When it may try again, if that was told.
        reset_after: Option<Duration>,
    },
    /// Its provider has a problem, or cannot be reached.
    #[error("the agent's provider does not answer: {0}")]
    Overloaded(String),
    /// The model refused.
    #[error("the model refused: {0}")]
    Refused(String),
    /// It may not turn to its model again.
    #[error("the agent used up its turns")]
    MaxTurns,
    /// It used more than one try may.
    #[error("the agent used {used} {what}, more than the {limit} that one try may use")]
    Budget {
        /// Of what.
        what: &'static str,
        /// How much.
        used: u64,
        /// How much it might.
        limit: u64,
    },
    /// It said nothing for too long.
    #[error("the agent said nothing for {} s", .0.as_secs_f64())]
    Stalled(Duration),
    /// It took too long.
    #[error("the agent did not end within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It was called off.
    #[error("the agent was cancelled")]
    Cancelled,
    /// It reached a limit of the sandbox.
    #[error("the agent reached its {0} limit")]
    Limit(Limit),
    /// It ended in another way than it should.
    #[error("the agent ended with {exit}: {said}")]
    Crashed {
        /// How.
        exit: Exit,
        /// What it said last.
        said: String,
    },
    /// It says itself that it failed.
    #[error("the agent failed: {0}")]
    Failed(String),
    /// The kernel cannot confine it as it must be.
    #[error("the sandbox is too weak for an agent: {0}")]
    Unconfined(String),
    /// It cannot be told what to do.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The file with the prompt could not be written.
    #[error("cannot write the prompt to {path}")]
    Prompt {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It could not be run.
    #[error(transparent)]
    Exec(ExecError),
}

impl CommandError {
    /// What kind of failure it is, for whoever decides about another attempt.
    pub fn class(&self) -> ErrorClass {
        match &self.cause {
            Cause::RateLimited { .. } | Cause::Overloaded(_) | Cause::Crashed { .. } | Cause::Prompt { .. } => ErrorClass::Transient,
            Cause::Exec(error) if error.is_transient() => ErrorClass::Transient,
            Cause::NotInstalled(_) | Cause::Unauthorized(_) | Cause::Exhausted(_) | Cause::Unconfined(_) => ErrorClass::NeedsInput,
            Cause::Stalled(_) | Cause::TimedOut(_) => ErrorClass::Timeout,
            Cause::Cancelled => ErrorClass::Cancelled,
            Cause::Budget { .. }
            | Cause::Refused(_)
            | Cause::MaxTurns
            | Cause::Limit(_)
            | Cause::Failed(_)
            | Cause::Settings(_)
            | Cause::Exec(_) => ErrorClass::Permanent,
        }
    }

    /// When it may be tried again, if that was told.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.cause {
            Cause::RateLimited { reset_after, .. } => reset_after,
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match &self.cause {
            Cause::NotInstalled(_) => "install the program, or name it by its full path and its directory as readable",
            Cause::Unauthorized(_) => "pass the name of the variable with its key through, and see that it is set",
            Cause::Exhausted(_) => "top the account up, or configure another agent",
            Cause::RateLimited { .. } | Cause::Overloaded(_) => "it is tried again later; fewer agents at once help",
            Cause::Refused(_) => "reword the unit, or give it to another agent or a person",
            Cause::Budget { .. } => "raise the profile's tokens_max or cost_max, or split the unit",
            Cause::MaxTurns => "allow more turns, or split the unit",
            Cause::Stalled(_) => "it may wait for an answer that nobody gives: allow its tools, or raise the stall timeout",
            Cause::TimedOut(_) => "raise the deadline, or split the unit",
            Cause::Cancelled => "run again",
            Cause::Limit(_) => "raise that limit, or split the unit",
            Cause::Crashed { .. } | Cause::Failed(_) => "look at the transcript, and run the program by hand",
            Cause::Unconfined(_) => {
                "`specwave doctor` shows what this machine offers; the profile's `sandbox` says what the agent needs; `--no-sandbox` takes a weaker one, and records it"
            }
            Cause::Settings(_) => "change the agent's settings",
            Cause::Prompt { .. } => "free some space in the directory for temporary files",
            Cause::Exec(error) => error.hint(),
        }
    }
}
