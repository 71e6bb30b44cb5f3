//! The last that agents have told of their work at units.

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::units::Claim;
use super::{StoreError, TenantTx, text};
use crate::model::RunId;

/// What an agent has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Who.
    pub agent: String,
    /// The conversation that it carries on.
    pub session: Option<String>,
    /// What it does or says.
    pub step: String,
    /// How many steps it has told of.
    pub steps: u64,
    /// Tokens that it has used so far.
    pub tokens: Option<u64>,
}

/// The same of a unit at which somebody works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressRow {
    /// The unit's key.
    pub key: String,
    /// What was told.
    pub told: Told,
    /// When.
    pub told_at: OffsetDateTime,
}

/// Keeps it while the claim holds. Whoever has lost its claim changes nothing.
pub async fn tell(tx: &mut TenantTx, claim: &Claim, told: &Told) -> Result<(), StoreError> {
    let upsert = "insert into unit_progress (organization_id, unit_id, run_id, token, agent, session, step, steps, tokens) \
                  select $1, $2, $3, $4, $6, $7, $8, $9, $10 from unit_leases \
                  where organization_id = $1 and run_id = $3 and ordinal = $5 and token = $4 \
                  on conflict on constraint unit_progress_pkey do update \
                  set token = excluded.token, agent = excluded.agent, session = excluded.session, step = excluded.step, \
                      steps = excluded.steps, tokens = excluded.tokens, told_at = clock_timestamp()";
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let ordinal = i32::try_from(claim.ordinal).map_err(|error| StoreError::corrupt("ordinal", error))?;
    let upsert = sqlx::query(upsert).bind(tx.organization().0).bind(claim.unit.0).bind(claim.run.0).bind(claim.token).bind(ordinal);
    let upsert = upsert.bind(text::without_nul(&told.agent)).bind(told.session.as_deref().map(text::without_nul));
    let upsert = upsert.bind(text::without_nul(&told.step)).bind(number(told.steps)).bind(told.tokens.map(number));
    upsert.execute(&mut **tx).await?;
    Ok(())
}

/// What was told about the units of a run at which somebody works, by key.
pub async fn of_run(tx: &mut TenantTx, run: RunId) -> Result<Vec<ProgressRow>, StoreError> {
    let query = "select u.key, p.agent, p.session, p.step, p.steps, p.tokens, p.told_at from unit_progress p \
                 join run_tasks u on u.organization_id = p.organization_id and u.id = p.unit_id \
                 where p.organization_id = $1 and p.run_id = $2 and u.state = 'running' and u.token = p.token order by u.key";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<ProgressRow, StoreError> {
    let told = Told {
        agent: row.try_get("agent")?,
        session: row.try_get("session")?,
        step: row.try_get("step")?,
        steps: row.try_get::<i64, _>("steps")?.cast_unsigned(),
        tokens: row.try_get::<Option<i64>, _>("tokens")?.map(i64::cast_unsigned),
    };
    Ok(ProgressRow { key: row.try_get("key")?, told, told_at: row.try_get("told_at")? })
}
