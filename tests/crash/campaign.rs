//! Many runs, each with a plan, workers and disasters of its own, all of them drawn from one number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use specwave::failpoint;

use crate::Context;
use crate::case::Case;
use crate::dag::Shape;
use crate::process::Disaster;
use crate::tally::Tally;

/// Runs at once: most of their time is the wait for a lease to run out.
const AT_ONCE: usize = 4;
/// From so many seeds on every place must have killed somebody, or the campaign has not tested what it says.
const SEEDS_FOR_EVERY_POINT: u64 = 40;
/// The place that only a run of the whole program comes to; see `delivery`.
const OUTSIDE: [&str; 2] = ["deploy.between_renames", "wave.after_reopen"];

/// Every seed that was asked for.
pub async fn seeds(context: Arc<Context>) -> Tally {
    let seeds = context.seeds.clone();
    let (next, mut running) = (Arc::new(AtomicU64::new(seeds.start)), tokio::task::JoinSet::new());
    for _ in 0..AT_ONCE {
        let (context, next, end) = (Arc::clone(&context), Arc::clone(&next), seeds.end);
        running.spawn_local(async move {
            let mut tally = Tally::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return tally;
                }
                let case = tokio::task::spawn_local(one(Arc::clone(&context), seed));
                match case.await {
                    Ok(came_to) => tally += came_to,
                    Err(error) => {
                        panic!("seed {seed} failed: {error}\n  again: cargo test --features failpoints --test crash -- --seed {seed}")
                    }
                }
            }
        });
    }
    let mut tally = Tally::default();
    for came_to in running.join_all().await {
        tally += came_to;
    }
    if seeds.end - seeds.start >= SEEDS_FOR_EVERY_POINT {
        let missed: Vec<_> =
            failpoint::POINTS.into_iter().filter(|point| !OUTSIDE.contains(point) && !tally.kills.contains_key(*point)).collect();
        assert!(missed.is_empty(), "nobody was killed at {missed:?}; killed: {:?}", tally.kills);
    }
    tally
}

async fn one(context: Arc<Context>, seed: u64) -> Tally {
    let mut rng = fastrand::Rng::with_seed(seed);
    let shape = Shape { seed, units: rng.usize(30..=80), work_ms_max: rng.u64(1..30) };
    let mut case = Case::new(context.cluster().await, shape).await;
    case.settings.at_once = rng.usize(1..=8);
    let workers = disasters(seed, &mut rng);
    let kills = case.work(workers).await;
    let tally = Tally { kills, ..case.check().await };
    case.compare_with_undisturbed().await;
    tally
}

/// What befalls each worker. Ten seeds after each other have every place once and two kills at any moment; more follow by chance.
fn disasters(seed: u64, rng: &mut fastrand::Rng) -> Vec<Vec<Disaster>> {
    let points: Vec<&'static str> = failpoint::POINTS.into_iter().filter(|point| !OUTSIDE.contains(point)).collect();
    let first = usize::try_from(seed % 10).unwrap();
    if points.get(first) == Some(&"lease.expired") {
        // Two of three die at work, so at least one who does not drive: its leases run out, and whoever gives the units back dies too.
        let expired = Disaster::At("lease.expired", 1);
        return vec![vec![Disaster::At("unit.working", 2), expired], vec![Disaster::At("unit.working", 2), expired], vec![expired]];
    }
    let mut workers: Vec<Vec<Disaster>> = vec![Vec::new(); rng.usize(1..=3)];
    let any_moment = |rng: &mut fastrand::Rng| Disaster::After(Duration::from_millis(rng.u64(50..1_500)));
    match points.get(first) {
        // Any of them may be the one whose turn it is to follow.
        Some(point) if *point == "projection.apply" => workers.iter_mut().for_each(|worker| worker.push(Disaster::At(point, 1))),
        Some(point) => workers[0].push(Disaster::At(point, rng.u32(1..=3))),
        None => workers[0].push(any_moment(rng)),
    }
    for _ in 0..rng.usize(0..=3) {
        let worker = rng.usize(..workers.len());
        let disaster = if rng.bool() { any_moment(rng) } else { Disaster::At(points[rng.usize(..points.len())], rng.u32(1..=10)) };
        workers[worker].push(disaster);
    }
    workers
}
