//! What work may use: tokens, money and time, nested from the run down to the attempt.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Tokens, money in millionths of the currency that prices are given in, and milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Tokens of a model, in and out.
    pub tokens: u64,
    /// Money.
    pub cost_micros: u64,
    /// Time at work.
    pub time_ms: u64,
}

/// What an amount may not exceed; where nothing is given there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ceiling {
    /// Tokens.
    pub tokens: Option<u64>,
    /// Money.
    pub cost_micros: Option<u64>,
    /// Time.
    pub time_ms: Option<u64>,
}

impl Ceiling {
    /// True when nothing is limited.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// What a budget is for. Each holds within the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// The whole run.
    Run,
    /// Each of its waves.
    Wave,
    /// Each of its units, all attempts together.
    Unit,
    /// Each attempt at a unit.
    Attempt,
}

impl BudgetScope {
    /// Every scope, the widest first.
    pub const ALL: [Self; 4] = [Self::Run, Self::Wave, Self::Unit, Self::Attempt];

    /// The text in settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Wave => "wave",
            Self::Unit => "unit",
            Self::Attempt => "attempt",
        }
    }
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One of the three that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Tokens.
    Tokens,
    /// Money.
    Cost,
    /// Time.
    Time,
}

impl Resource {
    /// Every one, in the order of [`Amount`].
    pub const ALL: [Self; 3] = [Self::Tokens, Self::Cost, Self::Time];

    /// How much of it.
    pub fn of(self, amount: &Amount) -> u64 {
        match self {
            Self::Tokens => amount.tokens,
            Self::Cost => amount.cost_micros,
            Self::Time => amount.time_ms,
        }
    }

    /// How much of it at most.
    pub fn at_most(self, ceiling: &Ceiling) -> Option<u64> {
        match self {
            Self::Tokens => ceiling.tokens,
            Self::Cost => ceiling.cost_micros,
            Self::Time => ceiling.time_ms,
        }
    }

    /// The same as a person reads it.
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Tokens => format!("{amount} tokens"),
            Self::Cost => format!("{}.{:02} of money", amount / 1_000_000, amount % 1_000_000 / 10_000),
            Self::Time => format!("{}.{:01} s", amount / 1_000, amount % 1_000 / 100),
        }
    }
}
