//! One call of an adapter, as a process group of its own: what it took, what memory it used, or its death.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

/// How long an adapter may take to start, connect and warm up, and to carry a plan to its end.
pub const LIMIT: Duration = Duration::from_mins(2);
/// How long it may take to disconnect.
const END_LIMIT: Duration = Duration::from_secs(20);
/// How often one looks how far it has come.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A process that is killed with all that it started when this goes.
pub struct Call {
    group: Pid,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    complaints: std::path::PathBuf,
}

impl Call {
    /// What it complains about goes to the file `complaints`.
    pub fn start(command: &mut Command, complaints: &Path) -> Self {
        use std::os::unix::process::CommandExt;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(complaints).unwrap();
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = tokio::process::Command::from(std::mem::replace(command, Command::new("true"))).spawn().unwrap();
        let group = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { group, child, input, output: BufReader::new(output).lines(), complaints: complaints.to_owned() }
    }

    /// Until it is connected and warm.
    pub async fn ready(&mut self) -> Result<(), String> {
        self.line().await.map(|_| ())
    }

    /// Lets it go and waits for the end: what the workflow took.
    pub async fn execute(&mut self) -> Result<Duration, String> {
        self.go().await;
        let line = self.line().await?;
        let wall = line["wall_ms"].as_f64().ok_or_else(|| format!("{line} is not what an adapter prints"))?;
        Ok(Duration::from_secs_f64(wall / 1_000.0))
    }

    pub async fn go(&mut self) {
        // One that has died already is noticed by its silence.
        let _ = self.input.write_all(b"\n").await;
    }

    /// Waits until so many executions are written down.
    pub async fn reach(&mut self, executions: &Path, count: usize) -> Result<(), String> {
        let started = Instant::now();
        while super::dag::executed(executions) < count {
            if started.elapsed() > LIMIT || self.child.try_wait().unwrap().is_some() {
                return Err(self.complaint("did not get half way"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Kills it with all that it started, at once.
    pub async fn kill(mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        self.child.wait().await.unwrap();
    }

    /// The most memory that its processes had resident, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        peak_memory_kib(self.group)
    }

    /// Lets it end by itself.
    pub async fn end(mut self) {
        self.go().await;
        let _ = self.input.shutdown().await;
        if timeout(END_LIMIT, self.child.wait()).await.is_err() {
            eprintln!("an adapter did not end by itself and is killed");
        }
    }

    async fn line(&mut self) -> Result<Value, String> {
        match timeout(LIMIT, self.output.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).map_err(|error| format!("{line:?} is not JSON: {error}")),
            Ok(_) => Err(self.complaint("ended before its time")),
            Err(_) => Err(self.complaint(&format!("did not finish within {} s", LIMIT.as_secs()))),
        }
    }

    /// What happened, with the last line that the adapter said about it.
    fn complaint(&self, what: &str) -> String {
        let text = std::fs::read_to_string(&self.complaints).unwrap_or_default();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        if last.is_empty() { what.to_owned() } else { format!("{what}: {}", last.chars().take(200).collect::<String>()) }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // A group that has ended is no error; its number is not given away while its leader was not waited for.
        if self.child.id().is_some() {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }
}

/// The sum over the processes of a group of the most memory that each had resident.
pub fn peak_memory_kib(group: Pid) -> u64 {
    let group = group.as_raw_nonzero().to_string();
    let member = |process: &Path| {
        // After the name, which may hold anything, come the state, the parent and the group.
        let stat = std::fs::read_to_string(process.join("stat")).ok()?;
        (stat.rsplit_once(") ")?.1.split(' ').nth(2)? == group).then_some(())?;
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse::<u64>().ok()
    };
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes.filter_map(|process| member(&process.path())).sum()
}
