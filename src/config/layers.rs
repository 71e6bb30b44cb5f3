//! The layers of settings, one over the other, and the whole of them as [`Config`].
//!
//! Called by [`Config::load`] alone. Each value is checked where it is taken out; where it came from is kept beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::{BreakerSettings, Config, ConfigError, EmbedderChoice, Entry, GraphServer, HttpSettings, Origin, Secret, VectorsServer};

pub(super) const DEFAULTS: &str = include_str!("default.toml");
/// The shortest bearer token that is taken: what is shorter can be guessed.
const TOKEN_BYTES_MIN: usize = 32;
/// A command with more words had better be a script.
const WAVE_CHECK_WORDS_MAX: usize = 100;
/// The largest settings file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Environment variables and the settings they stand for.
pub(super) const ENVIRONMENT: [(&str, &str); 25] = [
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

#[derive(Default)]
pub(super) struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    pub(super) fn add_toml(&mut self, text: &str, origin: &Origin) -> Result<(), ConfigError> {
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

    pub(super) fn set(&mut self, key: &str, value: Value, origin: Origin) {
        self.values.insert(key.to_owned(), (value, origin));
    }

    pub(super) fn finish(self) -> Result<Config, ConfigError> {
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

    pub(super) fn text(&self, key: &str) -> Result<&str, ConfigError> {
        self.get(key).as_str().ok_or_else(|| self.invalid(key, "a text"))
    }

    pub(super) fn secret(&self, key: &str) -> Result<Option<Secret>, ConfigError> {
        Ok(Some(self.text(key)?).filter(|text| !text.is_empty()).map(|text| Secret(text.to_owned())))
    }

    pub(super) fn boolean(&self, key: &str) -> Result<bool, ConfigError> {
        self.get(key).as_bool().ok_or_else(|| self.invalid(key, "true or false"))
    }

    pub(super) fn integer(&self, key: &str, min: i64, max: i64, expected: &'static str) -> Result<i64, ConfigError> {
        self.get(key).as_integer().filter(|number| (min..=max).contains(number)).ok_or_else(|| self.invalid(key, expected))
    }

    pub(super) fn seconds(&self, key: &str, min: i64, max: i64, expected: &'static str) -> Result<Duration, ConfigError> {
        self.integer(key, min, max, expected).map(|secs| Duration::from_secs(secs.unsigned_abs()))
    }

    pub(super) fn get(&self, key: &str) -> &Value {
        &self.values.get(key).expect("default.toml names every setting").0
    }

    pub(super) fn invalid(&self, key: &str, expected: &'static str) -> ConfigError {
        let (value, origin) = self.values.get(key).expect("default.toml names every setting");
        let value = if SECRETS.contains(&key) { "[redacted]".to_owned() } else { value.to_string() };
        ConfigError::Invalid { key: key.to_owned(), origin: origin.clone(), value, expected }
    }
}

/// The user's file, then the project's.
pub(super) fn files() -> Vec<PathBuf> {
    let user = directories::ProjectDirs::from("", "", "specwave").map(|dirs| dirs.config_dir().join("config.toml"));
    user.into_iter().chain([PathBuf::from("specwave.toml")]).collect()
}

pub(super) fn read_bounded(path: &Path) -> Result<Option<String>, ConfigError> {
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
pub(super) fn parse_scalar(layers: &Layers, key: &str, text: &str) -> Value {
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
