//! What may be said about the effect of showing patterns: a two-arm table, the uplift, its interval, a verdict.

use serde::{Deserialize, Serialize};

use super::TrialError;

/// Units and how many of them succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that succeeded.
    pub successes: u32,
    /// All.
    pub units: u32,
}

impl Counts {
    pub(super) fn count(&mut self, success: bool) {
        self.successes += u32::from(success);
        self.units += 1;
    }

    /// Successes per unit; none without units.
    pub fn rate(&self) -> Option<f64> {
        (self.units > 0).then(|| f64::from(self.successes) / f64::from(self.units))
    }
}

/// What is known of the effect at one look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The arm that was shown patterns.
    pub shown: Counts,
    /// The arm that was not.
    pub held_out: Counts,
    /// The uplift, a difference of probabilities from -1 to 1: the mean score of all units. Unlike the difference of the two rates it
    /// stays unbiased when the share or the mix of strata changes on the way.
    pub uplift: f64,
    /// The interval's lower end, at least -1.
    pub lower: f64,
    /// The interval's upper end, at most 1.
    pub upper: f64,
    /// With what probability the interval holds, at all looks together.
    pub level: Level,
}

impl Effect {
    /// Units of both arms.
    pub fn units(&self) -> u32 {
        self.shown.units + self.held_out.units
    }
}

/// What may be said about the effect at a look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The interval contains 0: the normal answer.
    NotEnoughEvidence(Effect),
    /// The interval lies above 0.
    Helps(Effect),
    /// The interval lies below 0.
    Harms(Effect),
}

impl Verdict {
    /// The numbers behind it.
    pub fn effect(&self) -> &Effect {
        match self {
            Self::NotEnoughEvidence(effect) | Self::Helps(effect) | Self::Harms(effect) => effect,
        }
    }
}

/// With what probability an interval holds at all looks together.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Level(f64);

impl Level {
    /// Less would be a guess.
    pub const MIN: f64 = 0.5;
    /// More is never reached.
    pub const MAX: f64 = 0.999_999;

    /// A level from [`Self::MIN`] to [`Self::MAX`]; anything else is [`TrialError::Level`].
    pub fn new(level: f64) -> Result<Self, TrialError> {
        if (Self::MIN..=Self::MAX).contains(&level) { Ok(Self(level)) } else { Err(TrialError::Level { level }) }
    }

    /// As a probability.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The wealth at which a claim is given up; half of the error is kept for either side.
    pub(super) fn wealth(self) -> f64 {
        2.0 / (1.0 - self.0)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self(0.95)
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> Self {
        level.0
    }
}

impl TryFrom<f64> for Level {
    type Error = TrialError;

    fn try_from(level: f64) -> Result<Self, TrialError> {
        Self::new(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_written_with_its_numbers() {
        let shown = Counts { successes: 2, units: 4 };
        let effect = Effect { shown, held_out: Counts::default(), uplift: 0.25, lower: -1.0, upper: 1.0, level: Level::default() };
        let json = serde_json::json!({
            "verdict": "not_enough_evidence", "shown": {"successes": 2, "units": 4}, "held_out": {"successes": 0, "units": 0},
            "uplift": 0.25, "lower": -1.0, "upper": 1.0, "level": 0.95,
        });
        let verdict = Verdict::NotEnoughEvidence(effect);
        assert_eq!(serde_json::to_value(verdict).unwrap(), json);
        assert_eq!(serde_json::from_value::<Verdict>(json).unwrap(), verdict);
        assert_eq!((shown.rate(), effect.held_out.rate(), effect.units()), (Some(0.5), None, 4));
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        for level in [0.0, 0.4, 1.0, 95.0, f64::NAN] {
            assert!(Level::new(level).is_err(), "{level}");
        }
        assert!(serde_json::from_str::<Level>("95").is_err());
    }
}
