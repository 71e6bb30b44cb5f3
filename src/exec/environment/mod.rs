//! Python environments from a target pack's pinned, hashed lock. Never from files that a run generated.
//!
//! An environment is `DATA_DIR/environments/<name>-<key>`, where the key covers the lock, the interpreter and its place.
//! It is built in place, because virtual environments cannot be moved, under a lock file, and counts only once its marker
//! has been written: what a crash left half-built is removed by the next call, and two processes at once build it once. What tools keep
//! about an environment lies beside it, and is made in the same way.

mod error;
mod python;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::tree::sha256;
use super::{Command, Exit, Finished, Limits, Network, Recorder};
pub use error::EnvironmentError;
pub use python::Interpreter;

/// Written last; an environment without it is not one.
const MARKER: &str = ".specwave-complete";
/// How long an installation may take.
const INSTALL_MAX: Duration = Duration::from_mins(15);
/// How often a call that waits for another process's installation looks again.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Makes environments and keeps them below a data directory.
#[derive(Debug, Clone)]
pub struct Installer {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The interpreter: a path, or a name looked up in `PATH`.
    pub python: PathBuf,
    /// The oldest version that will do, major and minor.
    pub version_min: (u32, u32),
    /// What pip gets from the caller's environment: see [`Installer::inherit`].
    pub env: BTreeMap<String, String>,
    /// True when nothing may be downloaded.
    pub offline: bool,
    /// True when it may be built where commands cannot be confined.
    pub weaker_sandbox: bool,
    /// The binary that supervises the commands; none is this very program.
    pub supervisor: Option<PathBuf>,
}

/// A finished environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its directory.
    pub dir: PathBuf,
    /// Its interpreter. Run installed tools as `python -m tool`.
    pub python: PathBuf,
    /// What a confined command must be able to read to use it: itself and the interpreter's installation.
    pub readable: Vec<PathBuf>,
    /// The interpreter's version, for example `3.11.7`.
    pub version: String,
    /// True when this call built it.
    pub built: bool,
}

