//! A database of its own for each test, copied from a migrated template on a real server.
//!
//! The server is the one of `SPECWAVE_TEST_DATABASE_URL` (a superuser's), or the managed one in the user's cache directory.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

use super::{Managed, Postgres, migrate, roles};
use crate::model::id::LOCAL_ORGANIZATION;
use crate::model::{OrganizationId, RunId};

/// The owner of every test database.
const OWNER: &str = "specwave_test";
const OWNER_PASSWORD: &str = "specwave-test";
/// Databases of earlier tests, of some 8 MB each, beyond which the shared server is made anew.
const DATABASES_MAX: i64 = 200;
/// Serialises the making of the template across test processes.
const TEMPLATE_LOCK: i64 = 0x7370_6563_7465_7374;

/// Superuser options; kept for the whole process, as each test has a runtime of its own.
static SERVER: OnceCell<(PgConnectOptions, String)> = OnceCell::const_new();

/// A store on a new database. The connections are this runtime's; the database stays until there are too many.
pub(crate) async fn store() -> Postgres {
    let (superuser, template) = SERVER.get_or_init(server).await;
    let name = format!("{template}_{}", uuid::Uuid::now_v7().simple());
    let mut connection = PgConnection::connect_with(superuser).await.unwrap();
    let statement = format!("create database {name} owner {OWNER} template {template} strategy wal_log");
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    Postgres::connect_with(owner(superuser, &name), None, 8).await.unwrap()
}

