//! What the other engines stand on: a database for each on the server that ours uses, and the servers of Restate and Prefect, on free
//! loopback ports, with their data in a scratch directory. All of it is gone afterwards.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use specwave::config::Config;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// How long a server may take to start, and to stop.
const START_LIMIT: Duration = Duration::from_mins(3);
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Instead of 24, for a machine with few cores: fewer logs that are each synced.
const RESTATE_PARTITIONS: &str = "4";

/// A server, with all that it started.
pub struct Server {
    child: Child,
    pub group: Pid,
    pub port: u16,
    /// Where Restate is told of services.
    pub admin_port: u16,
}

impl Server {
    /// In the way of a production of one node: the replicated log, synced to disk before it answers.
    pub async fn restate(installed: &Path, scratch: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(scratch).unwrap();
        let [port, admin_port, node] = free_ports();
        let mut command = Command::new(installed.join("bin/restate-server"));
        command.arg("--no-logo").env("RESTATE_BASE_DIR", scratch.join("restate")).env("RESTATE_NODE_NAME", "bench");
        command.env("RESTATE_LISTEN_MODE", "tcp").env("RESTATE_BIND_IP", "127.0.0.1").env("RESTATE_ADVERTISED_HOST", "127.0.0.1");
        command.env("RESTATE_BIND_PORT", node.to_string()).env("RESTATE_INGRESS__BIND_PORT", port.to_string());
        command.env("RESTATE_ADMIN__BIND_PORT", admin_port.to_string()).env("RESTATE_DISABLE_TELEMETRY", "true");
        command.env("RESTATE_DEFAULT_NUM_PARTITIONS", RESTATE_PARTITIONS).env("RESTATE_LOG_FILTER", "error");
        let server = Self::start(command, &scratch.join("restate.log"), port, admin_port)?;
        server.answers(&format!("http://127.0.0.1:{port}/restate/health")).await?;
        Ok(server)
    }

    /// On PostgreSQL, as Prefect recommends for production; without the page.
    pub async fn prefect(installed: &Path, scratch: &Path, database: &str) -> Result<Self, String> {
        let [port] = free_ports();
        let mut command = Command::new(installed.join("python/bin/prefect"));
        command.args(["server", "start", "--no-ui", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.env("PREFECT_HOME", scratch.join("prefect")).env("PREFECT_SERVER_ANALYTICS_ENABLED", "false");
        let (_, address) = database.split_once("://").unwrap();
        command.env("PREFECT_API_DATABASE_CONNECTION_URL", format!("postgresql+asyncpg://{address}"));
        command.env("PREFECT_SERVER_LOGGING_LEVEL", "ERROR").env("PYTHONDONTWRITEBYTECODE", "1");
        let server = Self::start(command, &scratch.join("prefect.log"), port, 0)?;
        server.answers(&format!("http://127.0.0.1:{port}/api/health")).await?;
        Ok(server)
    }

    fn start(mut command: Command, log: &Path, port: u16, admin_port: u16) -> Result<Self, String> {
        let log = File::create(log).unwrap();
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().map_err(|error| format!("its server cannot be started: {error}"))?;
        let group = Pid::from_child(&child);
        Ok(Self { child, group, port, admin_port })
    }

    async fn answers(&self, url: &str) -> Result<(), String> {
        // No TLS is spoken; the client wants a provider of it all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            if client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(format!("its server gave no answer within {} s", START_LIMIT.as_secs()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < STOP_LIMIT && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(self.group, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Ports that nobody listens on at this moment, each another one.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Databases of the other engines.
pub struct Databases {
    admin: String,
    made: Vec<String>,
}

impl Databases {
    /// On the server of the settings. To make them takes a role that may: with `scripts/stack` the one that only tests know of.
    pub fn new(config: &Config) -> Result<Self, String> {
        let own = config.database_url.as_ref().ok_or("the settings name no PostgreSQL server (DATABASE_URL) to share")?;
        let admin = std::env::var("SPECWAVE_TEST_DATABASE_URL").unwrap_or_else(|_| own.expose().to_owned());
        let same = |url: &str| url.rsplit_once('@').map(|(_, rest)| rest.split('/').next().unwrap_or_default().to_owned());
        if same(&admin) != same(own.expose()) {
            return Err("SPECWAVE_TEST_DATABASE_URL is of another server than DATABASE_URL".to_owned());
        }
        Ok(Self { admin, made: Vec::new() })
    }

    /// Makes an empty one and returns its address.
    pub async fn make(&mut self, engine: &str) -> Result<String, String> {
        let name = format!("dagbench_{engine}_{}", std::process::id());
        self.execute(&format!("create database {name}")).await?;
        let (server, _) = self.admin.rsplit_once('/').ok_or("the server's address names no database")?;
        let url = format!("{server}/{name}");
        self.made.push(name);
        Ok(url)
    }

    /// Whoever is connected still is cut off.
    pub async fn drop_all(self) {
        for name in &self.made {
            self.execute(&format!("drop database if exists {name} with (force)")).await.unwrap();
        }
    }

    async fn execute(&self, statement: &str) -> Result<(), String> {
        let hint = "; with scripts/stack: eval \"$(scripts/stack env --test)\"";
        let mut connection = PgConnection::connect(&self.admin).await.map_err(|error| error.to_string())?;
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await;
        done.map(|_| ()).map_err(|error| format!("{statement}: {error}{hint}"))
    }
}

/// Where `scripts/setup-peers` put the engines; none when it was not called.
pub fn installed() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup-peers");
    let output = Command::new(script).arg("--path").stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
