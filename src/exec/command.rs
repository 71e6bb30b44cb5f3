//! What is run, within which limits, and how it ended.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Captured, Level, Tier};

/// A command, everything it may use and everything it may reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The program (a path, or a name looked up in `PATH`) and its arguments.
    pub argv: Vec<String>,
    /// The working directory. It is readable; it is writable only when `writable` says so.
    pub dir: PathBuf,
    /// Environment variables. Everything else is cleared but `PATH`, `HOME`, `TMPDIR` and `LANG`, which get safe values
    /// (a scratch directory that is removed afterwards) unless they are given here.
    pub env: BTreeMap<String, String>,
    /// Files and directories it may read and execute, besides the system's (see `sandbox::SYSTEM_PATHS`) and `dir`.
    pub readable: Vec<PathBuf>,
    /// Files and directories it may change.
    pub writable: Vec<PathBuf>,
    /// What it may reach over the network.
    pub network: Network,
    /// Whether it may run where it cannot be confined.
    pub confinement: Confinement,
    /// The strongest level of the sandbox that is used, for what cannot live with a stronger one.
    pub level_max: Level,
    /// How much it may use.
    pub limits: Limits,
    /// A file that it reads as its standard input; none is an empty one. It must be readable to the command.
    pub input: Option<PathBuf>,
    /// The binary that supervises it; none is this very program.
    pub supervisor: Option<PathBuf>,
}

impl Command {
    /// A command in `dir` that may write nothing but its scratch directory, without network, with default limits. It is refused where
    /// not even Landlock is offered.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>, dir: impl Into<PathBuf>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            dir: dir.into(),
            env: BTreeMap::new(),
            readable: Vec::new(),
            writable: Vec::new(),
            network: Network::None,
            confinement: Confinement::Required(Level::Landlock),
            level_max: Level::Bubblewrap,
            limits: Limits::default(),
            input: None,
            supervisor: None,
        }
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The command line on one line, for people.
    pub fn line(&self) -> String {
        line(&self.argv)
    }
}

/// Words as one line of a shell, for people.
pub fn line(argv: &[String]) -> String {
    let quoted = argv.iter().map(|word| {
        let plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./:=@%+,".contains(c));
        if plain { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// What a command may reach over the network. Where only Landlock is offered, datagrams are not covered; see `sandbox`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Nothing.
    None,
    /// It may bind and connect to these TCP ports only, and use no other protocol: neither UDP nor, hence, name servers.
    /// Landlock sees ports, not addresses, so the same ports of other hosts are within reach too.
    Ports(Vec<u16>),
    /// Everything.
    Any,
}

/// Whether a command may run where it cannot be confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// It is refused where less than this level is offered: for commands that a model or agent chose, or whose code it wrote.
    /// Where no mount namespace hides them, it may not use UNIX sockets either (`socketpair` works).
    Required(Level),
    /// It runs with what the machine offers, be it nothing, on somebody's explicit demand, and [`Finished::tier`] says what that was.
    Available,
    /// It is not confined, on somebody's explicit demand, and [`Finished::tier`] says so. Limits, the cleared environment and the
    /// end of all its processes hold all the same.
    Off,
}

impl Confinement {
    /// At least that level, or, where somebody takes a weaker sandbox, whatever there is.
    #[must_use]
    pub fn needing(level: Level, weaker: bool) -> Self {
        if weaker { Self::Available } else { Self::Required(level) }
    }

    /// The same for what was decided elsewhere; what is off stays off.
    #[must_use]
    pub fn or_weaker(self, weaker: bool) -> Self {
        match self {
            Self::Required(level) => Self::needing(level, weaker),
            Self::Available | Self::Off => self,
        }
    }
}

/// How much a command may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time on the wall.
    pub wall: Duration,
    /// Processor time of each process, in seconds.
    pub cpu_secs: u64,
    /// Private memory of each process, and resident memory of all together (sampled), in bytes.
    pub memory_bytes: u64,
    /// Processes at once.
    pub processes: u64,
    /// Size of each written file, in bytes.
    pub file_size_bytes: u64,
    /// What it may add to its writable and scratch directories, deleted files that it holds open included (sampled), in bytes.
    pub disk_bytes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// Bytes kept of each of stdout and stderr, half from its start and half from its end.
    pub output_bytes: usize,
}

impl Default for Limits {
    /// Enough for a linter or a test suite of a generated project.
    fn default() -> Self {
        Self {
            wall: Duration::from_mins(5),
            cpu_secs: 600,
            memory_bytes: 4 << 30,
            processes: 256,
            file_size_bytes: 1 << 30,
            disk_bytes: 4 << 30,
            open_files: 1024,
            output_bytes: 1 << 20,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It reached its wall time and was ended.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// It reached a limit and was ended.
    Limit(Limit),
}

impl Exit {
    /// True when it exited with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(out, "exit code {code}"),
            Self::Signal(signal) => write!(out, "signal {signal}"),
            Self::TimedOut => out.write_str("timed out"),
            Self::Cancelled => out.write_str("cancelled"),
            Self::Limit(limit) => write!(out, "{limit} limit reached"),
        }
    }
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Limit {
    CpuTime,
    Memory,
    Processes,
    FileSize,
    Disk,
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::CpuTime => "processor time",
            Self::Memory => "memory",
            Self::Processes => "process",
            Self::FileSize => "file size",
            Self::Disk => "disk",
        })
    }
}

