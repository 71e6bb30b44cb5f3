//! Why an output directory cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::exec::tree::PathError;

/// Why an output directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It is a file, or a part of its path is.
    #[error("the output directory {path} is not a directory")]
    NotADirectory {
        /// Which.
        path: PathBuf,
    },
    /// Another process delivers into it.
    #[error("another specwave process is using the output directory {path}")]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// It may not be written to.
    #[error("cannot write to {path}: {source}")]
    ReadOnly {
        /// What was tried.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no space left for it.
    #[error("no space left to write {path}: {source}")]
    NoSpace {
        /// What was tried.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else went wrong.
    #[error("cannot use {path}: {source}")]
    Io {
        /// What was tried.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The tree holds a path that no project may deliver.
    #[error("the tree holds {path}, which is never delivered because it may belong to somebody else")]
    Protected {
        /// Which.
        path: String,
    },
    /// The tree holds a path that is not safe.
    #[error(transparent)]
    Unsafe(#[from] PathError),
    /// Our own notes in it cannot be read.
    #[error("cannot understand {path}: {reason}")]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nothing was delivered that could be undone.
    #[error("nothing to undo in {path}")]
    NothingToUndo {
        /// Which directory.
        path: PathBuf,
    },
    /// The caller may not deliver any more.
    #[error("the delivery into {path} was stopped: {source}")]
    Superseded {
        /// Which directory.
        path: PathBuf,
        /// What the caller's check said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A test's crash.
    #[cfg(test)]
    #[error("interrupted")]
    Interrupted,
}

impl OutputError {
    /// The variant for an error of the operating system.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, source },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::NoSpace { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// True when the same delivery may succeed once somebody has made room, or another process has ended.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::ReadOnly { .. } | Self::NoSpace { .. } | Self::Io { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotADirectory { .. } => "name a directory with --out",
            Self::Locked { .. } => "wait until the other run has ended, or name another directory with --out",
            Self::ReadOnly { .. } => "make the directory writable, or name another one with --out",
            Self::NoSpace { .. } => "free some space and run again; nothing was half-written",
            Self::Io { .. } => "check the directory and run again; an interrupted delivery is completed first",
            Self::Protected { .. } => "remove that file from what is generated",
            Self::Unsafe(error) => error.hint(),
            Self::Corrupt { .. } => "move the directory's .specwave folder away; its files then count as foreign",
            Self::NothingToUndo { .. } => "only the last delivery can be undone, once",
            Self::Superseded { .. } => "look at the run that took over",
            #[cfg(test)]
            Self::Interrupted => "",
        }
    }
}
