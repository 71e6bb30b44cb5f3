//! A running command as specwave sees it: the other end of the supervisor's socket.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::capture::Capture;
use super::record::Recording;
use super::supervise::{Demand, Order, Report, SUBCOMMAND};
use super::{Captured, Command, ExecError, Exit, Finished, Level, Recorder, Tier, sandbox};

/// How long a supervisor may take to start its command.
const START_MAX: Duration = Duration::from_secs(20);
/// How long a server may take to obey SIGTERM before SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long after its last deadline a supervisor may be silent before it counts as lost.
const REPORT_GRACE: Duration = Duration::from_secs(20);
/// How long the output may take to end after the last process has.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Of what the sandbox complained about so much is told.
const COMPLAINT_CHARS_MAX: usize = 500;

/// A long-running command. Dropping it ends its whole process group, too; [`Service::stop`] does it gently and tells how.
#[derive(Debug)]
pub struct Service {
    command: Command,
    started: Instant,
    pid: u32,
    tier: Tier,
    reports: Lines<BufReader<OwnedReadHalf>>,
    /// Closing it is what tells the supervisor that nobody is interested any more.
    demands: OwnedWriteHalf,
    supervisor: Child,
    stdout: Arc<Mutex<Capture>>,
    stderr: Arc<Mutex<Capture>>,
    readers: JoinSet<()>,
    /// What is written down of it; dropped with it, unless its end was waited for.
    recording: Option<Recording>,
}

/// What a command printed, while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// On standard output.
    Stdout(Vec<u8>),
    /// On standard error.
    Stderr(Vec<u8>),
}

/// Starts the supervisor and, through it, the command. What it prints also goes to `listener`, if there is one.
pub(super) async fn start(command: &Command, recorder: &Recorder, listener: Option<mpsc::Sender<Printed>>) -> Result<Service, ExecError> {
    let mut recording = recorder.begin(command);
    match launch(command, listener).await {
        Ok(service) => {
            recording.runs(service.tier);
            Ok(Service { recording: Some(recording), ..service })
        }
        Err(error) => {
            recording.fail(&error);
            Err(error)
        }
    }
}

async fn launch(command: &Command, listener: Option<mpsc::Sender<Printed>>) -> Result<Service, ExecError> {
    let program = command.argv.first().ok_or(ExecError::Empty)?.clone();
    let unconfined = |reason: String| ExecError::Unconfined { program: program.clone(), reason };
    let offer =
        tokio::task::spawn_blocking(sandbox::offered).await.map_err(|error| unconfined(format!("trying the sandbox failed: {error}")))?;
    let level = sandbox::choose(command, offer).map_err(unconfined)?;
    let path = command.supervisor.clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
    let started = Instant::now();
    let (mut supervisor, ours) = spawn_supervisor(&path).map_err(|source| ExecError::Supervisor { path, source })?;
    let (stdout, stderr) = (new_capture(command), new_capture(command));
    let mut readers = JoinSet::new();
    if let Some(stream) = supervisor.stdout.take() {
        readers.spawn(read_all(stream, Arc::clone(&stdout), listener.clone(), Printed::Stdout));
    }
    if let Some(stream) = supervisor.stderr.take() {
        readers.spawn(read_all(stream, Arc::clone(&stderr), listener, Printed::Stderr));
    }
    let (read, mut demands) = ours.into_split();
    let mut reports = BufReader::new(read).lines();
    let first = timeout(START_MAX, exchange_order(command, level, &mut demands, &mut reports)).await;
    let lost = |reason: String| ExecError::Lost { program: program.clone(), reason };
    match first.map_err(|_| lost("it did not start in time".to_owned()))?.map_err(|error| lost(error.to_string()))? {
        Report::Started { pid, tier } => {
            let command = command.clone();
            Ok(Service { command, started, pid, tier, reports, demands, supervisor, stdout, stderr, readers, recording: None })
        }
        Report::Refused { reason } => {
            // What bubblewrap complains about is on stderr.
            let _ = timeout(DRAIN_MAX, async { while readers.join_next().await.is_some() {} }).await;
            let said = super::capture::shorten(snapshot(&stderr).text().trim(), COMPLAINT_CHARS_MAX);
            let reason = if said.is_empty() { reason } else { format!("{reason}: {said}") };
            Err(ExecError::Refused { program, dir: command.dir.clone(), reason })
        }
        Report::Unconfined { reason } => Err(ExecError::Unconfined { program, reason }),
        Report::Ended { .. } => Err(lost("it ended before it started".to_owned())),
    }
}

fn spawn_supervisor(path: &PathBuf) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let ours = UnixStream::from_std(ours)?;
    let mut supervisor = tokio::process::Command::new(path);
    supervisor.arg(SUBCOMMAND).env_clear().stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok((supervisor.spawn()?, ours))
}

async fn exchange_order(
    command: &Command,
    level: Level,
    demands: &mut OwnedWriteHalf,
    reports: &mut Lines<BufReader<OwnedReadHalf>>,
) -> io::Result<Report> {
    let order = Order { command: command.clone(), scratch_parent: std::env::temp_dir(), level };
    let mut line = serde_json::to_vec(&order)?;
    line.push(b'\n');
    demands.write_all(&line).await?;
    next_report(reports).await
}

