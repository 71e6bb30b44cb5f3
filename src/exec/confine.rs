//! The process between bubblewrap and a command: it confines itself by Landlock and the filter of system calls, which cannot be done
//! before the namespaces exist, and becomes the command.
//!
//! The hidden subcommand `__confine`, started by the supervisor's `launch`. Its standard input is a socket on which it gets its order
//! and says how it went. It never starts a second process and never runs anything unconfined.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use super::Command;
use super::launch::prepared;
use super::sandbox::{self, Level, Tier};

/// The hidden subcommand that leads here.
pub(super) const SUBCOMMAND: &str = "__confine";
/// Where this program is inside. Nothing else is in that directory.
pub(super) const PATH: &str = "/run/specwave/confine";
/// Arguments and environment of a command are less: the kernel allows a quarter of the stack.
const ORDER_BYTES_MAX: u64 = 16 << 20;
/// What a shell's users know as "could not be run".
const EXIT_NOT_RUN: i32 = 127;

/// The order, one line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Confined {
    pub(super) command: Command,
    pub(super) scratch: PathBuf,
}

/// What it answers, one line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// The command comes next.
    Confined { tier: Tier },
    /// There will be no command; also after the first word, when the kernel refused to run it.
    Refused { reason: String },
}

/// The whole life of this process, unless it becomes the command: its exit code.
pub(super) fn main() -> i32 {
    let socket = rustix::stdio::stdin().try_clone_to_owned().map(UnixStream::from);
    match socket.and_then(|socket| Ok((serve(&socket)?, socket))) {
        Ok((reason, socket)) => {
            // A supervisor that is gone needs no answer.
            let _ = say(&socket, &Word::Refused { reason });
        }
        Err(error) => eprintln!("specwave {SUBCOMMAND}: {error}"),
    }
    EXIT_NOT_RUN
}

/// Returns only when there is no command: why.
fn serve(socket: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(socket.take(ORDER_BYTES_MAX)).read_line(&mut line)?;
    let Confined { command, scratch } = serde_json::from_str(&line)?;
    let tier = match sandbox::confine_thread(&command, &scratch, Level::Bubblewrap) {
        Ok(tier) => tier,
        Err(reason) => return Ok(reason),
    };
    let mut process = match prepared(&command, &scratch) {
        Ok(process) => process,
        Err(error) => return Ok(error.to_string()),
    };
    if let Err(error) = std::env::set_current_dir(&command.dir).and_then(|()| find(&command)) {
        return Ok(error.to_string());
    }
    say(socket, &Word::Confined { tier })?;
    Ok(process.exec().to_string())
}

/// Sees whether the program is there, so that the most usual mistake shows before the command counts as started.
fn find(command: &Command) -> io::Result<()> {
    let program = command.argv.first().map_or("", String::as_str);
    let executable = |path: &Path| rustix::fs::access(path, Access::EXEC_OK).map_err(io::Error::from);
    if program.contains('/') {
        return executable(Path::new(program));
    }
    let path = command.env.get("PATH").map_or(super::launch::SAFE_PATH, String::as_str);
    let mut tried = path.split(':').map(|directory| executable(&Path::new(directory).join(program)));
    if tried.any(|found| found.is_ok()) { Ok(()) } else { Err(rustix::io::Errno::NOENT.into()) }
}

fn say(mut socket: &UnixStream, word: &Word) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    socket.write_all(&line)
}
