//! A running `specwave serve` and a client that calls it the way its document names the operations.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::installation::{Installation, PATIENCE};
use crate::server::Server;

/// The server, ended when the test is.
pub struct Serving {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    client: reqwest::Client,
    folder: TempDir,
    database: Option<(Arc<Server>, String)>,
}

/// A PostgreSQL server that the tests share while any of them runs.
static DATABASES: Mutex<Weak<Server>> = Mutex::const_new(Weak::new());

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as text.
    pub text: String,
}

/// A call that is being put together.
pub struct Call<'a> {
    request: reqwest::RequestBuilder,
    serving: &'a Serving,
}

impl Serving {
    /// One with a database of its own: a server drives every run that it finds, and pauses it when it ends.
    pub async fn fresh() -> Self {
        Self::fresh_with(&[]).await
    }

    /// The same with more in its environment.
    pub async fn fresh_with(environment: &[(&str, &str)]) -> Self {
        let mut shared = DATABASES.lock().await;
        let server = match shared.upgrade() {
            Some(server) => server,
            None => Arc::new(Server::start().await),
        };
        *shared = Arc::downgrade(&server);
        let name = format!("http_{}", uuid::Uuid::now_v7().simple());
        server.sql("postgres", &format!("create database {name} owner specwave")).await;
        drop(shared);
        let mut command = Installation::served().command(&["serve", "--port", "0"]);
        command.env("DATABASE_URL", server.url("specwave", "secret", &name)).envs(environment.iter().copied());
        let mut serving = Self::start_with(command);
        serving.database = Some((server, name));
        serving
    }

    /// Starts it on a free port and waits until it listens.
    pub fn start(installation: &Installation) -> Self {
        Self::start_with(installation.command(&["serve", "--port", "0"]))
    }

    /// The same from a command that was put together elsewhere.
    pub fn start_with(mut command: Command) -> Self {
        let folder = TempDir::new().unwrap();
        let said = File::create(folder.path().join("stderr")).unwrap();
        command.env("SPECWAVE_LOG", "specwave=info").env("SPECWAVE_EMBEDDER", "lexical");
        command.process_group(0).stdout(Stdio::piped()).stderr(said);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = || fs::read_to_string(folder.path().join("stderr")).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it does not listen: {}", said())).to_owned();
        // The client demands a TLS provider even where none is spoken; the first one installed serves all tests.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { child, url, client: reqwest::Client::builder().no_gzip().build().unwrap(), folder, database: None }
    }

    /// A call of the operation with that method and path template, its placeholders filled in order. Paths of resources are below
    /// `/api/v1`.
    pub fn call(&self, operation: &str, ids: &[&str]) -> Call<'_> {
        let (method, template) = operation.split_once(' ').unwrap();
        let mut ids = ids.iter();
        let parts = template.split('/').map(|part| if part.starts_with('{') { *ids.next().unwrap() } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        let below = ["/health", "/metrics", "/docs", "/api"].iter().any(|top| path.starts_with(top));
        let prefix = if below { "" } else { "/api/v1" };
        let request = self.client.request(method.parse().unwrap(), format!("{}{prefix}{path}", self.url));
        Call { request: request.timeout(PATIENCE), serving: self }
    }

    /// Submits a document of Markdown under a name; returns the answer's body.
    pub async fn submit(&self, name: &str, document: &str) -> Value {
        let answer = self.call("POST /specs", &[]).query("name", name).body("text/markdown", document.to_owned()).send().await;
        answer.expect(202)
    }

    /// Waits until a run has ended.
    pub async fn ended(&self, run: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.call("GET /runs/{id}", &[run]).send().await.expect(200);
            if !answer["finished_at"].is_null() {
                return answer;
            }
            assert!(Instant::now() < deadline, "the run did not end: {answer:#}\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs statements in its own database, as the superuser.
    pub async fn sql(&self, statements: &str) {
        let (server, name) = self.database.as_ref().expect("it was started with a database of its own");
        server.sql(name, statements).await;
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; returns the exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // In order, so that it leaves the database server that others use.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Call<'_> {
    /// With a parameter in the query.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let escape = |text: &str| text.bytes().flat_map(|byte| ['%'.into(), hex::encode_upper([byte])]).collect::<String>();
        let (client, request) = self.request.build_split();
        let mut request = request.unwrap();
        let pair = format!("{}={}", escape(name), escape(value));
        let query = request.url().query().map_or_else(|| pair.clone(), |query| format!("{query}&{pair}"));
        request.url_mut().set_query(Some(&query));
        self.request = reqwest::RequestBuilder::from_parts(client, request);
        self
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// With a body of that media type.
    pub fn body(mut self, kind: &str, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.header("content-type", kind).body(body);
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sends it and reads the answer to its end.
    pub async fn send(self) -> Answer {
        let serving = self.serving;
        let response = self.open().await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|error| panic!("{error:?}\n{}", serving.said()));
        Answer { status, headers, text }
    }

    /// Sends it and leaves the answer's body to come.
    pub async fn open(self) -> reqwest::Response {
        let serving = self.serving;
        self.request.send().await.unwrap_or_else(|error| panic!("{error:?}\n{}", serving.said()))
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer with that status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem document of an answer with that status and kind; checks the form that all of them share.
    pub fn problem(&self, status: u16, kind: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(problem["type"], format!("urn:specwave:problem:{kind}"), "{self:?}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"].as_str().unwrap(), self.header("x-request-id"));
        assert!(!problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty(), "{problem:#}");
        problem
    }

    /// A header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}
