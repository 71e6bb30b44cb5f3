//! PostgreSQL: the only authority. Whatever the other stores hold can be made again from it.
//!
//! One file per table family, static SQL only. Every row belongs to an organization, and [`TenantTx`] is the only way to it.

mod account;
pub mod artifacts;
pub mod assignments;
pub mod attempts;
pub mod audit;
pub mod backlog;
pub mod budgets;
pub mod campaigns;
pub mod catalogue;
pub mod commands;
pub mod degradations;
mod error;
pub mod findings;
pub mod hand_ins;
pub mod health;
pub mod hints;
pub mod idempotency;
pub mod leases;
mod managed;
mod migrate;
pub mod outbox;
pub mod pattern_vectors;
pub mod patterns;
pub mod phases;
pub mod plans;
pub mod presence;
pub mod profiles;
mod programs;
pub mod progress;
pub mod projected;
pub mod questions;
pub mod receipts;
pub mod reopen;
pub mod replan;
pub mod reports;
mod roles;
pub mod run_events;
pub mod runs;
mod server;
pub mod settle;
mod signing_keys;
pub mod skills;
pub mod specs;
pub mod tasks;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;
mod transaction;
pub mod turn;
pub mod unit_paths;
pub mod units;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

pub use error::StoreError;
pub use managed::Managed;
pub use migrate::MigrationStatus;
pub use transaction::{SystemTx, TenantTx};

/// How long a call waits for a connection, and so for a server that restarts.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take to let us in at the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that nobody used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// Which server to use, and how.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `DATABASE_URL`; none for the managed server.
    pub url: Option<String>,
    /// Where the managed server lives.
    pub data_dir: PathBuf,
    /// True: fetch nothing.
    pub offline: bool,
    /// How many connections this process may hold, at least 2.
    pub connections_max: u32,
}

/// The store of facts: a pool of connections, and the roles to enter.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
    roles: roles::Roles,
    managed: Option<Arc<Managed>>,
    address: String,
    installation: String,
}

/// What `doctor` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresInfo {
    /// `managed` or `DATABASE_URL`.
    pub mode: &'static str,
    /// Host, port and database, or where the managed server is; never a password.
    pub address: String,
    /// The server's version.
    pub version: String,
    /// How long one empty statement took.
    pub latency: Duration,
}

impl Postgres {
    /// Connects, makes the roles and brings the tables to this version; starts the managed server where no URL is given.
    ///
    /// Errors: [`StoreError::is_unavailable`] tells a missing server from a defect.
    pub async fn connect(config: &PostgresConfig) -> Result<Self, StoreError> {
        if let Some(url) = &config.url {
            let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::Unavailable {
                detail: format!("DATABASE_URL cannot be read: {error}"),
                hint: "its form is postgres://user:password@host:port/database",
            })?;
            return Self::connect_with(options, None, config.connections_max).await;
        }
        let managed = Arc::new(Managed::start(&config.data_dir, config.offline).await?);
        match Self::connect_with(managed.options(), Some(Arc::clone(&managed)), config.connections_max).await {
            Ok(store) => Ok(store),
            // What went wrong first is what is told.
            Err(error) => {
                drop(managed.leave().await);
                Err(error)
            }
        }
    }

    async fn connect_with(options: PgConnectOptions, managed: Option<Arc<Managed>>, connections_max: u32) -> Result<Self, StoreError> {
        let mut connection = enter(&options).await?;
        let roles = roles::prepare(&mut connection, &options).await?;
        if !migrate::complete(&mut connection).await? {
            migrate::run(&mut connection, &roles).await?;
        }
        migrate::create_partitions(&mut connection).await?;
        let installation = "select system_identifier::text || '-' || (select oid from pg_database where datname = current_database())::text \
                            from pg_control_system()";
        let installation = sqlx::query_scalar(installation).fetch_one(&mut connection).await?;
        connection.close().await?;
        let address = match &managed {
            Some(managed) => managed.describe(),
            None => address(&options),
        };
        let pool = PgPoolOptions::new()
            .max_connections(connections_max.max(2))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self { pool, roles, managed, address, installation })
    }

    /// What tells this installation from others that share a server of another kind with it: the cluster and the database.
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// Measures one round trip and says what answered.
    pub async fn info(&self) -> Result<PostgresInfo, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let version: String = sqlx::query_scalar("select current_setting('server_version')").fetch_one(&mut *connection).await?;
        let started = std::time::Instant::now();
        sqlx::query("select 1").execute(&mut *connection).await?;
        let latency = started.elapsed();
        let mode = if self.managed.is_some() { "managed" } else { "DATABASE_URL" };
        Ok(PostgresInfo { mode, address: self.address.clone(), version, latency })
    }

    /// Lets the planner look at the tables of plans, when they have grown since it last did. On a new database it knows nothing of them
    /// and takes any index for as good as the right one; its own process looks only once a minute. Waits for nobody.
    pub async fn analyze_plans(&self) -> Result<bool, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let grown = "select bool_or(pg_relation_size(oid) > 2 * greatest(relpages, 0) * current_setting('block_size')::bigint) \
                     from pg_class where oid in ('run_tasks'::regclass, 'tasks'::regclass, 'task_dependencies'::regclass)";
        let grown: Option<bool> = sqlx::query_scalar(grown).fetch_one(&mut *connection).await?;
        if grown != Some(true) {
            return Ok(false);
        }
        sqlx::query("analyze (skip_locked) run_tasks, tasks, task_dependencies").execute(&mut *connection).await?;
        Ok(true)
    }

    /// Closes every connection and leaves the managed server; the last process to leave stops it. Call it before the process ends:
    /// a server that is not left stays, and the next call adopts it.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.pool.close().await;
        match &self.managed {
            Some(managed) => managed.leave().await,
            None => Ok(()),
        }
    }

    /// A connection as the owner, who sees no tenant's row; for what concerns the database as a whole.
    async fn owner(&self) -> Result<PoolConnection<sqlx::Postgres>, StoreError> {
        Ok(self.pool.acquire().await?)
    }
}

/// The first connection: within a time, and with the address in what goes wrong.
async fn enter(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let Ok(connected) = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await else {
        let detail = format!("{} gave no answer within {} s", address(options), CONNECT_TIMEOUT.as_secs());
        return Err(StoreError::Unavailable { detail, hint: "check that a PostgreSQL server runs there and that DATABASE_URL is right" });
    };
    connected.map_err(|error| StoreError::from(error).at(&address(options)))
}

/// Host, port and database, for people.
fn address(options: &PgConnectOptions) -> String {
    format!("{}:{}/{}", options.get_host(), options.get_port(), options.get_database().unwrap_or("postgres"))
}
