//! Why there is no environment, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::exec::ExecError;

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// There is no interpreter of that name.
    #[error("cannot run {python}: {reason}")]
    PythonMissing {
        /// What was tried.
        python: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The interpreter is too old.
    #[error("{python} is Python {version}, but {major}.{minor} or later is needed")]
    PythonTooOld {
        /// What was tried.
        python: PathBuf,
        /// Its version.
        version: String,
        /// The oldest major version that will do.
        major: u32,
        /// The oldest minor version that will do.
        minor: u32,
    },
    /// The interpreter cannot make environments.
    #[error("{python} (Python {version}) has no venv module with pip")]
    VenvMissing {
        /// What was tried.
        python: PathBuf,
        /// Its version.
        version: String,
    },
    /// It would have to be downloaded.
    #[error("the environment {name} is not installed and downloads are switched off")]
    Offline {
        /// Its name.
        name: String,
    },
    /// The package index was not reached.
    #[error("cannot reach the package index to install the environment {name}: {reason}")]
    Unreachable {
        /// Its name.
        name: String,
        /// What pip said.
        reason: String,
    },
    /// An installation step failed.
    #[error("cannot {step} the environment {name}: {reason}")]
    Failed {
        /// `create` or `install`.
        step: &'static str,
        /// Its name.
        name: String,
        /// How it ended and what it said last.
        reason: String,
    },
    /// A step could not be run.
    #[error("cannot prepare the environment {name}")]
    Exec {
        /// Its name.
        name: String,
        /// Why.
        source: ExecError,
    },
    /// The data directory cannot be used.
    #[error("cannot use {path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was cancelled.
    #[error("preparing the environment {name} was cancelled")]
    Cancelled {
        /// Its name.
        name: String,
    },
}

impl EnvironmentError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::PythonMissing { .. } | Self::PythonTooOld { .. } => "install Python 3.11 or later, or name one with --python",
            Self::VenvMissing { .. } => "install it (Debian, Ubuntu: apt install python3-venv), or name another Python with --python",
            Self::Offline { .. } => "run once without --offline",
            Self::Unreachable { .. } => "check the network, the proxy settings and pip's index configuration, then run again",
            Self::Failed { .. } | Self::Exec { .. } => "run again; if it fails again, look at what pip said",
            Self::Io { .. } => "check that the data directory is writable and has space, or move it with SPECWAVE_DATA_DIR",
            Self::Cancelled { .. } => "run again; what was half-built is removed first",
        }
    }

    /// True when the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. }) || matches!(self, Self::Exec { source, .. } if source.is_transient())
    }
}
