//! The arm of a unit: shown patterns, or held out.

use serde::{Deserialize, Serialize};

use super::{Seed, TrialError};
use crate::model::OrganizationId;

/// The draw of an arm; a new number when the draw changes, so that arms of before and after are not taken for one draw.
const PURPOSE: &str = "trial/arm/1";

/// What a unit is given. There is one level: all patterns or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// Its context shows patterns.
    Shown,
    /// Its context shows none.
    HeldOut,
}

impl Arm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Shown, Self::HeldOut];

    /// The text in keys of cached contexts and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::HeldOut => "held_out",
        }
    }
}

/// The probability with which a unit is held out. Between 0.1 and 0.2 little is given away; at 0.5 an answer comes soonest.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct HoldoutShare(f64);

impl HoldoutShare {
    /// Fewer held-out units than this never come to an answer.
    pub const MIN: f64 = 0.1;
    /// With more the patterns would be the exception.
    pub const MAX: f64 = 0.5;
    /// [`Self::MIN`] as a share.
    pub const LEAST: Self = Self(Self::MIN);

    /// A share from [`Self::MIN`] to [`Self::MAX`]; anything else, NaN too, is [`TrialError::Share`].
    pub fn new(share: f64) -> Result<Self, TrialError> {
        if (Self::MIN..=Self::MAX).contains(&share) { Ok(Self(share)) } else { Err(TrialError::Share { share }) }
    }

    /// The probability of [`Arm::HeldOut`].
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Default for HoldoutShare {
    /// One of five: the end of the customary range that answers sooner.
    fn default() -> Self {
        Self(0.2)
    }
}

impl From<HoldoutShare> for f64 {
    fn from(share: HoldoutShare) -> Self {
        share.0
    }
}

impl TryFrom<f64> for HoldoutShare {
    type Error = TrialError;

    fn try_from(share: f64) -> Result<Self, TrialError> {
        Self::new(share)
    }
}

/// A unit that enters the trial; who it is decides its arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolment<'a> {
    /// Whose unit it is.
    pub organization: OrganizationId,
    /// The unit, under a name that its retries share and no other unit of the organization has.
    pub unit: &'a str,
    /// The hash of its input: a changed unit is a new one.
    pub input_hash: &'a str,
    /// Within what the draw is made: the agent that will perform it. Every stratum has draws of its own.
    pub stratum: &'a str,
    /// The trial's number; another one gives other arms.
    pub seed: u64,
}

impl Enrolment<'_> {
    /// Held out with the probability `share`, independently of every other enrolment (SHA-256 of all fields), and always the same for
    /// the same enrolment and share: a retry stays in its arm. The share must be kept with the outcome, for the interval needs it.
    /// A unit that is held out at one share is held out at every larger one.
    ///
    /// Arms are drawn one by one and not dealt out in blocks: the next arm can then not be foreseen, and the share is exact as a
    /// probability, on which [`super::Sequence`] rests, and not as a count.
    pub fn arm(&self, share: HoldoutShare) -> Arm {
        let Self { organization, unit, input_hash, stratum, seed } = self;
        let facts: [&[u8]; 5] =
            [organization.0.as_bytes(), unit.as_bytes(), input_hash.as_bytes(), stratum.as_bytes(), &seed.to_be_bytes()];
        if Seed::of(PURPOSE, &facts).uniform() < share.get() { Arm::HeldOut } else { Arm::Shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::LOCAL_ORGANIZATION;

    const BASE: Enrolment<'static> =
        Enrolment { organization: LOCAL_ORGANIZATION, unit: "api/books", input_hash: "5e3a", stratum: "general", seed: 1 };

    fn arms<'a>(enrolments: impl Iterator<Item = Enrolment<'a>>, share: f64) -> Vec<Arm> {
        enrolments.map(|enrolment| enrolment.arm(HoldoutShare::new(share).unwrap())).collect()
    }

    fn held_out(arms: &[Arm]) -> usize {
        arms.iter().filter(|arm| **arm == Arm::HeldOut).count()
    }

    #[test]
    fn a_retry_draws_the_same_arm() {
        for unit in ["a", "b", "c", "d", "e", "f"] {
            let enrolment = Enrolment { unit, ..BASE };
            assert_eq!(enrolment.arm(HoldoutShare::default()), enrolment.arm(HoldoutShare::default()));
        }
    }

    #[test]
    fn in_every_stratum_the_share_is_what_was_asked_for() {
        let units: Vec<String> = (0..10_000).map(|n| format!("unit/{n}")).collect();
        for stratum in ["general", "reviewer"] {
            for (share, expected) in [(0.1, 1_000), (0.2, 2_000), (0.5, 5_000)] {
                let count = held_out(&arms(units.iter().map(|unit| Enrolment { unit, stratum, ..BASE }), share));
                // Four standard deviations of the binomial distribution, at most 4 × 50.
                assert!(count.abs_diff(expected) <= 200, "{stratum}: {count} of 10,000 at {share}");
            }
        }
    }

    #[test]
    fn every_field_changes_the_draw() {
        let hashes: Vec<String> = (0..4_000).map(|n| format!("{n:x}")).collect();
        let base = arms(hashes.iter().map(|input_hash| Enrolment { input_hash, ..BASE }), 0.5);
        let others: [Enrolment<'_>; 4] = [
            Enrolment { organization: OrganizationId(uuid::Uuid::nil()), ..BASE },
            Enrolment { unit: "api/authors", ..BASE },
            Enrolment { stratum: "reviewer", ..BASE },
            Enrolment { seed: 2, ..BASE },
        ];
        for other in others {
            let arms = arms(hashes.iter().map(|input_hash| Enrolment { input_hash, ..other }), 0.5);
            let agree = base.iter().zip(&arms).filter(|(a, b)| a == b).count();
            assert!(agree.abs_diff(2_000) <= 130, "{agree} of 4,000 arms agree with {other:?}");
        }
    }

    #[test]
    fn a_larger_share_keeps_everyone_held_out() {
        let units: Vec<String> = (0..500).map(|n| n.to_string()).collect();
        let [few, many] = [0.1, 0.4].map(|share| arms(units.iter().map(|unit| Enrolment { unit, ..BASE }), share));
        assert!(few.iter().zip(&many).all(|(few, many)| *few == Arm::Shown || *many == Arm::HeldOut));
        assert!(held_out(&few) < held_out(&many));
    }

    #[test]
    fn a_share_outside_the_range_is_refused() {
        for share in [0.0, 0.09, 0.51, 1.0, -0.2, f64::NAN, f64::INFINITY] {
            assert!(HoldoutShare::new(share).is_err(), "{share}");
        }
        assert!(serde_json::from_str::<HoldoutShare>("0.7").is_err());
        assert_eq!(serde_json::from_str::<HoldoutShare>("0.15").unwrap(), HoldoutShare::new(0.15).unwrap());
    }
}
