//! Opposite advice: when one pattern says "do" and another "do not" about the same thing, one of them becomes a warning.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Counts;
use super::standing::decay;
use crate::model::PatternId;

/// The quantile of the normal distribution below which 95 % of it lie.
const Z: f64 = 1.644_853_626_951_472_2;
/// Supports that are nearer to each other are equal; then the newer advice wins.
const SUPPORT_EQUAL: f64 = 1e-9;

/// What a pattern says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stance {
    /// Do it.
    Do,
    /// Do not do it.
    Avoid,
}

/// A pattern's advice with what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The pattern.
    pub pattern: PatternId,
    /// What it is about: advice of different keys never contradicts.
    pub key: String,
    /// What it says.
    pub stance: Stance,
    /// Units that followed it, and how many of them passed their checks.
    pub evidence: Counts,
    /// Since it was last confirmed.
    pub age: Duration,
}

/// Why the winner won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// Its support is larger.
    BetterSupported,
    /// Support is equal, and it was confirmed later.
    Newer,
    /// Support and age are equal; the order of identifiers decides, so that the answer stays the same.
    Order,
}

/// A contradiction that was settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contradiction {
    /// What it is about.
    pub key: String,
    /// The advice that stands.
    pub winner: PatternId,
    /// Its support, from 0 to 1.
    pub support: f64,
    /// The best of the other side.
    pub loser: PatternId,
    /// Its support, from 0 to 1.
    pub loser_support: f64,
    /// All advice of the other side that has evidence, in the order of identifiers: shown from now on as warnings only.
    pub warnings: Vec<PatternId>,
    /// Why.
    pub ground: Ground,
}

/// Settles what contradicts, in the order of keys. Advice without evidence takes no part: nothing is known that it could contradict,
/// and it is neither a winner nor a warning. Each side is as strong as its best supported advice. O(n log n).
///
/// Support is the lower end of Wilson's interval (1927) at one-sided 95 % for the success rate of those who followed, where units count
/// less with age as in [`super::weight`]: more evidence and newer evidence both raise it, and a single lucky unit does not win.
pub fn contradictions(advice: &[Advice], half_life: Duration) -> Vec<Contradiction> {
    let mut keys: BTreeMap<&str, Vec<Supported<'_>>> = BTreeMap::new();
    for advice in advice.iter().filter(|advice| advice.evidence.units > 0) {
        keys.entry(&advice.key).or_default().push(Supported { advice, support: support(advice, half_life) });
    }
    keys.values().filter_map(|all| settle(all)).collect()
}

#[derive(Debug, Clone, Copy)]
struct Supported<'a> {
    advice: &'a Advice,
    support: f64,
}

