//! The supervisor: a process between specwave and one command, which outlives specwave just long enough to end it.
//!
//! It gets its order and learns of specwave's end over a socket on standard input, leads a session of its own, adopts
//! orphans (`PR_SET_CHILD_SUBREAPER`), applies the limits to itself and the sandbox to the thread that starts the command,
//! and reports how the command ended once none of its processes is left. It never interprets what the command prints:
//! stdout and stderr are inherited, so they reach specwave directly. Being outside the sandbox, it cannot be killed by
//! the command where Landlock confines signals.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::sandbox::{self, Tier};
use super::{Command, Confinement, Exit, Limit, Limits, processes};

/// The hidden subcommand that leads here.
pub const SUBCOMMAND: &str = "__supervise";

/// How often resident memory and the number of processes are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// How long the leftovers of a command may take to die after SIGKILL.
const SWEEP_MAX: Duration = Duration::from_secs(10);
/// A `PATH` for commands that bring none.
const SAFE_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The first line that specwave sends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// What to run.
    pub(super) command: Command,
    /// Where to make the scratch directory.
    pub(super) scratch_parent: PathBuf,
}

/// Every later line.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Demand {
    /// SIGTERM now, SIGKILL after this time.
    Stop { grace: Duration },
}

/// What the supervisor answers, one JSON document a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The command runs.
    Started { pid: u32, tier: Tier },
    /// The command could not be started.
    Refused { reason: String },
    /// The command must be confined and cannot be.
    Unconfined { reason: String },
    /// The command ended and none of its processes is left.
    Ended { exit: Exit, stopped: bool, peak_rss_bytes: Option<u64> },
}

/// The whole life of a supervisor process: what `main` calls for [`SUBCOMMAND`]. Returns the process's exit code.
pub fn main() -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(supervise())) {
        Ok(()) => 0,
        Err(error) => {
            // specwave is gone or never was there, so there is nobody else to tell.
            eprintln!("specwave {SUBCOMMAND}: {error}");
            1
        }
    }
}

async fn supervise() -> io::Result<()> {
    let (mut orders, mut reports) = socket()?;
    let order = orders.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let order: Order = serde_json::from_str(&order)?;
    // Fails only when this process leads a group already; then it has left specwave's group anyway.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = Signals::listen()?;
    let scratch = tempfile::Builder::new().prefix("specwave-").tempdir_in(&order.scratch_parent)?;
    let (pid, tier) = match launch(order.command.clone(), scratch.path().to_owned()) {
        Ok(started) => started,
        Err(refusal) => return send(&mut reports, &refusal).await,
    };
    send(&mut reports, &Report::Started { pid: pid.as_raw_nonzero().get().cast_unsigned(), tier }).await?;
    let mut watch = Watch {
        leader: Some(pid),
        status: None,
        verdict: None,
        stopped: false,
        peak_rss_bytes: None,
        signals,
        limits: order.command.limits,
    };
    watch.until_end(&mut orders).await;
    drop(scratch);
    let report = Report::Ended { exit: watch.exit(), stopped: watch.stopped, peak_rss_bytes: watch.peak_rss_bytes };
    // Nobody listens when specwave is gone: everything is ended then, which is all that matters.
    let _ = send(&mut reports, &report).await;
    Ok(())
}

fn socket() -> io::Result<(Lines<BufReader<OwnedReadHalf>>, OwnedWriteHalf)> {
    let socket = StdUnixStream::from(rustix::stdio::stdin().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let (read, write) = UnixStream::from_std(socket)?.into_split();
    Ok((BufReader::new(read).lines(), write))
}

async fn send(reports: &mut OwnedWriteHalf, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    reports.write_all(&line).await
}

/// Starts the command from a thread that confines itself first, so that this process stays free to end it.
fn launch(command: Command, scratch: PathBuf) -> Result<(Pid, Tier), Report> {
    limit_self(&command.limits).map_err(|error| Report::Refused { reason: format!("cannot set its limits: {error}") })?;
    let launcher = thread::spawn(move || {
        let tier = sandbox::confine_thread(&command, &scratch).map_err(|reason| Report::Refused { reason })?;
        if command.confinement == Confinement::Required && !tier.filesystem {
            return Err(Report::Unconfined { reason: tier.to_string() });
        }
        let child = spawn(&command, &scratch).map_err(|error| Report::Refused { reason: error.to_string() })?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        pid.map(|pid| (pid, tier)).ok_or_else(|| Report::Refused { reason: "it got no process id".to_owned() })
    });
    launcher.join().unwrap_or_else(|_| Err(Report::Refused { reason: "the launching thread died".to_owned() }))
}

fn spawn(command: &Command, scratch: &Path) -> io::Result<process::Child> {
    let (home, temporary) = (scratch.join("home"), scratch.join("tmp"));
    std::fs::create_dir_all(&home)?;
    std::fs::create_dir_all(&temporary)?;
    let (program, arguments) = command.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // This thread is confined already: what the command may not read it cannot be given either.
    let input = command.input.as_ref().map_or_else(|| Ok(Stdio::null()), |path| std::fs::File::open(path).map(Stdio::from))?;
    let mut child = process::Command::new(program);
    child.args(arguments).current_dir(&command.dir).env_clear();
    child.env("PATH", SAFE_PATH).env("LANG", "C.UTF-8").env("HOME", home).env("TMPDIR", temporary).envs(&command.env);
    child.stdin(input).process_group(0).spawn()
}

/// Children inherit these; the supervisor itself needs next to nothing.
fn limit_self(limits: &Limits) -> io::Result<()> {
    set_limit(Resource::Core, 0)?;
    // SIGXCPU at the soft limit names the reason; SIGKILL follows at the hard one.
    set_limit_between(Resource::Cpu, limits.cpu_secs, limits.cpu_secs + 2)?;
    set_limit(Resource::Fsize, limits.file_size_bytes)?;
    set_limit(Resource::Nofile, limits.open_files)?;
    // Private writable memory: unlike the address space it does not count what runtimes merely reserve.
    set_limit(Resource::Data, limits.memory_bytes)?;
    let uid = rustix::process::getuid();
    if !uid.is_root() {
        // The kernel counts all threads of the user, wherever they come from, and does not count root's at all.
        set_limit(Resource::Nproc, processes::threads_of(uid.as_raw()) + limits.processes)?;
    }
    Ok(())
}

/// Lowers a limit; one that is already lower stays.
fn set_limit(resource: Resource, value: u64) -> io::Result<()> {
    set_limit_between(resource, value, value)
}

fn set_limit_between(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(soft.min(now)), maximum: Some(hard.min(now)) })?)
}