impl Installer {
    /// An installer below `data_dir` that uses `python3` and takes nothing from the caller's environment.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            python: PathBuf::from("python3"),
            version_min: (3, 11),
            env: BTreeMap::new(),
            offline: false,
            weaker_sandbox: false,
            supervisor: None,
        }
    }

    /// Takes over what concerns package indexes, proxies and certificates, and nothing else, from the given variables.
    #[must_use]
    pub fn inherit(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let wanted = |name: &str| {
            let upper = name.to_ascii_uppercase();
            upper.starts_with("PIP_")
                || upper.ends_with("_PROXY")
                || ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"].contains(&upper.as_str())
        };
        let mut home = None;
        for (name, value) in variables {
            if wanted(&name) {
                self.env.insert(name, value);
            } else if name == "HOME" {
                home = Some(PathBuf::from(value));
            }
        }
        // pip would look below HOME, which commands do not see.
        let configurations = home.into_iter().flat_map(|home| [home.join(".config/pip/pip.conf"), home.join(".pip/pip.conf")]);
        if let Some(path) = configurations.into_iter().find(|path| path.is_file()).filter(|_| !self.env.contains_key("PIP_CONFIG_FILE")) {
            self.env.insert("PIP_CONFIG_FILE".to_owned(), path.to_string_lossy().into_owned());
        }
        self
    }

    /// The environment of that lock, built when it is missing. `name` is path-safe, for example the pack's name.
    ///
    /// Only the pip step uses the network. Waits while another process builds the same one.
    pub async fn prepare(
        &self,
        name: &str,
        lock: &str,
        recorder: &Recorder,
        cancel: &CancellationToken,
    ) -> Result<Environment, EnvironmentError> {
        let interpreter = python::discover(&self.python, self.version_min).await?;
        let dir = self.data_dir.join("environments").join(format!("{name}-{}", key(lock, &interpreter)));
        let io_failed = |source| EnvironmentError::Io { path: dir.clone(), source };
        fs::create_dir_all(self.data_dir.join("environments")).map_err(io_failed)?;
        let Some(_locked) = unless_complete(&dir, name, cancel).await? else { return Ok(environment(&dir, &interpreter, false)) };
        if self.offline {
            return Err(EnvironmentError::Offline { name: name.to_owned() });
        }
        empty(&dir)?;
        let calls = Calls { name, recorder, cancel };
        self.build(&calls, lock, &dir, &interpreter).await?;
        fs::write(dir.join(MARKER), &interpreter.version).map_err(io_failed)?;
        Ok(environment(&dir, &interpreter, true))
    }

    async fn build(&self, calls: &Calls<'_>, lock: &str, dir: &Path, interpreter: &Interpreter) -> Result<(), EnvironmentError> {
        let io_failed = |source| EnvironmentError::Io { path: dir.to_owned(), source };
        let python = interpreter.executable.to_string_lossy().into_owned();
        let target = dir.to_string_lossy().into_owned();
        let create = self.command([python.as_str(), "-I", "-m", "venv", target.as_str()], dir, interpreter);
        calls.run("create", &create).await?;
        let lock_path = dir.join("requirements.lock");
        fs::write(&lock_path, lock).map_err(io_failed)?;
        let cache = self.data_dir.join("cache").join("pip");
        fs::create_dir_all(&cache).map_err(io_failed)?;
        let pip = format!("{target}/bin/python");
        let lock_path = lock_path.to_string_lossy().into_owned();
        // Wheels only: source distributions would run code of the package while it is installed. The lock names every package,
        // so nothing is resolved: older pips look for the newest one behind `package[extra]` even where a version is pinned.
        let options = [
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--no-input",
            "--disable-pip-version-check",
            "--progress-bar=off",
            "-r",
        ];
        let argv = [pip.as_str(), "-m", "pip", "install"].into_iter().chain(options).chain([lock_path.as_str()]);
        let mut install = self.command(argv, dir, interpreter);
        install.network = Network::Any;
        install.readable.push(PathBuf::from("/etc/pip.conf"));
        let values = self.env.values().flat_map(|value| value.split_whitespace()).filter(|word| word.starts_with('/'));
        install.readable.extend(values.map(PathBuf::from));
        install.env.extend(self.env.clone());
        install.env.insert("PIP_CACHE_DIR".to_owned(), cache.to_string_lossy().into_owned());
        install.writable.push(cache);
        calls.run("install", &install).await
    }

    fn command<'a>(&self, argv: impl IntoIterator<Item = &'a str>, dir: &Path, interpreter: &Interpreter) -> Command {
        let mut command = Command::new(argv, dir);
        command.confinement = command.confinement.or_weaker(self.weaker_sandbox);
        command.readable = interpreter.readable();
        command.writable = vec![dir.to_owned()];
        command.limits = Limits { wall: INSTALL_MAX, cpu_secs: INSTALL_MAX.as_secs(), ..Limits::default() };
        command.supervisor.clone_from(&self.supervisor);
        command
    }
}

impl Environment {
    /// A folder beside the environment that is filled once, by the first call; the others wait for it. `fill` says whether what it left is
    /// whole: where it is not, there is none, and the next call tries again.
    pub async fn beside<F, Fut, E>(&self, what: &str, cancel: &CancellationToken, fill: F) -> Result<Option<PathBuf>, E>
    where
        F: FnOnce(PathBuf) -> Fut,
        Fut: Future<Output = Result<bool, E>>,
        E: From<EnvironmentError>,
    {
        let name = format!("{}.{what}", self.dir.file_name().unwrap_or_default().to_string_lossy());
        let dir = self.dir.with_file_name(&name);
        let Some(_locked) = unless_complete(&dir, &name, cancel).await? else { return Ok(Some(dir)) };
        empty(&dir)?;
        if !fill(dir.clone()).await? {
            return Ok(None);
        }
        fs::write(dir.join(MARKER), &self.version).map_err(|source| EnvironmentError::Io { path: dir.clone(), source })?;
        Ok(Some(dir))
    }
}

fn environment(dir: &Path, interpreter: &Interpreter, built: bool) -> Environment {
    let readable = [dir.to_owned()].into_iter().chain(interpreter.readable()).collect();
    Environment { dir: dir.to_owned(), python: dir.join("bin").join("python"), readable, version: interpreter.version.clone(), built }
}

fn key(lock: &str, interpreter: &Interpreter) -> String {
    let text = format!("{lock}\0{}\0{}\0{}", interpreter.version, interpreter.platform, interpreter.executable.display());
    sha256(text.as_bytes())[..16].to_owned()
}

