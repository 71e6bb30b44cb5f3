//! What can go wrong between specwave and PostgreSQL. The one error type of this folder.

use std::path::PathBuf;

use thiserror::Error;

/// A failed call to the store of facts.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No server answers, or it went away. The command line exits with 5.
    #[error("postgresql is not available: {detail}")]
    Unavailable {
        /// What was tried and what came back.
        detail: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The managed server cannot be prepared here.
    #[error("cannot prepare the managed postgresql: {detail}")]
    Managed {
        /// What was tried and what came back.
        detail: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A file of the managed server cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The data was made by another major version than the programs that can be had.
    #[error("the managed database was made by postgresql {recorded}, and only {available} can be had here")]
    MajorVersion {
        /// Who made the data.
        recorded: u32,
        /// What was found instead.
        available: String,
    },
    /// The server is older than what the statements need.
    #[error("postgresql {found} is too old, {needed} or newer is needed")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest one that works.
        needed: u32,
    },
    /// Row-level security would not hold for this role.
    #[error("role `{role}` is a superuser or bypasses row-level security")]
    BypassesSecurity {
        /// The role.
        role: String,
    },
    /// The tables cannot be brought to this version.
    #[error("cannot migrate the database")]
    Migration(#[from] Box<sqlx::migrate::MigrateError>),
    /// A named constraint refused a row.
    #[error("constraint `{name}` refused the change")]
    Constraint {
        /// The constraint.
        name: String,
        /// What the server said.
        source: sqlx::Error,
    },
    /// A stored value is not what this version writes.
    #[error("a stored {what} cannot be read: {detail}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A failure that several callers share, because their changes went into one transaction.
    #[error(transparent)]
    Shared(std::sync::Arc<StoreError>),
    /// Any other failed statement.
    #[error("a statement failed")]
    Statement(#[source] sqlx::Error),
}

impl StoreError {
    /// True when the same call may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Shared(error) => error.is_transient(),
            Self::Statement(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "55P03" | "57014"))
            }
            _ => false,
        }
    }

    /// True when PostgreSQL cannot be had at all, at the moment or on this machine.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Managed { .. } | Self::File { .. } => true,
            Self::MajorVersion { .. } | Self::TooOld { .. } | Self::BypassesSecurity { .. } => true,
            Self::Shared(error) => error.is_unavailable(),
            _ => false,
        }
    }

    /// What a person can do about it, when there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable { hint, .. } | Self::Managed { hint, .. } => Some(hint),
            Self::File { .. } => Some("check the owner and the mode of the data directory, or set SPECWAVE_DATA_DIR to another one"),
            Self::MajorVersion { .. } => {
                Some("install that major version of PostgreSQL, go online once so that it can be fetched, or set DATABASE_URL")
            }
            Self::TooOld { .. } => Some("point DATABASE_URL at PostgreSQL 15 or newer, or unset it to use the managed one"),
            Self::BypassesSecurity { .. } => Some(
                "make a plain role and a database that it owns: create role specwave login createrole password '…'; create database specwave owner specwave",
            ),
            Self::Migration(_) => Some("`specwave migrate status` shows what is applied"),
            Self::Shared(error) => error.hint(),
            Self::Constraint { .. } | Self::Corrupt { .. } | Self::Statement(_) => None,
        }
    }

    /// The same with the address that was tried, where no server answers.
    #[must_use]
    pub(super) fn at(self, address: &str) -> Self {
        match self {
            Self::Unavailable { detail, hint } => Self::Unavailable { detail: format!("{address}: {detail}"), hint },
            other => other,
        }
    }

    /// True when the named constraint refused the change.
    pub fn is_constraint(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint { name, .. } if name == constraint)
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers hand over an error or a text they have no more use for")]
    pub(crate) fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt { what, detail: detail.to_string() }
    }

    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

/// Codes of a server that is shutting down, starting up, out of connections, or gone, and of one that has ended a session which said nothing
/// for too long.
const UNAVAILABLE_CODES: [&str; 8] = ["57P01", "57P02", "57P03", "53300", "08000", "08003", "08006", "25P03"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = |detail: String| Self::Unavailable { detail, hint: "check that the server runs and that DATABASE_URL is right" };
        match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => {
                unavailable(error.to_string())
            }
            sqlx::Error::PoolTimedOut => unavailable("no connection could be made in time".to_owned()),
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                if UNAVAILABLE_CODES.contains(&code.as_ref()) {
                    return unavailable(database.message().to_owned());
                }
                if code.starts_with("28") || code == "3D000" {
                    return Self::Unavailable {
                        detail: database.message().to_owned(),
                        hint: "check the user, the password and the database of DATABASE_URL",
                    };
                }
                match database.constraint() {
                    Some(name) => Self::Constraint { name: name.to_owned(), source: error },
                    None => Self::Statement(error),
                }
            }
            _ => Self::Statement(error),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => match Self::from(error) {
                Self::Statement(error) => Self::Migration(Box::new(sqlx::migrate::MigrateError::Execute(error))),
                other => other,
            },
            other => Self::Migration(Box::new(other)),
        }
    }
}
