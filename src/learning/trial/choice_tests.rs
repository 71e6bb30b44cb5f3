//! Choosing agents: the record of a draw, the limits, and how soon the best agent is found when outcomes come late.

use std::collections::VecDeque;

use rand_distr::{Beta, Distribution};
use statrs::distribution::ContinuousCDF;

use super::choice::{Contender, EXPLORATION, Ground};
use super::plot_testing::{Chart, Line};
use super::{Candidate, Choice, ChoiceError, Record, Seed, UnitSize, Work, choose};
use crate::model::TaskType;
use crate::model::plan::{Effort, EffortUnit};

const WORK: Work = Work { unit_type: TaskType::Api, size: UnitSize::Medium };

fn candidate(agent: &str, successes: u32, failures: u32, cost_micros: Option<u64>) -> Candidate {
    Candidate { agent: agent.to_owned(), record: Record { successes, failures, pending: 0 }, cost_micros }
}

fn drawn(candidates: &[Candidate], cost_micros_max: Option<u64>, seed: u64) -> Choice {
    choose(WORK, candidates, cost_micros_max, Seed::of("test", &[&seed.to_be_bytes()]), None).unwrap()
}

#[test]
fn a_choice_can_be_drawn_again_from_its_record() {
    let candidates = [candidate("b", 3, 1, None), candidate("a", 0, 0, Some(5)), candidate("c", 9, 9, Some(7))];
    for seed in 0..50 {
        let choice = drawn(&candidates, None, seed);
        let mut turned = candidates.clone();
        turned.reverse();
        assert_eq!(choose(WORK, &turned, None, choice.seed, None).unwrap(), choice);

        let told: Vec<_> = choice.contenders.iter().map(|one| (one.agent.as_str(), one.alpha, one.beta, one.cost_micros)).collect();
        assert_eq!(told, [("a", 1.0, 1.0, Some(5)), ("b", 4.0, 2.0, None), ("c", 10.0, 10.0, Some(7))]);
        let highest: &Contender = choice.contenders.iter().max_by(|one, other| one.sampled.total_cmp(&other.sampled)).unwrap();
        assert!(choice.ground == Ground::Explored || choice.agent == highest.agent, "{choice:?}");
        let written = serde_json::to_value(&choice).unwrap();
        assert_eq!(serde_json::from_value::<Choice>(written).unwrap(), choice);
    }
}

#[test]
fn pending_units_change_no_belief() {
    let record = Record::default().chosen().chosen().chosen().settled(true).settled(false);
    assert_eq!(record, Record { successes: 1, failures: 1, pending: 1 });
    assert_eq!(Record::default().settled(true), Record { successes: 1, failures: 0, pending: 0 });
    let [waiting, settled] = [7, 0].map(|pending| Candidate { record: Record { pending, ..record }, ..candidate("a", 0, 0, None) });
    for seed in 0..20 {
        let [one, other] = [&waiting, &settled].map(|own| drawn(&[own.clone(), candidate("b", 1, 0, None)], None, seed));
        assert_eq!((&one.agent, one.contenders[0].sampled), (&other.agent, other.contenders[0].sampled));
        assert_eq!((one.contenders[0].pending, other.contenders[0].pending), (7, 0));
    }
}

#[test]
fn a_unit_keeps_its_agent_while_it_may() {
    let candidates = [candidate("a", 1, 1, Some(5)), candidate("b", 1, 1, Some(50))];
    let first = (0..100).map(|seed| drawn(&candidates, None, seed)).find(|choice| choice.agent == "b").unwrap();
    let seed = Seed::of("test", &[b"again"]);
    let again = choose(WORK, &candidates, Some(50), seed, Some(&first)).unwrap();
    assert_eq!(again, Choice { ground: Ground::Kept, ..first.clone() });

    let dearer = choose(WORK, &candidates, Some(49), seed, Some(&first)).unwrap();
    assert_eq!((dearer.agent.as_str(), dearer.excluded.len()), ("a", 1));
    let gone = choose(WORK, &candidates[..1], None, seed, Some(&first)).unwrap();
    assert_eq!((gone.agent.as_str(), gone.contenders.len()), ("a", 1));
}