/// The right to fill a folder, which ends with the returned file; none where it is complete, also when another call filled it meanwhile.
async fn unless_complete(dir: &Path, name: &str, cancel: &CancellationToken) -> Result<Option<fs::File>, EnvironmentError> {
    let complete = || dir.join(MARKER).is_file();
    if complete() {
        return Ok(None);
    }
    let mut lock = dir.as_os_str().to_owned();
    lock.push(".lock");
    let locked = lock_file(Path::new(&lock), name, cancel).await?;
    Ok((!complete()).then_some(locked))
}

/// Makes the folder, without what a crash has left in it.
fn empty(dir: &Path) -> Result<(), EnvironmentError> {
    let failed = |source| EnvironmentError::Io { path: dir.to_owned(), source };
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    fs::create_dir_all(dir).map_err(failed)
}

/// An exclusive lock that ends with the returned file or with this process.
async fn lock_file(path: &Path, name: &str, cancel: &CancellationToken) -> Result<fs::File, EnvironmentError> {
    let failed = |source| EnvironmentError::Io { path: path.to_owned(), source };
    let file = fs::File::create(path).map_err(failed)?;
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(failed(error.into())),
        }
        tokio::select! {
            () = sleep(POLL_EVERY) => {}
            () = cancel.cancelled() => return Err(EnvironmentError::Cancelled { name: name.to_owned() }),
        }
    }
}

/// The commands that build one environment.
struct Calls<'a> {
    name: &'a str,
    recorder: &'a Recorder,
    cancel: &'a CancellationToken,
}

impl Calls<'_> {
    async fn run(&self, step: &'static str, command: &Command) -> Result<(), EnvironmentError> {
        let failed = |source| EnvironmentError::Exec { name: self.name.to_owned(), source };
        finish(step, self.name, &super::run(command, self.recorder, self.cancel).await.map_err(failed)?)
    }
}

fn finish(step: &'static str, name: &str, finished: &Finished) -> Result<(), EnvironmentError> {
    const UNREACHED: [&str; 6] =
        ["NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "name resolution", "Network is unreachable", "ProxyError"];
    let name = name.to_owned();
    match finished.exit {
        Exit::Code(0) => return Ok(()),
        Exit::Cancelled => return Err(EnvironmentError::Cancelled { name }),
        _ => {}
    }
    let output = finished.output(usize::MAX);
    let mut errors = output.lines().filter(|line| line.contains("ERROR") || line.contains("Error"));
    let reason = errors.next_back().or(output.lines().next_back()).unwrap_or("").trim().to_owned();
    if UNREACHED.iter().any(|sign| output.contains(sign)) {
        return Err(EnvironmentError::Unreachable { name, reason });
    }
    Err(EnvironmentError::Failed { step, name, reason: format!("{}: {reason}", finished.exit) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_pip_needs_is_inherited() {
        let given = [("PIP_INDEX_URL", "i"), ("https_proxy", "p"), ("SSL_CERT_FILE", "/c"), ("API_KEY", "secret"), ("PATH", "/bin")];
        let installer = Installer::new("/data").inherit(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(installer.env.into_keys().collect::<Vec<_>>(), ["PIP_INDEX_URL", "SSL_CERT_FILE", "https_proxy"]);
    }

    #[tokio::test]
    async fn what_lies_beside_an_environment_is_filled_once_and_again_where_that_failed() {
        let data = tempfile::TempDir::new().unwrap();
        let dir = data.path().join("python-1");
        let environment =
            Environment { python: dir.join("bin/python"), dir, readable: Vec::new(), version: "3.11.7".to_owned(), built: false };
        let cancel = CancellationToken::new();
        let filled = std::sync::atomic::AtomicUsize::new(0);
        let fill = |whole: bool| {
            let filled = &filled;
            move |folder: PathBuf| async move {
                filled.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                fs::write(folder.join(if whole { "kept" } else { "half" }), "").unwrap();
                sleep(Duration::from_millis(20)).await;
                Ok::<_, EnvironmentError>(whole)
            }
        };
        assert_eq!(environment.beside("types", &cancel, fill(false)).await.unwrap(), None);
        let (first, second) =
            tokio::join!(environment.beside("types", &cancel, fill(true)), environment.beside("types", &cancel, fill(true)));
        let folder = data.path().join("python-1.types");
        assert_eq!((first.unwrap(), second.unwrap()), (Some(folder.clone()), Some(folder.clone())));
        assert_eq!(filled.into_inner(), 2, "the failed one, and one for both");
        assert!(folder.join("kept").is_file() && !folder.join("half").exists(), "what was left of the first is gone");
    }
}
