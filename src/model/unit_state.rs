//! States of a unit within a run. One function says what follows what; a CHECK and a chart repeat it.

use serde::{Deserialize, Serialize};

/// Where a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitState {
    /// Its dependencies are not all done.
    Pending,
    /// It may be claimed.
    Ready,
    /// A worker holds it.
    Running,
    /// Its output passed its checks.
    Succeeded,
    /// An earlier success with the same input was reused.
    Cached,
    /// It was tried and cannot be done.
    Failed,
    /// Nothing configured can do it.
    Waiting,
    /// A dependency failed.
    Blocked,
    /// Somebody called it off.
    Cancelled,
}

/// What can happen to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitEvent {
    /// The last dependency is done.
    DependenciesDone,
    /// A dependency failed or was cancelled.
    DependencyFailed,
    /// A failed dependency was reopened.
    DependencyReopened,
    /// A worker took it.
    Claim,
    /// The same input succeeded before.
    CacheHit,
    /// The output passed.
    Succeed,
    /// The output did not pass and no attempt is left.
    Fail,
    /// The attempt failed and another one is due.
    Retry,
    /// The lease ran out or the worker gave it back.
    Release,
    /// Nothing configured can do it.
    Wait,
    /// An agent was configured for it.
    AgentConfigured,
    /// A person handed it in, or approved it.
    HandIn,
    /// A person said no.
    Reject,
    /// It is to be done again.
    Reopen,
    /// It is called off.
    Cancel,
}

impl UnitEvent {
    /// Every event, in the order of the chart.
    pub const ALL: [Self; 15] = [
        Self::DependenciesDone,
        Self::DependencyFailed,
        Self::DependencyReopened,
        Self::Claim,
        Self::CacheHit,
        Self::Succeed,
        Self::Fail,
        Self::Retry,
        Self::Release,
        Self::Wait,
        Self::AgentConfigured,
        Self::HandIn,
        Self::Reject,
        Self::Reopen,
        Self::Cancel,
    ];

    /// The words of the chart.
    pub fn words(self) -> &'static str {
        match self {
            Self::DependenciesDone => "dependencies done",
            Self::DependencyFailed => "dependency failed",
            Self::DependencyReopened => "dependency reopened",
            Self::Claim => "claim",
            Self::CacheHit => "cache hit",
            Self::Succeed => "succeed",
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Release => "release",
            Self::Wait => "wait",
            Self::AgentConfigured => "agent configured",
            Self::HandIn => "hand in",
            Self::Reject => "reject",
            Self::Reopen => "reopen",
            Self::Cancel => "cancel",
        }
    }
}

impl UnitState {
    /// Every state, in the order of the chart.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Ready,
        Self::Running,
        Self::Succeeded,
        Self::Cached,
        Self::Failed,
        Self::Waiting,
        Self::Blocked,
        Self::Cancelled,
    ];

    /// The state that follows, or none when the event cannot happen here.
    pub fn next(self, event: UnitEvent) -> Option<Self> {
        use UnitEvent as E;
        use UnitState as S;
        Some(match (self, event) {
            (S::Pending, E::DependenciesDone)
            | (S::Running, E::Retry | E::Release)
            | (S::Failed, E::Retry)
            | (S::Waiting, E::AgentConfigured) => S::Ready,
            (S::Pending, E::DependencyFailed) => S::Blocked,
            (S::Blocked | S::Ready | S::Running | S::Succeeded | S::Cached | S::Failed | S::Waiting, E::DependencyReopened) => S::Pending,
            (S::Ready, E::Claim) => S::Running,
            (S::Running, E::CacheHit) => S::Cached,
            (S::Running, E::Succeed) | (S::Waiting, E::HandIn) => S::Succeeded,
            (S::Running, E::Fail) | (S::Waiting, E::Reject) => S::Failed,
            (S::Ready | S::Running, E::Wait) => S::Waiting,
            (S::Succeeded | S::Cached | S::Failed, E::Reopen) => S::Ready,
            (S::Pending | S::Ready | S::Running | S::Waiting | S::Blocked | S::Failed, E::Cancel) => S::Cancelled,
            _ => return None,
        })
    }

    /// True when dependents may start.
    pub fn done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Cached)
    }

    /// The text in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Cached => "cached",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}
