//! Two workers that call themselves the same: nothing goes by names.

use std::sync::Arc;

use crate::Context;
use crate::case::Case;
use crate::dag::Shape;
use crate::process::{Disaster, keep_working};
use crate::tally::Tally;
use crate::worker::Settings;

const SHAPE: Shape = Shape { seed: 3, units: 40, work_ms_max: 30 };

/// One of them dies twice; what it held is not taken for the other one's, and the other way round.
pub async fn that_two_workers_share(context: Arc<Context>) -> Tally {
    let case = Case::new(context.cluster().await, SHAPE).await;
    let settings = Settings { name: "same".to_owned(), ..case.settings.clone() };
    let disasters = vec![Disaster::At("unit.after_effect", 3), Disaster::At("claim.after_commit", 2)];
    let working = async { tokio::join!(keep_working(&settings, disasters), keep_working(&settings, Vec::new())) };
    let (kills, _) = case.watched(working).await;
    let tally = Tally { kills, ..case.check().await };
    let query = "select count(distinct agent), count(distinct worker) from task_attempts where run_id = $1 and outcome = 'succeeded'";
    let told: (i64, i64) = sqlx::query_as(query).bind(case.settings.run.0).fetch_one(&case.database.facts).await.unwrap();
    assert!(told.0 == 1 && told.1 >= 2, "names and workers: {told:?}");
    case.compare_with_undisturbed().await;
    tally
}
