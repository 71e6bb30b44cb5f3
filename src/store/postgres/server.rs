//! The managed server's life as commands: `initdb`, `pg_ctl start`, `pg_ctl stop`, and what its pid file says.
//!
//! Called by `managed` alone, which holds the locks.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tokio::process::Command;

use super::StoreError;
use super::account::Account;
use super::programs::Programs;

/// How long one of the commands may take; `initdb` takes a second or two on an idle machine.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(2);
/// A free port may be taken between asking for it and using it.
const START_TRIES: u32 = 3;
/// Beyond this the log is begun anew.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// The superuser that `initdb` makes.
pub(super) const SUPERUSER: &str = "postgres";

/// Written to the end of `postgresql.conf`: small memory, nothing but warnings in the log, and the loopback interface alone.
const SETTINGS: &str = "
# specwave: only this machine, little memory
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
max_wal_size = 256MB
jit = off
log_min_messages = warning
log_statement = none
timezone = 'UTC'
";

/// A server in a folder.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// Holds `data/` and `server.log`; owned by the server's account.
    pub(super) home: PathBuf,
    pub(super) programs: Programs,
    pub(super) account: Option<Account>,
}

/// What `postmaster.pid` says about a server that is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alive {
    pub(super) port: u16,
}

/// The major version that made the data in `home`, when there are some.
pub(super) fn recorded_major(home: &Path) -> Result<Option<u32>, StoreError> {
    let path = home.join("data/PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| StoreError::corrupt("PG_VERSION", text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::File { action: "read", path, source }),
    }
}

impl Server {
    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Makes the data folder; an interrupted attempt leaves nothing that counts, for the folder gets its name last.
    pub(super) async fn initialize(&self, password: &str) -> Result<(), StoreError> {
        let unfinished = self.home.join("data.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(StoreError::file("remove", &unfinished))?;
        }
        self.make_home()?;
        let password_file = self.home.join("initial-password");
        self.write_private(&password_file, password)?;
        let mut command = self.command("initdb");
        command.arg("--pgdata").arg(&unfinished).arg("--pwfile").arg(&password_file);
        command.args(["--username", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]);
        let made = run("initdb", command).await;
        fs::remove_file(&password_file).map_err(StoreError::file("remove", &password_file))?;
        made?;
        let settings = unfinished.join("postgresql.conf");
        let text = fs::read_to_string(&settings).map_err(StoreError::file("read", &settings))?;
        fs::write(&settings, text + SETTINGS).map_err(StoreError::file("write", &settings))?;
        fs::rename(&unfinished, self.data()).map_err(StoreError::file("rename", unfinished))
    }

