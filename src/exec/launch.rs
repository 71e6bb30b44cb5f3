//! Starting a command confined: from a thread that confines itself, or inside bubblewrap.
//!
//! Called by the supervisor, which stays unconfined so that it can end what it started. A command inside bubblewrap is confined by
//! `confine`, a process of this program between bubblewrap and the command.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit};

use super::confine::{self, Confined, Word};
use super::sandbox::{self, Level, Tier};
use super::supervise::Report;
use super::{Command, Confinement, Limits, processes};

/// A `PATH` for commands that bring none.
pub(super) const SAFE_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// How long bubblewrap may take to make its namespaces.
const CONFINE_MAX: Duration = Duration::from_secs(15);
/// A tier or a reason is shorter.
const WORD_BYTES_MAX: u64 = 64 << 10;

/// A command that runs.
pub(super) struct Launched {
    /// Its first process, which leads a group; inside bubblewrap that is bubblewrap itself.
    pub(super) pid: Pid,
    pub(super) tier: Tier,
    /// What the confining process says after the command should have begun; none outside bubblewrap.
    pub(super) late: Option<BufReader<UnixStream>>,
}

/// Starts the command at a level that is offered. To be called on the thread that lives as long as the command: bubblewrap dies with it.
pub(super) fn launch(command: Command, scratch: PathBuf, level: Level) -> Result<Launched, Report> {
    let refused = |reason: String| Report::Refused { reason };
    limit_self(&command.limits).map_err(|error| refused(format!("cannot set its limits: {error}")))?;
    for directory in ["home", "tmp"] {
        std::fs::create_dir_all(scratch.join(directory)).map_err(|error| refused(format!("no scratch directory: {error}")))?;
    }
    let confinement = command.confinement;
    let launched = if level == Level::Bubblewrap {
        inside(command, scratch).map_err(refused)?
    } else {
        let launcher = thread::spawn(move || beside(&command, &scratch, level));
        launcher.join().unwrap_or_else(|_| Err("the launching thread died".to_owned())).map_err(refused)?
    };
    if let Confinement::Required(needed) = confinement
        && launched.tier.level < needed
    {
        let _ = rustix::process::kill_process_group(launched.pid, rustix::process::Signal::KILL);
        return Err(Report::Unconfined { reason: format!("it needs the sandbox level {needed} and got {}", launched.tier.level) });
    }
    Ok(launched)
}

/// The calling thread confines itself first, so that the rest of this process stays free.
fn beside(command: &Command, scratch: &Path, level: Level) -> Result<Launched, String> {
    let tier = sandbox::confine_thread(command, scratch, level)?;
    let mut process = prepared(command, scratch).map_err(|error| error.to_string())?;
    let child = process.process_group(0).spawn().map_err(|error| error.to_string())?;
    Ok(Launched { pid: pid_of(&child)?, tier, late: None })
}

/// bubblewrap and the confining process get an empty environment: what a command's environment says must not reach a program that is
/// not confined yet.
fn inside(command: Command, scratch: PathBuf) -> Result<Launched, String> {
    let program = sandbox::bubblewrap_program().ok_or("bubblewrap is not installed any more")?;
    let own = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
    let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
    let mut bubblewrap = process::Command::new(program);
    bubblewrap.args(sandbox::bubblewrap_arguments(&command, &scratch)?);
    bubblewrap.arg("--ro-bind").arg(&own).arg(confine::PATH).args(["--", confine::PATH, confine::SUBCOMMAND]);
    bubblewrap.env_clear().stdin(Stdio::from(OwnedFd::from(theirs))).process_group(0);
    let child = bubblewrap.spawn().map_err(|error| format!("bubblewrap: {error}"))?;
    // It holds the other end of the socket, whose closing is how its own end shows.
    drop(bubblewrap);
    let pid = pid_of(&child)?;
    let order = serde_json::to_vec(&Confined { command, scratch }).map_err(|error| error.to_string())?;
    let mut words = BufReader::new(ours);
    match converse(&mut words, &order) {
        Ok(Word::Confined { tier }) => Ok(Launched { pid, tier, late: Some(words) }),
        Ok(Word::Refused { reason }) => Err(reason),
        Err(error) => {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            Err(format!("bubblewrap did not start it: {error}"))
        }
    }
}

fn converse(words: &mut BufReader<UnixStream>, order: &[u8]) -> io::Result<Word> {
    let socket = words.get_mut();
    socket.set_read_timeout(Some(CONFINE_MAX))?;
    socket.set_write_timeout(Some(CONFINE_MAX))?;
    socket.write_all(order)?;
    socket.write_all(b"\n")?;
    next_word(words)
}

/// Why the command did not begin after all, once it has ended.
pub(super) fn late_refusal(words: &mut BufReader<UnixStream>) -> Option<String> {
    words.get_ref().set_nonblocking(true).ok()?;
    match next_word(words).ok()? {
        Word::Refused { reason } => Some(reason),
        Word::Confined { .. } => None,
    }
}

fn next_word(words: &mut BufReader<UnixStream>) -> io::Result<Word> {
    let mut line = String::new();
    words.take(WORD_BYTES_MAX).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended"));
    }
    Ok(serde_json::from_str(&line)?)
}

fn pid_of(child: &process::Child) -> Result<Pid, String> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| "it got no process id".to_owned())
}

/// The process of a command, with its directory, environment and input. To be called by who is confined already: what the command may
/// not read it cannot be given either.
pub(super) fn prepared(command: &Command, scratch: &Path) -> io::Result<process::Command> {
    let (program, arguments) = command.argv.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let input = command.input.as_ref().map_or_else(|| Ok(Stdio::null()), |path| std::fs::File::open(path).map(Stdio::from))?;
    let mut process = process::Command::new(program);
    process.args(arguments).current_dir(&command.dir).env_clear().stdin(input);
    process.env("PATH", SAFE_PATH).env("LANG", "C.UTF-8");
    process.env("HOME", scratch.join("home")).env("TMPDIR", scratch.join("tmp")).envs(&command.env);
    Ok(process)
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
