//! The bets against what they must be: fair, by adding up every possible course of a small trial.

use super::bets::{Rates, Wealth};
use super::{Arm, HoldoutShare, Observation};

/// Units of a course; there are `4^UNITS` courses.
const UNITS: u32 = 5;
/// The strata of the units, in turn.
const STRATA: [&str; 2] = ["general", "reviewer"];

/// A trial whose uplift is the same in both strata, though their success rates differ.
#[derive(Debug, Clone, Copy)]
struct Truth {
    held_out: [f64; 2],
    uplift: f64,
    share: f64,
}

/// Every course with its probability and what betting against `claim` comes to: on more, on less.
fn courses(truth: Truth, claim: f64) -> Vec<(f64, f64, f64)> {
    let holdout_share = HoldoutShare::new(truth.share).unwrap();
    let course = |number: u32| {
        let (mut rates, mut wealth, mut probability) = (Rates::default(), Wealth::new(claim), 1.0);
        for unit in 0..UNITS {
            let cell = (number >> (2 * unit)) & 3;
            let (arm, success) = (if cell & 1 == 0 { Arm::Shown } else { Arm::HeldOut }, cell & 2 == 0);
            let stratum = (unit % 2) as usize;
            let (drawn, rate) = match arm {
                Arm::Shown => (1.0 - truth.share, truth.held_out[stratum] + truth.uplift),
                Arm::HeldOut => (truth.share, truth.held_out[stratum]),
            };
            probability *= drawn * if success { rate } else { 1.0 - rate };
            wealth.take(&rates.bet(&Observation { arm, holdout_share, stratum: STRATA[stratum], success }));
        }
        (probability, wealth.more(), wealth.less())
    };
    (0..4_u32.pow(UNITS)).map(course).collect()
}

/// The expected wealth of both sides.
fn expected(truth: Truth, claim: f64) -> (f64, f64) {
    let all = courses(truth, claim);
    let total: f64 = all.iter().map(|course| course.0).sum();
    assert!((total - 1.0).abs() < 1e-12, "the courses are all there are: {total}");
    (all.iter().map(|course| course.0 * course.1).sum(), all.iter().map(|course| course.0 * course.2).sum())
}

const TRUTHS: [Truth; 5] = [
    Truth { held_out: [0.5, 0.5], uplift: 0.0, share: 0.5 },
    Truth { held_out: [0.9, 0.3], uplift: 0.0, share: 0.2 },
    Truth { held_out: [0.7, 0.4], uplift: 0.2, share: 0.1 },
    Truth { held_out: [0.9, 0.6], uplift: -0.5, share: 0.3 },
    Truth { held_out: [0.0, 0.0], uplift: 1.0, share: 0.2 },
];

#[test]
fn against_the_truth_the_expected_wealth_stays_what_it_was() {
    for truth in TRUTHS {
        let (more, less) = expected(truth, truth.uplift);
        assert!((more - 1.0).abs() < 1e-12 && (less - 1.0).abs() < 1e-12, "{truth:?}: {more} and {less}");
    }
}

#[test]
fn against_a_wrong_claim_one_side_gains_and_the_other_loses() {
    for truth in TRUTHS {
        for claim in [-0.75, -0.1, 0.1, 0.75] {
            let ((more, less), below) = (expected(truth, claim), claim < truth.uplift);
            assert!((more > 1.0, less > 1.0) == (below, !below), "{truth:?}, claim {claim}: {more} and {less}");
        }
    }
}

#[test]
fn wealth_is_never_lost_whole_and_what_is_given_up_is_one_piece() {
    let claims: Vec<f64> = (-20..=20).map(|step| f64::from(step) / 20.0).collect();
    for truth in [TRUTHS[1], TRUTHS[2]] {
        let by_claim: Vec<_> = claims.iter().map(|claim| courses(truth, *claim)).collect();
        for pair in by_claim.windows(2) {
            for (low, high) in pair[0].iter().zip(&pair[1]) {
                assert!(low.1 > 0.0 && high.2 > 0.0, "{low:?} {high:?}");
                let rounding = 1e-12;
                assert!(high.1 <= low.1 * (1.0 + rounding) && low.2 <= high.2 * (1.0 + rounding), "{low:?} {high:?}");
            }
        }
    }
}
