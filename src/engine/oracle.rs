//! What the engine keeps in counters, compared with what counting gives; what it hands out at once, compared with what there is.

use std::collections::BTreeSet;

use super::testing::{Bench, ORGANIZATION, plan};
use super::*;

#[tokio::test]
async fn concurrent_claimers_never_get_the_same_unit() {
    let names: Vec<String> = (0..200).map(|number| format!("u{number}")).collect();
    let units: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let bench = Bench::new(&plan(&units, &[])).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let engine = Engine::new(bench.engine.store().clone(), bench.engine.options().clone());
        let run = bench.run;
        tasks.spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let units = engine.claim(ORGANIZATION, run, 7, Dispatch::Readiness).await.unwrap().units;
                if units.is_empty() {
                    return claimed;
                }
                claimed.extend(units.into_iter().map(|unit| unit.claim.unit));
            }
        });
    }
    let claimed: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 200);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

/// Random plans, random steps: whatever happens, the counters are what counting gives, and nothing is blocked without a reason.
#[tokio::test]
async fn counters_hold_after_random_steps() {
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let names: Vec<String> = (0..14).map(|number| format!("u{number}")).collect();
        let units: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), u32::from(random.u8(0..4)))).collect();
        let edges: BTreeSet<(usize, usize)> =
            (0..22).map(|_| (random.usize(1..14), random.usize(0..13))).filter(|(task, before)| before < task).collect();
        let edges: Vec<(&str, &str)> = edges.iter().map(|(task, before)| (names[*task].as_str(), names[*before].as_str())).collect();
        let bench = Bench::new(&plan(&units, &edges)).await;
        let mut held: Vec<ClaimedUnit> = Vec::new();
        for step in 0..40 {
            match random.u8(0..10) {
                0..4 => held.extend(bench.claim(random.u32(1..4)).await),
                4 => {
                    bench.expire_leases().await;
                    bench.engine.sweep().await.unwrap();
                }
                5 => {
                    let keys = [random.choice(&names).unwrap().clone(), random.choice(&names).unwrap().clone()];
                    drop(bench.engine.reopen(&bench.actor, bench.run, &keys, "random").await);
                }
                kind if !held.is_empty() => {
                    let unit = held.swap_remove(random.usize(0..held.len()));
                    match kind {
                        6 => bench.fail(&unit, ErrorClass::Permanent).await,
                        7 => bench.fail(&unit, ErrorClass::Transient).await,
                        _ => bench.succeed(&unit).await,
                    };
                }
                _ => {}
            }
            assert_eq!(bench.wrong_counters().await, Vec::<String>::new(), "seed {seed}, step {step}: {}", bench.states().await);
        }
    }
}
