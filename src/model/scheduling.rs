//! How units are chosen, repeated and handed on: the words that settings, plans and the engine share.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which ready unit goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// The one that begins the longest chain; of equal ones the more urgent.
    #[default]
    CriticalPath,
    /// The most urgent one; of equal ones the one that begins the longest chain.
    Priority,
    /// The one that has been ready for the longest time.
    Fifo,
    /// The one of least effort.
    ShortestFirst,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::CriticalPath, Self::Priority, Self::Fifo, Self::ShortestFirst];

    /// The text in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CriticalPath => "critical-path",
            Self::Priority => "priority",
            Self::Fifo => "fifo",
            Self::ShortestFirst => "shortest-first",
        }
    }
}

impl FromStr for Strategy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == text).ok_or(())
    }
}

/// How long a transient failure waits before it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// It is not tried again.
    None,
    /// Not at all.
    Immediate,
    /// Always as long.
    Fixed,
    /// Twice as long each time, up to a cap, and a random part of that.
    #[default]
    Exponential,
}

impl Backoff {
    /// Every backoff.
    pub const ALL: [Self; 4] = [Self::None, Self::Immediate, Self::Fixed, Self::Exponential];

    /// The text in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Immediate => "immediate",
            Self::Fixed => "fixed",
            Self::Exponential => "exponential",
        }
    }
}

impl FromStr for Backoff {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|backoff| backoff.as_str() == text).ok_or(())
    }
}

/// Who is to try a unit; each step comes after the one before it has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Escalation {
    /// The agent that was assigned first.
    #[default]
    Assigned,
    /// Another one.
    AnotherAgent,
    /// The one that is given the evidence of what failed.
    DebuggingAgent,
    /// A person: the unit waits.
    Person,
}

impl Escalation {
    /// Every step, in order; a step's place is its number in the database.
    pub const ALL: [Self; 4] = [Self::Assigned, Self::AnotherAgent, Self::DebuggingAgent, Self::Person];

    /// The text in settings and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::AnotherAgent => "another-agent",
            Self::DebuggingAgent => "debugging-agent",
            Self::Person => "person",
        }
    }

    /// Its number in the database.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// The step of that number.
    pub fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.number() == number)
    }
}

impl FromStr for Escalation {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|step| step.as_str() == text).ok_or(())
    }
}

/// Kinds of agents, each with a limit of its own on how many work at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    /// Templates of a target pack.
    Generator,
    /// A model that is called directly.
    Llm,
    /// A program on the command line.
    Command,
    /// A server that speaks AgentAPI.
    AgentApi,
    /// A person.
    Manual,
}

impl AgentKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Generator, Self::Llm, Self::Command, Self::AgentApi, Self::Manual];

    /// The text in settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Llm => "llm",
            Self::Command => "command",
            Self::AgentApi => "agentapi",
            Self::Manual => "manual",
        }
    }
}

impl FromStr for AgentKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}
