//! An installation of specwave as a user has one, for tests of the real binary: a data directory, its commands, the events of a run,
//! and what the machine says about its processes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything that is waited for may take before the test fails.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The smallest service that has every kind of unit.
pub const NOTES: &str = "# Notes\n\n## Entities\n\n### Note\n\n| field | type | rules |\n| --- | --- | --- |\n\
| title | string | required, length 1..80 |\n\n## Endpoints\n\n| method | path | purpose | entity |\n| --- | --- | --- | --- |\n\
| GET | /notes | list | Note |\n| POST | /notes | create | Note |\n";

/// A document without anything to generate: its run ends `partial` within a second.
pub const STEPS: &str = "# Shortener\n\nThe service must shorten addresses.\n\n# Logical Dependency Chain\n\n1. Storage module.\n\
2. Code generation.\n3. Endpoint that shortens (depends on 1 & 2).\n";

/// A data directory and what lives in it.
pub struct Installation {
    data_dir: PathBuf,
    folder: Option<TempDir>,
}

impl Installation {
    /// The one that all tests share: its PostgreSQL and its Python environment are made once.
    pub fn shared() -> Self {
        let root = rustix::process::geteuid().is_root();
        let cache = || directories::ProjectDirs::from("", "", "specwave").unwrap().cache_dir().to_owned();
        let data_dir = if root { PathBuf::from("/var/lib/specwave/tests-run") } else { cache().join("tests-run") };
        Self { data_dir, folder: None }
    }

    /// One of its own, with a server of its own to break. Programs and environments are the shared ones, which are never changed.
    pub fn own() -> Self {
        static PREPARED: OnceLock<()> = OnceLock::new();
        let shared = Self::shared();
        PREPARED.get_or_init(|| {
            let status = shared.command(&["status"]).output().unwrap();
            assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        });
        let folder = TempDir::new().unwrap();
        // The server's account must get there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("postgres")).unwrap();
        for part in ["postgres/programs", "environments", "cache"] {
            fs::create_dir_all(shared.data_dir.join(part)).unwrap();
            symlink(shared.data_dir.join(part), folder.path().join(part)).unwrap();
        }
        Self { data_dir: folder.path().to_owned(), folder: Some(folder) }
    }

    /// The one that the tests of the HTTP interface share, apart from the others: a server drives every run that it finds.
    pub fn served() -> Self {
        static PREPARED: OnceLock<()> = OnceLock::new();
        let shared = Self::shared();
        let data_dir = shared.data_dir.with_file_name("tests-http");
        PREPARED.get_or_init(|| {
            let status = shared.command(&["status"]).output().unwrap();
            assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
            fs::create_dir_all(data_dir.join("postgres")).unwrap();
            for part in ["postgres/programs", "environments", "cache"] {
                fs::create_dir_all(shared.data_dir.join(part)).unwrap();
                if let Err(error) = symlink(shared.data_dir.join(part), data_dir.join(part)) {
                    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
                }
            }
        });
        Self { data_dir, folder: None }
    }

    /// Where everything is kept.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A command of this installation. Leases are short, so that a dead process is noticed soon.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_specwave"));
        command.args(arguments).env("SPECWAVE_DATA_DIR", &self.data_dir).env("SPECWAVE_LEASE_SECS", "5").stdin(Stdio::null());
        command.env_remove("DATABASE_URL");
        if self.folder.is_some() {
            command.env("SPECWAVE_EMBEDDER", "lexical");
        }
        command
    }

    /// Runs a command to its end.
    pub fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts `specwave run SPEC --out OUT --name NAME --json`.
    pub fn run(&self, spec: &Path, out: &Path, name: &str) -> Running {
        self.run_with(spec, out, name, &[])
    }

    /// The same with more options.
    pub fn run_with(&self, spec: &Path, out: &Path, name: &str, more: &[&str]) -> Running {
        let mut arguments = vec!["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--name", name, "--json"];
        arguments.extend(more);
        Running::start(self.command(&arguments))
    }

    /// The postmaster of its managed server, while there is one.
    pub fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data_dir.join("postgres/server/data/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// What runs in the work tree of a run: tools and services, as process ids and command lines.
    pub fn working_on(&self, run: &str) -> Vec<(i32, String)> {
        let tree = self.data_dir.join("runs").join(run);
        let tree = tree.canonicalize().unwrap_or(tree);
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let there = pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir.starts_with(&tree)));
        there.map(|pid| (pid, command_line(pid))).collect()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // A server that a test left behind goes with its folder.
        if self.folder.is_some()
            && let Some(postmaster) = self.postmaster()
        {
            let _ = kill_process(postmaster, Signal::QUIT);
            until("the server ended", || !alive(postmaster.as_raw_nonzero().get()));
        }
    }
}

/// A file with that content.
pub fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

/// A name that no earlier run of the tests has used.
pub fn fresh_name(stem: &str) -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{stem}-{nanos}")
}

/// Looks again and again until it holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// True while the process exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

/// The command line of a process, words separated by spaces.
pub fn command_line(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

/// The children of a process.
pub fn children(parent: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent_of = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok()
    };
    pids.filter(|pid| parent_of(pid) == Some(parent)).collect()
}

/// A command with `--json` while it runs.
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    events: Vec<Value>,
    said: PathBuf,
    _folder: TempDir,
}

/// What is left of a command.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its events, the report being the last.
    pub events: Vec<Value>,
    /// What it said on stderr.
    pub said: String,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let folder = TempDir::new().unwrap();
        let said = folder.path().join("stderr");
        // A process group of its own, as a shell gives each command.
        command.process_group(0).stdout(Stdio::piped()).stderr(File::create(&said).unwrap());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, events: Vec::new(), said, _folder: folder }
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Reads events until one is as wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for line in self.lines.by_ref() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            self.events.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
        panic!("it ended before {what}: {:?}\n{}", self.child.wait(), self.said());
    }

    /// Reads events until a phase begins.
    pub fn until_phase(&mut self, phase: &str) {
        self.until(phase, |event| event["event"] == "phase_started" && event["phase"] == phase);
    }

    /// Reads events until so many units are built.
    pub fn until_built(&mut self, count: usize) {
        for _ in 0..count {
            self.until("units are built", |event| event["event"] == "unit" && event["state"] == "succeeded");
        }
    }

    /// Reads events until a check of the whole project ended.
    pub fn until_checked(&mut self, name: &str) {
        self.until(name, |event| event["event"] == "check" && event["name"] == name);
    }

    /// The id of its run, which the first event names.
    pub fn id(&mut self) -> String {
        if self.events.is_empty() {
            self.until("it started", |event| event["event"] == "run_started");
        }
        self.events[0]["run"].as_str().unwrap().to_owned()
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What Ctrl-C in a terminal does: SIGINT for everybody in its process group.
    pub fn interrupt(&self) {
        kill_process_group(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        for line in self.lines.by_ref() {
            self.events.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, events: std::mem::take(&mut self.events), said: self.said() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The last line: the report, when it got that far.
    pub fn report(&self) -> &Value {
        self.events.last().filter(|event| event["units"].is_array()).unwrap_or_else(|| panic!("no report: {:?}\n{}", self.code, self.said))
    }

    /// How the command was understood: new, resumed …
    pub fn how(&self) -> &str {
        self.events[0]["how"].as_str().unwrap()
    }

    /// Fails unless it ended with that code and state.
    pub fn expect(&self, code: i32, state: &str) -> &Value {
        let report = self.report();
        assert_eq!((self.code, report["state"].as_str()), (Some(code), Some(state)), "{}\n{report:#}", self.said);
        report
    }
}
