//! Why a repository cannot be used.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is no git.
    #[error("cannot run the program git ({program})")]
    NoGit {
        /// What was tried.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too old.
    #[error("git {found} is too old: {needed} or later is needed")]
    OldGit {
        /// What it says of itself.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// The directory belongs to no repository, or to one that git does not trust.
    #[error("{path} cannot be used as a git repository: {reason}")]
    NotARepository {
        /// Which.
        path: PathBuf,
        /// What git said.
        reason: String,
    },
    /// The repository is in a state in which a run cannot start from it.
    #[error("the repository {path} cannot be used: {reason}")]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A run's id or slug, which become parts of paths and branch names, holds something else than letters, digits, `-` and `_`.
    #[error("{name:?} cannot be part of a branch's name")]
    Name {
        /// Which.
        name: String,
    },
    /// There is no such commit or branch.
    #[error("the repository {path} has no commit {name}")]
    Unknown {
        /// Which repository.
        path: PathBuf,
        /// What was looked for.
        name: String,
    },
    /// Git failed.
    #[error("git {action} failed with code {code}: {said}")]
    Failed {
        /// The subcommand.
        action: String,
        /// Its exit code; -1 when a signal ended it.
        code: i32,
        /// What it said, cut.
        said: String,
    },
    /// Git answered something that cannot be read.
    #[error("git {action} answered something unexpected: {reason}")]
    Unreadable {
        /// The subcommand.
        action: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Git did not end in time.
    #[error("git {action} did not end within {after:?}")]
    TimedOut {
        /// The subcommand.
        action: String,
        /// Its deadline.
        after: Duration,
    },
    /// Something is larger than anything that is worked with.
    #[error("{what} is more than {limit}")]
    TooMuch {
        /// What.
        what: &'static str,
        /// The limit, with its unit.
        limit: String,
    },
    /// There is nothing to commit.
    #[error("unit {unit} changed nothing")]
    Unchanged {
        /// Which.
        unit: String,
    },
    /// Somebody else holds the lock.
    #[error("{path} is in use by another worker, after waiting {waited:?}")]
    Locked {
        /// The lock.
        path: PathBuf,
        /// How long one waited.
        waited: Duration,
    },
    /// It was called off.
    #[error("cancelled while waiting for {path}")]
    Cancelled {
        /// The lock.
        path: PathBuf,
    },
    /// The branch moved under somebody else's hand every time.
    #[error("the branch {branch} moves while the lock on it is held")]
    Moving {
        /// Which.
        branch: String,
    },
    /// The caller's own check, right before the branch moves, failed.
    #[error("cannot tell whether the merge may go on: {source}")]
    Recheck {
        /// What the check said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file system failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl RepositoryError {
    /// The variant for an error of the file system.
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// The variant for an answer that cannot be read.
    pub(super) fn unreadable(action: &str, reason: impl Into<String>) -> Self {
        Self::Unreadable { action: action.to_owned(), reason: reason.into() }
    }

    /// The task that blocks was lost: it panicked, or the runtime is going down.
    pub(super) fn lost(error: &tokio::task::JoinError) -> Self {
        Self::Io { action: "finish work on", path: PathBuf::from("the file system"), source: io::Error::other(error.to_string()) }
    }

    /// True when the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Locked { .. } | Self::Moving { .. } | Self::Recheck { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::Other
            ),
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoGit { .. } => "install git, for example with `apt-get install git`",
            Self::OldGit { .. } => "install a newer git",
            Self::NotARepository { .. } => {
                "name a directory inside a git repository that belongs to you; make one with `git init` and a first commit"
            }
            Self::Refused { hint, .. } => hint,
            Self::Name { .. } => "use letters, digits, - and _",
            Self::Unknown { .. } => "name a branch, tag or commit that exists in it",
            Self::Failed { .. } | Self::Unreadable { .. } => "look at the repository with `git fsck`, then run again",
            Self::TimedOut { .. } => "the disk may be slow or busy; run again",
            Self::TooMuch { .. } => "split the unit, or keep what is built out of the tree with .gitignore",
            Self::Unchanged { .. } => "look at the agent's transcript: it did no work that is kept",
            Self::Locked { .. } | Self::Moving { .. } => "wait until the other worker is done, then run again",
            Self::Cancelled { .. } => "run again",
            Self::Recheck { .. } => "see whether the database answers, then run again",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, or move the data directory with SPECWAVE_DATA_DIR"
                }
                _ => "check the data directory's owner and permissions",
            },
        }
    }
}
