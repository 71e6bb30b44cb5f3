//! What happens in a run, as it happens: one stream for the progress bars, the plain lines and the JSON lines.

use serde::{Deserialize, Serialize};

use super::{RunId, RunState, UnitState};

/// The version of the JSON form of [`Event`].
pub const EVENT_SCHEMA_VERSION: u32 = 1;

/// One thing that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`EVENT_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The run.
    pub run: RunId,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Kinds of event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run is under way; `how` says whether it is new, resumed or followed, in words.
    RunStarted {
        /// New, resumed, followed, new version.
        how: String,
    },
    /// A phase began.
    PhaseStarted {
        /// Its name.
        phase: Phase,
        /// 1, or the round of execute and validate.
        round: u32,
    },
    /// A phase ended well.
    PhaseFinished {
        /// Its name.
        phase: Phase,
        /// The round.
        round: u32,
        /// How long it took, in milliseconds.
        duration_ms: u64,
        /// What it found, in a phrase.
        summary: String,
        /// True when an earlier process had already done it.
        recorded: bool,
    },
    /// How many units there are, once the plan is scheduled.
    UnitsPlanned {
        /// Units.
        units: usize,
        /// Waves.
        waves: usize,
    },
    /// A unit changed its state.
    Unit {
        /// Its key.
        key: String,
        /// Its new state.
        state: UnitState,
        /// The agent that has or had it.
        agent: Option<String>,
        /// How long the attempt took, in milliseconds, once it is over.
        duration_ms: Option<u64>,
        /// Why, where the state needs a reason.
        reason: Option<String>,
    },
    /// The agent of a unit tells what it does; at most once a second for a unit.
    UnitProgress {
        /// The unit's key.
        key: String,
        /// Who tells.
        agent: String,
        /// The conversation that it carries on, where it names one.
        session: Option<String>,
        /// What it does or says, in a line without secrets.
        step: String,
        /// Tokens that it has used so far, as far as it says.
        tokens: Option<u64>,
    },
    /// A check of the whole project ended.
    Check {
        /// Its name.
        name: String,
        /// True when it held.
        passed: bool,
        /// How long it took, in milliseconds.
        duration_ms: u64,
        /// What it found, in a phrase.
        summary: String,
    },
    /// Something went on degraded.
    Warning {
        /// What.
        message: String,
    },
    /// The run ended or stopped.
    RunFinished {
        /// How.
        state: RunState,
        /// Why, in a phrase.
        summary: String,
    },
}

/// The phases of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it; ARCHITECTURE.md describes each")]
pub enum Phase {
    Ingest,
    Analyze,
    Plan,
    Atomize,
    Schedule,
    Branch,
    Execute,
    Waves,
    Repair,
    Validate,
    Deploy,
    Health,
    Learn,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 13] = [
        Self::Ingest,
        Self::Analyze,
        Self::Plan,
        Self::Atomize,
        Self::Schedule,
        Self::Branch,
        Self::Execute,
        Self::Waves,
        Self::Repair,
        Self::Validate,
        Self::Deploy,
        Self::Health,
        Self::Learn,
    ];

    /// The text in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Analyze => "analyze",
            Self::Plan => "plan",
            Self::Atomize => "atomize",
            Self::Schedule => "schedule",
            Self::Branch => "branch",
            Self::Execute => "execute",
            Self::Waves => "waves",
            Self::Repair => "repair",
            Self::Validate => "validate",
            Self::Deploy => "deploy",
            Self::Health => "health",
            Self::Learn => "learn",
        }
    }

    /// The phase of that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }
}
