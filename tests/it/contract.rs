//! Generated services against their source documents: a contract fuzzer finds nothing.
//!
//! The documents beside this file's folder are ours. Third-party ones run too when `SPECWAVE_REAL_INPUTS` points at them.
//! `SPECWAVE_FUZZ_SEEDS` (for example `1,2,3`) and `SPECWAVE_FUZZ_EXAMPLES` make the runs wider.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use specwave::config::Config;
use specwave::exec::environment::{Environment, Installer};
use specwave::exec::{self, Command, Network, Recorder};
use specwave::generate::{Prior, TargetPack};
use specwave::ingest;
use specwave::model::SpecDocument;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// How long a service may take until it is ready.
const READY_MAX: Duration = Duration::from_mins(1);
/// How long one run of the fuzzer may take.
const FUZZ_MAX: Duration = Duration::from_mins(10);

/// The fuzzer's executable; none, after a line that says so, where it cannot be had and nobody insists.
pub fn fuzzer() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup-fuzzer");
    let output = std::process::Command::new(script).output().unwrap();
    if output.status.success() {
        return Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()));
    }
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(std::env::var_os("SPECWAVE_REQUIRE_SERVICES").is_none(), "{reason}");
    println!("skipped: {reason}");
    None
}

/// A generated project with its environment.
struct Project {
    dir: TempDir,
    package: String,
    pack: TargetPack,
    environment: Environment,
}

impl Project {
    async fn generate(document: &SpecDocument) -> Self {
        let pack = TargetPack::load("fastapi").unwrap();
        let dir = TempDir::new().unwrap();
        let mut package = String::new();
        for blueprint in pack.blueprints(document).unwrap().iter().filter(|blueprint| blueprint.waiting.is_none()) {
            for file in pack.generate(document, &blueprint.key, &Prior::default()).unwrap() {
                if let Some(name) = file.path.strip_prefix("src/").and_then(|path| path.strip_suffix("/app.py")) {
                    name.clone_into(&mut package);
                }
                let path = dir.path().join(&file.path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &file.content).unwrap();
            }
        }
        let config = Config::load(&[]).unwrap();
        let mut installer = Installer::new(&config.data_dir).inherit(std::env::vars());
        installer.supervisor = Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")));
        let environment = installer.prepare("fastapi", pack.lock(), &Recorder::nowhere(), &CancellationToken::new()).await.unwrap();
        Self { dir, package, pack, environment }
    }

    fn command(&self, argv: &[String], port: u16) -> Command {
        let env = self.environment.dir.to_string_lossy();
        let filled =
            argv.iter().map(|word| word.replace("{env}", &env).replace("{package}", &self.package).replace("{port}", &port.to_string()));
        let mut command = Command::new(filled, self.dir.path());
        command.supervisor = Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")));
        command.readable.clone_from(&self.environment.readable);
        command.writable.push(self.dir.path().to_owned());
        command.network = Network::Any;
        command.limits.wall = Duration::from_hours(1);
        command.limits.cpu_secs = 3_600;
        command.env.extend(self.pack.commands().environment.clone());
        command.env("DATABASE_URL", format!("sqlite:///{}/fuzzed.db", self.dir.path().display()))
    }

