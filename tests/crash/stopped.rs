//! A worker that is stopped, not killed: it comes back with what it did, long after others have done it again.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use crate::Context;
use crate::case::Case;
use crate::dag::{Dag, Shape};
use crate::effects::{self, Deed, Line};
use crate::process::{Process, command, keep_working};
use crate::tally::Tally;

const SHAPE: Shape = Shape { seed: 1, units: 30, work_ms_max: 20 };
/// How often the file of effects and the process table are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// With the work done and not yet settled.
pub async fn past_its_lease(context: Arc<Context>) -> Tally {
    stop_until_done_again(context, "unit.after_effect=2:stop").await
}

/// In the middle of a transaction that holds the run: the others do not wait for it without end.
pub async fn inside_a_transaction(context: Arc<Context>) -> Tally {
    stop_until_done_again(context, "advance.inside=3:stop").await
}

/// A worker stops at a place; another one goes on, until it has done again what the first one had in hand; and then the first one goes on
/// too, whose late write is refused and told.
async fn stop_until_done_again(context: Arc<Context>, armed: &str) -> Tally {
    let case = Case::new(context.cluster().await, SHAPE).await;
    let (first, second) = (case.settings_of(1), case.settings_of(2));
    let mut stopped = Process::start(&first, command(&first, armed));
    let over = CancellationToken::new();
    let happening = async {
        while !stopped.stopped() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let goes_on = async {
            keep_working(&second, Vec::new()).await;
            over.cancel();
        };
        let others = async {
            while !done_again(&case, &first.name) && !over.is_cancelled() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            stopped.signal(Signal::CONT);
            stopped.succeed().await;
        };
        tokio::join!(goes_on, others)
    };
    case.watched(happening).await;
    let tally = case.check().await;
    case.compare_with_undisturbed().await;
    assert!(tally.refused >= 1 && tally.re_executions >= 1, "{tally}");
    tally
}

/// Whether another worker has had an effect where the stopped one had begun. A unit that fails the first time is begun again anyway.
fn done_again(case: &Case, stopped: &str) -> bool {
    let (dag, lines) = (Dag::new(SHAPE), effects::read(&case.settings.effects));
    let begun = |place: usize| lines.iter().any(|line| line.deed == Deed::Start && line.worker == stopped && line.place == place);
    let again = |line: &Line| line.deed == Deed::Effect && line.worker != stopped && !dag.fails_first(line.place) && begun(line.place);
    lines.iter().any(again)
}