    /// Starts the server on a free port and returns once it takes connections.
    pub(super) async fn start(&self) -> Result<Alive, StoreError> {
        let log = self.home.join("server.log");
        if fs::metadata(&log).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            fs::remove_file(&log).map_err(StoreError::file("remove", &log))?;
        }
        let mut failure = None;
        for _ in 0..START_TRIES {
            let mut command = self.command("pg_ctl");
            command.arg("start").arg("--pgdata").arg(self.data()).arg("--log").arg(&log);
            command.args(["--wait", "--timeout=60", "--silent", "--options"]).arg(format!("-p {}", free_port()?));
            match run("pg_ctl start", command).await {
                Ok(()) => break,
                Err(error) => failure = Some(error),
            }
        }
        match (self.alive(), failure) {
            (Some(alive), _) => Ok(alive),
            (None, Some(error)) => Err(error),
            (None, None) => Err(StoreError::Managed {
                detail: "the server ended right after its start".to_owned(),
                hint: "read server.log in the data directory's postgres folder",
            }),
        }
    }

    /// Stops the server and waits for it: `fast` ends its sessions in order, `immediate` is for one that does not answer.
    pub(super) async fn stop(&self, mode: &'static str) -> Result<(), StoreError> {
        let mut command = self.command("pg_ctl");
        command.arg("stop").arg("--pgdata").arg(self.data()).args(["--wait", "--timeout=60", "--silent", "--mode", mode]);
        run("pg_ctl stop", command).await
    }

    /// What runs in the data folder. A pid file whose process is gone, or is another program, is removed.
    pub(super) fn alive(&self) -> Option<Alive> {
        let path = self.data().join("postmaster.pid");
        let text = fs::read_to_string(&path).ok()?;
        let mut lines = text.lines();
        let pid: i32 = lines.next()?.trim().parse().ok()?;
        let port = lines.nth(2).and_then(|line| line.trim().parse().ok());
        if !is_server(pid, &self.data()) {
            tracing::info!(pid, "removing the pid file of a postgresql that is gone");
            drop(fs::remove_file(&path));
            return None;
        }
        port.map(|port| Alive { port })
    }

    fn make_home(&self) -> Result<(), StoreError> {
        fs::create_dir_all(&self.home).map_err(StoreError::file("create", &self.home))?;
        fs::set_permissions(&self.home, fs::Permissions::from_mode(0o700)).map_err(StoreError::file("change the mode of", &self.home))?;
        self.give(&self.home)
    }

    fn write_private(&self, path: &Path, text: &str) -> Result<(), StoreError> {
        write_private(path, text)?;
        self.give(path)
    }

    fn give(&self, path: &Path) -> Result<(), StoreError> {
        let Some(account) = &self.account else { return Ok(()) };
        chown(path, Some(account.uid), Some(account.gid)).map_err(StoreError::file("give away", path))
    }

    /// A command under the server's account, away from folders that the account cannot enter.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.bin.join(program));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        command.current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), StoreError> {
    let temporary = path.with_extension("new");
    drop(fs::remove_file(&temporary));
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(StoreError::file("write", &temporary))?;
    fs::rename(&temporary, path).map_err(StoreError::file("write", path))
}

async fn run(name: &'static str, mut command: Command) -> Result<(), StoreError> {
    let failed = |detail: String| StoreError::Managed {
        detail: format!("{name}: {detail}"),
        hint: "server.log in the data directory's postgres folder says more",
    };
    let output = match tokio::time::timeout(COMMAND_TIMEOUT, command.output()).await {
        Err(_) => return Err(failed(format!("no end after {} s", COMMAND_TIMEOUT.as_secs()))),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("error") || line.contains("FATAL")).or(text.lines().last()).unwrap_or_default();
    Err(failed(format!("{} ({})", line.trim(), output.status)))
}

fn free_port() -> Result<u16, StoreError> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| StoreError::Managed { detail: format!("no free port on 127.0.0.1: {error}"), hint: "free a port" })
}

/// True when that process lives and is the server of that folder: a number may have gone to another program since.
fn is_server(pid: i32, data: &Path) -> bool {
    let Some(process) = Pid::from_raw(pid) else { return false };
    // The server is a process of our own, or we are root: one that may not be signalled is somebody else's.
    if test_kill_process(process).is_err() {
        return false;
    }
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(folder) => data.canonicalize().is_ok_and(|data| data == folder),
        // A process that has ended and waits for its parent has no folder any more. A machine without /proc tells nothing, nor does
        // one where root may not look into other accounts' processes.
        Err(error) => error.kind() != std::io::ErrorKind::NotFound || !Path::new("/proc/self").exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_pid_file_is_removed_and_a_living_one_is_believed() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        fs::create_dir(&data).unwrap();
        let programs = Programs { bin: PathBuf::new(), major: 18, origin: String::new() };
        let server = Server { home: home.path().to_owned(), programs, account: None };
        let pid_file = data.join("postmaster.pid");
        let check = |pid: u32, expect: Option<Alive>| {
            fs::write(&pid_file, format!("{pid}\n{}\n1790000000\n5499\n\n127.0.0.1\n", data.display())).unwrap();
            assert_eq!(server.alive(), expect);
            assert_eq!(pid_file.exists(), expect.is_some());
        };
        let mut child = std::process::Command::new("sleep").arg("60").current_dir(&data).spawn().unwrap();
        check(child.id(), Some(Alive { port: 5499 }));
        child.kill().unwrap();
        child.wait().unwrap();
        check(child.id(), None);
        check(std::process::id(), None);
    }
}
