//! Finding the interpreter behind a name: shims and links resolved, so that a confined command can use it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::EnvironmentError;

/// How long an interpreter may take to describe itself.
const ANSWER_MAX: Duration = Duration::from_secs(30);

const DESCRIBE: &str = "\
import importlib.util, json, os, platform, sys, sysconfig
print(json.dumps({
    'executable': os.path.realpath(sys.executable),
    'prefix': os.path.realpath(sys.base_prefix),
    'exec_prefix': os.path.realpath(sys.base_exec_prefix),
    'version': platform.python_version(),
    'major': sys.version_info[0],
    'minor': sys.version_info[1],
    'platform': sys.implementation.name + '-' + sysconfig.get_platform(),
    'venv': all(importlib.util.find_spec(name) is not None for name in ('venv', 'ensurepip')),
}))";

/// A Python installation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Interpreter {
    /// The interpreter itself, links resolved.
    pub executable: PathBuf,
    /// Its installation.
    pub prefix: PathBuf,
    /// The platform-specific part of its installation; nearly always the same directory.
    pub exec_prefix: PathBuf,
    /// Its version, for example `3.11.7`.
    pub version: String,
    /// Implementation and platform, for example `cpython-linux-x86_64`.
    pub platform: String,
    major: u32,
    minor: u32,
    venv: bool,
}

impl Interpreter {
    /// What a confined command must be able to read to run it.
    pub fn readable(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.prefix.clone(), self.exec_prefix.clone(), self.executable.clone()];
        paths.sort();
        paths.dedup();
        // A prefix of / or a home directory would open far more than an interpreter.
        paths.retain(|path| path.components().count() > 2 || path.starts_with("/usr") || path.is_file());
        paths
    }
}

/// Asks an interpreter about itself. It is the user's own and runs unconfined with the user's environment, which shims need.
pub(super) async fn discover(python: &Path, version_min: (u32, u32)) -> Result<Interpreter, EnvironmentError> {
    let missing = |reason: String| EnvironmentError::PythonMissing { python: python.to_owned(), reason };
    let mut command = Command::new(python);
    command.args(["-I", "-c", DESCRIBE]).stdin(Stdio::null()).kill_on_drop(true);
    let answer = timeout(ANSWER_MAX, command.output()).await.map_err(|_| missing("it did not answer".to_owned()))?;
    let answer = answer.map_err(|error| missing(error.to_string()))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        return Err(missing(format!("{}: {}", answer.status, said.lines().last().unwrap_or(""))));
    }
    let interpreter: Interpreter = serde_json::from_slice(&answer.stdout).map_err(|error| missing(error.to_string()))?;
    let (python, version) = (python.to_owned(), interpreter.version.clone());
    if (interpreter.major, interpreter.minor) < version_min {
        return Err(EnvironmentError::PythonTooOld { python, version, major: version_min.0, minor: version_min.1 });
    }
    if !interpreter.venv {
        return Err(EnvironmentError::VenvMissing { python, version });
    }
    Ok(interpreter)
}
