//! What can go wrong with vectors: none of it loses a fact.

use std::time::Duration;

/// What can go wrong. None of it loses a fact: the rows are in PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// A vector of another length than the collection's.
    #[error("a vector of {found} numbers was given to collections of {expected}")]
    Dimension {
        /// The collection's.
        expected: usize,
        /// The vector's.
        found: usize,
    },
    /// A vector holds a number that is none.
    #[error("a vector holds a number that is not finite")]
    NotFinite,
    /// The deadline passed.
    #[error("{action} took more than {} ms", within.as_millis())]
    Deadline {
        /// What was done.
        action: &'static str,
        /// The deadline.
        within: Duration,
    },
    /// The server was left alone: it had failed before.
    #[error("{action} was not tried: {reason}")]
    LeftAlone {
        /// What was to be done.
        action: &'static str,
        /// Why not.
        reason: String,
    },
    /// The setting is no address of a Qdrant server.
    #[error("the address of the vector store cannot be used: {reason}")]
    Address {
        /// Why.
        reason: String,
    },
    /// A generation that does not exist.
    #[error("there is no generation {number} of the vectors")]
    NoGeneration {
        /// Its number.
        number: u32,
    },
    /// The generation that serves was to be dropped.
    #[error("generation {number} of the vectors serves and is not dropped")]
    Serving {
        /// Its number.
        number: u32,
    },
    /// The engine failed.
    #[error("{action} failed: {reason}")]
    Engine {
        /// What was done.
        action: &'static str,
        /// What it said.
        reason: String,
    },
}

impl VectorsError {
    /// True when the same call may well succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::LeftAlone { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address { .. } => "the form of QDRANT_URL is http://host:6334, the port that speaks gRPC",
            _ => "start the server or unset QDRANT_URL; until then the rows themselves are compared",
        }
    }
}
