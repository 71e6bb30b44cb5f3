//! Which agent performs a unit: Thompson sampling (1933) with a floor for exploration, written down so that it can be explained.
//!
//! For each [`Work`] an agent has a record of successes and failures. Its success rate is believed to follow Beta(1 + successes,
//! 1 + failures); a rate is drawn from each belief and the highest wins, so that an agent is sent about as often as it is likely to be
//! the best. A greedy choice would stay with a bad agent that was lucky first.

use rand::RngExt;
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};

use super::Seed;
use crate::model::TaskType;
use crate::model::plan::{Effort, EffortUnit};

/// The probability that a choice is an exploration: then every eligible agent is as likely as every other. With `n` eligible agents each
/// is therefore sent with a probability of at least `EXPLORATION / n`, and the floor of all together is `EXPLORATION`.
pub const EXPLORATION: f64 = 0.1;

/// How large a unit is; the same bounds as for the levels of contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitSize {
    /// Up to 2 points.
    Small,
    /// Between them; also what is measured in hours or minutes.
    Medium,
    /// From 8 points.
    Large,
}

impl UnitSize {
    /// The size of an effort.
    pub fn of(effort: Effort) -> Self {
        match (effort.unit, effort.amount) {
            (EffortUnit::Points, 0..=2) => Self::Small,
            (EffortUnit::Points, 8..) => Self::Large,
            _ => Self::Medium,
        }
    }

    /// The text in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// What records are kept for: an agent may be good at one and bad at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Work {
    /// The sort of work.
    pub unit_type: TaskType,
    /// Its size.
    pub size: UnitSize,
}

/// What came of an agent's units of one sort. A unit is pending from the choice on until its first attempt is settled; while it is
/// pending it changes no belief.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// First attempts that passed their checks.
    pub successes: u32,
    /// First attempts that did not.
    pub failures: u32,
    /// Chosen for, and not settled.
    pub pending: u32,
}

impl Record {
    /// The agent was chosen for one more.
    #[must_use]
    pub fn chosen(self) -> Self {
        Self { pending: self.pending + 1, ..self }
    }

    /// One of the pending ones was settled. A settlement that nobody waits for counts all the same.
    #[must_use]
    pub fn settled(self, success: bool) -> Self {
        Self {
            successes: self.successes + u32::from(success),
            failures: self.failures + u32::from(!success),
            pending: self.pending.saturating_sub(1),
        }
    }
}

/// An agent that has the skills for a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name; no two are alike.
    pub agent: String,
    /// Its record in this sort of work.
    pub record: Record,
    /// What the unit would cost, in millionths of the currency of prices; none when nobody knows.
    pub cost_micros: Option<u64>,
}

/// A candidate that took part in a draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contender {
    /// Its name.
    pub agent: String,
    /// First parameter of its belief.
    pub alpha: f64,
    /// Second parameter of its belief.
    pub beta: f64,
    /// Units that say nothing yet.
    pub pending: u32,
    /// The rate that was drawn from the belief, from 0 to 1.
    pub sampled: f64,
    /// What the unit would cost; it has no influence.
    pub cost_micros: Option<u64>,
}

/// A candidate that could not take part: it costs more than may be spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Its name.
    pub agent: String,
    /// What the unit would cost.
    pub cost_micros: u64,
    /// What may be spent.
    pub cost_micros_max: u64,
}

/// Why an agent was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// Its sampled rate is the highest.
    Sampled,
    /// The draw was an exploration.
    Explored,
    /// An earlier attempt at the unit was its own; nothing was drawn.
    Kept,
}

/// A choice with everything that it was made from; enough to explain it, and to draw it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Who performs the unit.
    pub agent: String,
    /// Why.
    pub ground: Ground,
    /// For what sort of work.
    pub work: Work,
    /// Who took part in the draw, by name; of a kept choice, in the draw that it keeps.
    pub contenders: Vec<Contender>,
    /// Who could not, by name.
    pub excluded: Vec<Excluded>,
    /// What was drawn from.
    pub seed: Seed,
}

/// Nobody may perform the unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// There is no candidate.
    #[error("no agent has the skills")]
    NoCandidate,
    /// Every candidate costs too much.
    #[error("each of {} agents with the skills costs more than may be spent", .0.len())]
    AllExcluded(Vec<Excluded>),
}

/// Chooses an agent. The same seed, candidates (in any order), limit and earlier choice give the same choice.
///
/// `earlier` is the choice for an earlier attempt at the same unit: its agent is kept as long as it is a candidate within the limit.
/// Without `cost_micros_max` nobody is excluded, and nobody is whose cost is unknown: it could never become known, and what a call may cost
/// is set aside before it is made. Below the limit cost changes nothing. O(n log n).
pub fn choose(
    work: Work,
    candidates: &[Candidate],
    cost_micros_max: Option<u64>,
    seed: Seed,
    earlier: Option<&Choice>,
) -> Result<Choice, ChoiceError> {
    if candidates.is_empty() {
        return Err(ChoiceError::NoCandidate);
    }
    let mut candidates: Vec<&Candidate> = candidates.iter().collect();
    candidates.sort_unstable_by(|one, other| one.agent.cmp(&other.agent));
    let affordable = |candidate: &Candidate| cost_micros_max.is_none_or(|max| candidate.cost_micros.is_none_or(|cost| cost <= max));
    let (eligible, excluded): (Vec<&Candidate>, Vec<&Candidate>) = candidates.into_iter().partition(|candidate| affordable(candidate));
    let excluded = excluded_by(cost_micros_max, &excluded);
    if eligible.is_empty() {
        return Err(ChoiceError::AllExcluded(excluded));
    }
    if let Some(earlier) = earlier.filter(|earlier| eligible.iter().any(|candidate| candidate.agent == earlier.agent)) {
        return Ok(Choice { ground: Ground::Kept, ..earlier.clone() });
    }
    let mut generator = seed.generator();
    let exploring = generator.random::<f64>() < EXPLORATION;
    let anyone = generator.random_range(0..eligible.len());
    let contenders: Vec<Contender> = eligible.into_iter().map(|candidate| contender(candidate, &mut generator)).collect();
    let highest = contenders.iter().max_by(|one, other| one.sampled.total_cmp(&other.sampled)).expect("somebody is eligible");
    let (chosen, ground) = if exploring { (&contenders[anyone], Ground::Explored) } else { (highest, Ground::Sampled) };
    Ok(Choice { agent: chosen.agent.clone(), ground, work, contenders, excluded, seed })
}

fn excluded_by(cost_micros_max: Option<u64>, candidates: &[&Candidate]) -> Vec<Excluded> {
    let Some(cost_micros_max) = cost_micros_max else { return Vec::new() };
    let named =
        |candidate: &&Candidate| Some(Excluded { agent: candidate.agent.clone(), cost_micros: candidate.cost_micros?, cost_micros_max });
    candidates.iter().filter_map(named).collect()
}

fn contender(candidate: &Candidate, generator: &mut impl rand::Rng) -> Contender {
    let (alpha, beta) = (1.0 + f64::from(candidate.record.successes), 1.0 + f64::from(candidate.record.failures));
    Contender {
        agent: candidate.agent.clone(),
        alpha,
        beta,
        pending: candidate.record.pending,
        sampled: Beta::new(alpha, beta).expect("both parameters are at least 1").sample(generator),
        cost_micros: candidate.cost_micros,
    }
}
