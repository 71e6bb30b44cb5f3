//! Following a run: every event once and in order, over interruptions, restarts and other servers.

use std::time::Duration;

use serde_json::Value;

use crate::http_serving::Serving;
use crate::installation::{Installation, NOTES, PATIENCE, STEPS, fresh_name};
use crate::server::Server;

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// Reads a stream to its end, or until so many events came. Comments are counted, not kept.
async fn read(mut response: reqwest::Response, count: usize) -> (Vec<Event>, usize) {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(!response.headers().contains_key("content-encoding"));
    let (mut events, mut comments, mut text) = (Vec::new(), 0, String::new());
    // A server that is killed cuts the stream off in the middle.
    while let Ok(Some(chunk)) = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("the stream goes on or ends") {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
            let data = field("data:");
            if data.is_empty() {
                comments += 1;
            } else {
                events.push(Event { id: field("id:"), name: field("event:"), data: serde_json::from_str(&data).unwrap() });
            }
            text = rest.to_owned();
        }
        if events.len() >= count {
            break;
        }
    }
    (events, comments)
}

async fn follow(serving: &Serving, run: &str, last: Option<&str>) -> reqwest::Response {
    let mut call = serving.call("GET /runs/{id}/events", &[run]);
    if let Some(last) = last {
        call = call.header("last-event-id", last);
    }
    call.open().await
}

fn run_of(submitted: &Value) -> String {
    submitted["run"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_is_told_from_its_submission_to_its_end() {
    let serving = Serving::fresh().await;
    let run = run_of(&serving.submit(&fresh_name("told"), STEPS).await);
    let (events, comments) = read(follow(&serving, &run, None).await, usize::MAX).await;
    assert!(comments >= 1, "the first byte comes at once");
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!((names[0], *names.last().unwrap()), ("run_queued", "run_partial"), "{names:?}");
    for expected in ["run_running", "run_planned", "phase_running", "phase_succeeded", "unit_waiting"] {
        assert!(names.contains(&expected), "{expected} in {names:?}");
    }
    for event in &events {
        assert_eq!((&event.data["schema_version"], &event.data["run"]), (&1.into(), &run.clone().into()), "{event:?}");
        assert_eq!(event.data["event"], event.name.as_str());
    }
    let mut ids: Vec<&String> = events.iter().map(|event| &event.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "every event has an id of its own");

    // From anywhere in the middle exactly the rest comes; behind the last there is nothing.
    for at in [0, events.len() / 2, events.len() - 2] {
        let (rest, _) = read(follow(&serving, &run, Some(&events[at].id)).await, usize::MAX).await;
        assert_eq!(rest, events[at + 1..], "behind event {at}");
    }
    assert_eq!(follow(&serving, &run, Some(&events.last().unwrap().id)).await.status(), 204);
    assert_eq!(follow(&serving, "01900000-0000-7000-8000-000000000000", None).await.status(), 404);
}

#[tokio::test]
async fn an_unknown_place_is_answered_with_the_run_as_it_is() {
    let serving = Serving::fresh().await;
    let run = run_of(&serving.submit(&fresh_name("reset"), STEPS).await);
    serving.ended(&run).await;
    for unknown in ["1-2-3", "nonsense", "7"] {
        let (events, _) = read(follow(&serving, &run, Some(unknown)).await, usize::MAX).await;
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names, ["reset", "snapshot"], "{unknown}");
        let snapshot = &events[1].data;
        assert_eq!(snapshot["run"]["state"], "partial");
        assert_eq!(snapshot["units"].as_array().unwrap().len(), 3, "{snapshot:#}");
    }
}

#[tokio::test]
async fn what_is_no_longer_kept_is_answered_with_the_run_as_it_is() {
    let (database, installation) = (Server::start().await, Installation::own());
    let mut command = installation.command(&["serve", "--port", "0"]);
    command.env("DATABASE_URL", database.url("specwave", "secret", "specwave"));
    let serving = Serving::start_with(command);
    let run = run_of(&serving.submit(&fresh_name("pruned"), STEPS).await);
    let (events, _) = read(follow(&serving, &run, None).await, usize::MAX).await;
    database.sql("specwave", "delete from outbox where id <= (select max(id) from outbox) - 2").await;
    let (again, _) = read(follow(&serving, &run, Some(&events[1].id)).await, usize::MAX).await;
    assert_eq!(again.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["reset", "snapshot"]);
    let (anew, _) = read(follow(&serving, &run, None).await, usize::MAX).await;
    assert_eq!(anew.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["reset", "snapshot"]);
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_at_another_server_without_loss_or_repetition() {
    let installation = Installation::own();
    let (mut first, second) = (Serving::start(&installation), Serving::start(&installation));
    let run = run_of(&first.submit(&fresh_name("moved"), NOTES).await);
    let (mut events, _) = read(follow(&first, &run, None).await, 12).await;
    first.signal(rustix::process::Signal::KILL);
    first.end();
    // A worker that is left takes the run up; its stream goes on behind what was read.
    let (rest, _) = read(follow(&second, &run, Some(&events.last().unwrap().id)).await, usize::MAX).await;
    events.extend(rest);
    let (whole, _) = read(follow(&second, &run, None).await, usize::MAX).await;
    assert_eq!(events, whole);
    assert_eq!(whole.last().unwrap().name, "run_succeeded", "{}", second.said());
}

#[tokio::test]
async fn streams_end_when_the_server_does() {
    let mut serving = Serving::fresh().await;
    let run = run_of(&serving.submit(&fresh_name("ends"), NOTES).await);
    let stream = follow(&serving, &run, None).await;
    serving.signal(rustix::process::Signal::TERM);
    let (events, _) = tokio::time::timeout(Duration::from_mins(1), read(stream, usize::MAX)).await.expect("the stream ends");
    assert_ne!(events.last().map(|event| event.name.as_str()), Some("run_succeeded"));
    assert_eq!(serving.end(), Some(0), "{}", serving.said());
}
