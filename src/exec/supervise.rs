//! The supervisor: a process between specwave and one command, which outlives specwave just long enough to end it.
//!
//! It gets its order and learns of specwave's end over a socket on standard input, leads a session of its own, adopts
//! orphans (`PR_SET_CHILD_SUBREAPER`), applies the limits to itself and the sandbox to what starts the command (`launch`),
//! and reports how the command ended once none of its processes is left. It never interprets what the command prints:
//! stdout and stderr are inherited, so they reach specwave directly. Being outside the sandbox, it cannot be killed by
//! the command where Landlock confines signals.

use std::future::{self, Future};
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::pin::pin;
use std::process;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::disk::Disk;
use super::launch::{Launched, late_refusal, launch};
use super::sandbox::{Level, Tier};
use super::{Command, Exit, Limit, Limits, processes};

/// The hidden subcommand that leads here.
pub const SUBCOMMAND: &str = "__supervise";

/// How often resident memory and the number of processes are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// How long the leftovers of a command may take to die after SIGKILL.
const SWEEP_MAX: Duration = Duration::from_secs(10);
/// How many processes bubblewrap itself consists of: one outside, one that reaps inside.
const BUBBLEWRAP_PROCESSES: u64 = 2;

/// The first line that specwave sends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// What to run.
    pub(super) command: Command,
    /// Where to make the scratch directory.
    pub(super) scratch_parent: PathBuf,
    /// The level of the sandbox, which is offered.
    pub(super) level: Level,
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
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(supervise());
        // A look at the disk may still be under way, in which nobody is interested any more.
        runtime.shutdown_background();
        ended
    });
    match ended {
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
    let roots = order.command.writable.iter().cloned().chain([scratch.path().to_owned()]).collect();
    let limits = order.command.limits;
    let disk = spawn_blocking(move || Disk::new(roots, limits.disk_bytes)).await?;
    let Launched { pid, tier, mut late } = match launch(order.command, scratch.path().to_owned(), order.level) {
        Ok(launched) => launched,
        Err(refusal) => return send(&mut reports, &refusal).await,
    };
    send(&mut reports, &Report::Started { pid: pid.as_raw_nonzero().get().cast_unsigned(), tier }).await?;
    let namespaced = late.is_some();
    let mut watch =
        Watch { leader: Some(pid), status: None, verdict: None, stopped: false, peak_rss_bytes: None, signals, limits, namespaced };
    watch.until_end(&mut orders, filled(disk)).await;
    drop(scratch);
    let report = match late.as_mut().and_then(late_refusal) {
        Some(reason) => Report::Refused { reason },
        None => Report::Ended { exit: watch.exit(), stopped: watch.stopped, peak_rss_bytes: watch.peak_rss_bytes },
    };
    // Nobody listens when specwave is gone: everything is ended then, which is all that matters.
    let _ = send(&mut reports, &report).await;
    Ok(())
}

/// Ends when the command has taken more of the disk than it may.
async fn filled(mut disk: Disk) {
    loop {
        tokio::time::sleep(SAMPLE_EVERY).await;
        let looked = spawn_blocking(move || {
            let exceeded = disk.exceeded(&processes::usage(process::id()).pids);
            (disk, exceeded)
        });
        match looked.await {
            Ok((looked, false)) => disk = looked,
            Ok((_, true)) => return,
            // The thread died: there is nothing left to look with, and the other limits hold.
            Err(_) => return future::pending().await,
        }
    }
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
    /// True when the leader is bubblewrap and the command runs in namespaces below it.
    namespaced: bool,
}

impl Watch {
    async fn until_end(&mut self, orders: &mut Lines<BufReader<OwnedReadHalf>>, filled: impl Future<Output = ()>) {
        let mut filled = pin!(filled);
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
                () = &mut filled => self.verdict = Some(Exit::Limit(Limit::Disk)),
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
        } else if usage.pids.len() as u64 > self.limits.processes + if self.namespaced { BUBBLEWRAP_PROCESSES } else { 0 } {
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
            let _ = rustix::process::kill_process_group(self.group(leader), Signal::TERM);
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

    /// The group that the command is in. Inside bubblewrap that is its reaper's, which is the only child of the leader and ignores
    /// SIGTERM, being the first process of its namespace.
    fn group(&self, leader: Pid) -> Pid {
        let inner = if self.namespaced { processes::children(leader.as_raw_nonzero().get().cast_unsigned()) } else { Vec::new() };
        inner.first().and_then(|pid| Pid::from_raw(pid.cast_signed())).unwrap_or(leader)
    }

    /// Ends what is left, wherever it has put itself: the children of an ended process become ours, so all stay descendants.
    async fn sweep(&mut self) {
        let deadline = Instant::now() + SWEEP_MAX;
        loop {
            self.reap();
            if processes::children(process::id()).is_empty() || Instant::now() >= deadline {
                return;
            }
            processes::end_descendants(process::id());
            // A child may end without a further signal to wait for, hence the bound.
            let _ = tokio::time::timeout(Duration::from_millis(20), self.signals.child.recv()).await;
        }
    }

    fn exit(&self) -> Exit {
        const SIGXCPU: i32 = 24;
        const SIGXFSZ: i32 = 25;
        // bubblewrap passes a death by a signal on the way shells do.
        const SIGNALS: std::ops::RangeInclusive<i32> = 129..=192;
        let own = self.status.map(|status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) if self.namespaced && SIGNALS.contains(&code) => Exit::Signal(code - 128),
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        });
        let own = own.map(|exit| match exit {
            Exit::Signal(SIGXCPU) => Exit::Limit(Limit::CpuTime),
            Exit::Signal(SIGXFSZ) => Exit::Limit(Limit::FileSize),
            exit => exit,
        });
        self.verdict.or(own).unwrap_or(Exit::Signal(9))
    }
}
