//! Settings: parsed once, validated at start, passed down; the only module that reads the environment.
//!
//! Precedence: flag > environment > `./specwave.toml` > the user's `config.toml` > `default.toml`.
//! Every value remembers where it came from, so that `specwave config` can say so.

mod agents;
mod scheduling;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use toml::Value;

pub use agents::{AgentSettings, Environment, ModelSettings};
pub use scheduling::SchedulingSettings;

const DEFAULTS: &str = include_str!("default.toml");
/// The shortest bearer token that is taken: what is shorter can be guessed.
const TOKEN_BYTES_MIN: usize = 32;
/// A command with more words had better be a script.
const WAVE_CHECK_WORDS_MAX: usize = 100;
/// The largest settings file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Environment variables and the settings they stand for.
const ENVIRONMENT: [(&str, &str); 25] = [
    ("SPECWAVE_DATA_DIR", "data_dir"),
    ("DATABASE_URL", "database_url"),
    ("NEO4J_URI", "graph.uri"),
    ("NEO4J_USER", "graph.user"),
    ("NEO4J_PASSWORD", "graph.password"),
    ("QDRANT_URL", "vectors.url"),
    ("QDRANT_API_KEY", "vectors.api_key"),
    ("REDIS_URL", "cache.url"),
    ("SPECWAVE_HTTP_ADDRESS", "http.address"),
    ("SPECWAVE_HTTP_TOKEN", "http.token"),
    ("SPECWAVE_OFFLINE", "offline"),
    ("SPECWAVE_TARGET", "run.target"),
    ("SPECWAVE_CONCURRENCY", "run.concurrency"),
    ("SPECWAVE_UNIT_TIMEOUT_SECS", "run.unit_timeout_secs"),
    ("SPECWAVE_LEASE_SECS", "engine.lease_secs"),
    ("SPECWAVE_EMBEDDER", "embedder.kind"),
    ("ORT_DYLIB_PATH", "embedder.library"),
    ("SPECWAVE_PYTHON", "python.command"),
    ("SPECWAVE_AGENT", "agents.default"),
    ("SPECWAVE_LLM_PROVIDER", "llm.provider"),
    ("SPECWAVE_LLM_MODEL", "llm.model"),
    ("SPECWAVE_LLM_BASE_URL", "llm.base_url"),
    ("SPECWAVE_LLM_API_KEY", "llm.api_key"),
    ("ANTHROPIC_API_KEY", "llm.anthropic_api_key"),
    ("OPENAI_API_KEY", "llm.openai_api_key"),
];

/// Settings whose value `specwave config` and `Debug` never show.
const SECRETS: [&str; 8] = [
    "database_url",
    "graph.password",
    "vectors.api_key",
    "cache.url",
    "http.token",
    "llm.api_key",
    "llm.anthropic_api_key",
    "llm.openai_api_key",
];

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

