//! Numbers for Prometheus: `specwave_<noun>_<unit>[_total]`. Labels are words from fixed lists and path templates, never ids.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::state::Api;
use crate::store::postgres::{backlog, catalogue};

/// Bounds of the request histogram, in seconds: the goals are 25 ms for reads and 50 ms for writes.
const SECONDS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// Bounds of the histogram of settlements in one transaction.
const BATCHES: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 200.0, 1_000.0];
/// How often recorded values are taken in, so that they do not pile up while nobody scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long counting the runs may take.
const COUNT_TIMEOUT: Duration = Duration::from_secs(1);

/// What is recorded in this process.
#[derive(Clone)]
pub struct Recorded(PrometheusHandle);

/// Records from now on; once in a process.
pub fn record() -> Result<Recorded, BuildError> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
    let builder = builder.set_buckets_for_metric(Matcher::Suffix("_batch_units".to_owned()), &BATCHES)?;
    let handle = builder.install_recorder()?;
    metrics::describe_counter!("specwave_http_requests_total", "Requests, by method, path template and status.");
    metrics::describe_histogram!("specwave_http_request_seconds", "Time until an answer began, by method and path template.");
    metrics::describe_gauge!("specwave_http_streams", "Event streams that are open.");
    metrics::describe_gauge!("specwave_runs", "Runs by state, of all processes.");
    metrics::describe_gauge!("specwave_runs_driven", "Runs that this process drives.");
    metrics::describe_gauge!("specwave_projection_lag_changes", "Changes that a projection has not taken in.");
    metrics::describe_gauge!("specwave_projection_lag_seconds", "How long the oldest of them has been waiting.");
    metrics::describe_gauge!("specwave_projection_dead_letters", "Changes that a projection refused and that were set aside.");
    metrics::describe_gauge!("specwave_store_up", "1 when the store answers, else 0.");
    metrics::describe_gauge!("specwave_units_ready", "Units that a worker may take, of all processes.");
    metrics::describe_gauge!("specwave_units_ready_oldest_seconds", "For how long the first of them has been ready.");
    metrics::describe_gauge!("specwave_units_running", "Units that workers hold, of all processes.");
    metrics::describe_counter!("specwave_units_claimed_total", "Units that this process has claimed.");
    metrics::describe_counter!("specwave_settlements_total", "What became of them, by the state that each was left in.");
    metrics::describe_counter!(
        "specwave_settlements_late_total",
        "Settlements that came after their claim was lost: they changed nothing."
    );
    metrics::describe_counter!("specwave_leases_lost_total", "Units that were given back because their worker had gone or was stuck.");
    metrics::describe_counter!("specwave_commits_total", "Transactions of the engine's writer.");
    metrics::describe_histogram!("specwave_settle_batch_units", "Settlements in one of them.");
    metrics::describe_histogram!("specwave_settle_seconds", "How long one of them took.");
    Ok(Recorded(handle))
}

/// Takes in what was recorded, again and again until it is asked to stop.
pub async fn keep(recorded: Recorded, stop: CancellationToken) {
    while !stop.is_cancelled() {
        recorded.0.run_upkeep();
        tokio::select! {
            () = tokio::time::sleep(UPKEEP_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Numbers for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "Operation", operation_id = "metrics",
    responses((status = 200, description = "In Prometheus' text format.", body = String, content_type = "text/plain")))]
pub async fn show(State(api): State<Api>) -> impl IntoResponse {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
    metrics::gauge!("specwave_http_streams").set(api.streams.open() as f64);
    for (store, up) in super::health::stores(&api).await {
        metrics::gauge!("specwave_store_up", "store" => store).set(if up { 1.0 } else { 0.0 });
    }
    count_runs(&api).await;
    count_units(&api).await;
    measure_lag(&api).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.recorded.0.render())
}

/// How far the projections are behind, where a server has them; not a number while that cannot be known.
async fn measure_lag(api: &Api) {
    let projections = api.app.projections();
    for projection in projections.followed() {
        let lag = tokio::time::timeout(COUNT_TIMEOUT, projections.lag(projection)).await.ok().and_then(Result::ok);
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let (rows, aside) = lag.map_or((f64::NAN, f64::NAN), |lag| (lag.rows as f64, lag.dead_letters as f64));
        let name = projection.name();
        metrics::gauge!("specwave_projection_lag_changes", "projection" => name).set(rows);
        metrics::gauge!("specwave_projection_lag_seconds", "projection" => name).set(lag.map_or(f64::NAN, |lag| lag.age.as_secs_f64()));
        metrics::gauge!("specwave_projection_dead_letters", "projection" => name).set(aside);
    }
}

/// Counts the units that wait and run; not a number while PostgreSQL does not answer.
async fn count_units(api: &Api) {
    let count = async {
        let mut tx = api.begin().await?;
        backlog::of_organization(&mut tx).await.map_err(super::error::ApiError::from)
    };
    let counted = tokio::time::timeout(COUNT_TIMEOUT, count).await.ok().and_then(Result::ok);
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let (ready, oldest, running) = counted.map_or((f64::NAN, f64::NAN, f64::NAN), |(backlog, running)| {
        (backlog.ready as f64, backlog.oldest.map_or(0.0, |age| age.as_secs_f64()), running as f64)
    });
    metrics::gauge!("specwave_units_ready").set(ready);
    metrics::gauge!("specwave_units_ready_oldest_seconds").set(oldest);
    metrics::gauge!("specwave_units_running").set(running);
}

/// Counts the runs; where PostgreSQL does not answer, the numbers before it went away are not shown as the present ones.
async fn count_runs(api: &Api) {
    let count = async {
        let mut tx = api.begin().await?;
        catalogue::runs_by_state(&mut tx).await.map_err(super::error::ApiError::from)
    };
    let counted = tokio::time::timeout(COUNT_TIMEOUT, count).await.ok().and_then(Result::ok);
    for state in crate::model::RunState::ALL {
        let runs = counted.as_ref().map_or(f64::NAN, |counts| {
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
            counts.get(&state).map_or(0.0, |count| *count as f64)
        });
        metrics::gauge!("specwave_runs", "state" => state.as_str()).set(runs);
    }
}
