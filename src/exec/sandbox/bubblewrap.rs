//! bubblewrap: a command in namespaces of its own, where it is installed and the machine lets it.
//!
//! A command sees a root directory made of read-only binds of what it may read, binds of what it may write, an own `/proc`, `/dev`
//! and `/tmp`, its own processes only and, without network, an own loopback interface only. Landlock and the filter of system calls
//! are applied inside. Default containers refuse it; [`probe`] says why. Called by the sandbox and the supervisor; it starts
//! nothing but the probe.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::paths::SYSTEM_PATHS;
use super::{Command, Network};

/// Where it may be: only where nobody but root puts programs.
const PROGRAMS: [&str; 3] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"];
/// How long the trial may take: a loaded machine starts two processes in far less.
const PROBE_MAX: Duration = Duration::from_secs(10);
/// How often the trial is looked at.
const POLL_EVERY: Duration = Duration::from_millis(5);
/// So much of what it complains about is told.
const COMPLAINT_CHARS_MAX: usize = 200;
/// What root's commands keep, see `ruleset`.
const KEPT_CAPABILITIES: [&str; 6] = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETGID", "CAP_SETUID"];

/// The program, when it is installed.
pub(in crate::exec) fn program() -> Option<PathBuf> {
    PROGRAMS.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Runs a command that does nothing, just as a real one would be run.
pub(super) fn probe() -> Result<(), String> {
    let program = program().ok_or_else(|| format!("bubblewrap is not installed ({})", PROGRAMS.join(", ")))?;
    let scratch = tempfile::Builder::new().prefix("specwave-probe-").tempdir().map_err(|error| format!("no scratch directory: {error}"))?;
    let failed = |error: io::Error| format!("{} cannot be tried: {error}", program.display());
    fs::create_dir(scratch.path().join("tmp")).map_err(failed)?;
    let arguments = arguments(&Command::new(["true"], "/usr"), scratch.path()).map_err(|error| format!("bubblewrap: {error}"))?;
    let mut trial = Process::new(&program);
    trial.args(arguments).args(["--", "/usr/bin/env", "true"]).env_clear();
    let mut child = trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let ended = wait(&mut child).map_err(failed)?;
    let complaint = child.stderr.take().map(io::read_to_string).and_then(Result::ok).unwrap_or_default();
    match ended {
        Some(true) => Ok(()),
        Some(false) => Err(format!("bubblewrap does not work here: {}", first_line(&complaint))),
        None => Err("bubblewrap did not end in time".to_owned()),
    }
}

/// True when it succeeded; none when it had to be killed.
fn wait(child: &mut Child) -> io::Result<Option<bool>> {
    let deadline = Instant::now() + PROBE_MAX;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL_EVERY);
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    line.trim().chars().take(COMPLAINT_CHARS_MAX).collect()
}

/// How a path is seen from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bind {
    ReadOnly,
    Writable,
}

/// Everything before `--` and the program.
///
/// # Errors
/// When a writable path does not exist.
pub(in crate::exec) fn arguments(command: &Command, scratch: &Path) -> Result<Vec<OsString>, String> {
    let mut words: Vec<OsString> = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"].map(OsString::from).into();
    if command.network == Network::None {
        words.push("--unshare-net".into());
    }
    words.extend(["--die-with-parent", "--new-session", "--hostname", "sandbox"].map(OsString::from));
    if rustix::process::getuid().is_root() {
        words.extend(["--cap-drop", "ALL"].map(OsString::from));
        words.extend(KEPT_CAPABILITIES.iter().flat_map(|capability| ["--cap-add", capability]).map(OsString::from));
    }
    words.extend(["--proc", "/proc", "--dev", "/dev"].map(OsString::from));
    // What is written there counts against the limit on disk like everything in the scratch directory.
    words.extend(["--bind".into(), scratch.join("tmp").into(), "/tmp".into()]);
    for (path, bind) in binds(command, scratch)? {
        let option = if bind == Bind::Writable { "--bind" } else { "--ro-bind-try" };
        words.extend([option.into(), path.clone().into(), path.into()]);
    }
    words.extend(["--chdir".into(), "/".into()]);
    Ok(words)
}

/// Parents before what is in them, so that nothing is hidden by a later bind; of two wishes for one path the wider holds.
fn binds(command: &Command, scratch: &Path) -> Result<Vec<(PathBuf, Bind)>, String> {
    let mut found: BTreeMap<PathBuf, Bind> = BTreeMap::new();
    let mut add = |path: &Path, bind: Bind| {
        // Links lead to the same place inside as outside only when that place is there too.
        for path in [Some(path.to_owned()), fs::canonicalize(path).ok()].into_iter().flatten() {
            let held = found.entry(path).or_insert(bind);
            *held = bind.max(*held);
        }
    };
    let system = SYSTEM_PATHS.iter().map(Path::new).filter(|path| !path.starts_with("/proc") && !path.starts_with("/dev"));
    let named = command.readable.iter().map(PathBuf::as_path).chain([command.dir.as_path()]);
    system.chain(named.filter(|path| *path != Path::new("/"))).for_each(|path| add(path, Bind::ReadOnly));
    for path in command.writable.iter().map(PathBuf::as_path).chain([scratch]) {
        fs::metadata(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        add(path, Bind::Writable);
    }
    // Maps are ordered by component, and a parent comes before its children.
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_stand_in_order_and_the_wider_wish_holds() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (inner, link) = (root.join("inner"), root.join("link"));
        fs::create_dir(&inner).unwrap();
        std::os::unix::fs::symlink(&inner, &link).unwrap();
        let mut command = Command::new(["true"], &root);
        command.readable = vec![inner.clone()];
        command.writable = vec![link.clone()];
        let scratch = tempfile::tempdir().unwrap();
        let found = binds(&command, scratch.path()).unwrap();
        let at = |path: &Path| found.iter().position(|(found, _)| found == path).unwrap();
        assert!(at(&root) < at(&inner));
        assert_eq!((found[at(&root)].1, found[at(&inner)].1, found[at(&link)].1), (Bind::ReadOnly, Bind::Writable, Bind::Writable));
        command.writable = vec![root.join("gone")];
        assert!(binds(&command, scratch.path()).unwrap_err().contains("gone"));
    }

    #[test]
    fn without_network_there_is_none_and_with_ports_it_is_shared() {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = Command::new(["true"], "/usr");
        let unshared = |command: &Command| arguments(command, scratch.path()).unwrap().contains(&"--unshare-net".into());
        assert!(unshared(&command));
        command.network = Network::Ports(vec![1]);
        assert!(!unshared(&command));
    }
}
