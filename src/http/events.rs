//! What happens in a run, as server-sent events.
//!
//! The stream begins at the run's submission, or behind the `Last-Event-ID` that the caller saw last, and ends with the run. Ids name
//! places in PostgreSQL and not in this process, so any server of the installation continues where another one stopped, with nothing
//! missing and nothing twice. A place that is no longer there (announcements are kept for a while), or that another cluster gave out,
//! is answered with `reset` and a `snapshot`, from which the stream goes on.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::error::ApiError;
use super::extract::Id;
use super::runs::{RUNS_HINT, view};
use super::state::Api;
use crate::model::RunId;
use crate::model::event::EVENT_SCHEMA_VERSION;
use crate::store::postgres::run_events::{self, Place, RunEvent};

/// Streams that are open at once in this process. Each asks PostgreSQL one indexed question every [`LOOK_EVERY`].
const STREAMS_MAX: usize = 256;
/// How often a stream looks for what other processes changed; what this one changes wakes it at once.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A comment is sent so often, so that nobody in between takes the connection for dead.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Announcements that are read together.
const PAGE_ROWS: u32 = 200;
/// When a client that lost the stream had better come back.
const RETRY: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: &str = "last-event-id";

/// The places for streams.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

impl Streams {
    /// How many are open.
    pub fn open(&self) -> usize {
        STREAMS_MAX - self.0.available_permits()
    }
}

/// Follows a run.
///
/// Each event has the kind of the change as its name (`run_…`, `phase_…`, `unit_…`, `question_…`; `unit_progress` is what an agent tells
/// while it works, at most once a second for a unit) and a JSON object with `schema_version`, `run`,
/// `version`, `at` and what there is to know as its data.
#[utoipa::path(get, path = "/runs/{id}/events", tag = "Runs", operation_id = "followRun",
    params(
        ("id" = RunId, Path, description = "The run."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the caller has seen."),
    ),
    responses(
        (status = 200, description = "The events, until the run has ended.", body = String, content_type = "text/event-stream"),
        (status = 204, description = "The run has ended, and the caller has seen its last event."),
    ))]
