//! PostgreSQL: the only authority. Whatever the other stores hold can be made again from it.
//!
//! One file per table family, static SQL only. Every row belongs to an organization, and [`TenantTx`] is the only way to it.

mod account;
pub mod artifacts;
pub mod audit;
mod error;
pub mod leases;
mod managed;
mod migrate;
pub mod phases;
pub mod plans;
mod programs;
pub mod reopen;
mod roles;
pub mod runs;
mod server;
pub mod settle;
pub mod specs;
#[cfg(test)]
pub(crate) mod testing;
mod transaction;
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

/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that nobody used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

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
        let (managed, options) = match &config.url {
            Some(url) => {
                let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::Unavailable {
                    detail: format!("DATABASE_URL cannot be read: {error}"),
                    hint: "its form is postgres://user:password@host:port/database",
                })?;
                (None, options)
            }
            None => {
                let managed = Managed::start(&config.data_dir, config.offline).await?;
                let options = managed.options();
                (Some(Arc::new(managed)), options)
            }
        };
        Self::connect_with(options, managed, config.connections_max).await
    }

    async fn connect_with(options: PgConnectOptions, managed: Option<Arc<Managed>>, connections_max: u32) -> Result<Self, StoreError> {
        let mut connection = PgConnection::connect_with(&options).await?;
        let roles = roles::prepare(&mut connection, &options).await?;
        if !migrate::complete(&mut connection).await? {
            migrate::run(&mut connection, &roles).await?;
        }
        migrate::create_partitions(&mut connection).await?;
        connection.close().await?;
        let address = match &managed {
            Some(managed) => managed.describe(),
            None => format!("{}:{}/{}", options.get_host(), options.get_port(), options.get_database().unwrap_or("postgres")),
        };
        let pool = PgPoolOptions::new()
            .max_connections(connections_max.max(2))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self { pool, roles, managed, address })
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

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::model::id::LOCAL_ORGANIZATION;
    use crate::model::{RunEvent, RunState, UnitEvent, UnitState};

    #[tokio::test]
    async fn every_tenant_table_is_guarded_and_the_roles_stand_below_the_guard() {
        let store = testing::store().await;
        let mut connection = store.owner().await.unwrap();
        let unguarded = "select relname::text from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') \
            and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id') \
            and not (relrowsecurity and relforcerowsecurity)";
        let unguarded: Vec<String> = sqlx::query_scalar(unguarded).fetch_all(&mut *connection).await.unwrap();
        assert_eq!(unguarded, Vec::<String>::new());
        let keys = "select conname::text from pg_constraint k join pg_class c on c.oid = k.conrelid \
            where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f') \
            and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id') \
            and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id' and a.attnum = conkey[1])";
        let keys: Vec<String> = sqlx::query_scalar(keys).fetch_all(&mut *connection).await.unwrap();
        assert_eq!(keys, Vec::<String>::new(), "a key that does not begin with the tenant");
        let row = sqlx::query("select count(*) filter (where rolsuper or rolbypassrls), count(*) from pg_roles where rolname = any($1)");
        let row = row.bind([&store.roles.app, &store.roles.system]).fetch_one(&mut *connection).await.unwrap();
        assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (0, 2));
    }

    #[tokio::test]
    async fn no_role_may_truncate_or_create_and_the_owner_sees_nothing() {
        let store = testing::store().await;
        let denied = async |statement: &'static str| {
            let mut tenant = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
            let error = sqlx::query(statement).execute(&mut *tenant).await.unwrap_err();
            let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
        };
        for statement in [
            "truncate runs",
            "create table own (id integer)",
            "delete from audit_log",
            "update audit_log set actor = 'x'",
            "select * from audit_log_default",
            "update task_attempts set outcome = 'failed'",
            "update organizations set name = 'x'",
        ] {
            denied(statement).await;
        }
        let mut owner = store.owner().await.unwrap();
        let count: i64 = sqlx::query_scalar("select count(*) from organizations").fetch_one(&mut *owner).await.unwrap();
        assert_eq!(count, 0);
        let mut tenant = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
        let slug: String = sqlx::query_scalar("select slug from organizations").fetch_one(&mut *tenant).await.unwrap();
        assert_eq!(slug, "local");
    }

    #[tokio::test]
    async fn nothing_of_a_tenant_stays_in_the_pool() {
        let store = testing::store().await;
        let tenant = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
        tenant.commit().await.unwrap();
        for _ in 0..8 {
            let mut connection = store.owner().await.unwrap();
            let row = sqlx::query("select current_user = session_user, coalesce(current_setting('app.current_tenant', true), '')");
            let row = row.fetch_one(&mut *connection).await.unwrap();
            assert_eq!((row.get::<bool, _>(0), row.get::<String, _>(1)), (true, String::new()));
        }
    }

    #[tokio::test]
    async fn the_tables_allow_exactly_the_transitions_of_the_model() {
        const UNIT_EVENTS: [UnitEvent; 14] = [
            UnitEvent::DependenciesDone,
            UnitEvent::DependencyFailed,
            UnitEvent::DependencyReopened,
            UnitEvent::Claim,
            UnitEvent::CacheHit,
            UnitEvent::Succeed,
            UnitEvent::Fail,
            UnitEvent::Retry,
            UnitEvent::Release,
            UnitEvent::Wait,
            UnitEvent::AgentConfigured,
            UnitEvent::HandIn,
            UnitEvent::Reopen,
            UnitEvent::Cancel,
        ];
        const RUN_EVENTS: [RunEvent; 8] = [
            RunEvent::Start,
            RunEvent::Pause,
            RunEvent::Succeed,
            RunEvent::FinishPartial,
            RunEvent::Fail,
            RunEvent::Resume,
            RunEvent::Cancel,
            RunEvent::Supersede,
        ];
        let store = testing::store().await;
        let mut connection = store.owner().await.unwrap();
        for before in UnitState::ALL {
            for after in UnitState::ALL {
                let expect = UNIT_EVENTS.iter().any(|event| before.next(*event) == Some(after));
                let query = sqlx::query_scalar("select unit_transition_allowed($1, $2)").bind(before.as_str()).bind(after.as_str());
                let found: bool = query.fetch_one(&mut *connection).await.unwrap();
                assert_eq!(found, expect, "{before:?} to {after:?}");
            }
        }
        for before in RunState::ALL {
            for after in RunState::ALL {
                let expect = RUN_EVENTS.iter().any(|event| before.next(*event) == Some(after));
                let query = sqlx::query_scalar("select run_transition_allowed($1, $2)").bind(before.as_str()).bind(after.as_str());
                let found: bool = query.fetch_one(&mut *connection).await.unwrap();
                assert_eq!(found, expect, "{before:?} to {after:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_checks_list_exactly_the_states_of_the_model() {
        let store = testing::store().await;
        let mut connection = store.owner().await.unwrap();
        let mut check = async |constraint: &str, expect: Vec<&str>| {
            let query = sqlx::query_scalar("select pg_get_constraintdef(oid) from pg_constraint where conname = $1").bind(constraint);
            let definition: String = query.fetch_one(&mut *connection).await.unwrap();
            let mut found: Vec<&str> = definition.split('\'').skip(1).step_by(2).collect();
            let mut expect = expect;
            found.sort_unstable();
            expect.sort_unstable();
            assert_eq!(found, expect, "{constraint}");
        };
        check("runs_state_check", RunState::ALL.iter().map(|state| state.as_str()).collect()).await;
        check("run_tasks_state_check", UnitState::ALL.iter().map(|state| state.as_str()).collect()).await;
    }

    #[tokio::test]
    async fn every_migration_is_shown_with_the_time_it_was_applied() {
        let store = testing::store().await;
        let steps = store.migrations().await.unwrap();
        assert_eq!(steps.len(), 6);
        assert!(steps.iter().all(|step| step.applied_at.is_some() && step.matches), "{steps:?}");
    }

    #[tokio::test]
    async fn a_superuser_is_refused() {
        let Err(error) = testing::connect_as_superuser().await else { panic!("a superuser must be refused") };
        assert!(matches!(error, StoreError::BypassesSecurity { .. }), "{error}");
    }
}
