//! What waits to be claimed, and how much is being worked on.

use std::time::Duration;

use super::{StoreError, TenantTx};
use crate::model::RunId;

/// What waits to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Units that a worker may take now.
    pub ready: u64,
    /// For how long the first of them has been ready.
    pub oldest: Option<Duration>,
    /// Units that are tried again later.
    pub due_later: u64,
}

/// Of one run.
pub async fn of_run(tx: &mut TenantTx, run: RunId) -> Result<Backlog, StoreError> {
    read(tx, Some(run)).await
}

/// Of the whole organization, in runs that are running; and how many units are being worked on.
pub async fn of_organization(tx: &mut TenantTx) -> Result<(Backlog, u64), StoreError> {
    let query = "select count(*) from unit_leases where organization_id = $1";
    let running: i64 = sqlx::query_scalar(query).bind(tx.organization().0).fetch_one(&mut **tx).await?;
    Ok((read(tx, None).await?, running.cast_unsigned()))
}

async fn read(tx: &mut TenantTx, run: Option<RunId>) -> Result<Backlog, StoreError> {
    let query = "select count(*) filter (where ready_at <= now()), extract(epoch from now() - min(ready_at))::float8, \
                 count(*) filter (where ready_at > now()) \
                 from ready_units q join runs r on r.organization_id = q.organization_id and r.id = q.run_id and r.state = 'running' \
                 where q.organization_id = $1 and ($2::uuid is null or q.run_id = $2)";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(run.map(|run| run.0));
    let (ready, oldest, due_later): (i64, Option<f64>, i64) = query.fetch_one(&mut **tx).await?;
    let oldest = oldest.filter(|secs| ready > 0 && *secs >= 0.0).map(Duration::from_secs_f64);
    Ok(Backlog { ready: ready.cast_unsigned(), oldest, due_later: due_later.cast_unsigned() })
}
