//! Simulated campaigns for the tests: units settled one by one, looked at after every one.

use super::bets::{Rates, Wealth};
use super::{Arm, HoldoutShare, Level, Observation, Sequence};

/// Units of a campaign.
pub const UNITS: usize = 400;

/// How a campaign's units come out.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Success rates of units that are held out, one for each stratum; a unit's stratum is drawn evenly.
    pub held_out: &'static [f64],
    /// By how much the rate is higher where patterns are shown.
    pub uplift: f64,
    /// The hold-out share.
    pub share: f64,
}

/// What looking after every unit came to.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// The first claim of an effect: after how many units, and which arm was said to be better.
    pub claim: Option<(usize, Arm)>,
    /// True when the interval held the true uplift at every look.
    pub covered: bool,
}

/// The names of the strata.
const STRATA: [&str; 2] = ["general", "reviewer"];

/// The units of a campaign.
pub fn units(plan: Plan, random: &mut fastrand::Rng) -> impl Iterator<Item = Observation<'static>> {
    let holdout_share = HoldoutShare::new(plan.share).unwrap();
    (0..UNITS).map(move |_| {
        let stratum = if plan.held_out.len() == 1 { 0 } else { random.usize(0..plan.held_out.len()) };
        let arm = if random.f64() < plan.share { Arm::HeldOut } else { Arm::Shown };
        let rate = plan.held_out[stratum] + if arm == Arm::Shown { plan.uplift } else { 0.0 };
        Observation { arm, holdout_share, stratum: STRATA[stratum], success: random.f64() < rate }
    })
}

/// That many campaigns, each looked at after every unit to its end.
pub fn campaigns(plan: Plan, count: usize, seed: u64) -> Vec<Looks> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| look(plan, &mut random)).collect()
}

/// The bets against the true uplift: an interval misses it exactly while these stand where a claim is given up. That is far cheaper than
/// an interval for every look; `uplift_tests` holds both equal.
#[derive(Debug)]
pub struct Truth {
    rates: Rates,
    wealth: Wealth,
}

impl Truth {
    /// Before the first unit.
    pub fn new(uplift: f64) -> Self {
        Self { rates: Rates::default(), wealth: Wealth::new(uplift) }
    }

    /// True when the interval after this unit holds the truth.
    pub fn covered(&mut self, unit: &Observation<'_>) -> bool {
        let given_up = 2.0 / (1.0 - Level::default().get());
        self.wealth.take(&self.rates.bet(unit));
        self.wealth.more() < given_up && self.wealth.less() < given_up
    }
}

fn look(plan: Plan, random: &mut fastrand::Rng) -> Looks {
    let mut sequence = Sequence::new(Level::default());
    let mut truth = Truth::new(plan.uplift);
    let mut looks = Looks { claim: None, covered: true };
    for (at, unit) in units(plan, random).enumerate() {
        sequence.push(&unit);
        looks.covered &= truth.covered(&unit);
        looks.claim = looks.claim.or_else(|| sequence.sign().map(|better| (at + 1, better)));
    }
    looks
}

/// After how many units of each campaign without an effect one is claimed, looking after every unit until then.
pub fn false_claims(plan: Plan, count: usize, seed: u64) -> Vec<Option<usize>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let claim = |random: &mut fastrand::Rng| {
        let mut sequence = Sequence::new(Level::default());
        let units: Vec<_> = units(plan, random).collect();
        units.iter().position(|unit| {
            sequence.push(unit);
            sequence.sign().is_some()
        })
    };
    (0..count).map(|_| claim(&mut random).map(|at| at + 1)).collect()
}

/// After how many units of each campaign a plain test of two proportions (pooled, two-sided at 5 %) that is made after every unit
/// claims an effect. It is what the sequence is there instead of.
pub fn plain_claims(plan: Plan, count: usize, seed: u64) -> Vec<Option<usize>> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| plain_claim(units(plan, &mut random))).collect()
}

fn plain_claim(units: impl Iterator<Item = Observation<'static>>) -> Option<usize> {
    let (mut successes, mut counts) = ([0.0_f64; 2], [0.0_f64; 2]);
    let mut claim = None;
    for (at, unit) in units.enumerate() {
        let arm = usize::from(unit.arm == Arm::HeldOut);
        counts[arm] += 1.0;
        successes[arm] += f64::from(u8::from(unit.success));
        // Nobody would trust the normal distribution with fewer.
        if claim.is_some() || counts[0] < 5.0 || counts[1] < 5.0 {
            continue;
        }
        let pooled = (successes[0] + successes[1]) / (counts[0] + counts[1]);
        let error = (pooled * (1.0 - pooled) * (1.0 / counts[0] + 1.0 / counts[1])).sqrt();
        if error > 0.0 && ((successes[0] / counts[0] - successes[1] / counts[1]) / error).abs() > 1.96 {
            claim = Some(at + 1);
        }
    }
    claim
}

/// For each number of units, the share of campaigns with a claim by then; as points of a chart.
#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
pub fn claimed_by(claims: &[Option<usize>]) -> Vec<(f64, f64)> {
    let by = |units: usize| claims.iter().flatten().filter(|claim| **claim <= units).count() as f64 / claims.len() as f64;
    (0..=UNITS).step_by(5).map(|units| (units as f64, by(units))).collect()
}
