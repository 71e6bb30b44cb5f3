//! A database that crashes again and again, and one that stays away for longer than a lease.

use std::sync::Arc;
use std::time::Duration;

use crate::Context;
use crate::case::Case;
use crate::cluster::Cluster;
use crate::dag::Shape;
use crate::effects::{self, Deed};
use crate::tally::Tally;

/// Workers, and units at once of each.
const WORKERS: usize = 2;
const AT_ONCE: usize = 8;
/// A campaign of so many units or more is a long one, with its crashes further apart.
const LONG_UNITS: usize = 10_000;
/// The time from one crash to the next.
const APART_SECS: std::ops::RangeInclusive<u64> = 2..=4;
const APART_SECS_LONG: std::ops::RangeInclusive<u64> = 5..=40;
/// How long the server stays away, and a lease that is shorter.
const AWAY: Duration = Duration::from_secs(12);
const LEASE: Duration = Duration::from_secs(10);
/// Crashes before that, and the effects from one to the next.
const SHORT_CRASHES: usize = 2;
const EFFECTS_APART: usize = 12;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A run on a server that crashes every few seconds comes to its end, and nothing that it has acknowledged is gone.
pub async fn crashes_every_few_seconds(context: Arc<Context>) -> Tally {
    let cluster = Cluster::start().await;
    let shape = Shape { seed: 5, units: context.units, work_ms_max: 200 };
    let mut case = Case::new(&cluster, shape).await;
    (case.settings.at_once, case.settings.files) = (AT_ONCE, false);
    let (mut crashes, mut rng) = (0, fastrand::Rng::with_seed(shape.seed));
    let apart = if shape.units < LONG_UNITS { APART_SECS } else { APART_SECS_LONG };
    let crashing = async {
        loop {
            tokio::time::sleep(Duration::from_secs(rng.u64(apart.clone()))).await;
            cluster.server.ctl("restart", "immediate");
            crashes += 1;
        }
    };
    let kills = tokio::select! {
        kills = case.work(vec![Vec::new(); WORKERS]) => kills,
        () = crashing => unreachable!("it crashes without end"),
    };
    assert!(crashes > 0, "the run has ended before the first crash");
    Tally { kills, server_crashes: crashes, ..case.check().await }
}

/// The server crashes and is back at once, some times, and then stays away until every lease has run out. Whoever is still at work keeps
/// it: no unit is paid for twice.
pub async fn that_pay_for_nothing_twice(_: Arc<Context>) -> Tally {
    let cluster = Cluster::start().await;
    let mut case = Case::new(&cluster, Shape { seed: 6, units: 90, work_ms_max: 400 }).await;
    case.settings.lease_ms = u64::try_from(LEASE.as_millis()).unwrap();
    let crashing = async {
        for crash in 1..=SHORT_CRASHES {
            after_effects(&case, crash * EFFECTS_APART).await;
            cluster.server.ctl("restart", "immediate");
        }
        after_effects(&case, (SHORT_CRASHES + 1) * EFFECTS_APART).await;
        cluster.server.ctl("stop", "immediate");
        tokio::time::sleep(AWAY).await;
        cluster.server.ctl("start", "fast");
    };
    let (kills, ()) = tokio::join!(case.work(vec![Vec::new(); WORKERS]), crashing);
    let tally = Tally { kills, server_crashes: SHORT_CRASHES + 1, ..case.check().await };
    assert_eq!((tally.re_executions, tally.refused), (0, 0), "paid for twice, or refused: {tally}\n{}", case.history_of_repeated().await);
    case.compare_with_undisturbed().await;
    tally
}

/// Waits until so much work is done.
async fn after_effects(case: &Case, count: usize) {
    while effects::read(&case.settings.effects).iter().filter(|line| line.deed == Deed::Effect).count() < count {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
