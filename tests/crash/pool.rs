//! Fewer connections than there are units at once: they queue, and nobody waits for somebody who waits for him.

use std::sync::Arc;

use crate::Context;
use crate::case::Case;
use crate::dag::Shape;
use crate::process::Disaster;
use crate::tally::Tally;

const SHAPE: Shape = Shape { seed: 4, units: 200, work_ms_max: 10 };
/// As few as a process may have.
const CONNECTIONS: u32 = 2;
const AT_ONCE: usize = 32;
const WORKERS: usize = 3;

/// Every worker has far more to say than connections to say it on; one of them dies on top of it.
pub async fn smaller_than_what_works_at_once(context: Arc<Context>) -> Tally {
    let mut case = Case::new(context.cluster().await, SHAPE).await;
    (case.settings.connections, case.settings.at_once) = (CONNECTIONS, AT_ONCE);
    let mut workers = vec![Vec::new(); WORKERS];
    workers[0].push(Disaster::At("settle.after_commit", 4));
    let kills = case.work(workers).await;
    let tally = Tally { kills, ..case.check().await };
    case.compare_with_undisturbed().await;
    tally
}
