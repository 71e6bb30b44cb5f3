//! A stand-in for the server of a terminal agent, for tests, built from the protocol's contract: it types nothing into any terminal, its
//! agent follows a script, and it can misbehave in the ways that such servers do.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What the agent does when it was told something.
#[derive(Debug, Clone)]
pub enum Step {
    /// Its terminal changes.
    Run,
    /// Its terminal has stopped to change.
    Rest,
    /// It begins a new message.
    Say(&'static str),
    /// Its last message becomes this one.
    Grow(&'static str),
    /// It waits for these keystrokes.
    Await(&'static str),
    /// It reports a fault: level and message.
    Fault(&'static str, &'static str),
    /// All open streams break in the middle of an event.
    Cut,
    /// Some time passes.
    Pass(Duration),
}

/// In which ways the server misbehaves.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// How long sending a message blocks after the agent has begun.
    pub slow_send: Duration,
    /// The first messages are taken, and the connection is lost before that is confirmed.
    pub unconfirmed: usize,
    /// The first messages are refused as if the agent were busy, and it is for a moment.
    pub busy: usize,
    /// Events are sent as this type.
    pub events_as: Option<&'static str>,
    /// The status is answered as this type.
    pub status_as: Option<&'static str>,
    /// Every stream begins with a message of so many bytes.
    pub huge_bytes: usize,
    /// Every event is sent twice.
    pub doubled: bool,
}

/// What the agent does with a message before it follows its script.
#[derive(Clone)]
struct Work(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl std::fmt::Debug for Work {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("work")
    }
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Cut,
}

#[derive(Debug)]
struct Inner {
    messages: Vec<(i64, &'static str, String)>,
    status: &'static str,
    scripts: VecDeque<Vec<Step>>,
    faults: Faults,
    typed: Vec<(String, String)>,
    uploads: Vec<String>,
    streams: usize,
    work: Option<Work>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    pieces: broadcast::Sender<Piece>,
    keys: watch::Sender<String>,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct AgentServer {
    /// Where it listens.
    pub url: String,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

impl AgentServer {
    /// A server whose agent has said `welcome`, rests, and follows one script for each message.
    pub async fn start(scripts: impl IntoIterator<Item = Vec<Step>>, faults: Faults) -> Self {
        let inner = Inner {
            messages: vec![(0, "agent", "welcome".to_owned())],
            status: "stable",
            scripts: scripts.into_iter().collect(),
            faults,
            typed: Vec::new(),
            uploads: Vec::new(),
            streams: 0,
            work: None,
            tasks: JoinSet::new(),
        };
        let shared =
            Arc::new(Shared { inner: Mutex::new(inner), pieces: broadcast::channel(1024).0, keys: watch::channel(String::new()).0 });
        let router = Router::new()
            .route("/status", get(status))
            .route("/messages", get(messages))
            .route("/message", post(message))
            .route("/upload", post(upload))
            .route("/events", get(events))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("it serves until it is dropped") });
        Self { url, shared, _serving: serving }
    }

    /// A server whose agent does that with every message, says what comes of it, and rests.
    pub async fn working(work: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let server = Self::start([], Faults::default()).await;
        server.shared.inner().work = Some(Work(Arc::new(work)));
        server
    }

    /// Lets the agent do something by itself.
    pub fn act(&self, steps: Vec<Step>) {
        self.shared.act(steps);
    }

    /// Everything that was typed: kind and content.
    pub fn typed(&self) -> Vec<(String, String)> {
        self.shared.inner().typed.clone()
    }

    /// The bodies of all uploads.
    pub fn uploads(&self) -> Vec<String> {
        self.shared.inner().uploads.clone()
    }

    /// How often the stream was opened.
    pub fn streams(&self) -> usize {
        self.shared.inner().streams
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, text: &str) {
        let doubled = self.inner().faults.doubled;
        for _ in 0..=usize::from(doubled) {
            // Without a stream nobody hears it, as in life.
            let _ = self.pieces.send(Piece::Text(text.to_owned()));
        }
    }

    fn set_status(&self, status: &'static str) {
        self.inner().status = status;
        self.send(&status_event(status));
    }

    fn say(&self, role: &'static str, text: &str, new: bool) {
        let event = {
            let mut inner = self.inner();
            let next = i64::try_from(inner.messages.len()).expect("there are few");
            match inner.messages.last_mut().filter(|_| !new) {
                Some(last) => text.clone_into(&mut last.2),
                None => inner.messages.push((next, role, text.to_owned())),
            }
            inner.messages.last().map(message_event).expect("there is one now")
        };
        self.send(&event);
    }

    fn act(self: &Arc<Self>, steps: Vec<Step>) {
        let shared = Arc::clone(self);
        // Subscribed before anybody can type.
        let keys = self.keys.subscribe();
        self.inner().tasks.spawn(async move { shared.follow(steps, keys).await });
    }

    async fn follow(self: Arc<Self>, steps: Vec<Step>, mut keys: watch::Receiver<String>) {
        for step in steps {
            match step {
                Step::Run => self.set_status("running"),
                Step::Rest => self.set_status("stable"),
                Step::Say(text) => self.say("agent", text, true),
                Step::Grow(text) => self.say("agent", text, false),
                Step::Await(expected) => {
                    let _ = keys.wait_for(|typed| typed == expected).await;
                }
                Step::Fault(level, text) => {
                    self.send(&format!("event: agent_error\ndata: {}\n\n", json!({"message": text, "level": level, "time": "t"})));
                }
                Step::Cut => {
                    let _ = self.pieces.send(Piece::Cut);
                }
                Step::Pass(duration) => sleep(duration).await,
            }
        }
    }
}

fn status_event(status: &str) -> String {
    format!("event: status_change\ndata: {}\n\n", json!({"status": status, "agent_type": "custom"}))
}

fn message_event((id, role, content): &(i64, &'static str, String)) -> String {
    format!("event: message_update\ndata: {}\n\n", json!({"id": id, "role": role, "message": content, "time": "t"}))
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let inner = shared.inner();
    let body = json!({"status": inner.status, "agent_type": "custom", "transport": "pty"}).to_string();
    ([(CONTENT_TYPE, inner.faults.status_as.unwrap_or("application/json"))], body).into_response()
}

async fn messages(State(shared): State<Arc<Shared>>) -> Response {
    let inner = shared.inner();
    let all = inner.messages.iter().map(|(id, role, content)| json!({"id": id, "role": role, "content": content, "time": "t"}));
    ([(CONTENT_TYPE, "application/json")], json!({"messages": all.collect::<Vec<_>>()}).to_string()).into_response()
}

fn problem(reason: &str) -> Response {
    let body =
        json!({"title": "Internal Server Error", "status": 500, "detail": "unexpected error occurred", "errors": [{"message": reason}]});
    (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

fn done(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn message(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (kind, content) = (body["type"].as_str().unwrap_or_default().to_owned(), body["content"].as_str().unwrap_or_default().to_owned());
    shared.inner().typed.push((kind.clone(), content.clone()));
    if kind == "raw" {
        shared.keys.send_replace(content);
        return done(&json!({"ok": true}));
    }
    let refused = "message can only be sent when the agent is waiting for user input";
    if shared.inner().faults.busy > 0 {
        shared.inner().faults.busy -= 1;
        shared.set_status("running");
        shared.act(vec![Step::Pass(Duration::from_millis(300)), Step::Rest]);
        return problem(refused);
    }
    if shared.inner().status == "running" {
        return problem(refused);
    }
    shared.say("user", &content, true);
    let work = shared.inner().work.clone();
    let steps = match work {
        None => shared.inner().scripts.pop_front().unwrap_or_default(),
        Some(Work(work)) => {
            let said = work(&content);
            vec![Step::Run, Step::Pass(Duration::from_millis(50)), Step::Say(said.leak()), Step::Rest]
        }
    };
    shared.act(steps);
    let (slow, unconfirmed) = {
        let mut inner = shared.inner();
        let unconfirmed = inner.faults.unconfirmed > 0;
        inner.faults.unconfirmed = inner.faults.unconfirmed.saturating_sub(1);
        (inner.faults.slow_send, unconfirmed)
    };
    sleep(slow).await;
    if unconfirmed {
        let cut = stream::iter([Ok(Bytes::from_static(b"{")), Err(io::Error::other("cut"))]);
        return ([(CONTENT_TYPE, "application/json")], Body::from_stream(cut)).into_response();
    }
    done(&json!({"ok": true}))
}

async fn upload(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body).into_owned();
    let name = text.split("filename=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("unnamed").to_owned();
    shared.inner().uploads.push(text);
    done(&json!({"ok": true, "filePath": format!("/tmp/uploads/{name}")}))
}

async fn events(State(shared): State<Arc<Shared>>) -> Response {
    let (past, receiver, kind) = {
        let mut inner = shared.inner();
        inner.streams += 1;
        let mut past: String = inner.messages.iter().map(message_event).collect();
        if inner.faults.huge_bytes > 0 {
            past = message_event(&(0, "agent", "x".repeat(inner.faults.huge_bytes)));
        }
        past.push_str(&status_event(inner.status));
        (past, shared.pieces.subscribe(), inner.faults.events_as.unwrap_or("text/event-stream"))
    };
    let live = stream::unfold((Some(past), receiver, false), |(past, mut receiver, ended)| async move {
        if ended {
            return Some((Err(io::Error::other("cut")), (None, receiver, true)));
        }
        if let Some(past) = past {
            return Some((Ok(past), (None, receiver, false)));
        }
        match receiver.recv().await {
            Ok(Piece::Text(text)) => Some((Ok(text), (None, receiver, false))),
            Ok(Piece::Cut) => Some((Ok("event: message_update\ndata: {\"id\"".to_owned()), (None, receiver, true))),
            Err(_) => None,
        }
    });
    ([(CONTENT_TYPE, kind)], Body::from_stream(live)).into_response()
}