#[derive(Default)]
struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    fn add_toml(&mut self, text: &str, origin: &Origin) -> Result<(), ConfigError> {
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax { origin: origin.clone(), message: error.to_string() })?;
        for (key, value) in flatten("", table) {
            if *origin != Origin::Default && !self.values.contains_key(&key) {
                let hint = nearest(&key, self.values.keys());
                return Err(ConfigError::Unknown { key, origin: origin.clone(), hint });
            }
            self.values.insert(key, (value, origin.clone()));
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        self.values.insert(key.to_owned(), (value, origin));
    }

    fn finish(self) -> Result<Config, ConfigError> {
        let data_dir = match self.text("data_dir")? {
            "" => default_data_dir(),
            path => std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)),
        };
        let database_url = self.secret("database_url")?;
        let embedder = match self.text("embedder.kind")? {
            "auto" => EmbedderChoice::Auto,
            "fastembed" => EmbedderChoice::Fastembed,
            "lexical" => EmbedderChoice::Lexical,
            _ => return Err(self.invalid("embedder.kind", "auto, fastembed or lexical")),
        };
        let graph = match self.text("graph.uri")? {
            "" => None,
            uri => Some(GraphServer {
                uri: uri.to_owned(),
                user: self.text("graph.user")?.to_owned(),
                password: self
                    .secret("graph.password")?
                    .ok_or_else(|| self.invalid("graph.password", "the password of the Neo4j server"))?,
            }),
        };
        let vectors = match self.text("vectors.url")? {
            "" => None,
            url => Some(VectorsServer { url: url.to_owned(), api_key: self.secret("vectors.api_key")? }),
        };
        let inherited: Vec<(String, String)> =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        let config = Config {
            database_url,
            graph,
            vectors,
            cache_url: self.secret("cache.url")?,
            breaker: BreakerSettings {
                failures: u32::try_from(self.integer("breaker.failures", 1, 100, "a whole number from 1 to 100")?).unwrap_or(1),
                open: self.seconds("breaker.open_secs", 1, 3_600, "seconds from 1 to 3600")?,
            },
            http: self.http(&data_dir)?,
            offline: self.boolean("offline")?,
            sandbox_required: self.boolean("sandbox.required")?,
            target: self.text("run.target")?.to_owned(),
            concurrency: usize::try_from(self.integer("run.concurrency", 1, 256, "a whole number from 1 to 256")?).unwrap_or(1),
            unit_timeout: self.seconds("run.unit_timeout_secs", 1, 86_400, "seconds from 1 to 86400")?,
            strict_waves: self.boolean("run.strict_waves")?,
            wave_check: self.texts("run.wave_check", WAVE_CHECK_WORDS_MAX)?,
            wave_check_wall: self.seconds("run.wave_check_secs", 1, 86_400, "seconds from 1 to 86400")?,
            grace: self.seconds("run.grace_secs", 0, 600, "seconds from 0 to 600")?,
            scheduling: self.scheduling()?,
            agents: self.agents(&inherited)?,
            embedder,
            embedder_library: Some(self.text("embedder.library")?).filter(|path| !path.is_empty()).map(PathBuf::from),
            python: self.text("python.command")?.to_owned(),
            user: std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "local".to_owned()),
            inherited,
            entries: self.entries(&data_dir),
            data_dir,
        };
        Ok(config)
    }

    fn http(&self, data_dir: &Path) -> Result<HttpSettings, ConfigError> {
        let address =
            self.text("http.address")?.parse().map_err(|_| self.invalid("http.address", "an address and a port, 127.0.0.1:7070"))?;
        let token = self.secret("http.token")?;
        if token.as_ref().is_some_and(|token| token.expose().len() < TOKEN_BYTES_MIN) {
            return Err(self.invalid("http.token", "at least 32 bytes"));
        }
        let output_root = match self.text("http.output_root")? {
            "" => data_dir.join("outputs"),
            path => std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)),
        };
        let runs = usize::try_from(self.integer("http.runs", 1, 64, "a whole number from 1 to 64")?).unwrap_or(1);
        Ok(HttpSettings { address, token, output_root, runs })
    }

    fn entries(&self, data_dir: &Path) -> Vec<Entry> {
        let shown = |key: &str, value: &Value| match (key, value) {
            (_, Value::String(text)) if text.is_empty() && key == "data_dir" => data_dir.display().to_string(),
            (_, Value::String(text)) if SECRETS.contains(&key) => if text.is_empty() { "" } else { "[redacted]" }.to_owned(),
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        };
        let entry = |(key, (value, origin)): (&String, &(Value, Origin))| Entry {
            key: key.clone(),
            value: shown(key, value),
            origin: origin.clone(),
        };
        self.values.iter().map(entry).collect()
    }

    fn text(&self, key: &str) -> Result<&str, ConfigError> {
        self.get(key).as_str().ok_or_else(|| self.invalid(key, "a text"))
    }

    fn secret(&self, key: &str) -> Result<Option<Secret>, ConfigError> {
        Ok(Some(self.text(key)?).filter(|text| !text.is_empty()).map(|text| Secret(text.to_owned())))
    }

    fn boolean(&self, key: &str) -> Result<bool, ConfigError> {
        self.get(key).as_bool().ok_or_else(|| self.invalid(key, "true or false"))
    }

    fn integer(&self, key: &str, min: i64, max: i64, expected: &'static str) -> Result<i64, ConfigError> {
        self.get(key).as_integer().filter(|number| (min..=max).contains(number)).ok_or_else(|| self.invalid(key, expected))
    }

    fn seconds(&self, key: &str, min: i64, max: i64, expected: &'static str) -> Result<Duration, ConfigError> {
        self.integer(key, min, max, expected).map(|secs| Duration::from_secs(secs.unsigned_abs()))
    }

    fn get(&self, key: &str) -> &Value {
        &self.values.get(key).expect("default.toml names every setting").0
    }

    fn invalid(&self, key: &str, expected: &'static str) -> ConfigError {
        let (value, origin) = self.values.get(key).expect("default.toml names every setting");
        let value = if SECRETS.contains(&key) { "[redacted]".to_owned() } else { value.to_string() };
        ConfigError::Invalid { key: key.to_owned(), origin: origin.clone(), value, expected }
    }
}

/// The user's file, then the project's.
fn files() -> Vec<PathBuf> {
    let user = directories::ProjectDirs::from("", "", "specwave").map(|dirs| dirs.config_dir().join("config.toml"));
    user.into_iter().chain([PathBuf::from("specwave.toml")]).collect()
}

fn read_bounded(path: &Path) -> Result<Option<String>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            Err(unreadable(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes"))))
        }
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(unreadable),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

/// `/var/lib/specwave` for root, whose home other users (such as the database's) cannot enter; else the user's data directory.
fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/specwave");
    }
    directories::ProjectDirs::from("", "", "specwave").map_or_else(|| PathBuf::from(".specwave-data"), |dirs| dirs.data_dir().to_owned())
}

/// A variable's text as the kind of value that its setting has.
fn parse_scalar(layers: &Layers, key: &str, text: &str) -> Value {
    match layers.get(key) {
        Value::Boolean(_) => match text {
            "1" | "true" | "yes" => Value::Boolean(true),
            "" | "0" | "false" | "no" => Value::Boolean(false),
            other => Value::String(other.to_owned()),
        },
        Value::Integer(_) => text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
        _ => Value::String(text.to_owned()),
    }
}

fn flatten(prefix: &str, table: toml::Table) -> Vec<(String, Value)> {
    let named = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    table
        .into_iter()
        .flat_map(|(key, value)| match value {
            Value::Table(inner) if prefix.is_empty() => flatten(&named(&key), inner),
            value => vec![(named(&key), value)],
        })
        .collect()
}

fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let near = known.min_by_key(|candidate| {
        let name = candidate.rsplit('.').next().unwrap_or(candidate);
        let shared = name.chars().zip(last.chars()).take_while(|(left, right)| left == right).count();
        let elsewhere = candidate.strip_suffix(name) != key.strip_suffix(last);
        (usize::from(!(name.contains(last) || last.contains(name))), name.len().max(last.len()) - shared, elsewhere)
    });
    near.map_or_else(
        || "`specwave config` lists every setting".to_owned(),
        |name| format!("did you mean `{name}`? `specwave config` lists every setting"),
    )
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
