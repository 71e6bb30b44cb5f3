//! States of a run. One function says what follows what; a CHECK and a chart repeat it.

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Submitted; no worker has it.
    Queued,
    /// A worker drives it, or its units are being worked on.
    Running,
    /// Stopped on purpose; the same command goes on.
    Paused,
    /// Everything was built and proved.
    Succeeded,
    /// Finished, with units that wait or requirements that are unproved.
    Partial,
    /// Finished, with failures.
    Failed,
    /// Called off for good.
    Cancelled,
    /// A newer version of the specification took its place.
    Superseded,
}

/// What can happen to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    /// A worker took it.
    Start,
    /// Ctrl-C, pause, or a drained worker.
    Pause,
    /// Everything proved.
    Succeed,
    /// Something waits or is unproved.
    FinishPartial,
    /// Something failed.
    Fail,
    /// Resume, retry, approval, or an agent was configured.
    Resume,
    /// Called off.
    Cancel,
    /// A newer version starts.
    Supersede,
}

impl RunEvent {
    /// Every event, in the order of the chart.
    pub const ALL: [Self; 8] =
        [Self::Start, Self::Pause, Self::Succeed, Self::FinishPartial, Self::Fail, Self::Resume, Self::Cancel, Self::Supersede];
}

impl RunState {
    /// Every state, in the order of the chart.
    pub const ALL: [Self; 8] =
        [Self::Queued, Self::Running, Self::Paused, Self::Succeeded, Self::Partial, Self::Failed, Self::Cancelled, Self::Superseded];

    /// The state that follows, or none when the event cannot happen here.
    pub fn next(self, event: RunEvent) -> Option<Self> {
        use RunEvent as E;
        use RunState as S;
        Some(match (self, event) {
            (S::Queued, E::Start) | (S::Paused | S::Partial | S::Failed, E::Resume) => S::Running,
            (S::Queued | S::Running, E::Pause) => S::Paused,
            (S::Running, E::Succeed) => S::Succeeded,
            (S::Running, E::FinishPartial) => S::Partial,
            (S::Running, E::Fail) => S::Failed,
            (S::Queued | S::Running | S::Paused | S::Partial | S::Failed, E::Cancel) => S::Cancelled,
            (S::Queued | S::Running | S::Paused | S::Partial | S::Failed, E::Supersede) => S::Superseded,
            _ => return None,
        })
    }

    /// True when nothing more will happen by itself.
    pub fn finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled | Self::Superseded)
    }

    /// The text in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// The state of that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}
