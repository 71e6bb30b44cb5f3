//! Stores of a test's own, real servers that it may kill: what `scripts/stack` starts, in a scratch folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::installation::{alive, until};

/// A graph server takes half a gigabyte and a core to start: one stack at a time.
static ONE: Mutex<()> = Mutex::new(());

/// PostgreSQL, Neo4j and Redis; dropped, they end.
pub struct Stack {
    folder: TempDir,
    environment: BTreeMap<String, String>,
    _turn: MutexGuard<'static, ()>,
}

impl Stack {
    /// Starts them.
    pub fn up() -> Self {
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = TempDir::new().unwrap();
        // PostgreSQL's account must get there.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut stack = Self { folder, environment: BTreeMap::new(), _turn: turn };
        stack.start();
        stack.environment = stack.told();
        stack
    }

    /// Starts those that do not run.
    pub fn start(&self) {
        let output = self.script(&["up"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Ends one of them without a warning.
    pub fn kill(&self, service: &str) {
        let text = std::fs::read_to_string(self.folder.path().join(service).join("pid")).unwrap();
        let pid: i32 = text.split(' ').next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        until("the store ended", || !alive(pid));
    }

    /// The settings that make specwave use them, whether they run or not.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    fn told(&self) -> BTreeMap<String, String> {
        let output = self.script(&["env"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let pairs = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.replace('\\', ""))).collect()
    }

    fn script(&self, arguments: &[&str]) -> Command {
        let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/stack");
        let mut command = Command::new(path);
        command.args(arguments).env("SPECWAVE_STACK_DIR", self.folder.path()).env_remove("QDRANT_URL").stdin(Stdio::null());
        command
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.script(&["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
