//! The uplift from settled units, with an interval that holds at all looks together.
//!
//! A confidence sequence (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021): the probability that the interval misses the true
//! uplift at *any* look, however many there are and whenever one stops, is at most 1 minus the level. It is made by inverting the bets
//! of [`super::bets`]: it consists of the claims against which neither side's wealth stands at `2 / (1 - level)` or above.

use super::bets::{Bet, Rates, Wealth};
use super::{Arm, Counts, Effect, HoldoutShare, Level, Verdict};

/// Halvings of `[-1, 1]`: ends are exact to 2^-29.
const HALVINGS: u32 = 30;

/// What came of one unit of the trial. Intention to treat: the arm is the one that was drawn, whatever was shown in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation<'a> {
    /// The arm that was drawn.
    pub arm: Arm,
    /// The share with which it was drawn.
    pub holdout_share: HoldoutShare,
    /// Within what it was drawn: the agent.
    pub stratum: &'a str,
    /// True when its first attempt passed its checks.
    pub success: bool,
}

/// The units of one campaign in the order in which they were settled, and what follows from them.
///
/// That the interval holds rests on this: each unit's arm was drawn with the probability that its observation names, whatever the
/// units before it came to. Where patterns change how *long* a unit takes, the order of settlement breaks it; then units are pushed in
/// the order of their enrolment, up to the earliest that is not settled. If patterns change nothing at all, any order will do.
///
/// A campaign should be of one mind: after a change that makes old units poor evidence (a promotion, other agents) begin a new one.
/// 32 bytes are kept for each unit.
#[derive(Debug, Clone)]
pub struct Sequence {
    level: Level,
    rates: Rates,
    bets: Vec<Bet>,
    none: Wealth,
    score: f64,
    shown: Counts,
    held_out: Counts,
}

impl Sequence {
    /// No unit yet.
    pub fn new(level: Level) -> Self {
        Self {
            level,
            rates: Rates::default(),
            bets: Vec::new(),
            none: Wealth::new(0.0),
            score: 0.0,
            shown: Counts::default(),
            held_out: Counts::default(),
        }
    }

    /// The next settled unit. O(log strata).
    pub fn push(&mut self, observation: &Observation<'_>) {
        let bet = self.rates.bet(observation);
        self.none.take(&bet);
        self.score += bet.score();
        self.bets.push(bet);
        match observation.arm {
            Arm::Shown => self.shown.count(observation.success),
            Arm::HeldOut => self.held_out.count(observation.success),
        }
    }

    /// What may be said now. O(units), some 60 passes over them: well below a millisecond for a thousand units.
    pub fn verdict(&self) -> Verdict {
        let effect = self.effect();
        match self.sign() {
            Some(Arm::Shown) => Verdict::Helps(effect),
            Some(Arm::HeldOut) => Verdict::Harms(effect),
            None => Verdict::NotEnoughEvidence(effect),
        }
    }

    /// The arm that does better, once the interval excludes 0. O(1): the same question as [`Self::verdict`], without the interval.
    pub fn sign(&self) -> Option<Arm> {
        let given_up = self.level.wealth();
        match (self.none.more() >= given_up, self.none.less() >= given_up) {
            (true, false) => Some(Arm::Shown),
            (false, true) => Some(Arm::HeldOut),
            // Both at once would mean that the effect changed its sign on the way: no answer.
            (false, false) | (true, true) => None,
        }
    }

    fn effect(&self) -> Effect {
        let given_up = self.level.wealth();
        let lower = self.end(-1.0, |wealth| wealth.more() >= given_up);
        let upper = self.end(1.0, |wealth| wealth.less() >= given_up);
        let units = f64::from(self.shown.units + self.held_out.units);
        let uplift = if units > 0.0 { (self.score / units).clamp(-1.0, 1.0) } else { 0.0 };
        Effect { shown: self.shown, held_out: self.held_out, uplift, lower, upper, level: self.level }
    }

    /// The interval's end on the side of `extreme` (-1 or 1): claims beyond it are given up. Found by halving, because what is given up
    /// reaches from the extreme to one point (see [`Wealth::take`]); rounded outwards.
    fn end(&self, extreme: f64, given_up: impl Fn(&Wealth) -> bool) -> f64 {
        let is_given_up = |claim: f64| {
            let mut wealth = Wealth::new(claim);
            self.bets.iter().for_each(|bet| wealth.take(bet));
            given_up(&wealth)
        };
        if !is_given_up(extreme) {
            return extreme;
        }
        let (mut outside, mut inside) = if given_up(&self.none) { (0.0, -extreme) } else { (extreme, 0.0) };
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(outside, inside);
            *(if is_given_up(middle) { &mut outside } else { &mut inside }) = middle;
        }
        outside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(outcomes: &[(Arm, bool, usize)]) -> Sequence {
        let mut sequence = Sequence::new(Level::default());
        let holdout_share = HoldoutShare::new(0.5).unwrap();
        for (arm, success, times) in outcomes {
            for _ in 0..*times {
                sequence.push(&Observation { arm: *arm, holdout_share, stratum: "general", success: *success });
            }
        }
        sequence
    }

