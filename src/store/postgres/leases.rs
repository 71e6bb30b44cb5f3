//! Who drives a run. All times are the database's clock.

use std::time::Duration;

use sqlx::Row;
use time::OffsetDateTime;

use super::{StoreError, SystemTx, TenantTx};
use crate::model::{OrganizationId, RunId, WorkerId};

/// The lease of a run as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLease {
    /// Who drives it; none when nobody does.
    pub owner: Option<WorkerId>,
    /// Bumped by every new driver.
    pub token: i64,
    /// True when the owner has shown no sign of life in time.
    pub expired: bool,
    /// When the lease ends without a sign of life.
    pub expires_at: Option<OffsetDateTime>,
    /// For how long no unit of it was settled.
    pub idle: Duration,
}

/// Reads and locks the lease of a run; none when there is no such run.
pub async fn lock(tx: &mut TenantTx, run: RunId) -> Result<Option<RunLease>, StoreError> {
    let lock = "select from run_leases where organization_id = $1 and run_id = $2 for no key update";
    sqlx::query(lock).bind(tx.organization().0).bind(run.0).execute(&mut **tx).await?;
    find(tx, run).await
}

/// Reads the lease of a run; none when there is no such run. A lease whose driver's session is gone counts as expired; in the first time
/// after a restart of the server none does whose driver may come back.
pub async fn find(tx: &mut TenantTx, run: RunId) -> Result<Option<RunLease>, StoreError> {
    let query = "select owner, token, expires_at, extract(epoch from now() - progress_at)::float8, driver_gone(l, $3) \
                 from run_leases l where organization_id = $1 and run_id = $2";
    let query = sqlx::query(query).bind(tx.organization().0).bind(run.0).bind(tx.managed());
    let row = query.fetch_optional(&mut **tx).await?;
    row.map(|row| {
        Ok(RunLease {
            owner: row.try_get::<Option<uuid::Uuid>, _>(0)?.map(WorkerId),
            token: row.try_get(1)?,
            expired: row.try_get(4)?,
            expires_at: row.try_get(2)?,
            idle: Duration::from_secs_f64(row.try_get::<f64, _>(3)?.max(0.0)),
        })
    })
    .transpose()
}

/// Makes that worker the driver, whoever was it before, and returns the new token. The caller has locked the lease. `presence` is the
/// worker's advisory lock, written down when its session holds it at this moment; `host` is its machine.
pub async fn take(
    tx: &mut TenantTx,
    run: RunId,
    owner: WorkerId,
    host: &str,
    presence: Option<i64>,
    lease: Duration,
) -> Result<i64, StoreError> {
    let update = "update run_leases set owner = $3, token = token + 1, presence = case when presence_held($5) then $5 end, host = $6, \
                  progress_at = now(), renewed_at = now(), expires_at = now() + make_interval(secs => $4) \
                  where organization_id = $1 and run_id = $2 returning token";
    let update = sqlx::query_scalar(update).bind(tx.organization().0).bind(run.0).bind(owner.0).bind(lease.as_secs_f64());
    let update = update.bind(presence).bind(host);
    Ok(update.fetch_one(&mut **tx).await?)
}

/// Renews the lease while the token is current; false when another one drives the run now.
pub async fn renew(tx: &mut TenantTx, run: RunId, token: i64, presence: Option<i64>, lease: Duration) -> Result<bool, StoreError> {
    let update = "update run_leases set renewed_at = now(), expires_at = now() + make_interval(secs => $4), \
                  presence = case when presence_held($5) then $5 end \
                  where organization_id = $1 and run_id = $2 and token = $3 and owner is not null";
    let update = sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(token).bind(lease.as_secs_f64()).bind(presence);
    Ok(update.execute(&mut **tx).await?.rows_affected() == 1)
}

/// Gives the lease back while the token is current.
pub async fn release(tx: &mut TenantTx, run: RunId, token: i64) -> Result<(), StoreError> {
    let update =
        "update run_leases set owner = null, presence = null, expires_at = null where organization_id = $1 and run_id = $2 and token = $3";
    sqlx::query(update).bind(tx.organization().0).bind(run.0).bind(token).execute(&mut **tx).await?;
    Ok(())
}