/// Moves the database's clock past every lease, by moving the leases.
pub(crate) async fn expire_leases(store: &Postgres) {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    sqlx::query("update unit_leases set expires_at = now() - interval '1 second'").execute(&mut *tx).await.unwrap();
    let runs = "update run_leases set expires_at = now() - interval '1 second' where owner is not null";
    sqlx::query(runs).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// The same for the units of one run.
pub(crate) async fn expire_units(store: &Postgres, run: RunId) {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let update = "update unit_leases set expires_at = now() - interval '1 second' where run_id = $1";
    sqlx::query(update).bind(run.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// What the tables say about a unit.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct UnitFacts {
    pub state: String,
    pub pending: i32,
    pub token: i64,
    pub attempt: i32,
    pub escalation: i16,
    pub lost: i32,
    /// True when somebody holds it with its present token.
    pub leased: bool,
    /// How often it stands in the queue of what may be claimed.
    pub queued: i64,
}

/// All units and gates of a run, and its history: place, token and outcome of each try.
pub(crate) async fn unit_facts(store: &Postgres, run: RunId) -> (Vec<UnitFacts>, Vec<(i32, i64, String)>) {
    let units = "select t.state, t.pending, t.token, t.attempt, t.escalation, t.lost_leases as lost, l.token is not null as leased, \
                 (select count(*) from ready_units q where q.run_id = t.run_id and q.ordinal = t.ordinal and q.ready_at is not distinct from t.ready_at \
                     and q.turn = -t.rank and q.wave is not distinct from t.wave) as queued \
                 from run_tasks t left join unit_leases l on l.run_id = t.run_id and l.ordinal = t.ordinal and l.token = t.token \
                 where t.run_id = $1 order by t.ordinal";
    let history = "select t.ordinal, a.token, a.outcome from task_attempts a join run_tasks t on t.id = a.unit_id \
                   where a.run_id = $1 order by t.ordinal, a.token, a.outcome collate \"C\"";
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let units = sqlx::query_as(units).bind(run.0).fetch_all(&mut *tx).await.unwrap();
    let history = sqlx::query_as(history).bind(run.0).fetch_all(&mut *tx).await.unwrap();
    (units, history)
}

/// Has the server restarted since every lease of a run was last renewed, for that long: by moving the leases.
pub(crate) async fn restart_since_renewal(store: &Postgres, lease: std::time::Duration) {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let runs = "update run_leases set renewed_at = pg_postmaster_start_time() - interval '1 second', \
                expires_at = pg_postmaster_start_time() - interval '1 second' + make_interval(secs => $1) where owner is not null";
    sqlx::query(runs).bind(lease.as_secs_f64()).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// Has the lease renewed by a driver whose session ended a moment ago, with the server.
pub(crate) async fn renewed_without_session(store: &Postgres, run: crate::model::RunId) {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let token = super::leases::find(&mut tx, run).await.unwrap().unwrap().token;
    let gone = Some(i64::from(std::process::id()));
    assert!(super::leases::renew(&mut tx, run, token, gone, std::time::Duration::from_hours(1)).await.unwrap());
    tx.commit().await.unwrap();
}

/// Moves the database's clock past every wait before a retry.
pub(crate) async fn make_retries_due(store: &Postgres) {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    sqlx::query("update run_tasks set not_before = now(), ready_at = now() where state = 'ready' and not_before is not null")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Counts anew; returns the keys of units where counter, state or lease differ from what counting gives.
pub(crate) async fn wrong_counters(store: &Postgres) -> Vec<String> {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    sqlx::query_scalar(include_str!("wrong_counters.sql")).fetch_all(&mut *tx).await.unwrap()
}

/// The folder of the programs that the shared managed server uses; none when the server is somebody else's.
pub(crate) async fn programs() -> Option<std::path::PathBuf> {
    SERVER.get_or_init(server).await;
    Some(shared_folder().join("postgres/programs")).filter(|folder| folder.exists())
}

/// The store as a role that row-level security does not bind.
pub(crate) async fn connect_as_superuser() -> Result<Postgres, super::StoreError> {
    let (superuser, template) = SERVER.get_or_init(server).await;
    Postgres::connect_with(superuser.clone().database(template), None, 2).await
}

/// Lets the last progress of every run lie so far back.
pub(crate) async fn without_progress(store: &Postgres, idle: std::time::Duration) {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let update = "update run_leases set progress_at = now() - make_interval(secs => $1)";
    sqlx::query(update).bind(idle.as_secs_f64()).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// Lets a pattern have been verified last so long before.
pub(crate) async fn verified_before(store: &Postgres, pattern: crate::model::PatternId, age: std::time::Duration) {
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let update = "update patterns set verified_at = verified_at - make_interval(secs => $2) where id = $1";
    sqlx::query(update).bind(pattern.0).bind(age.as_secs_f64()).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// A second organization in that store.
pub(crate) async fn other_organization(store: &Postgres) -> OrganizationId {
    let organization = OrganizationId::new();
    let mut connection = store.owner().await.unwrap();
    sqlx::query("alter table organizations no force row level security").execute(&mut *connection).await.unwrap();
    let insert = "insert into organizations (id, slug, name) values ($1, 'other', 'Other')";
    sqlx::query(insert).bind(organization.0).execute(&mut *connection).await.unwrap();
    sqlx::query("alter table organizations force row level security").execute(&mut *connection).await.unwrap();
    organization
}

fn owner(superuser: &PgConnectOptions, database: &str) -> PgConnectOptions {
    superuser.clone().username(OWNER).password(OWNER_PASSWORD).database(database)
}

async fn server() -> (PgConnectOptions, String) {
    let superuser = if let Ok(url) = std::env::var("SPECWAVE_TEST_DATABASE_URL") {
        PgConnectOptions::from_str(&url).unwrap()
    } else {
        let managed = shared_server().await;
        let options = managed.superuser_options("postgres");
        // Never left, for tests of this process may still need the server; another process's tests adopt what stays.
        std::mem::forget(managed);
        options
    };
    let mut connection = PgConnection::connect_with(&superuser).await.unwrap();
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await.unwrap();
    for setting in ["fsync = off", "synchronous_commit = off", "full_page_writes = off"] {
        sqlx::query(AssertSqlSafe(format!("alter system set {setting}"))).execute(&mut connection).await.unwrap();
    }
    sqlx::query("select pg_reload_conf()").execute(&mut connection).await.unwrap();
    roles::create_owner(&mut connection, OWNER, OWNER_PASSWORD).await.unwrap();
    let template = format!("specwave_test_{}", migrate::fingerprint());
    roles::create_database(&mut connection, &template, OWNER).await.unwrap();
    Postgres::connect_with(owner(&superuser, &template), None, 2).await.unwrap().pool.close().await;
    connection.close().await.unwrap();
    (superuser, template)
}

fn shared_folder() -> std::path::PathBuf {
    if rustix::process::geteuid().is_root() {
        return "/var/lib/specwave/tests".into();
    }
    directories::ProjectDirs::from("", "", "specwave").unwrap().cache_dir().join("tests")
}

/// The shared server, made anew when too many databases of earlier tests are left: dropping them one by one costs a checkpoint each.
async fn shared_server() -> Managed {
    let managed = Managed::start(&shared_folder(), false).await.unwrap();
    let mut connection = PgConnection::connect_with(&managed.superuser_options("postgres")).await.unwrap();
    let databases: i64 = sqlx::query_scalar("select count(*) from pg_database").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    if databases <= DATABASES_MAX {
        return managed;
    }
    managed.discard().await.unwrap();
    Managed::start(&shared_folder(), false).await.unwrap()
}
