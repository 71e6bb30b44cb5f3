//! Running commands, and the directories they run in.
//!
//! Every command runs in its own process group below a supervisor process (the hidden subcommand `__supervise` of this
//! binary) that holds a socket to specwave: when specwave ends, even by `kill -9`, the supervisor ends the whole group.
//! The supervisor also applies the limits and the sandbox. Called by the agents and by the phases that check,
//! deploy and probe. Nothing here knows specifications, plans or databases; of runs and units only the names that `repository` is told.

pub mod capture;
pub mod command;
mod confine;
mod disk;
pub mod egress;
pub mod environment;
mod launch;
pub mod output;
pub mod processes;
pub mod record;
pub mod repository;
pub mod sandbox;
pub mod service;
pub mod supervise;
pub mod tree;
pub mod workspace;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use capture::Captured;
pub use command::{Command, Confinement, ExecError, Exit, Finished, Limit, Limits, Network};
pub use egress::Egress;
pub use output::Output;
pub use record::{Record, Recorder};
pub use sandbox::{Level, Tier};
pub use service::{Printed, Service};
pub use tree::{Tree, TreeFile};
pub use workspace::Workspace;

/// The lowest descriptor that is neither standard input nor output nor errors.
const DESCRIPTOR_FIRST: i32 = 3;

/// The whole life of a process that specwave started of itself, when `argument`, the first one, says that it is one; its exit code.
/// To be called before anything else: no command inherits a descriptor that is open by then.
pub fn hidden(argument: &std::ffi::OsStr) -> Option<i32> {
    let life: fn() -> i32 = match argument.to_str()? {
        supervise::SUBCOMMAND => supervise::main,
        confine::SUBCOMMAND => confine::main,
        _ => return None,
    };
    // The standard library opens everything so that it closes by itself; a library in C, or whoever started specwave, may have not.
    close_fds::set_fds_cloexec(DESCRIPTOR_FIRST, &[]);
    Some(life())
}

/// Runs a command to its end: its own exit, a limit, or `cancel`; afterwards none of its processes is left.
///
/// Only a command that could not be run at all is an error; a non-zero exit is a [`Finished`].
pub async fn run(command: &Command, recorder: &Recorder, cancel: &CancellationToken) -> Result<Finished, ExecError> {
    service::start(command, recorder, None).await?.wait(cancel).await
}

/// Starts a long-running command, for example a server.
///
/// [`Service::stop`] ends the whole process group, and so does dropping it.
pub async fn start(command: &Command, recorder: &Recorder) -> Result<Service, ExecError> {
    service::start(command, recorder, None).await
}

/// So many pieces of output may wait for whoever listens, each of at most 16 KiB; then the command waits.
const PIECES_WAITING_MAX: usize = 64;

/// Starts a command whose output is to be followed while it runs.
///
/// The listener must take what is printed until there is nothing more, also while it waits for the command's end.
pub async fn follow(command: &Command, recorder: &Recorder) -> Result<(Service, mpsc::Receiver<Printed>), ExecError> {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    Ok((service::start(command, recorder, Some(sender)).await?, receiver))
}
