//! A fresh instance of the service: an empty database, a free loopback port, its process group, readiness.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Payload};
use crate::exec::capture::Captured;
use crate::exec::{self, Command, Exit, Finished, Limits, Network, Recorder, Service};
use crate::model::Method;

/// How long a service may take to become ready.
const READY_MAX: Duration = Duration::from_mins(1);
/// How long the migration may take.
const MIGRATE_MAX: Duration = Duration::from_mins(2);
/// How often readiness is asked for.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// Another port is tried so often when somebody took the one that was free.
const PORTS_MAX: u32 = 3;
/// How much of what the service printed is kept, in characters.
const LOG_CHARS_MAX: usize = 8_000;
/// How much of each stream is captured; enough for one line of log for each call of a large specification.
const CAPTURE_BYTES_MAX: usize = 4 << 20;

/// How to start the service. In arguments and environment `{port}` stands for the port and `{database}` for the path of a
/// fresh, empty SQLite file.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicePlan {
    /// The project's root; it is not written to.
    pub dir: PathBuf,
    /// Prepares the database; empty when nothing needs to.
    pub migrate: Vec<String>,
    /// Serves on 127.0.0.1 and `{port}` until it is stopped.
    pub start: Vec<String>,
    /// Environment variables. `DATABASE_URL` is `sqlite:///{database}` unless given.
    pub env: BTreeMap<String, String>,
    /// What it may read besides `dir`, for example its environment.
    pub readable: Vec<PathBuf>,
    /// The path that answers 200 when the service can work.
    pub ready_path: String,
    /// The path that answers 200 while the process serves requests.
    pub live_path: String,
    /// The path of the service's own OpenAPI document.
    pub openapi_path: String,
    /// How long everything may take.
    pub wall: Duration,
    /// True when it may run where it cannot be confined.
    pub weaker_sandbox: bool,
    /// The binary that supervises the processes; none is this very program.
    pub supervisor: Option<PathBuf>,
}

/// Why a service could not be probed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A process could not be run.
    #[error("cannot run the service's {step}")]
    Exec {
        /// `migration` or `start command`.
        step: &'static str,
        /// Why.
        source: exec::ExecError,
    },
    /// The database could not be prepared.
    #[error("the migration failed: {exit}: {log}")]
    Migrate {
        /// How it ended.
        exit: Exit,
        /// What it printed.
        log: String,
    },
    /// It ended before it was ready.
    #[error("the service ended before it was ready: {exit}: {log}")]
    Ended {
        /// How it ended.
        exit: Exit,
        /// What it printed.
        log: String,
    },
    /// It did not become ready.
    #[error("the service was not ready after {seconds} s: {reason}: {log}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// What its readiness path answered last.
        reason: String,
        /// What it printed.
        log: String,
    },
    /// Scratch space or a port could not be had.
    #[error("cannot prepare the probe: {source}")]
    Io {
        /// Why.
        source: std::io::Error,
    },
    /// The client could not be made.
    #[error("cannot prepare the probe's client")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// It was cancelled.
    #[error("the probe was cancelled")]
    Cancelled,
}

impl ProbeError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Exec { source, .. } => source.hint(),
            Self::Migrate { .. } | Self::Ended { .. } | Self::NotReady { .. } => {
                "start the service by hand as its README says and look at what it prints"
            }
            Self::Io { .. } => "check that the temporary directory is writable and has space",
            Self::Client { .. } => "report this together with the environment",
            Self::Cancelled => "run again",
        }
    }

    /// True when the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Exec { source, .. } if source.is_transient())
    }
}

/// A running, ready service. Dropping it ends its process group.
pub(super) struct Running {
    pub(super) client: Client,
    pub(super) ready_ms: u64,
    service: Service,
    /// Holds the database.
    scratch: TempDir,
}

/// What is left of a service that was stopped.
pub(super) struct Stopped {
    /// How it was confined.
    pub(super) confinement: String,
    /// What it printed last, or why it could not be stopped gently.
    pub(super) log: String,
    /// Everything that it wrote to standard error.
    pub(super) errors: Captured,
    /// Size of its database.
    pub(super) database_bytes: Option<u64>,
    /// What its liveness path answered just before.
    pub(super) live_status: Option<u16>,
}

impl Running {
    /// Asks once more whether it lives, then ends the process group.
    pub(super) async fn stop(self, live_path: &str) -> Stopped {
        let (live, _) = self.client.send(Method::Get, live_path, &[], &Payload::None).await;
        let confinement = self.service.tier().to_string();
        let (log, errors) = match self.service.stop().await {
            Ok(finished) => (finished.output(LOG_CHARS_MAX), finished.stderr),
            Err(error) => (format!("the service could not be stopped gently: {error}"), Captured::default()),
        };
        let database_bytes = database(self.scratch.path()).metadata().ok().map(|metadata| metadata.len());
        Stopped { confinement, log, errors, database_bytes, live_status: live.ok().map(|answer| answer.status) }
    }
}

