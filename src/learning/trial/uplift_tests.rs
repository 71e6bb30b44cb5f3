//! The confidence sequence against simulated campaigns: how often it errs, finds and covers when it is looked at after every unit.

use super::campaign_testing::{Looks, Plan, Truth, UNITS, campaigns, claimed_by, false_claims, plain_claims, units};
use super::plot_testing::{Chart, Line};
use super::{Arm, Enrolment, HoldoutShare, Level, Observation, Sequence, Standing, StandingEvent, Verdict};
use crate::model::id::LOCAL_ORGANIZATION;

/// Campaigns of each kind.
const CAMPAIGNS: usize = 1_000;
/// What the level of 95 % allows among them.
const ERRORS_MAX: usize = 50;

const SHARES: [f64; 2] = [0.5, 0.2];
const RATES: [&[f64]; 5] = [&[0.3], &[0.5], &[0.7], &[0.9], &[0.3, 0.9]];

fn claims(looks: &[Looks]) -> Vec<Option<usize>> {
    looks.iter().map(|looks| looks.claim.map(|(units, _)| units)).collect()
}

fn found(looks: &[Looks], better: Arm) -> usize {
    looks.iter().filter(|looks| looks.claim.is_some_and(|(_, arm)| arm == better)).count()
}

/// 1,000 campaigns with a planted effect: how many find it with its sign, and how many intervals hold the truth at all looks.
fn planted(held_out: &'static [f64], uplift: f64, share: f64) -> (usize, usize, Vec<Looks>) {
    let looks = campaigns(Plan { held_out, uplift, share }, CAMPAIGNS, 2);
    let found = found(&looks, if uplift > 0.0 { Arm::Shown } else { Arm::HeldOut });
    let covered = looks.iter().filter(|looks| looks.covered).count();
    println!("planted {held_out:?} {uplift:+.2}, {share} held out: {found} of {CAMPAIGNS} found, {covered} covered at all looks");
    (found, covered, looks)
}

#[test]
fn without_an_effect_one_is_rarely_claimed_though_a_plain_test_would() {
    let mut lines = Vec::new();
    for share in SHARES {
        for held_out in RATES {
            let plan = Plan { held_out, uplift: 0.0, share };
            let [sequence, plain] = [false_claims, plain_claims].map(|claims| claims(plan, CAMPAIGNS, 1));
            let [claimed, by_plain] = [&sequence, &plain].map(|claims| claims.iter().flatten().count());
            println!("no effect {held_out:?}, {share} held out: {claimed} of {CAMPAIGNS} claim one; a plain test in {by_plain}");
            assert!(claimed <= ERRORS_MAX, "{claimed} of {CAMPAIGNS} at {held_out:?}, {share} held out");
            // What the sequence is there instead of, and proof that these campaigns lead into temptation.
            assert!(by_plain > 4 * ERRORS_MAX, "{by_plain} of {CAMPAIGNS} at {held_out:?}, {share} held out");
            if held_out == [0.5] {
                lines.push(Line { label: format!("sequence, {share} held out"), points: claimed_by(&sequence) });
                lines.push(Line { label: format!("plain test, {share} held out"), points: claimed_by(&plain) });
            }
        }
    }
    let title = "Claims of an effect where there is none, looked at after every unit";
    Chart { name: "false-claims", title, x_label: "units", y_max: 0.5, mark: (0.05, "the error that is allowed"), lines }.write();
}