/// What is left of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// What it printed.
    pub stdout: Captured,
    /// What it complained about.
    pub stderr: Captured,
    /// How long it ran.
    pub duration: Duration,
    /// The most resident memory that all its processes were seen to have at once, sampled four times a second; none when
    /// it ended before the first sample.
    pub peak_rss_bytes: Option<u64>,
    /// How it was confined.
    pub tier: Tier,
}

impl Finished {
    /// stdout and stderr one after the other, cut in the middle to `chars_max` characters.
    pub fn output(&self, chars_max: usize) -> String {
        let both = [self.stdout.text(), self.stderr.text()];
        let text = both.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
        super::capture::shorten(&text, chars_max)
    }
}

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is nothing to run.
    #[error("the command is empty")]
    Empty,
    /// The supervising process did not start.
    #[error("cannot start the supervisor {path}")]
    Supervisor {
        /// The binary that was tried.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program did not start: not found, not executable, no such working directory.
    #[error("cannot run {program} in {dir}: {reason}")]
    Refused {
        /// The program.
        program: String,
        /// The working directory.
        dir: PathBuf,
        /// Why.
        reason: String,
    },
    /// It must be confined better than it can be.
    #[error("refused to run {program}: {reason}")]
    Unconfined {
        /// The program.
        program: String,
        /// The level that it needs, the one that it would get, and what is missing.
        reason: String,
    },
    /// The supervising process vanished or stopped answering.
    #[error("the supervisor of {program} was lost: {reason}")]
    Lost {
        /// The program.
        program: String,
        /// What was seen.
        reason: String,
    },
}

impl ExecError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "name a program",
            Self::Supervisor { .. } => "the specwave binary must be readable and executable, and processes must be allowed to start",
            Self::Refused { .. } => "check that the program is installed and that the directory exists",
            Self::Unconfined { .. } => {
                "`specwave doctor` shows what this machine offers: Landlock takes Linux 5.13, bubblewrap must be installed and allowed to make namespaces; what an agent needs its profile says (`sandbox`); `--no-sandbox` takes a weaker one, and records it"
            }
            Self::Lost { .. } => "look for the out-of-memory killer in the kernel's log, then run again",
        }
    }

    /// True when the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_quoted_for_people() {
        let command = Command::new(["sh", "-c", "echo 'hi there'", ""], "/");
        assert_eq!(command.line(), r"sh -c 'echo '\''hi there'\''' ''");
    }

    #[test]
    fn a_command_survives_its_way_to_the_supervisor() {
        let mut command = Command::new(["true"], "/tmp").env("A", "b");
        command.network = Network::Ports(vec![8000]);
        let json = serde_json::to_string(&command).unwrap();
        assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command);
    }
}