#[test]
fn cost_excludes_by_name_and_otherwise_changes_nothing() {
    let candidates = [candidate("cheap", 2, 2, Some(10)), candidate("dear", 90, 1, Some(900)), candidate("unknown", 5, 5, None)];
    let choice = drawn(&candidates, Some(100), 1);
    let told: Vec<_> = choice.contenders.iter().map(|one| (one.agent.as_str(), one.cost_micros)).collect();
    assert_eq!(told, [("cheap", Some(10)), ("unknown", None)], "what nobody knows keeps nobody out");
    let excluded: Vec<_> = choice.excluded.iter().map(|one| (one.agent.as_str(), one.cost_micros, one.cost_micros_max)).collect();
    assert_eq!(excluded, [("dear", 900, 100)]);

    let free: Vec<Candidate> = candidates.iter().map(|one| Candidate { cost_micros: Some(0), ..one.clone() }).collect();
    for seed in 0..50 {
        let [one, other] = [&candidates[..], &free].map(|all| drawn(all, None, seed));
        let sampled = |choice: &Choice| choice.contenders.iter().map(|contender| contender.sampled).collect::<Vec<_>>();
        assert_eq!((one.agent.as_str(), sampled(&one)), (other.agent.as_str(), sampled(&other)));
    }
}

#[test]
fn without_anybody_the_error_says_why() {
    let seed = Seed::of("test", &[]);
    assert_eq!(choose(WORK, &[], None, seed, None), Err(ChoiceError::NoCandidate));
    let all = choose(WORK, &[candidate("b", 0, 0, Some(2)), candidate("a", 0, 0, Some(3))], Some(1), seed, None).unwrap_err();
    let ChoiceError::AllExcluded(excluded) = &all else { panic!("{all:?}") };
    assert_eq!(excluded.iter().map(|one| one.agent.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(all.to_string(), "each of 2 agents with the skills costs more than may be spent");
}

#[test]
fn the_floor_of_exploration_holds_for_a_hopeless_agent() {
    let candidates = [candidate("good", 900, 100, None), candidate("hopeless", 0, 1_000, None), candidate("poor", 100, 900, None)];
    let choices: Vec<Choice> = (0..6_000).map(|seed| drawn(&candidates, None, seed)).collect();
    let explored = choices.iter().filter(|choice| choice.ground == Ground::Explored).count();
    let hopeless = choices.iter().filter(|choice| choice.agent == "hopeless").count();
    // 600 and 200 are expected; four standard deviations on both sides.
    assert!(explored.abs_diff(600) < 93 && hopeless.abs_diff(200) < 56, "{explored} explored, {hopeless} hopeless of 6,000");
    assert!((EXPLORATION - 0.1).abs() < f64::EPSILON);
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn sampled_rates_follow_the_belief() {
    const DRAWS: usize = 4_000;
    for (alpha, beta) in [(1.0, 1.0), (4.0, 2.0), (1.0, 30.0), (81.0, 21.0)] {
        let reference = statrs::distribution::Beta::new(alpha, beta).unwrap();
        let mut generator = Seed::of("test", &[b"beta"]).generator();
        let own = Beta::new(alpha, beta).unwrap();
        let mut draws: Vec<f64> = (0..DRAWS).map(|_| own.sample(&mut generator)).collect();
        draws.sort_unstable_by(f64::total_cmp);
        let distance = |(at, draw): (usize, &f64)| (reference.cdf(*draw) - (at as f64 + 0.5) / DRAWS as f64).abs();
        let farthest = draws.iter().enumerate().map(distance).fold(0.0, f64::max);
        // Kolmogorov and Smirnov's distance at one in a thousand.
        assert!(farthest < 1.95 / (DRAWS as f64).sqrt(), "Beta({alpha}, {beta}) is {farthest} away");
    }
}

#[test]
fn sizes_are_those_of_contexts() {
    let size = |amount, unit| UnitSize::of(Effort { amount, unit });
    let points = [0, 2, 3, 7, 8, 100].map(|amount| size(amount, EffortUnit::Points));
    assert_eq!(points, [UnitSize::Small, UnitSize::Small, UnitSize::Medium, UnitSize::Medium, UnitSize::Large, UnitSize::Large]);
    assert_eq!([size(1, EffortUnit::Minutes), size(40, EffortUnit::Hours)], [UnitSize::Medium; 2]);
}

/// Success rates of three agents.
const AGENTS: [(&str, f64); 3] = [("first", 0.55), ("second", 0.65), ("third", 0.75)];
const UNITS: usize = 400;
/// By how many units an outcome is late.
const DELAY: usize = 20;
const CAMPAIGNS: usize = 500;

/// For each campaign, after each unit, how many units the best agent was given.
fn best_given(mut choose_agent: impl FnMut(&[Candidate], &mut fastrand::Rng) -> usize) -> Vec<Vec<u32>> {
    let mut random = fastrand::Rng::with_seed(6);
    let mut campaign = || {
        let mut candidates = AGENTS.map(|(agent, _)| candidate(agent, 0, 0, None));
        let mut under_way = VecDeque::new();
        let (mut best, mut course) = (0, Vec::with_capacity(UNITS));
        for _ in 0..UNITS {
            if under_way.len() == DELAY {
                let (agent, success): (usize, bool) = under_way.pop_front().unwrap();
                candidates[agent].record = candidates[agent].record.settled(success);
            }
            let agent = choose_agent(&candidates, &mut random);
            candidates[agent].record = candidates[agent].record.chosen();
            under_way.push_back((agent, random.f64() < AGENTS[agent].1));
            best += u32::from(agent == 2);
            course.push(best);
        }
        course
    };
    (0..CAMPAIGNS).map(|_| campaign()).collect()
}

/// The best agent's share so far at a quantile of the campaigns, from the tenth unit on; as points of a chart.
#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
fn shares(campaigns: &[Vec<u32>], quantile: f64) -> Vec<(f64, f64)> {
    let share = |units: usize| {
        let mut given: Vec<u32> = campaigns.iter().map(|course| course[units - 1]).collect();
        given.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position among some hundreds")]
        let at = (quantile * campaigns.len() as f64) as usize;
        (units as f64, f64::from(given[at]) / units as f64)
    };
    (10..=UNITS).step_by(10).map(share).collect()
}

#[test]
fn the_best_agent_gets_its_share_though_outcomes_come_late() {
    let sampling = best_given(|candidates, random| {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        let choice = choose(WORK, candidates, None, Seed(seed), None).unwrap();
        AGENTS.iter().position(|(agent, _)| *agent == choice.agent).unwrap()
    });
    // What the choice is there instead of: always the agent with the highest rate so far, equal ones by lot.
    let greedy = best_given(|candidates, random| {
        let rate = |record: Record| f64::from(1 + record.successes) / f64::from(2 + record.successes + record.failures);
        let rates = [0, 1, 2].map(|agent| rate(candidates[agent].record) + 1e-9 * random.f64());
        (0..3).max_by(|one: &usize, other: &usize| rates[*one].total_cmp(&rates[*other])).unwrap()
    });
    let mut lines = Vec::new();
    for (name, campaigns) in [("sampled", &sampling), ("greedy", &greedy)] {
        for (label, quantile) in [("5th percentile", 0.05), ("median", 0.5), ("95th percentile", 0.95)] {
            let points = shares(campaigns, quantile);
            println!("best agent's share of {UNITS} units, {name}, {label}: {:.3}", points.last().unwrap().1);
            lines.push(Line { label: format!("{name}, {label}"), points });
        }
    }
    let [sampled, greedy] = [&sampling, &greedy].map(|campaigns| shares(campaigns, 0.05).last().unwrap().1);
    let title = "Share of the best of three agents, outcomes 20 units late";
    Chart { name: "best-agent", title, x_label: "units", y_max: 1.0, mark: (0.3, "the least that is asked for"), lines }.write();
    assert!(sampled >= 0.3, "the 5th percentile is {sampled}");
    assert!(greedy < 0.1, "a greedy choice would have done: {greedy}");
}