fn settle(all: &[Supported<'_>]) -> Option<Contradiction> {
    let best = |stance: Stance| {
        let side = all.iter().filter(|one| one.advice.stance == stance);
        side.copied().min_by(|one, other| stronger(one, other).0)
    };
    let (told, untold) = (best(Stance::Do)?, best(Stance::Avoid)?);
    let (order, ground) = stronger(&told, &untold);
    let (winner, loser) = if order == Ordering::Greater { (untold, told) } else { (told, untold) };
    let mut warnings: Vec<PatternId> =
        all.iter().filter(|one| one.advice.stance == loser.advice.stance).map(|one| one.advice.pattern).collect();
    warnings.sort_unstable();
    Some(Contradiction {
        key: winner.advice.key.clone(),
        winner: winner.advice.pattern,
        support: winner.support,
        loser: loser.advice.pattern,
        loser_support: loser.support,
        warnings,
        ground,
    })
}

/// The stronger first, and by what it is stronger.
fn stronger(one: &Supported<'_>, other: &Supported<'_>) -> (Ordering, Ground) {
    if (one.support - other.support).abs() >= SUPPORT_EQUAL {
        return (other.support.total_cmp(&one.support), Ground::BetterSupported);
    }
    match one.advice.age.cmp(&other.advice.age) {
        Ordering::Equal => (one.advice.pattern.cmp(&other.advice.pattern), Ground::Order),
        order => (order, Ground::Newer),
    }
}

fn support(advice: &Advice, half_life: Duration) -> f64 {
    let left = decay(advice.age, half_life);
    wilson_lower(f64::from(advice.evidence.successes) * left, f64::from(advice.evidence.units) * left)
}

/// The lower end of Wilson's interval; 0 when nothing is left of the evidence.
fn wilson_lower(successes: f64, units: f64) -> f64 {
    if units <= 0.0 {
        return 0.0;
    }
    let (rate, square) = (successes / units, Z * Z);
    let margin = Z * (rate * (1.0 - rate) / units + square / (4.0 * units * units)).sqrt();
    ((rate + square / (2.0 * units) - margin) / (1.0 + square / units)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn advice(id: u128, stance: Stance, successes: u32, units: u32, age_days: u32) -> Advice {
        let pattern = PatternId(uuid::Uuid::from_u128(id));
        Advice { pattern, key: "api/pagination".to_owned(), stance, evidence: Counts { successes, units }, age: age_days * DAY }
    }

    /// The winner, the warnings and the ground; none when nothing contradicts.
    fn check(all: &[Advice], expected: Option<(u128, &[u128], Ground)>) {
        let id = |pattern: &PatternId| pattern.0.as_u128();
        let found = contradictions(all, 30 * DAY);
        let found: Vec<_> =
            found.iter().map(|one| (id(&one.winner), one.warnings.iter().map(id).collect::<Vec<_>>(), one.ground)).collect();
        let expected: Vec<_> = expected.into_iter().map(|(winner, warnings, ground)| (winner, warnings.to_vec(), ground)).collect();
        assert_eq!(found, expected, "{all:?}");
    }

    #[test]
    fn the_better_supported_side_wins() {
        let (much, little) = (advice(1, Stance::Do, 45, 50, 0), advice(2, Stance::Avoid, 3, 3, 0));
        check(&[much.clone(), little.clone()], Some((1, &[2], Ground::BetterSupported)));
        check(&[little, much], Some((1, &[2], Ground::BetterSupported)));
        check(&[advice(1, Stance::Do, 20, 50, 0), advice(2, Stance::Avoid, 40, 50, 0)], Some((2, &[1], Ground::BetterSupported)));
    }

    #[test]
    fn old_evidence_gives_way_to_new() {
        let new = advice(2, Stance::Avoid, 9, 10, 0);
        check(&[advice(1, Stance::Do, 36, 40, 0), new.clone()], Some((1, &[2], Ground::BetterSupported)));
        // Three half-lives leave five units of the forty.
        check(&[advice(1, Stance::Do, 36, 40, 90), new], Some((2, &[1], Ground::BetterSupported)));
    }

    #[test]
    fn equal_support_leaves_it_to_age_and_then_to_order() {
        check(&[advice(1, Stance::Do, 0, 9, 5), advice(2, Stance::Avoid, 0, 9, 1)], Some((2, &[1], Ground::Newer)));
        check(&[advice(9, Stance::Do, 7, 9, 1), advice(2, Stance::Avoid, 7, 9, 1)], Some((2, &[9], Ground::Order)));
    }

    #[test]
    fn the_whole_losing_side_becomes_warnings() {
        let all = [advice(1, Stance::Do, 45, 50, 0), advice(5, Stance::Avoid, 8, 10, 0), advice(3, Stance::Avoid, 1, 10, 0)];
        check(&all, Some((1, &[3, 5], Ground::BetterSupported)));
    }

    #[test]
    fn without_evidence_or_opposite_there_is_nothing_to_settle() {
        check(&[], None);
        check(&[advice(1, Stance::Do, 5, 5, 0), advice(2, Stance::Do, 1, 9, 0)], None);
        check(&[advice(1, Stance::Do, 5, 5, 0), advice(2, Stance::Avoid, 0, 0, 0)], None);
        let elsewhere = Advice { key: "api/errors".to_owned(), ..advice(2, Stance::Avoid, 5, 5, 0) };
        check(&[advice(1, Stance::Do, 5, 5, 0), elsewhere], None);
    }

    #[test]
    fn support_solves_the_equation_that_defines_it() {
        for (successes, units) in [(1.0, 3.0), (7.5, 9.0), (40.0, 100.0), (0.5, 0.6)] {
            let low = wilson_lower(successes, units);
            let distance = (successes / units - low) / (low * (1.0 - low) / units).sqrt();
            assert!((distance - Z).abs() < 1e-9, "{successes} of {units}: {low} is {distance} away");
        }
        assert!(wilson_lower(0.0, 5.0).abs() < 1e-12 && wilson_lower(0.0, 0.0).abs() < 1e-12);
    }
}