    #[test]
    fn nothing_is_known_without_units() {
        let Verdict::NotEnoughEvidence(effect) = sequence(&[]).verdict() else { panic!("a verdict from nothing") };
        let whole = Effect {
            shown: Counts::default(),
            held_out: Counts::default(),
            uplift: 0.0,
            lower: -1.0,
            upper: 1.0,
            level: Level::new(0.95).unwrap(),
        };
        assert_eq!(effect, whole);
    }

    #[test]
    fn a_few_units_are_not_enough_however_clear() {
        let verdict = sequence(&[(Arm::Shown, true, 4), (Arm::HeldOut, false, 4)]).verdict();
        let effect = verdict.effect();
        assert!(matches!(verdict, Verdict::NotEnoughEvidence(_)), "{verdict:?}");
        assert_eq!((effect.shown, effect.held_out), (Counts { successes: 4, units: 4 }, Counts { successes: 0, units: 4 }));
    }

    #[test]
    fn a_clear_effect_is_named_with_its_sign_and_its_interval() {
        // Alternating, so that the rate that is guessed from the past settles at one half.
        let helping = [(Arm::Shown, true, 1), (Arm::HeldOut, false, 1)].repeat(60);
        let verdict = sequence(&helping).verdict();
        let effect = verdict.effect();
        assert!(matches!(verdict, Verdict::Helps(_)), "{verdict:?}");
        assert!(0.0 < effect.lower && effect.lower < effect.uplift && effect.uplift <= effect.upper, "{effect:?}");

        let harming = [(Arm::Shown, false, 1), (Arm::HeldOut, true, 1)].repeat(60);
        let mirrored = sequence(&harming).verdict();
        assert!(matches!(mirrored, Verdict::Harms(_)), "{mirrored:?}");
        assert!(mirrored.effect().upper < 0.0, "{mirrored:?}");
    }

    #[test]
    fn more_units_narrow_the_interval() {
        let round = [(Arm::Shown, true, 2), (Arm::HeldOut, true, 1), (Arm::Shown, false, 1), (Arm::HeldOut, false, 2)];
        let widths = [5, 20, 80, 320].map(|rounds| {
            let effect = *sequence(&round.repeat(rounds)).verdict().effect();
            assert!(effect.lower <= 1.0 / 3.0 && 1.0 / 3.0 <= effect.upper, "{effect:?}");
            effect.upper - effect.lower
        });
        assert!(widths.is_sorted_by(|wide, narrow| narrow < wide), "{widths:?}");
        // The interval of a single planned look is 0.084 wide on each side at 1,920 units; all looks cost less than as much again.
        assert!(widths[3] / 2.0 < 0.084, "{widths:?}");
    }

    #[test]
    fn strata_that_differ_are_told_apart() {
        let width = |strata: [&'static str; 2]| {
            let mut sequence = Sequence::new(Level::default());
            for unit in 0..400_usize {
                let arm = if unit % 4 < 2 { Arm::Shown } else { Arm::HeldOut };
                let holdout_share = HoldoutShare::new(0.5).unwrap();
                sequence.push(&Observation { arm, holdout_share, stratum: strata[unit % 2], success: unit % 2 == 0 });
            }
            let effect = *sequence.verdict().effect();
            effect.upper - effect.lower
        };
        // One agent always succeeds, the other never: who knows that has nothing left to explain.
        let (apart, together) = (width(["general", "reviewer"]), width(["all", "all"]));
        assert!(apart < together / 2.0, "{apart} and {together}");
    }

    #[test]
    fn a_higher_level_gives_a_wider_interval() {
        let outcomes = [(Arm::Shown, true, 3), (Arm::HeldOut, false, 1), (Arm::HeldOut, true, 2)].repeat(40);
        let ends = [0.8, 0.95, 0.999].map(|level| {
            let mut other = sequence(&outcomes);
            other.level = Level::new(level).unwrap();
            let effect = *other.verdict().effect();
            (effect.lower, effect.upper)
        });
        assert!(ends.is_sorted_by(|narrow, wide| wide.0 < narrow.0 && narrow.1 <= wide.1), "{ends:?}");
    }
}
