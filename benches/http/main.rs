//! The HTTP interface of a real `specwave serve`: reads and writes, alone, with 1,000 connections open, and while 100 runs wait or are built.
//!
//! `cargo bench --bench http`. It starts a server of its own below the data directory, with Neo4j and Redis where the settings name them.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "../measure/mod.rs"]
mod measure;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use measure::Table;
use serde_json::Value;
use specwave::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// A service of one entity: 20 units in eight waves.
const NOTES: &str = "# Notes\n\n## Entities\n\n### Note\n\n| field | type | rules |\n| --- | --- | --- |\n| title | string | required, length 1..80 |\n\n\
## Endpoints\n\n| method | path | purpose | entity |\n| --- | --- | --- | --- |\n| GET | /notes | list | Note |\n| POST | /notes | create | Note |\n";
/// Connections that only stay open.
const OPEN: usize = 1_000;
/// Connections that ask at once, each for itself.
const ASKING: usize = 50;
/// Requests of each measurement over one connection, and of each connection where many ask.
const REQUESTS: usize = 500;
const REQUESTS_EACH: usize = 40;
/// Connections that ask at a steady pace, and the time between two questions of each.
const PACED: u32 = 10;
const PACE: Duration = Duration::from_millis(50);
/// Runs that are submitted, and how many of them the server builds at once.
const RUNS: usize = 100;
const BUILT_AT_ONCE: usize = 2;

/// What design asks for.
const READ_GOAL: Duration = Duration::from_millis(25);
const WRITE_GOAL: Duration = Duration::from_millis(50);
const MEMORY_GOAL_MIB: u64 = 500;

#[tokio::main]
async fn main() {
    let config = Config::load(&[]).unwrap();
    let mut table = Table::new("http");
    let server = Server::start(&config);
    // Whatever an earlier benchmark left there would be built first.
    call_off(&mut server.connect().await).await;
    let submitted = server.connect().await.post("/api/v1/specs?name=measured", NOTES).await;
    let (spec, run) = (submitted["spec"]["id"].as_str().unwrap().to_owned(), submitted["run"]["id"].as_str().unwrap().to_owned());
    let mut connection = server.connect().await;
    while connection.get(&format!("/api/v1/runs/{run}")).await["finished_at"].is_null() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let unit = connection.get(&format!("/api/v1/specs/{spec}/tasks?limit=50")).await["items"][5]["id"].as_str().unwrap().to_owned();
    let reads = [
        ("the current wave of a run", format!("/api/v1/runs/{run}/waves")),
        ("the tasks of a specification", format!("/api/v1/specs/{spec}/tasks?limit=50")),
        ("the status of a task", format!("/api/v1/tasks/{unit}/status")),
        ("the 50 newest runs", "/api/v1/runs".to_owned()),
    ];
    let alone = Mutex::new(connection);
    for (what, path) in &reads {
        let ask = |_| async { alone.lock().await.get(path).await };
        table.measure(format!("{what}, one connection"), REQUESTS, "", ask).await;
    }
    let similar = alone.lock().await.get("/api/v1/patterns/similar?q=list+notes").await;
    let embedder = similar["items"][0]["embedder"].as_str().unwrap().to_owned();
    let ask = |number| {
        let path = format!("/api/v1/patterns/similar?q=list+notes+{number}");
        let alone = &alone;
        async move { alone.lock().await.get(&path).await }
    };
    let remark = format!("with the vector of the question by {embedder}");
    table.measure("similar patterns, one connection", REQUESTS / 5, remark, ask).await;
    let mut connection = alone.into_inner();

    let mut open = Vec::with_capacity(OPEN);
    for _ in 0..OPEN {
        let mut idle = server.connect().await;
        idle.get("/health/live").await;
        open.push(idle);
    }
    let with = format!("{OPEN} open");
    paced(&mut table, &server, &reads[0].1, &with).await;
    many(&mut table, &server, &reads[0].1, &with).await;
    writes(&mut table, &server, "open", &with).await;

    for number in 0..RUNS {
        connection.post(&format!("/api/v1/specs?name=waiting-{number}"), NOTES).await;
    }
    let with = format!("{OPEN} open, {RUNS} runs in progress");
    paced(&mut table, &server, &reads[0].1, &with).await;
    many(&mut table, &server, &reads[0].1, &with).await;
    writes(&mut table, &server, "busy", &with).await;
    let memory = server.peak_mib();
    let verdict = if memory <= MEMORY_GOAL_MIB { "holds" } else { "does not hold" };
    table.note(format!(
        "Most memory that the server held: {memory} MiB (goal: at most {MEMORY_GOAL_MIB} MiB; {verdict}). Every answer was 2xx."
    ));
    table.note(format!(
        "{ASKING} connections ask at once, each one question after the other. Of the {RUNS} runs {BUILT_AT_ONCE} are built at a time, with their \
         linters, type checker and tests on the same cores; the others are queued."
    ));
    drop(open);
    call_off(&mut connection).await;
    table.write();
}

