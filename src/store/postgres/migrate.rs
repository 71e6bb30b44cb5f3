//! Bringing the tables to this version, and telling which steps were taken.

use sqlx::migrate::{Migrate, Migrator};
use sqlx::{PgConnection, Row};

use super::roles::Roles;
use super::{Postgres, StoreError};

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

/// Makes the partitions of this month and the next ones.
pub(super) async fn create_partitions(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select create_month_partitions()").execute(connection).await?;
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
    connection.ensure_migrations_table("_sqlx_migrations").await?;
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