struct Signals {
    child: SignalStream,
    terminate: SignalStream,
    interrupt: SignalStream,
    hang_up: SignalStream,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// A running command.
struct Watch {
    /// The command's first process until it is reaped; its group has the same id.
    leader: Option<Pid>,
    /// How that process ended.
    status: Option<WaitStatus>,
    /// Why this supervisor ended it, when it did.
    verdict: Option<Exit>,
    stopped: bool,
    peak_rss_bytes: Option<u64>,
    signals: Signals,
    limits: Limits,
}

impl Watch {
    async fn until_end(&mut self, orders: &mut Lines<BufReader<OwnedReadHalf>>) {
        let deadline = Instant::now() + self.limits.wall;
        let mut sample = interval(SAMPLE_EVERY);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sample.tick().await; // the first tick comes at once
        let mut grace = Duration::ZERO;
        self.reap();
        while self.leader.is_some() && self.verdict.is_none() && !self.stopped {
            tokio::select! {
                line = orders.next_line() => {
                    self.stopped = true;
                    // No line, or none that can be read, means that specwave is gone: no grace then.
                    let demand = line.ok().flatten().and_then(|line| serde_json::from_str(&line).ok());
                    grace = demand.map_or(Duration::ZERO, |Demand::Stop { grace }| grace);
                }
                _ = self.signals.child.recv() => self.reap(),
                _ = self.signals.terminate.recv() => self.stopped = true,
                _ = self.signals.interrupt.recv() => self.stopped = true,
                _ = self.signals.hang_up.recv() => self.stopped = true,
                () = sleep_until(deadline) => self.verdict = Some(Exit::TimedOut),
                _ = sample.tick() => self.sample(),
            }
        }
        self.end_leader(grace, orders).await;
        self.sweep().await;
    }

    fn sample(&mut self) {
        let usage = processes::usage(process::id());
        self.peak_rss_bytes = self.peak_rss_bytes.max(Some(usage.rss_bytes));
        if usage.rss_bytes > self.limits.memory_bytes {
            self.verdict = Some(Exit::Limit(Limit::Memory));
        } else if usage.processes > self.limits.processes {
            self.verdict = Some(Exit::Limit(Limit::Processes));
        }
    }

    /// Collects everything that has ended, adopted orphans included.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if self.leader == Some(pid) {
                self.leader = None;
                self.status = Some(status);
            }
        }
    }

    /// SIGTERM to the group and `grace` to obey, then SIGKILL. The group's id cannot be taken by others before its leader is reaped.
    async fn end_leader(&mut self, grace: Duration, orders: &mut Lines<BufReader<OwnedReadHalf>>) {
        if let (Some(leader), false) = (self.leader, grace.is_zero()) {
            let _ = rustix::process::kill_process_group(leader, Signal::TERM);
            let deadline = Instant::now() + grace;
            while self.leader.is_some() {
                tokio::select! {
                    _ = self.signals.child.recv() => self.reap(),
                    () = sleep_until(deadline) => break,
                    // A second word, or specwave's end: no more patience.
                    _ = orders.next_line() => break,
                }
            }
        }
        if let Some(leader) = self.leader {
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }

    /// Ends what is left, wherever it has put itself: the children of a killed process become ours, so killing our direct
    /// children until there are none ends them all. A child's id is not reused before it is reaped here.
    async fn sweep(&mut self) {
        let deadline = Instant::now() + SWEEP_MAX;
        loop {
            self.reap();
            let left = processes::children(process::id());
            if left.is_empty() || Instant::now() >= deadline {
                return;
            }
            for pid in left.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            // A child may end without a further signal to wait for, hence the bound.
            let _ = tokio::time::timeout(Duration::from_millis(20), self.signals.child.recv()).await;
        }
    }

    fn exit(&self) -> Exit {
        const SIGXCPU: i32 = 24;
        const SIGXFSZ: i32 = 25;
        let own = self.status.map(|status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(SIGXCPU)) => Exit::Limit(Limit::CpuTime),
            (None, Some(SIGXFSZ)) => Exit::Limit(Limit::FileSize),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        });
        self.verdict.or(own).unwrap_or(Exit::Signal(9))
    }
}