async fn next_report(reports: &mut Lines<BufReader<OwnedReadHalf>>) -> io::Result<Report> {
    let line = reports.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}

fn new_capture(command: &Command) -> Arc<Mutex<Capture>> {
    Arc::new(Mutex::new(Capture::new(command.limits.output_bytes)))
}

async fn read_all(
    mut stream: impl AsyncRead + Unpin,
    capture: Arc<Mutex<Capture>>,
    listener: Option<mpsc::Sender<Printed>>,
    printed: fn(Vec<u8>) -> Printed,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        capture.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..count]);
        if let Some(listener) = &listener {
            // It fails when nobody listens any more; the rest is captured all the same.
            let _ = listener.send(printed(buffer[..count].to_vec())).await;
        }
    }
    capture.lock().unwrap_or_else(PoisonError::into_inner).end();
}

impl Service {
    /// The id of the command's first process, which is the id of its group too.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it is confined.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// What it has printed so far: stdout, stderr.
    pub fn output(&self) -> (Captured, Captured) {
        (snapshot(&self.stdout), snapshot(&self.stderr))
    }

    /// Waits until it ends by itself, reaches a limit or is cancelled.
    pub async fn wait(mut self, cancel: &CancellationToken) -> Result<Finished, ExecError> {
        let recording = self.recording.take();
        recorded(recording, self.wait_for_it(cancel).await)
    }

    async fn wait_for_it(mut self, cancel: &CancellationToken) -> Result<Finished, ExecError> {
        let patience = self.command.limits.wall + REPORT_GRACE;
        let report = tokio::select! {
            report = timeout(patience, next_report(&mut self.reports)) => report,
            () = cancel.cancelled() => return self.end(Duration::ZERO, Some(Exit::Cancelled)).await,
        };
        match report {
            Ok(report) => self.finish(report, None).await,
            Err(_) => Err(self.lost("it stopped answering")),
        }
    }

    /// Waits until it ends by itself; use it beside other waiting, for example for a port to open, and call
    /// [`Service::stop`] afterwards to learn how it ended. Cancel safe.
    pub async fn ended(&mut self) {
        // The supervisor exits when the command has ended; an error means that it was reaped before.
        let _ = self.supervisor.wait().await;
    }

    /// Ends the whole process group: SIGTERM, five seconds to obey, SIGKILL. Tells how it ended, also when that was before.
    pub async fn stop(mut self) -> Result<Finished, ExecError> {
        let recording = self.recording.take();
        recorded(recording, self.end(STOP_GRACE, None).await)
    }

    async fn end(mut self, grace: Duration, exit: Option<Exit>) -> Result<Finished, ExecError> {
        let mut line = serde_json::to_vec(&Demand::Stop { grace }).expect("a duration is always representable");
        line.push(b'\n');
        // It fails when the command has ended already; the report is waiting then.
        let _ = self.demands.write_all(&line).await;
        match timeout(grace + REPORT_GRACE, next_report(&mut self.reports)).await {
            Ok(report) => self.finish(report, exit).await,
            Err(_) => Err(self.lost("it stopped answering")),
        }
    }

    async fn finish(mut self, report: io::Result<Report>, cancelled: Option<Exit>) -> Result<Finished, ExecError> {
        let (exit, stopped, peak_rss_bytes) = match report {
            Ok(Report::Ended { exit, stopped, peak_rss_bytes }) => (exit, stopped, peak_rss_bytes),
            Ok(Report::Refused { reason }) => {
                let program = self.command.argv.first().cloned().unwrap_or_default();
                return Err(ExecError::Refused { program, dir: self.command.dir.clone(), reason });
            }
            Ok(_) => return Err(self.lost("it spoke out of turn")),
            Err(error) => return Err(self.lost(&error.to_string())),
        };
        let duration = self.started.elapsed();
        // No process is left, so the streams end at once, unless something escaped with them.
        let _ = timeout(DRAIN_MAX, async { while self.readers.join_next().await.is_some() {} }).await;
        let exit = cancelled.filter(|_| stopped).unwrap_or(exit);
        let (stdout, stderr) = self.output();
        let _ = self.supervisor.wait().await;
        Ok(Finished { exit, stdout, stderr, duration, peak_rss_bytes, tier: self.tier })
    }

    /// The supervisor is gone, so nobody else ends the group.
    fn lost(&self, reason: &str) -> ExecError {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid.cast_signed()) {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        ExecError::Lost { program: self.command.argv.first().cloned().unwrap_or_default(), reason: reason.to_owned() }
    }
}

/// What came of a command, written down.
fn recorded(recording: Option<Recording>, result: Result<Finished, ExecError>) -> Result<Finished, ExecError> {
    match (recording, &result) {
        (Some(recording), Ok(finished)) => recording.end(finished),
        (Some(recording), Err(error)) => recording.fail(error),
        (None, _) => {}
    }
    result
}

fn snapshot(capture: &Mutex<Capture>) -> Captured {
    capture.lock().unwrap_or_else(PoisonError::into_inner).snapshot()
}
