//! The statistics of learning: whether remembered patterns help, and which agent to send. Numbers in, decisions out.
//!
//! Called by `runner` (an arm and an agent, when a unit becomes ready) and by whoever reports what learning is worth. It reads no
//! clock, no database and no source of chance but the seeds that it is given: the same facts always give the same answer.
//!
//! How the parts go together:
//!
//! 1. [`choose`] draws the agent of a unit: Thompson sampling with a floor for exploration; cost only excludes.
//! 2. [`Enrolment::arm`] draws whether that unit is shown patterns, by hash, once for a unit and an input.
//! 3. When the first attempt is settled, what came of it is an [`Observation`]; a [`Sequence`] of them gives, at every look, a
//!    [`Verdict`] with an interval that holds at all looks together.
//! 4. [`Standing`] follows from verdicts; [`weight`] from standing and age; [`contradictions`] from opposite advice.

pub mod arm;
pub mod bets;
pub mod choice;
pub mod contradiction;
pub mod interval;
pub mod seed;
pub mod standing;
pub mod verdict;

#[cfg(test)]
mod bets_tests;
#[cfg(test)]
mod campaign_testing;
#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod plot_testing;
#[cfg(test)]
mod uplift_tests;

pub use arm::{Arm, Enrolment, HoldoutShare};
pub use choice::{Candidate, Choice, ChoiceError, Record, UnitSize, Work, choose};
pub use contradiction::{Advice, Contradiction, Stance, contradictions};
pub use interval::{Observation, Sequence};
pub use seed::Seed;
pub use standing::{Standing, StandingEvent, weight};
pub use verdict::{Counts, Effect, Level, Verdict};

/// A setting of a trial that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TrialError {
    /// A hold-out share outside of what is allowed.
    #[error("the hold-out share {share} is not between {} and {}", HoldoutShare::MIN, HoldoutShare::MAX)]
    Share {
        /// What was asked for.
        share: f64,
    },
    /// A confidence level that is none.
    #[error("the confidence level {level} is not between {} and {}", Level::MIN, Level::MAX)]
    Level {
        /// What was asked for.
        level: f64,
    },
}
