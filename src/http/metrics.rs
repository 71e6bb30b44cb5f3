//! Numbers for Prometheus: `specwave_<noun>_<unit>[_total]`. Labels are words from fixed lists and path templates, never ids.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::state::Api;
use crate::store::postgres::catalogue;

/// Bounds of the request histogram, in seconds: the goals are 25 ms for reads and 50 ms for writes.
const SECONDS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
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