#[test]
fn planted_effects_are_found_and_covered() {
    let mut lines = Vec::new();
    // Of 1,000 campaigns at 50/50 and at 80/20; the second is what the usual hold-out costs.
    let cases: [(&'static [f64], f64, usize, usize); 3] = [(&[0.7], 0.2, 950, 850), (&[0.9], -0.2, 950, 800), (&[0.5], 0.2, 850, 650)];
    for (held_out, uplift, even_min, uneven_min) in cases {
        for (share, found_min) in [(0.5, even_min), (0.2, uneven_min)] {
            let (found, covered, looks) = planted(held_out, uplift, share);
            assert!(found >= found_min, "{found} of {CAMPAIGNS} found at {held_out:?} {uplift}, {share} held out");
            assert!(covered >= CAMPAIGNS - ERRORS_MAX, "{covered} of {CAMPAIGNS} covered at {held_out:?} {uplift}, {share} held out");
            let label = format!("{} → {:.1}, {share} held out", held_out[0], held_out[0] + uplift);
            lines.push(Line { label, points: claimed_by(&claims(&looks)) });
        }
    }
    let title = "Campaigns that found a planted effect, looked at after every unit";
    Chart { name: "power", title, x_label: "units", y_max: 1.0, mark: (0.85, "85 % of all campaigns"), lines }.write();
}

#[test]
fn the_interval_covers_small_and_large_effects_in_mixed_strata() {
    let cases: [(&'static [f64], f64, f64); 3] = [(&[0.4, 0.85], 0.1, 0.2), (&[0.1], 0.6, 0.2), (&[0.95], -0.05, 0.1)];
    for (held_out, uplift, share) in cases {
        let (_, covered, _) = planted(held_out, uplift, share);
        assert!(covered >= CAMPAIGNS - ERRORS_MAX, "{covered} of {CAMPAIGNS} covered at {held_out:?} {uplift}, {share} held out");
    }
}

#[test]
fn harm_is_demoted_and_no_harm_is_not() {
    let demoted = |uplift: f64| {
        let mut random = fastrand::Rng::with_seed(3);
        (0..CAMPAIGNS / 2)
            .filter(|_| last_standing(Plan { held_out: &[0.9], uplift, share: 0.5 }, &mut random) == Standing::Demoted)
            .count()
    };
    let (harmful, harmless) = (demoted(-0.2), demoted(0.0));
    println!("promoted patterns demoted: {harmful} of {} with harm 0.9 → 0.7, {harmless} without", CAMPAIGNS / 2);
    assert!(harmful >= 475 && harmless <= 25, "{harmful} and {harmless} of 500");
}

/// Where promoted patterns stand after a campaign that is looked at every ten units.
fn last_standing(plan: Plan, random: &mut fastrand::Rng) -> Standing {
    let mut standing = Standing::Promoted;
    let mut sequence = Sequence::new(Level::default());
    for (at, unit) in units(plan, random).enumerate() {
        sequence.push(&unit);
        // The interval is not asked for where nothing is decided: it takes longer and says the same.
        let event = if at % 10 == 9 && sequence.sign().is_some() { StandingEvent::of(&sequence.verdict()) } else { None };
        if let Some(next) = event.and_then(|event| standing.next(event)) {
            standing = next;
            sequence = Sequence::new(Level::default());
        }
    }
    standing
}

#[test]
fn what_the_verdict_says_and_what_the_interval_shows_are_one() {
    let (mut random, mut seen, mut excluded) = (fastrand::Rng::with_seed(4), [0; 3], 0);
    for uplift in [0.2, -0.2, 0.0].repeat(8) {
        // Not the truth, so that it is often given up.
        let claim = uplift / 2.0 - 0.05;
        let (mut sequence, mut truth) = (Sequence::new(Level::default()), Truth::new(claim));
        for (at, unit) in units(Plan { held_out: &[0.5], uplift, share: 0.3 }, &mut random).enumerate() {
            sequence.push(&unit);
            let covered = truth.covered(&unit);
            if at % 80 != 79 {
                continue;
            }
            let verdict = sequence.verdict();
            let effect = verdict.effect();
            let (kind, agrees) = match verdict {
                Verdict::Helps(_) => (0, effect.lower >= 0.0 && sequence.sign() == Some(Arm::Shown)),
                Verdict::Harms(_) => (1, effect.upper <= 0.0 && sequence.sign() == Some(Arm::HeldOut)),
                Verdict::NotEnoughEvidence(_) => (2, effect.lower < 0.0 && 0.0 < effect.upper && sequence.sign().is_none()),
            };
            assert_eq!((effect.lower..=effect.upper).contains(&claim), covered, "{claim}: {verdict:?}");
            excluded += usize::from(!covered);
            assert!(agrees && effect.lower <= effect.uplift && effect.uplift <= effect.upper, "{verdict:?}");
            seen[kind] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times > 0) && excluded > 0, "every verdict was seen: {seen:?}, {excluded} excluded");
}

#[test]
fn arms_drawn_by_hash_err_no_more_often() {
    let mut random = fastrand::Rng::with_seed(5);
    let holdout_share = HoldoutShare::default();
    let claims = (0..100_u64).filter(|seed| {
        let mut sequence = Sequence::new(Level::default());
        (0..UNITS / 2).any(|unit| {
            let unit = unit.to_string();
            let enrolment =
                Enrolment { organization: LOCAL_ORGANIZATION, unit: &unit, input_hash: "5e3a", stratum: "general", seed: *seed };
            let success = random.f64() < 0.6;
            sequence.push(&Observation { arm: enrolment.arm(holdout_share), holdout_share, stratum: "general", success });
            sequence.sign().is_some()
        })
    });
    // Of a hundred with at most 5 % each, more than 11 has a probability below 1 %.
    let claims = claims.count();
    assert!(claims <= 11, "{claims} of 100 claim an effect");
}