pub async fn follow(State(api): State<Api>, Id(run): Id<RunId>, headers: HeaderMap) -> Result<Response, ApiError> {
    let permit = Arc::clone(&api.streams.0).try_acquire_owned();
    let full = || ApiError::Unavailable { detail: "too many streams are open".to_owned(), retry: RETRY };
    let permit = permit.map_err(|_| full())?;
    let seen = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default().to_owned());
    let Some(follower) = Follower::begin(api, run, seen.as_deref(), permit).await? else {
        // The one answer that keeps a browser from connecting again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let events = stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(COMMENT_EVERY)).into_response();
    // Proxies that buffer would hold events back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

/// One stream.
struct Follower {
    api: Api,
    run: RunId,
    cluster: String,
    place: Place,
    /// Versions that a snapshot contained; announcements up to them are not sent again.
    contained: BTreeMap<uuid::Uuid, i64>,
    waiting: VecDeque<Event>,
    changes: watch::Receiver<u64>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Finds where to begin; none when there is nothing to come.
    async fn begin(api: Api, run: RunId, seen: Option<&str>, permit: OwnedSemaphorePermit) -> Result<Option<Self>, ApiError> {
        let mut tx = api.begin().await?;
        let cluster = run_events::cluster(&mut tx).await?;
        let after = seen.map_or(Some(Place::default()), |id| place(&cluster, id));
        let ahead = run_events::ahead(&mut tx, run, after.unwrap_or_default()).await?;
        let ahead = ahead.ok_or_else(|| ApiError::missing("run", run, RUNS_HINT))?;
        let continues = match after {
            Some(place) if place == Place::default() => run_events::complete(&mut tx, run).await?,
            Some(place) => run_events::continues(&mut tx, run, place).await?,
            None => false,
        };
        tx.commit().await?;
        if continues && seen.is_some() && ahead.state.finished() && !ahead.more {
            return Ok(None);
        }
        let changes = api.engine.changes();
        let waiting = VecDeque::from([Event::default().comment("events of the run follow").retry(RETRY)]);
        let place = after.unwrap_or_default();
        let contained = BTreeMap::new();
        let mut follower = Self { api, run, cluster, place, contained, waiting, changes, ended: false, _permit: permit };
        if !continues {
            follower.reset().await?;
        }
        Ok(Some(follower))
    }

    /// The next event; none when the run has ended or the server does.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.ended || self.api.stop.is_cancelled() {
                return None;
            }
            self.changes.mark_unchanged();
            // A database that is away comes back: the stream waits for it.
            if let Err(error) = self.look().await {
                tracing::debug!(run = %self.run, ?error, "a stream could not look for events; trying again");
            }
            if self.waiting.is_empty() && !self.ended {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    _ = self.changes.changed() => {}
                    () = self.api.stop.cancelled() => return None,
                }
            }
        }
    }

    /// Takes in what was announced since.
    async fn look(&mut self) -> Result<(), ApiError> {
        let mut tx = self.api.begin().await?;
        let Some(ahead) = run_events::ahead(&mut tx, self.run, self.place).await? else {
            self.ended = true;
            return Ok(());
        };
        if ahead.readable {
            for event in run_events::read(&mut tx, self.run, self.place, PAGE_ROWS).await? {
                self.place = event.place;
                if self
                    .contained
                    .get(&event.aggregate_id)
                    .is_none_or(|version| matches!(event.aggregate.as_str(), "phase" | "progress") || *version < event.version)
                {
                    self.waiting.push_back(self.event(&event));
                }
            }
        } else if !ahead.more && ahead.state.finished() {
            self.ended = true;
        }
        tx.commit().await.map_err(ApiError::from)
    }

    /// Says that what the caller has seen is no beginning, and shows the run as it is.
    async fn reset(&mut self) -> Result<(), ApiError> {
        let mut tx = self.api.begin().await?;
        // First where to go on, then what is: what is announced in between is contained, and left out by its version.
        self.place = run_events::horizon(&mut tx).await?;
        let run = view(&mut tx, self.run).await?;
        let (version, units) = run_events::snapshot(&mut tx, self.run).await?;
        tx.commit().await?;
        self.contained = units.iter().map(|unit| (unit.id.0, unit.version)).chain([(self.run.0, version)]).collect();
        let units: Vec<Value> = units
            .iter()
            .map(|unit| json!({"id": unit.id, "key": unit.key, "state": unit.state, "attempts": unit.attempt, "version": unit.version}))
            .collect();
        let reason = "what came before this is no longer kept, or was told by another database";
        let reset = json!({"schema_version": EVENT_SCHEMA_VERSION, "run": self.run, "reason": reason});
        let snapshot = json!({"schema_version": EVENT_SCHEMA_VERSION, "run": run, "version": version, "units": units});
        self.waiting.push_back(Event::default().event("reset").data(reset.to_string()));
        let id = self.id(self.place);
        self.waiting.push_back(Event::default().event("snapshot").id(id).data(snapshot.to_string()));
        Ok(())
    }

    fn event(&self, event: &RunEvent) -> Event {
        let mut data = json!({
            "schema_version": EVENT_SCHEMA_VERSION,
            "event": event.kind,
            "id": event.aggregate_id,
            "version": event.version,
            "at": event.at.format(&Rfc3339).unwrap_or_default(),
        });
        if let (Some(data), Value::Object(payload)) = (data.as_object_mut(), &event.payload) {
            data.extend(payload.clone());
        }
        Event::default().id(self.id(event.place)).event(&event.kind).data(data.to_string())
    }

    /// A place as callers see it.
    fn id(&self, place: Place) -> String {
        format!("{}-{:x}-{:x}", self.cluster, place.xid, place.id)
    }
}

/// The place that an id names, when that cluster gave it out.
fn place(cluster: &str, id: &str) -> Option<Place> {
    let mut parts = id.split('-');
    let (named, xid, id) = (parts.next()?, parts.next()?, parts.next()?);
    let place = Place { xid: u64::from_str_radix(xid, 16).ok()?, id: i64::from_str_radix(id, 16).ok()? };
    (named == cluster && parts.next().is_none() && place.id > 0).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_this_cluster_are_places() {
        assert_eq!(place("7", "7-1f-a"), Some(Place { xid: 31, id: 10 }));
        for wrong in ["", "7", "7-1f", "8-1f-a", "7-1f-0", "7-1f-a-1", "7-x-a", "7-1f-ffffffffffffffffff", "7--1-a"] {
            assert_eq!(place("7", wrong), None, "{wrong}");
        }
    }
}
