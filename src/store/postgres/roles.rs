//! The three roles of design: owner, application, system. Roles belong to the whole cluster, so they are made under a lock that is
//! taken in the database `postgres` (an advisory lock holds for one database only) and carry the name of our database.

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::StoreError;
use super::programs::MAJOR_MIN;

/// Serialises the making of roles across processes; an arbitrary number of our own.
const ROLES_LOCK: i64 = 0x7370_6563_7761_7665;

/// The roles that do the work; entered with `set local role`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roles {
    /// Sees one organization's rows.
    pub(super) app: String,
    /// Crosses organizations, on a few tables.
    pub(super) system: String,
}

impl Roles {
    /// The names for a new database.
    fn for_database(database: &str) -> Self {
        let digest = hex::encode(Sha256::digest(database.as_bytes()));
        Self { app: format!("specwave_app_{}", &digest[..10]), system: format!("specwave_system_{}", &digest[..10]) }
    }
}

/// Finds the roles of the database that `connection` is in, makes them where they are missing, and refuses any that could see past
/// row-level security. `options` lead to the same server.
pub(super) async fn prepare(connection: &mut PgConnection, options: &PgConnectOptions) -> Result<Roles, StoreError> {
    check_version(connection).await?;
    let session: String = sqlx::query_scalar("select current_user::text").fetch_one(&mut *connection).await?;
    refuse_bypass(connection, &[session]).await?;
    let roles = recorded(connection).await?;
    if !entered(connection, &roles).await? {
        create(connection, options, &roles).await?;
    }
    refuse_bypass(connection, &[roles.app.clone(), roles.system.clone()]).await?;
    Ok(roles)
}

async fn check_version(connection: &mut PgConnection) -> Result<(), StoreError> {
    let row = sqlx::query("select current_setting('server_version_num')::integer, current_setting('server_version')");
    let row = row.fetch_one(connection).await?;
    let number: i32 = row.try_get(0)?;
    if number / 10_000 < i32::try_from(MAJOR_MIN).unwrap_or(i32::MAX) {
        return Err(StoreError::TooOld { found: row.try_get(1)?, needed: MAJOR_MIN });
    }
    Ok(())
}

/// The names that the database itself records, for a copy of a database keeps the roles of its origin; else new ones.
async fn recorded(connection: &mut PgConnection) -> Result<Roles, StoreError> {
    let row = sqlx::query("select to_regclass('public.installation') is not null, current_database()::text");
    let row = row.fetch_one(&mut *connection).await?;
    if !row.try_get(0)? {
        return Ok(Roles::for_database(row.try_get(1)?));
    }
    let row = sqlx::query("select app_role, system_role from public.installation").fetch_one(connection).await?;
    Ok(Roles { app: row.try_get(0)?, system: row.try_get(1)? })
}

/// True when both roles exist and this session may enter them.
async fn entered(connection: &mut PgConnection, roles: &Roles) -> Result<bool, StoreError> {
    let query = "select count(*) = 2 from pg_roles where rolname = any($1) and pg_has_role(current_user, oid, 'member')";
    Ok(sqlx::query_scalar(query).bind([&roles.app, &roles.system]).fetch_one(connection).await?)
}

async fn refuse_bypass(connection: &mut PgConnection, roles: &[String]) -> Result<(), StoreError> {
    let query = "select rolname::text from pg_roles where rolname = any($1) and (rolsuper or rolbypassrls)";
    let found: Option<String> = sqlx::query_scalar(query).bind(roles).fetch_optional(connection).await?;
    found.map_or(Ok(()), |role| Err(StoreError::BypassesSecurity { role }))
}

async fn create(connection: &mut PgConnection, options: &PgConnectOptions, roles: &Roles) -> Result<(), StoreError> {
    let Ok(mut shared) = PgConnection::connect_with(&options.clone().database("postgres")).await else {
        return create_under_lock(connection, roles).await;
    };
    let created = create_under_lock(&mut shared, roles).await;
    shared.close().await?;
    created
}

async fn create_under_lock(connection: &mut PgConnection, roles: &Roles) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(ROLES_LOCK).execute(&mut *transaction).await?;
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::integer").fetch_one(&mut *transaction).await?;
    // Before version 16 the owner inherits what the two may do, for there inheriting is all or nothing, and a database's owner inherits
    // the right to make tables in it. It takes nothing away from the guard: no work is done as the owner.
    let terms = if version >= 160_000 { " with inherit false, set true" } else { "" };
    for role in [&roles.app, &roles.system] {
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)").bind(role).fetch_one(&mut *transaction).await?;
        if !exists {
            let statement = format!("create role {} nologin noinherit nosuperuser nocreatedb nocreaterole nobypassrls", quoted(role));
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
        }
        let statement = format!("grant {} to current_user{terms}", quoted(role));
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Makes a role that owns databases and other roles, and is above nothing; gives it that password when it exists already.
pub(super) async fn create_owner(superuser: &mut PgConnection, name: &str, password: &str) -> Result<(), StoreError> {
    let mut transaction = superuser.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(ROLES_LOCK).execute(&mut *transaction).await?;
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)").bind(name).fetch_one(&mut *transaction).await?;
    let verb = if exists { "alter" } else { "create" };
    let password = password.replace('\'', "''");
    let statement = format!("{verb} role {} login inherit createrole createdb nosuperuser nobypassrls password '{password}'", quoted(name));
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Makes a database for that owner unless it exists.
pub(super) async fn create_database(superuser: &mut PgConnection, name: &str, owner: &str) -> Result<(), StoreError> {
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)").bind(name).fetch_one(&mut *superuser).await?;
    if !exists {
        let statement = format!("create database {} owner {}", quoted(name), quoted(owner));
        sqlx::query(AssertSqlSafe(statement)).execute(superuser).await?;
    }
    Ok(())
}

/// A name as an identifier of SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