    /// Starts the service on an empty database and waits until it says that it can work.
    async fn start(&self) -> (exec::Service, u16) {
        let cancel = CancellationToken::new();
        let _ = fs::remove_file(self.dir.path().join("fuzzed.db"));
        let migrated = exec::run(&self.command(&self.pack.commands().migrate, 0), &Recorder::nowhere(), &cancel).await.unwrap();
        assert!(migrated.exit.success(), "the migration failed: {}", migrated.output(4_000));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let service = exec::start(&self.command(&self.pack.commands().start, port), &Recorder::nowhere()).await.unwrap();
        let deadline = Instant::now() + READY_MAX;
        loop {
            if answers(port, &self.pack.commands().health_ready).await {
                return (service, port);
            }
            if Instant::now() > deadline {
                let (out, err) = service.output();
                panic!("the service is not ready: {}{}", out.text(), err.text());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// True when the service answers 200 to that path.
async fn answers(port: u16, path: &str) -> bool {
    let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// What the fuzzer is told besides the document.
struct Fuzz {
    examples: String,
    seed: String,
    /// Operations that it leaves alone.
    without: Vec<String>,
}

/// What the fuzzer found: for each kind of failure the operations that it was found on, and all that it printed.
pub struct Report {
    /// Kinds of failures, and on which operations.
    pub failures: Vec<(String, Vec<String>)>,
    /// Operations that were called.
    pub tested: u64,
    /// All that it printed.
    pub text: String,
}

async fn fuzz(fuzzer: &Path, source: &Path, port: u16, how: &Fuzz) -> Report {
    let mut more: Vec<String> = vec!["--phases".to_owned(), "examples,coverage,fuzzing,stateful".to_owned()];
    more.extend(how.without.iter().flat_map(|name| ["--exclude-name".to_owned(), name.clone()]));
    more.extend(["--max-examples".to_owned(), how.examples.clone(), "--seed".to_owned(), how.seed.clone()]);
    let source = source.to_str().unwrap();
    run_fuzzer(fuzzer, "schemathesis.toml", source, &format!("http://127.0.0.1:{port}"), &more).await
}

/// Runs the fuzzer over a document, a file or an address, against a service.
pub async fn run_fuzzer(fuzzer: &Path, settings: &str, source: &str, url: &str, more: &[String]) -> Report {
    let dir = TempDir::new().unwrap();
    let config = ours(settings);
    let mut command = tokio::process::Command::new(fuzzer);
    command.arg("--config-file").arg(config).arg("run").arg(source).args(["--url", url]).args(more);
    command.args(["--checks", "all", "--no-color", "--generation-database", "none"]);
    command.args(["--report", "json", "--report-json-path", "report.json"]);
    command.current_dir(dir.path()).kill_on_drop(true);
    let output = tokio::time::timeout(FUZZ_MAX, command.output()).await.expect("the fuzzer ends in time").unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let report = fs::read(dir.path().join("report.json")).unwrap_or_else(|_| panic!("no report: {text}"));
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!((&report["complete"], &report["errors"]), (&serde_json::json!(true), &serde_json::json!([])), "{text}");
    let names = |list: &serde_json::Value| list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let failures = report["failures"].as_array().unwrap();
    let failures = failures.iter().map(|failure| (failure["type"].as_str().unwrap().to_owned(), names(&failure["operations"]))).collect();
    Report { failures, tested: report["operations"]["tested"].as_u64().unwrap(), text }
}

/// Generates the service of a document and fuzzes it with each seed. Without the operations that could not be derived nothing
/// is found; with them nothing but the 501 of exactly those.
async fn check(source: &Path, examples: &str) {
    let Some(fuzzer) = fuzzer() else { return };
    let text = fs::read(source).unwrap();
    let ingested = ingest::read(&text, source.file_name().and_then(|name| name.to_str()), None);
    let document = ingested.document.unwrap_or_else(|| panic!("{:#?}", ingested.findings));
    let project = Project::generate(&document).await;
    let pending: Vec<String> =
        document.operations.iter().filter(|operation| !operation.derivable()).map(|operation| operation.key.clone()).collect();
    let seeds = std::env::var("SPECWAVE_FUZZ_SEEDS").unwrap_or_else(|_| "7".to_owned());
    let examples = std::env::var("SPECWAVE_FUZZ_EXAMPLES").unwrap_or_else(|_| examples.to_owned());
    for seed in seeds.split(',') {
        let (service, port) = project.start().await;
        let derived = document.operations.len() - pending.len();
        if derived > 0 {
            let how = Fuzz { examples: examples.clone(), seed: seed.to_owned(), without: pending.clone() };
            let report = fuzz(&fuzzer, source, port, &how).await;
            assert_eq!(report.failures, [], "{} with seed {seed}:\n{}", source.display(), report.text);
            assert_eq!(report.tested, derived as u64);
        }
        if !pending.is_empty() {
            let how = Fuzz { examples: "5".to_owned(), seed: seed.to_owned(), without: Vec::new() };
            let report = fuzz(&fuzzer, source, port, &how).await;
            only_missing(&report, &pending);
        }
        service.stop().await.unwrap();
    }
}

/// Every operation that waits is blamed for its 501, and nothing else is blamed for anything. The 501 is found three times: as
/// a server error, as an undocumented status, and where an operation demands credentials, in place of the 401 for their lack.
fn only_missing(report: &Report, pending: &[String]) {
    let mut blamed = std::collections::BTreeSet::new();
    for (kind, operations) in &report.failures {
        assert!(["ServerError", "UndefinedStatusCode", "MissingHeaderNotRejected"].contains(&kind.as_str()), "{kind}: {}", report.text);
        blamed.extend(operations.iter().cloned());
    }
    let statuses = report.text.lines().filter_map(|line| line.trim().strip_prefix("Received: ").or(line.trim().strip_prefix("Got ")));
    for status in statuses {
        assert!(status.starts_with("501"), "{status}: {}", report.text);
    }
    assert_eq!(blamed, pending.iter().cloned().collect(), "{}", report.text);
}

fn ours(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_keeps_its_contract() {
    check(&ours("inventory.yaml"), "25").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notes_keep_their_contract() {
    check(&ours("notes.yaml"), "25").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_every_kind_travel_as_they_are() {
    check(&ours("names.yaml"), "10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn third_party_documents_keep_their_contract() {
    let Some(folder) = std::env::var_os("SPECWAVE_REAL_INPUTS") else {
        println!("skipped: SPECWAVE_REAL_INPUTS is not set");
        return;
    };
    for name in ["petstore.yaml", "petstore-expanded.yaml", "realworld.yaml"] {
        check(&Path::new(&folder).join("openapi").join(name), "25").await;
    }
}