/// Migrates a fresh database, starts the service on a free port and waits until it is ready.
pub(super) async fn start(plan: &ServicePlan, recorder: &Recorder, cancel: &CancellationToken) -> Result<Running, ProbeError> {
    let mut attempt = 1;
    loop {
        match start_once(plan, recorder, cancel).await {
            // Somebody else took the port between finding and binding it.
            Err(ProbeError::Ended { log, .. }) if attempt < PORTS_MAX && log.to_lowercase().contains("address already in use") => {
                attempt += 1;
            }
            result => return result,
        }
    }
}

async fn start_once(plan: &ServicePlan, recorder: &Recorder, cancel: &CancellationToken) -> Result<Running, ProbeError> {
    let failed = |source| ProbeError::Io { source };
    let scratch = tempfile::Builder::new().prefix("specwave-probe-").tempdir().map_err(failed)?;
    let port = free_port().map_err(failed)?;
    if !plan.migrate.is_empty() {
        let mut migrate = command(plan, &plan.migrate, scratch.path(), port);
        migrate.limits.wall = MIGRATE_MAX;
        let finished = exec::run(&migrate, recorder, cancel).await.map_err(|source| ProbeError::Exec { step: "migration", source })?;
        migrated(&finished)?;
    }
    let client = Client::new(port).map_err(|source| ProbeError::Client { source })?;
    let started = Instant::now();
    let start = command(plan, &plan.start, scratch.path(), port);
    let service = exec::start(&start, recorder).await.map_err(|source| ProbeError::Exec { step: "start command", source })?;
    let service = until_ready(plan, &client, service, cancel).await?;
    let ready_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Running { client, ready_ms, service, scratch })
}

fn migrated(finished: &Finished) -> Result<(), ProbeError> {
    match finished.exit {
        Exit::Code(0) => Ok(()),
        Exit::Cancelled => Err(ProbeError::Cancelled),
        exit => Err(ProbeError::Migrate { exit, log: finished.output(LOG_CHARS_MAX) }),
    }
}

fn database(scratch: &Path) -> PathBuf {
    scratch.join("probe.db")
}

fn command(plan: &ServicePlan, argv: &[String], scratch: &Path, port: u16) -> Command {
    let database = database(scratch).to_string_lossy().into_owned();
    let fill = |text: &String| text.replace("{port}", &port.to_string()).replace("{database}", &database);
    let mut command = Command::new(argv.iter().map(fill), &plan.dir);
    command.env = plan.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
    command.env.entry("DATABASE_URL".to_owned()).or_insert_with(|| format!("sqlite:///{database}"));
    command.readable.clone_from(&plan.readable);
    command.writable = vec![scratch.to_owned()];
    command.network = Network::Ports(vec![port]);
    command.confinement = command.confinement.or_weaker(plan.weaker_sandbox);
    command.limits = Limits { wall: plan.wall, output_bytes: CAPTURE_BYTES_MAX, ..Limits::default() };
    command.supervisor.clone_from(&plan.supervisor);
    command
}

async fn until_ready(plan: &ServicePlan, client: &Client, mut service: Service, cancel: &CancellationToken) -> Result<Service, ProbeError> {
    let deadline = Instant::now() + READY_MAX;
    let mut reason = "no answer".to_owned();
    loop {
        let ask = client.send(Method::Get, &plan.ready_path, &[], &Payload::None);
        let answer = tokio::select! {
            (answer, _) = ask => answer,
            () = service.ended() => return Err(ended(service).await),
            () = cancel.cancelled() => return Err(ProbeError::Cancelled),
        };
        match answer {
            Ok(answer) if answer.status == 200 => return Ok(service),
            Ok(answer) => reason = format!("{} answered {}", plan.ready_path, answer.status),
            Err(error) => reason.clone_from(&error),
        }
        if Instant::now() >= deadline {
            let (stdout, stderr) = service.output();
            let log = exec::capture::shorten(&format!("{}{}", stdout.text(), stderr.text()), LOG_CHARS_MAX);
            return Err(ProbeError::NotReady { seconds: READY_MAX.as_secs(), reason, log });
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            () = service.ended() => return Err(ended(service).await),
            () = cancel.cancelled() => return Err(ProbeError::Cancelled),
        }
    }
}

async fn ended(service: Service) -> ProbeError {
    match service.stop().await {
        Ok(finished) => ProbeError::Ended { exit: finished.exit, log: finished.output(LOG_CHARS_MAX) },
        Err(source) => ProbeError::Exec { step: "start command", source },
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
