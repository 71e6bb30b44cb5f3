//! Why a call or a whole task failed.

use thiserror::Error;

use crate::agents::Transcript;
use crate::engine::ErrorClass;

/// The reason, with everything that was said before.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct AgentApiError {
    /// The reason.
    pub cause: Cause,
    /// What was said.
    pub transcript: Box<Transcript>,
}

/// The reasons.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Cause {
    /// The address cannot be used.
    #[error("\"{0}\" is no address of an agent's server: {1}")]
    Address(String, String),
    /// No connection, or none any more.
    #[error("the agent's server cannot be reached ({call}): {reason}")]
    Unreachable {
        /// The call that was tried.
        call: &'static str,
        /// What happened.
        reason: String,
    },
    /// The server did not answer in time.
    #[error("the agent's server did not answer in time ({call})")]
    Silent {
        /// The call that was tried.
        call: &'static str,
    },
    /// The server said no.
    #[error("the agent's server refused ({call}, status {status}): {reason}")]
    Refused {
        /// The call that was tried.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        reason: String,
    },
    /// The answer is not what the protocol says, or larger than anything that is read.
    #[error("the agent's server does not keep to the protocol ({call}): {reason}")]
    Protocol {
        /// The call that was tried.
        call: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// What was to be sent is too large.
    #[error("{what} has more than {bytes_max} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// The limit.
        bytes_max: usize,
    },
    /// The agent works on something else and does not come to rest.
    #[error("the agent is busy with something else")]
    Busy,
    /// The agent asks a question that nobody configured an answer to.
    #[error("the agent waits for an answer: {0}")]
    NeedsInput(String),
    /// The agent itself reports a fault.
    #[error("the agent reports: {0}")]
    Agent(String),
    /// The time was over.
    #[error("the deadline passed before the agent came to rest")]
    Deadline,
    /// It was called off.
    #[error("the task was called off")]
    Cancelled,
}

impl Cause {
    /// What kind of failure it is, for whoever decides about another attempt.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Busy => ErrorClass::Transient,
            Self::Address(..) | Self::Refused { .. } | Self::Protocol { .. } | Self::TooLarge { .. } | Self::Agent(_) => {
                ErrorClass::Permanent
            }
            Self::NeedsInput(_) => ErrorClass::NeedsInput,
            Self::Deadline => ErrorClass::Timeout,
            Self::Cancelled => ErrorClass::Cancelled,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address(..) => "http://127.0.0.1:3284 is where such a server usually listens",
            Self::Unreachable { .. } | Self::Silent { .. } => "see whether the server runs and answers GET /status",
            Self::Refused { .. } | Self::Protocol { .. } => "see the server's own log, and whether its version speaks this protocol",
            Self::TooLarge { .. } => "send less",
            Self::Busy => "one server is one agent: use as many servers as units at once",
            Self::NeedsInput(_) => "answer it in the agent's terminal, or configure what is answered",
            Self::Agent(_) => "see the agent's terminal",
            Self::Deadline => "allow more time, or split the unit",
            Self::Cancelled => "run it again",
        }
    }

    /// True when the same call may succeed after a new connection.
    pub(super) fn lost(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. })
    }
}
