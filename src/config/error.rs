//! What can be wrong with the settings, and where a value came from.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// What can be wrong with the settings.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A settings file cannot be read.
    #[error("cannot read settings from {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A settings file is not TOML.
    #[error("{origin} is not valid TOML: {message}")]
    Syntax {
        /// The file.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// A setting that does not exist.
    #[error("unknown setting `{key}` in {origin}\n  hint: {hint}")]
    Unknown {
        /// Its name.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The nearest one that exists.
        hint: String,
    },
    /// A value of the wrong kind or outside its range.
    #[error("setting `{key}` from {origin} is {value}, expected {expected}")]
    Invalid {
        /// Its name.
        key: String,
        /// Where it came from.
        origin: Origin,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
}

impl ConfigError {
    /// What to do about it, where the message does not say so itself.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } => Some("make the file readable, or remove it: every setting has a default"),
            Self::Syntax { .. } => Some("`specwave config` shows every setting once the file can be read"),
            Self::Unknown { .. } => None,
            Self::Invalid { .. } => Some("`specwave config` shows every setting and where its value comes from"),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The program.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Environment(&'static str),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File(path) => write!(out, "{}", path.display()),
            Self::Environment(name) => write!(out, "environment {name}"),
            Self::Flag => out.write_str("flag"),
        }
    }
}
