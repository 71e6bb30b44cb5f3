//! The registry of agents.

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::plans::{name_of, named};
use super::{StoreError, TenantTx, text};
use crate::model::{AgentKind, Duty, Profile, Specialisation};

const COLUMNS: &str = "name, kind, duty, specialisation, task_types, skills, role, settings, enabled, version";

/// Adds the profiles whose names are not there yet; what somebody changed or switched off stays so.
pub async fn add_missing(tx: &mut TenantTx, profiles: &[Profile]) -> Result<(), StoreError> {
    let insert = "insert into agents (organization_id, name, kind, duty, specialisation, task_types, skills, role, settings, enabled) \
                  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict on constraint agents_pkey do nothing";
    for profile in profiles {
        bound(sqlx::query(insert), tx, profile)?.execute(&mut **tx).await?;
    }
    Ok(())
}

/// Adds a profile, or replaces the one of its name; its version is the next one. Returns it.
pub async fn save(tx: &mut TenantTx, profile: &Profile) -> Result<u32, StoreError> {
    let upsert = "insert into agents (organization_id, name, kind, duty, specialisation, task_types, skills, role, settings, enabled) \
                  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
                  on conflict on constraint agents_pkey do update set kind = excluded.kind, duty = excluded.duty, \
                  specialisation = excluded.specialisation, task_types = excluded.task_types, skills = excluded.skills, \
                  role = excluded.role, settings = excluded.settings, enabled = excluded.enabled, \
                  version = agents.version + 1, updated_at = now() returning version";
    let row = bound(sqlx::query(upsert), tx, profile)?.fetch_one(&mut **tx).await?;
    let version: i32 = row.try_get("version")?;
    u32::try_from(version).map_err(|error| StoreError::corrupt("version", error))
}

/// Every profile, by name.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<Profile>, StoreError> {
    let query = sqlx::AssertSqlSafe(format!("select {COLUMNS} from agents where organization_id = $1 order by name"));
    let rows = sqlx::query(query).bind(tx.organization().0).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

/// Removes a profile. False when there is none of that name.
pub async fn remove(tx: &mut TenantTx, name: &str) -> Result<bool, StoreError> {
    let delete = "delete from agents where organization_id = $1 and name = $2";
    let deleted = sqlx::query(delete).bind(tx.organization().0).bind(name).execute(&mut **tx).await?;
    Ok(deleted.rows_affected() > 0)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bound<'q>(query: Query<'q>, tx: &TenantTx, profile: &'q Profile) -> Result<Query<'q>, StoreError> {
    let types: Vec<String> = profile.task_types.iter().map(name_of).collect::<Result<_, _>>()?;
    let query = query.bind(tx.organization().0).bind(&profile.name).bind(profile.kind.as_str()).bind(profile.duty.as_str());
    let query = query.bind(profile.specialisation.as_str()).bind(types).bind(&profile.skills).bind(text::without_nul(&profile.role));
    Ok(query.bind(text::json(&profile.settings)?).bind(profile.enabled))
}

fn read(row: &PgRow) -> Result<Profile, StoreError> {
    let (kind, duty): (String, String) = (row.try_get("kind")?, row.try_get("duty")?);
    let specialisation: String = row.try_get("specialisation")?;
    let types: Vec<String> = row.try_get("task_types")?;
    let version: i32 = row.try_get("version")?;
    Ok(Profile {
        name: row.try_get("name")?,
        kind: kind.parse::<AgentKind>().map_err(|()| StoreError::corrupt("agent kind", &kind))?,
        duty: duty.parse::<Duty>().map_err(|()| StoreError::corrupt("duty", &duty))?,
        specialisation: specialisation.parse::<Specialisation>().map_err(|()| StoreError::corrupt("specialisation", &specialisation))?,
        task_types: types.into_iter().map(|name| named("task type", name)).collect::<Result<_, _>>()?,
        skills: row.try_get("skills")?,
        role: row.try_get("role")?,
        settings: row.try_get::<Json<serde_json::Value>, _>("settings")?.0,
        enabled: row.try_get("enabled")?,
        version: u32::try_from(version).map_err(|error| StoreError::corrupt("version", error))?,
    })
}
