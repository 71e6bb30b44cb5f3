//! Answers kept under the callers' own keys, each in the transaction that did what was asked.

use std::time::Duration;

use sqlx::Row;

use super::{StoreError, SystemTx, TenantTx};

/// How long a request waits for an equal one that is being done at the same moment.
pub const WAIT_SECS_MAX: u64 = 2;

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Where what was made lives.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is known under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing: the key is this transaction's now, and [`keep`] is to follow.
    New,
    /// This very request was done and answered so.
    Answered(Answer),
    /// The key was used for another request.
    Taken,
}

/// Takes the key for a request, or finds what became of it. Waits for a transaction that holds the key, at most [`WAIT_SECS_MAX`]; an
/// error that is transient says that it took longer.
pub async fn claim(tx: &mut TenantTx, key: &str, request_hash: &str) -> Result<Claimed, StoreError> {
    let organization = tx.organization().0;
    sqlx::query("set local lock_timeout = '2s'").execute(&mut **tx).await?;
    let insert = "insert into idempotency_keys (organization_id, key, request_hash) values ($1, $2, $3) \
                  on conflict on constraint idempotency_keys_pkey do nothing";
    let inserted = sqlx::query(insert).bind(organization).bind(key).bind(request_hash).execute(&mut **tx).await?;
    sqlx::query("set local lock_timeout to default").execute(&mut **tx).await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claimed::New);
    }
    let query = "select request_hash, status, location, body from idempotency_keys where organization_id = $1 and key = $2";
    let row = sqlx::query(query).bind(organization).bind(key).fetch_one(&mut **tx).await?;
    if row.try_get::<String, _>("request_hash")? != request_hash {
        return Ok(Claimed::Taken);
    }
    let status: Option<i32> = row.try_get("status")?;
    let status = status.and_then(|status| u16::try_from(status).ok()).ok_or_else(|| StoreError::corrupt("answer", "it has no status"))?;
    let body: Option<Vec<u8>> = row.try_get("body")?;
    Ok(Claimed::Answered(Answer { status, location: row.try_get("location")?, body: body.unwrap_or_default() }))
}

/// Keeps the answer to the request that this transaction took the key for.
pub async fn keep(tx: &mut TenantTx, key: &str, answer: &Answer) -> Result<(), StoreError> {
    let update = "update idempotency_keys set status = $3, location = $4, body = $5 where organization_id = $1 and key = $2";
    let update = sqlx::query(update).bind(tx.organization().0).bind(key).bind(i32::from(answer.status));
    update.bind(&answer.location).bind(&answer.body).execute(&mut **tx).await?;
    Ok(())
}

/// Forgets the answers that are older than that, of every organization. Returns how many.
pub async fn forget(tx: &mut SystemTx, age: Duration) -> Result<u64, StoreError> {
    let delete = "delete from idempotency_keys where created_at < now() - make_interval(secs => $1)";
    Ok(sqlx::query(delete).bind(age.as_secs_f64()).execute(&mut **tx).await?.rows_affected())
}
