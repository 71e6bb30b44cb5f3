//! Bringing the tables to this version, and telling which steps were taken.

use sqlx::migrate::{Migrate, Migrator};
use sqlx::{Connection, PgConnection, Row};

use super::roles::Roles;
use super::{Postgres, StoreError};

/// Serialises the making of partitions across processes; an arbitrary number of our own.
const PARTITIONS_LOCK: i64 = 0x7370_6563_7061_7274;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// One step, and when it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i64,
    /// What it brings.
    pub description: String,
    /// When it was applied; none when it is still to come.
    pub applied_at: Option<time::OffsetDateTime>,
    /// False when the applied step was another text than this version's.
    pub matches: bool,
}

/// Takes the steps that are missing. Safe to call from many processes at once: the migrator holds an advisory lock.
pub(super) async fn run(connection: &mut PgConnection, roles: &Roles) -> Result<(), StoreError> {
    let settings = "select set_config('specwave.app_role', $1, false), set_config('specwave.system_role', $2, false)";
    sqlx::query(settings).bind(&roles.app).bind(&roles.system).execute(&mut *connection).await?;
    MIGRATOR.run(&mut *connection).await?;
    Ok(())
}

/// Makes the partitions of this month and the next ones, one process after the other.
pub(super) async fn create_partitions(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(PARTITIONS_LOCK).execute(&mut *transaction).await?;
    sqlx::query("select create_month_partitions()").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

impl Postgres {
    /// Every step of this version, in order, with the time it was taken.
    pub async fn migrations(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        let mut connection = self.owner().await?;
        let rows = sqlx::query("select version, installed_on, checksum from _sqlx_migrations where success").fetch_all(&mut *connection);
        let rows = rows.await?;
        let mut statuses = Vec::new();
        for migration in MIGRATOR.iter() {
            let row = rows.iter().find(|row| row.try_get::<i64, _>("version").is_ok_and(|version| version == migration.version));
            let checksum = row.map(|row| row.try_get::<Vec<u8>, _>("checksum")).transpose()?;
            statuses.push(MigrationStatus {
                version: migration.version,
                description: migration.description.to_string(),
                applied_at: row.map(|row| row.try_get("installed_on")).transpose()?,
                matches: checksum.is_none_or(|checksum| checksum == *migration.checksum),
            });
        }
        Ok(statuses)
    }
}

/// True when every step of this version was taken; asked first, because a start needs no lock then.
pub(super) async fn complete(connection: &mut PgConnection) -> Result<bool, StoreError> {
    // Making it is left to the migrator, which does so under its lock: two that make it at once get in each other's way.
    let recorded: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
    if !recorded {
        return Ok(false);
    }
    let applied = connection.list_applied_migrations("_sqlx_migrations").await?;
    Ok(MIGRATOR.iter().all(|step| applied.iter().any(|done| done.version == step.version && done.checksum == step.checksum)))
}

/// Names this version of the tables, for the template that tests copy.
#[cfg(test)]
pub(super) fn fingerprint() -> String {
    use sha2::{Digest, Sha256};
    let digest = MIGRATOR.iter().fold(Sha256::new(), |digest, step| digest.chain_update(&step.checksum));
    hex::encode(digest.finalize())[..8].to_owned()
}
