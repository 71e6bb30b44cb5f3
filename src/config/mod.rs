//! Settings: parsed once, validated at start, passed down; the only module that reads the environment.
//!
//! Precedence: flag > environment > `./specwave.toml` > the user's `config.toml` > `default.toml`.
//! Every value remembers where it came from, so that `specwave config` can say so.

mod agents;
mod error;
mod layers;
mod scheduling;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use layers::{DEFAULTS, ENVIRONMENT, Layers, files, parse_scalar, read_bounded};

pub use agents::{AgentSettings, Environment, ModelSettings};
pub use error::{ConfigError, Origin};
pub use scheduling::SchedulingSettings;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one who must use it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// Which embedder to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedderChoice {
    /// The neural one when it is prepared, else the lexical one.
    Auto,
    /// The neural one or nothing.
    Fastembed,
    /// The lexical one.
    Lexical,
}

/// A Neo4j server and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphServer {
    /// `bolt://host:port` or `neo4j://host:port`.
    pub uri: String,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// A Qdrant server and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorsServer {
    /// `http://host:6334`, the gRPC port.
    pub url: String,
    /// Its key, where it wants one.
    pub api_key: Option<Secret>,
}

/// When the circuit to a store opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it, 1 to 100.
    pub failures: u32,
    /// How long it stays open before one call tries again.
    pub open: Duration,
}

/// How the HTTP interface is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// The bearer token that every call must carry, at least 32 bytes; needed beyond loopback.
    pub token: Option<Secret>,
    /// Below it every run that was submitted over HTTP gets its output directory.
    pub output_root: PathBuf,
    /// Runs that this process drives at once, 1 to 64.
    pub runs: usize,
}

/// Every setting.
#[derive(Clone)]
pub struct Config {
    /// Where everything that is kept lives.
    pub data_dir: PathBuf,
    /// A PostgreSQL to use instead of the managed one.
    pub database_url: Option<Secret>,
    /// A Neo4j to use instead of graphs in this process.
    pub graph: Option<GraphServer>,
    /// A Qdrant to use instead of the engine in this process.
    pub vectors: Option<VectorsServer>,
    /// A Redis to use instead of the cache in this process; the password is part of it.
    pub cache_url: Option<Secret>,
    /// When a store that fails is left alone for a while.
    pub breaker: BreakerSettings,
    /// How the HTTP interface is served.
    pub http: HttpSettings,
    /// True: reach for nothing beyond this machine.
    pub offline: bool,
    /// False: a command whose sandbox this machine cannot offer runs with a weaker one, or with none.
    pub sandbox_required: bool,
    /// The target pack, when the specification does not name one.
    pub target: String,
    /// Units that are worked on at once, 1 to 256.
    pub concurrency: usize,
    /// How long one unit may take.
    pub unit_timeout: Duration,
    /// True: waves are barriers.
    pub strict_waves: bool,
    /// What is run on the branch at the end of each wave; empty: nothing.
    pub wave_check: Vec<String>,
    /// How long that may take.
    pub wave_check_wall: Duration,
    /// How long Ctrl-C lets running units finish.
    pub grace: Duration,
    /// How units are chosen, limited, repeated and handed on.
    pub scheduling: SchedulingSettings,
    /// Who is sent to what no generator builds.
    pub agents: AgentSettings,
    /// Which embedder to use.
    pub embedder: EmbedderChoice,
    /// An ONNX Runtime library to use instead of the prepared one.
    pub embedder_library: Option<PathBuf>,
    /// The Python interpreter.
    pub python: String,
    /// The name of the person at the terminal, for the audit log.
    pub user: String,
    /// The variables of this process, for package installers that need its proxies, indexes and certificates.
    pub inherited: Vec<(String, String)>,
    entries: Vec<Entry>,
}

/// One setting as `specwave config` shows it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Dotted name.
    pub key: String,
    /// Its value; secrets are redacted.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.entries.iter().map(|entry| (&entry.key, &entry.value))).finish()
    }
}

impl Config {
    /// Reads all layers. `flags` holds dotted names and values from the command line.
    pub fn load(flags: &[(&'static str, Value)]) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        layers.add_toml(DEFAULTS, &Origin::Default)?;
        for path in files() {
            if let Some(text) = read_bounded(&path)? {
                layers.add_toml(&text, &Origin::File(path))?;
            }
        }
        for (variable, key) in ENVIRONMENT {
            if let Ok(text) = std::env::var(variable) {
                layers.set(key, parse_scalar(&layers, key, &text), Origin::Environment(variable));
            }
        }
        for (key, value) in flags {
            layers.set(key, value.clone(), Origin::Flag);
        }
        layers.finish()
    }

    /// Every setting with its origin, by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn load(file: &str) -> Result<Config, ConfigError> {
        let mut layers = Layers::default();
        layers.add_toml(DEFAULTS, &Origin::Default)?;
        layers.add_toml(file, &Origin::File(PathBuf::from("specwave.toml")))?;
        layers.finish()
    }

    pub(super) fn check_error(file: &str, expected: &str) {
        assert_eq!(load(file).map(|_| ()).expect_err("the file is wrong").to_string(), expected);
    }

    #[test]
    fn file_overrides_default_and_says_so() {
        let config = load("[run]\nconcurrency = 9").expect("valid");
        assert_eq!(config.concurrency, 9);
        let origin = |key: &str| config.entries().iter().find(|entry| entry.key == key).map(|entry| entry.origin.to_string());
        assert_eq!(origin("run.concurrency").as_deref(), Some("specwave.toml"));
        assert_eq!(origin("run.target").as_deref(), Some("default"));
    }

    #[test]
    fn unknown_setting_names_the_nearest() {
        check_error(
            "[run]\nconcurency = 9",
            "unknown setting `run.concurency` in specwave.toml\n  hint: did you mean `run.concurrency`? `specwave config` lists every setting",
        );
    }

    #[test]
    fn values_outside_their_range_are_refused() {
        check_error("[run]\nconcurrency = 0", "setting `run.concurrency` from specwave.toml is 0, expected a whole number from 1 to 256");
        check_error("offline = 3", "setting `offline` from specwave.toml is 3, expected true or false");
        check_error(
            "[embedder]\nkind = \"magic\"",
            "setting `embedder.kind` from specwave.toml is \"magic\", expected auto, fastembed or lexical",
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        let config = load("database_url = \"postgres://u:hunter2@h/d\"").expect("valid");
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
