//! A worker that is stopped, not killed: it comes back with what it did, long after others have done it again.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::Context;
use crate::case::Case;
use crate::dag::Shape;
use crate::effects::{self, Deed};
use crate::process::{Process, command, keep_working};
use crate::tally::Tally;

const SHAPE: Shape = Shape { seed: 1, units: 30, work_ms_max: 20 };
/// How often the file of effects and the process table are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// With the work done and not yet settled: its late write is refused and told.
pub async fn past_its_lease(context: Arc<Context>) -> Tally {
    let case = Case::new(context.cluster().await, SHAPE).await;
    let done_again = async |case: &Case, stopped: &str| {
        let lines = effects::read(&case.settings.effects);
        let done = |place: usize| lines.iter().any(|line| line.deed == Deed::Effect && line.worker == stopped && line.place == place);
        lines.iter().any(|line| line.deed == Deed::Effect && line.worker != stopped && done(line.place))
    };
    let tally = stop_until(&case, "unit.after_effect=2:stop", done_again).await;
    assert!(tally.refused >= 1 && tally.re_executions >= 1, "{tally}");
    tally
}

/// In the middle of a transaction that holds the run: the others do not wait for it without end.
pub async fn inside_a_transaction(context: Arc<Context>) -> Tally {
    let case = Case::new(context.cluster().await, SHAPE).await;
    let settled = async |case: &Case, stopped: &str| {
        let query = "select count(*) from task_attempts where run_id = $1 and agent not in ($2, '')";
        let count = sqlx::query_scalar(query).bind(case.settings.run.0).bind(stopped).fetch_one(&case.database.facts);
        let count: i64 = count.await.unwrap();
        count > 0
    };
    let tally = stop_until(&case, "advance.inside=3:stop", settled).await;
    assert!(tally.refused >= 1, "its transaction was ended, and came too late: {tally}");
    tally
}

/// A worker stops at a place; another one goes on, until that has come to something, and then the first one does too.
async fn stop_until(case: &Case, armed: &str, until: impl AsyncFn(&Case, &str) -> bool) -> Tally {
    let (first, second) = (case.settings_of(1), case.settings_of(2));
    let mut stopped = Process::start(&first, command(&first, armed));
    let happening = async {
        while !stopped.stopped() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let others = async {
            while !until(case, &first.name).await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            stopped.signal(Signal::CONT);
            stopped.succeed().await;
        };
        tokio::join!(keep_working(&second, Vec::new()), others)
    };
    case.watched(happening).await;
    let tally = case.check().await;
    case.compare_with_undisturbed().await;
    tally
}