/// Cancels every run that is not over.
async fn call_off(connection: &mut Connection) {
    for state in ["queued", "paused", "running"] {
        loop {
            let runs = connection.get(&format!("/api/v1/runs?state={state}&limit=200")).await;
            let Some(runs) = runs["items"].as_array().filter(|runs| !runs.is_empty()) else { break };
            for run in runs {
                connection.post(&format!("/api/v1/runs/{}/cancel", run["id"].as_str().unwrap()), "").await;
            }
        }
    }
}

/// Many connections ask the same at once: the times of all, and how many a second.
async fn many(table: &mut Table, server: &Server, path: &str, with: &str) {
    let started = Instant::now();
    let asking = (0..ASKING).map(|_| async {
        let mut connection = server.connect().await;
        let mut times = Vec::with_capacity(REQUESTS_EACH);
        for _ in 0..REQUESTS_EACH {
            times.push(timed(connection.get(path)).await);
        }
        times
    });
    let times: Vec<Duration> = futures_util::future::join_all(asking).await.concat();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    table.add(format!("the current wave, as fast as {ASKING} can ask, {with}"), times, format!("{rate:.0} requests a second"));
}

/// Some connections ask at a steady pace, whatever the answers take.
async fn paced(table: &mut Table, server: &Server, path: &str, with: &str) {
    let asking = (0..PACED).map(|_| async {
        let mut connection = server.connect().await;
        let mut every = tokio::time::interval(PACE);
        let mut times = Vec::with_capacity(REQUESTS_EACH);
        for _ in 0..REQUESTS_EACH {
            let due = every.tick().await;
            connection.get(path).await;
            // From when it was to be asked: what waits behind a late answer is late too.
            times.push(due.elapsed());
        }
        times
    });
    let times: Vec<Duration> = futures_util::future::join_all(asking).await.concat();
    let goal = verdict(&times, READ_GOAL);
    let rate = u128::from(PACED) * 1_000 / PACE.as_millis();
    table.add(format!("the current wave, {rate} times a second, {with}"), times, goal);
}

/// Specifications are stored and planned, each a new one.
async fn writes(table: &mut Table, server: &Server, name: &str, with: &str) {
    let mut connection = server.connect().await;
    let mut times = Vec::with_capacity(100);
    for number in 0..100 {
        let path = format!("/api/v1/specs?run=false&name={name}-{number}");
        times.push(timed(connection.post(&path, NOTES)).await);
    }
    let goal = verdict(&times, WRITE_GOAL);
    table.add(format!("a specification is stored and planned, {with}"), times, goal);
}

fn verdict(times: &[Duration], goal: Duration) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let holds = if sorted[sorted.len() * 95 / 100] <= goal { "holds" } else { "does not hold" };
    format!("goal: p95 at most {} ms; {holds}", goal.as_millis())
}

async fn timed<T>(work: impl Future<Output = T>) -> Duration {
    let started = Instant::now();
    work.await;
    started.elapsed()
}

/// `specwave serve`, ended with the benchmark.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(config: &Config) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_specwave"));
        command.args(["serve", "--port", "0"]).env("SPECWAVE_DATA_DIR", config.data_dir.join("bench-http"));
        command.env("SPECWAVE_HTTP_RUNS", BUILT_AT_ONCE.to_string()).env_remove("DATABASE_URL");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address }
    }

    async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, host: self.address.clone() }
    }

    /// The kernel's account of the most memory that it held.
    fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // In order: the database that it keeps is left as it should be.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A connection that is kept: one request after the other, each read to its end.
struct Connection {
    stream: TcpStream,
    host: String,
}

impl Connection {
    async fn get(&mut self, path: &str) -> Value {
        self.call(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host)).await
    }

    async fn post(&mut self, path: &str, document: &str) -> Value {
        let (host, length) = (&self.host, document.len());
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/markdown\r\nContent-Length: {length}\r\n\r\n");
        self.call(&format!("{head}{document}")).await
    }

    async fn call(&mut self, request: &str) -> Value {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let (mut answer, mut part) = (Vec::new(), [0_u8; 16 * 1024]);
        loop {
            let read = self.stream.read(&mut part).await.unwrap();
            assert!(read > 0, "the server closed the connection after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..read]);
            let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 2"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("an answer of known length");
            let length: usize = length.parse().unwrap();
            if answer.len() >= end + 4 + length {
                return serde_json::from_slice(&answer[end + 4..]).unwrap();
            }
        }
    }
}
