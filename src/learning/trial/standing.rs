//! Where what is on trial stands, and how much it weighs: promotion, demotion, decay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{HoldoutShare, Verdict};

/// Where something on trial stands.
///
/// Every verdict begins a new campaign, whether it moves something or not: units from before it do not count in the next one, because they were judged already and because
/// what helped once may not help now. Each campaign has the error of its own level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Shown, and not yet known to help.
    Candidate,
    /// Known to help. It stays on trial: some units are held out, so that harm is noticed.
    Promoted,
    /// Known to harm: shown to nobody.
    Demoted,
}

/// What may move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandingEvent {
    /// The sequence excludes 0 from below.
    Helps,
    /// The sequence excludes 0 from above.
    Harms,
    /// Somebody wants it tried again.
    Retry,
}

impl StandingEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Helps, Self::Harms, Self::Retry];

    /// The text in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helps => "helps",
            Self::Harms => "harms",
            Self::Retry => "retry",
        }
    }

    /// The event that a verdict is; too little evidence is none.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::NotEnoughEvidence(_) => None,
            Verdict::Helps(_) => Some(Self::Helps),
            Verdict::Harms(_) => Some(Self::Harms),
        }
    }
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Candidate, Self::Promoted, Self::Demoted];

    /// Where it stands afterwards; none when the event moves nothing. One test serves both ways: it takes as much evidence to demote
    /// as to promote.
    pub fn next(self, event: StandingEvent) -> Option<Self> {
        match (self, event) {
            (Self::Candidate, StandingEvent::Helps) => Some(Self::Promoted),
            (Self::Candidate | Self::Promoted, StandingEvent::Harms) => Some(Self::Demoted),
            (Self::Demoted, StandingEvent::Retry) => Some(Self::Candidate),
            (Self::Candidate, StandingEvent::Retry)
            | (Self::Promoted, StandingEvent::Helps | StandingEvent::Retry)
            | (Self::Demoted, StandingEvent::Helps | StandingEvent::Harms) => None,
        }
    }

    /// The text in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Promoted => "promoted",
            Self::Demoted => "demoted",
        }
    }

    /// The share of units that are held out where `set` is what somebody set for a trial; none when there is no trial, because nobody is
    /// shown anything. Of what is known to help as little as may be is withheld.
    pub fn holdout_share(self, set: HoldoutShare) -> Option<HoldoutShare> {
        match self {
            Self::Candidate => Some(set),
            Self::Promoted => Some(HoldoutShare::LEAST),
            Self::Demoted => None,
        }
    }

    /// Weight before age: what is proved counts twice what is not.
    fn weight(self) -> f64 {
        match self {
            Self::Candidate => 0.5,
            Self::Promoted => 1.0,
            Self::Demoted => 0.0,
        }
    }
}

/// How much something of that standing weighs when it is ranked, from 0 to 1: half as much after every half-life. Age counts from the
/// last verified success. A half-life of zero leaves weight only to what has no age.
pub fn weight(standing: Standing, age: Duration, half_life: Duration) -> f64 {
    standing.weight() * decay(age, half_life)
}

/// What is left after an age, from 0 to 1: `0.5 ^ (age / half_life)`.
pub(super) fn decay(age: Duration, half_life: Duration) -> f64 {
    if age.is_zero() { 1.0 } else { 0.5_f64.powf(age.as_secs_f64() / half_life.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_standing_moves_as_its_table_says() {
        use Standing::{Candidate, Demoted, Promoted};
        let table = Standing::ALL.map(|standing| StandingEvent::ALL.map(|event| standing.next(event)));
        assert_eq!(table, [[Some(Promoted), Some(Demoted), None], [None, Some(Demoted), None], [None, None, Some(Candidate)]]);
    }

    #[test]
    fn the_better_something_stands_the_fewer_are_held_out() {
        let set = HoldoutShare::new(0.3).unwrap();
        let shares = Standing::ALL.map(|standing| standing.holdout_share(set));
        assert_eq!(shares, [Some(set), Some(HoldoutShare::new(0.1).unwrap()), None]);
    }

    fn check(standing: Standing, age: Duration, half_life: Duration, expected: f64) {
        let found = weight(standing, age, half_life);
        assert!((found - expected).abs() < 1e-12, "{standing:?} after {age:?} at {half_life:?}: {found}");
    }

    #[test]
    fn weight_halves_with_every_half_life() {
        check(Standing::Promoted, Duration::ZERO, 30 * DAY, 1.0);
        check(Standing::Promoted, 30 * DAY, 30 * DAY, 0.5);
        check(Standing::Promoted, 90 * DAY, 30 * DAY, 0.125);
        check(Standing::Candidate, 30 * DAY, 30 * DAY, 0.25);
        check(Standing::Demoted, Duration::ZERO, 30 * DAY, 0.0);
    }

    #[test]
    fn without_a_half_life_only_the_present_weighs() {
        check(Standing::Promoted, Duration::ZERO, Duration::ZERO, 1.0);
        check(Standing::Promoted, DAY, Duration::ZERO, 0.0);
        check(Standing::Promoted, Duration::MAX, DAY, 0.0);
        check(Standing::Promoted, DAY, Duration::MAX, 1.0);
    }
}
