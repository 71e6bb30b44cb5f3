//! Bets against a claimed uplift: if the claim is true nobody grows rich by them, so riches are evidence against it.
//!
//! Each settled unit is turned into a number `z` whose expectation is the uplift, whatever the success rates are: the augmented
//! inverse-propensity score (Robins, Rotnitzky and Zhao 1994) with the arm's known probability and a success rate `m` guessed from
//! earlier units only,
//!
//! ```text
//! z = (y - m) / p          for a unit that was shown patterns (probability p, outcome y = 0 or 1)
//! z = -(y - m) / (1 - p)   for one that was held out
//! ```
//!
//! Under the claim "the uplift is d" the wealth `∏ (1 + λ (z - d))` is a martingale for every bet `λ` that depends on the past alone
//! and risks no more than there is. By Ville's inequality (1939) it ever reaches `1/a` with probability at most `a`, without any
//! assumption on sample sizes or distributions. How much is bet follows Waudby-Smith and Ramdas, "Estimating means of bounded random
//! variables by betting" (2023): a mixture of bets, capped so that wealth stays positive.

use std::collections::BTreeMap;

use super::Arm;
use super::interval::Observation;

/// Uplifts that the bets are made for, each with its part of the starting wealth. An uplift of 0.2 is what some hundred units can show,
/// and it is found soonest by bets on a little less; the small ones are what long campaigns need. The parts sum to 1.
const TARGETS: [(f64, f64); 5] = [(0.025, 0.05), (0.05, 0.10), (0.1, 0.20), (0.175, 0.50), (0.35, 0.15)];
/// The largest part of the wealth that one unit can take.
const RISK_MAX: f64 = 0.9;
/// So many imagined units stand behind the first guess of a success rate.
const PRIOR_UNITS: f64 = 2.0;

/// A settled unit as a gambler sees it; everything but `z` was known before it was settled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bet {
    /// The score, within `[floor, ceiling]`.
    z: f64,
    /// The lowest that `z` could have been; at most -1.
    floor: f64,
    /// The highest that `z` could have been; at least 1.
    ceiling: f64,
    /// The variance that `z` was expected to have.
    variance: f64,
}

/// Success rates as guessed from the units before; one for each stratum, drawn towards the rate of all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates {
    all: Tally,
    strata: BTreeMap<String, Tally>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tally {
    successes: f64,
    units: f64,
}

impl Tally {
    fn rate(self, prior: f64) -> f64 {
        (self.successes + PRIOR_UNITS * prior) / (self.units + PRIOR_UNITS)
    }

    fn count(&mut self, success: bool) {
        self.successes += f64::from(u8::from(success));
        self.units += 1.0;
    }
}

impl Rates {
    /// The next unit as a bet; it counts from the next call on. O(log strata).
    pub fn bet(&mut self, observation: &Observation<'_>) -> Bet {
        if !self.strata.contains_key(observation.stratum) {
            self.strata.insert(observation.stratum.to_owned(), Tally::default());
        }
        let stratum = self.strata.get_mut(observation.stratum).expect("it was added when it was missing");
        // Always strictly between 0 and 1, because both priors are.
        let rate = stratum.rate(self.all.rate(0.5));
        stratum.count(observation.success);
        self.all.count(observation.success);

        let held_out = observation.holdout_share.get();
        let shown = 1.0 - held_out;
        let surplus = f64::from(u8::from(observation.success)) - rate;
        Bet {
            z: match observation.arm {
                Arm::Shown => surplus / shown,
                Arm::HeldOut => -surplus / held_out,
            },
            floor: -(rate / shown).max((1.0 - rate) / held_out),
            ceiling: ((1.0 - rate) / shown).max(rate / held_out),
            variance: rate * (1.0 - rate) / (shown * held_out),
        }
    }
}

impl Bet {
    /// The score: an unbiased estimate of the uplift from this unit alone.
    pub fn score(&self) -> f64 {
        self.z
    }
}

/// What betting against one claimed uplift has come to, from 1: once on more than claimed, once on less.
#[derive(Debug, Clone, PartialEq)]
pub struct Wealth {
    claim: f64,
    more: [f64; TARGETS.len()],
    less: [f64; TARGETS.len()],
}

impl Wealth {
    /// Before the first unit. The claim is an uplift from -1 to 1.
    pub fn new(claim: f64) -> Self {
        let start = TARGETS.map(|(_, part)| part);
        Self { claim, more: start, less: start }
    }

    /// Settles a bet. Wealth stays positive: `λ` risks at most nine tenths of what there is. With the cap in this form
    /// each factor falls with the claim in `more` and rises with it in `less`, so that the claims which survive are an interval.
    pub fn take(&mut self, bet: &Bet) {
        let surplus = bet.z - self.claim;
        let more_max = RISK_MAX / (self.claim - bet.floor);
        let less_max = RISK_MAX / (bet.ceiling - self.claim);
        for (at, (target, _)) in TARGETS.iter().enumerate() {
            let stake = target / bet.variance;
            self.more[at] *= 1.0 + stake.min(more_max) * surplus;
            self.less[at] *= 1.0 - stake.min(less_max) * surplus;
        }
    }

    /// Evidence that the uplift is more than claimed: at least `x` ever with probability at most `1/x` if it is not.
    pub fn more(&self) -> f64 {
        self.more.iter().sum()
    }

    /// Evidence that the uplift is less than claimed: at least `x` ever with probability at most `1/x` if it is not.
    pub fn less(&self) -> f64 {
        self.less.iter().sum()
    }
}
