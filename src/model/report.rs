//! The report of a run: what was done, what it proved, and where the files are. Every number in it was measured.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{CheckResult, Finding, Phase, Question, RunId, RunState, UnitState};

/// The version of the JSON form of [`RunReport`].
pub const REPORT_SCHEMA_VERSION: u32 = 1;

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunReport {
    /// [`REPORT_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The run.
    pub run: RunId,
    /// The specification's title.
    pub title: String,
    /// The specification's slug.
    pub slug: String,
    /// Which version of the specification, from 1.
    pub spec_version: u32,
    /// The target pack.
    pub target: String,
    /// How it stands.
    pub state: RunState,
    /// Why it stands so, in a phrase.
    pub summary: String,
    /// When it was submitted.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    /// The output directory.
    pub out: String,
    /// The branch on which the units are merged; none when nobody works in a tree and the user named no repository.
    #[serde(default)]
    pub branch: Option<BranchReport>,
    /// SHA-256 over the deployed files' paths, modes and contents.
    pub tree_hash: Option<String>,
    /// What to type in the output directory to install and start what was delivered; empty when nothing was.
    pub start: Vec<String>,
    /// The phases, in the order in which they began.
    pub phases: Vec<PhaseReport>,
    /// The units, by wave.
    pub units: Vec<UnitReport>,
    /// Checks of the whole project.
    pub checks: Vec<CheckResult>,
    /// Requirements and their proof; none before the first validation.
    pub compliance: Option<serde_json::Value>,
    /// What was noticed about the specification.
    pub findings: Vec<Finding>,
    /// What went on degraded, and since when.
    pub degraded: Vec<String>,
    /// What the agents that read were told and used; none when nobody was sent.
    #[serde(default)]
    pub agents: Option<AgentsReport>,
    /// The commands that were executed.
    #[serde(default)]
    pub commands: CommandsReport,
}

/// How many commands a run has executed, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommandsReport {
    /// All of them, also those that did not run after all.
    pub all: u64,
    /// Those that did not run: not installed, or refused.
    pub not_run: u64,
    /// Those that have not ended, or whose process was killed.
    pub unfinished: u64,
    /// Those that were denied something.
    pub denied: u64,
}

/// Where the units of a run are merged, one commit for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BranchReport {
    /// The user's repository as it was named, or where the run's own is kept; on the machine that drove the run.
    pub repository: String,
    /// Its name.
    pub branch: String,
    /// The commit that it grows from.
    pub start: String,
    /// True when the repository is the user's.
    pub users: bool,
}

/// What the agents that read were told and used in a run, and what is known of the effect of what was learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentsReport {
    /// Units that somebody was sent to.
    pub units: usize,
    /// Tries that have ended.
    pub tries: usize,
    /// Requests to models.
    pub calls: usize,
    /// Requests among them whose use nobody reported.
    pub unreported: usize,
    /// Tokens read, by the providers' count.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Money in millionths; none when the cost of a try is unknown.
    pub cost_micros: Option<u64>,
    /// Bytes of all contexts that were told.
    pub told_bytes: usize,
    /// Bytes that telling the whole specification and plan each time would have taken.
    pub whole_bytes: usize,
    /// Units of the run from which similar work was not withheld.
    pub eligible: usize,
    /// Those among them whose context held some.
    pub reusing: usize,
    /// The effect of showing similar work, over all runs of the organization.
    pub effect: EffectReport,
}

/// The effect of showing similar work on the share of first tries that pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EffectReport {
    /// `not_enough_evidence`, `helps` or `harms`.
    pub verdict: String,
    /// Units that were shown some.
    pub shown: u32,
    /// Those among them whose first try passed.
    pub shown_passed: u32,
    /// Units that were held out.
    pub held_out: u32,
    /// Those among them whose first try passed.
    pub held_out_passed: u32,
    /// The difference of the two shares, from -1 to 1.
    pub uplift: f64,
    /// The lower end of its interval, which holds at all looks together.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// With what probability it holds.
    pub level: f64,
    /// Where showing similar work stands: `candidate`, `promoted`, or `demoted` (then nobody is shown any).
    #[serde(default)]
    pub standing: String,
    /// The number of the campaign whose units these are, from 1; every move of the standing begins a new one.
    #[serde(default)]
    pub campaign: u32,
    /// Where it stands and on what that rests, in a sentence.
    #[serde(default)]
    pub stands: String,
}

/// Who was sent to a unit last, and what all tries at it used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SentReport {
    /// Who.
    pub agent: String,
    /// Why.
    pub reason: String,
    /// `shown` or `held_out`, where the unit is part of the trial.
    pub arm: Option<String>,
    /// True when it was told no similar work: by lot, or because patterns were demoted.
    #[serde(default)]
    pub withheld: bool,
    /// Why it was shown similar work or none.
    #[serde(default)]
    pub arm_reason: String,
    /// Tries that have ended.
    pub tries: usize,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Money in millionths; none when the cost of a try is unknown.
    pub cost_micros: Option<u64>,
}

/// One phase of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PhaseReport {
    /// Which one.
    pub phase: Phase,
    /// The round, from 1.
    pub round: u32,
    /// `started`, `succeeded` or `failed`.
    pub state: String,
    /// How long it took, in milliseconds; none while it is under way.
    pub duration_ms: Option<u64>,
    /// What it found, or why it failed, in a phrase.
    pub summary: String,
}

/// One unit of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnitReport {
    /// Its key.
    pub key: String,
    /// Its title.
    pub title: String,
    /// Its wave, from 1.
    pub wave: u32,
    /// How it stands.
    pub state: UnitState,
    /// Who did it.
    pub agent: Option<String>,
    /// Classified attempts.
    pub attempts: u32,
    /// How long the last attempt took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The checks that its last attempt passed or failed, or why it waits.
    pub evidence: Vec<String>,
    /// The tries that failed, oldest first, the last ones of many.
    #[serde(default)]
    pub failures: Vec<FailureReport>,
    /// Files that its last attempt changed and that it does not declare, where the run allows that.
    #[serde(default)]
    pub undeclared: Vec<String>,
    /// What its agent was, or would be, told; none for generators, which read the specification itself.
    pub context: Option<ContextReport>,
    /// Who was sent to it, when that was somebody who reads.
    #[serde(default)]
    pub sent: Option<SentReport>,
    /// What was asked and answered about it in this run.
    #[serde(default)]
    pub questions: Vec<Question>,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FailureReport {
    /// Who tried; empty when nobody was sent.
    pub agent: String,
    /// The class of the failure: `unfit`, `timeout` …
    pub class: String,
    /// Why, in a line.
    pub reason: String,
}

/// What an agent was told of a unit, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ContextReport {
    /// `minimal`, `standard` or `extended`.
    pub level: String,
    /// Its length.
    pub bytes: usize,
    /// The most that its level allows.
    pub bytes_max: usize,
    /// The length of the whole specification and plan.
    pub bytes_whole: usize,
    /// Ids of the patterns that it holds.
    pub patterns: Vec<String>,
}
