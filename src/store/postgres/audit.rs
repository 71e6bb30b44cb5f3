//! The audit log: what a person, a key or an agent asked for. Rows are added in the transaction of the change, and never change.

use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{StoreError, TenantTx};

/// One change that somebody asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// When.
    pub created_at: OffsetDateTime,
    /// Who.
    pub actor: String,
    /// What, as `noun.verb`.
    pub action: String,
    /// On which row.
    pub subject: String,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
}

/// Adds a row.
pub async fn record(
    tx: &mut TenantTx,
    actor: &str,
    action: &str,
    subject: &str,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<(), StoreError> {
    let insert = "insert into audit_log (organization_id, id, actor, action, subject, before, after) values ($1, $2, $3, $4, $5, $6, $7)";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(uuid::Uuid::now_v7()).bind(actor).bind(action).bind(subject);
    insert.bind(before.map(Json)).bind(after.map(Json)).execute(&mut **tx).await?;
    Ok(())
}

/// What was asked for on that row, oldest first, at most 1,000.
pub async fn of_subject(tx: &mut TenantTx, subject: &str) -> Result<Vec<AuditRow>, StoreError> {
    let query = "select created_at, actor, action, subject, before, after from audit_log \
                 where organization_id = $1 and subject = $2 order by created_at, id limit 1000";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(subject).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(AuditRow {
            created_at: row.try_get("created_at")?,
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            before: row.try_get::<Option<Json<Value>>, _>("before")?.map(|Json(value)| value),
            after: row.try_get::<Option<Json<Value>>, _>("after")?.map(|Json(value)| value),
        })
    };
    rows.iter().map(read).collect()
}