/// Takes the run away from whoever drives it: its token is old from now on.
pub async fn revoke(tx: &mut TenantTx, run: RunId) -> Result<(), StoreError> {
    let update = "update run_leases set owner = null, presence = null, expires_at = null, token = token + 1 where organization_id = $1 and run_id = $2";
    sqlx::query(update).bind(tx.organization().0).bind(run.0).execute(&mut **tx).await?;
    Ok(())
}

/// Runs with a unit whose lease ran out, across organizations. None in the first `lease` after a restart of the server, so that an
/// outage does not take every unit from workers that could not renew.
pub async fn runs_with_expired_units(tx: &mut SystemTx, lease: Duration) -> Result<Vec<(OrganizationId, RunId)>, StoreError> {
    let query = "select distinct organization_id, run_id from unit_leases \
                 where expires_at < now() and pg_postmaster_start_time() < now() - make_interval(secs => $1) order by 1, 2";
    let rows: Vec<(uuid::Uuid, uuid::Uuid)> = sqlx::query_as(query).bind(lease.as_secs_f64()).fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|(organization, run)| (OrganizationId(organization), RunId(run))).collect())
}

/// Running runs without progress for so long, across organizations.
pub async fn stuck_runs(tx: &mut SystemTx, stuck_after: Duration) -> Result<Vec<(OrganizationId, RunId)>, StoreError> {
    let query = "select r.organization_id, r.id from runs r \
                 join run_leases l on l.organization_id = r.organization_id and l.run_id = r.id \
                 where r.state = 'running' and l.owner is not null and l.progress_at < now() - make_interval(secs => $1) order by 1, 2";
    let rows: Vec<(uuid::Uuid, uuid::Uuid)> = sqlx::query_as(query).bind(stuck_after.as_secs_f64()).fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|(organization, run)| (OrganizationId(organization), RunId(run))).collect())
}

/// Notes that the run made progress.
pub async fn progress(tx: &mut TenantTx, run: RunId) -> Result<(), StoreError> {
    let update = "update run_leases set progress_at = now() where organization_id = $1 and run_id = $2";
    sqlx::query(update).bind(tx.organization().0).bind(run.0).execute(&mut **tx).await?;
    Ok(())
}

/// Unfinished runs that wait for a driver, across organizations, oldest first: queued ones, and running ones whose driver is gone.
pub async fn runs_without_driver(tx: &mut SystemTx, limit: u32) -> Result<Vec<(OrganizationId, RunId)>, StoreError> {
    let query = "select r.organization_id, r.id from runs r \
                 join run_leases l on l.organization_id = r.organization_id and l.run_id = r.id \
                 where r.state in ('queued', 'running') and driver_gone(l, $2) \
                 order by r.created_at, r.id limit $1";
    let rows: Vec<(uuid::Uuid, uuid::Uuid)> = sqlx::query_as(query).bind(i64::from(limit)).bind(tx.managed()).fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|(organization, run)| (OrganizationId(organization), RunId(run))).collect())
}

/// A run that another worker drives and in which units are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRun {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The run.
    pub run: RunId,
    /// True when it is driven on the same machine, where its output directory is.
    pub same_host: bool,
}

/// Runs whose units that worker may work on although another one drives them, across organizations, oldest first.
pub async fn runs_with_open_units(tx: &mut SystemTx, worker: WorkerId, host: &str, limit: u32) -> Result<Vec<OpenRun>, StoreError> {
    let query = "select r.organization_id, r.id, l.host is not distinct from $2 from runs r \
                 join run_leases l on l.organization_id = r.organization_id and l.run_id = r.id \
                 where r.state = 'running' and l.owner <> $1 and l.expires_at > now() and exists ( \
                     select from ready_units q where q.organization_id = r.organization_id and q.run_id = r.id and q.ready_at <= now()) \
                 and (l.host is not distinct from $2 or not exists ( \
                     select from runs o join run_phases p on p.organization_id = o.organization_id and p.run_id = o.id \
                     where o.organization_id = r.organization_id and o.output_dir = r.output_dir and o.id <> r.id \
                     and p.phase = 'deploy' and p.state = 'succeeded')) \
                 order by r.created_at, r.id limit $3";
    let query = sqlx::query_as(query).bind(worker.0).bind(host).bind(i64::from(limit));
    let rows: Vec<(uuid::Uuid, uuid::Uuid, bool)> = query.fetch_all(&mut **tx).await?;
    let open = |(organization, run, same_host)| OpenRun { organization: OrganizationId(organization), run: RunId(run), same_host };
    Ok(rows.into_iter().map(open).collect())
}
