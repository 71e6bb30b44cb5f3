//! What the tables announce of one run, in order, for whoever follows it. The same rule as for projections: only what lies below the
//! oldest open transaction is read, so nothing can appear behind a place later.

use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{StoreError, TenantTx};
use crate::model::{RunId, RunState, UnitId, UnitState};

/// A place in the announcements of a cluster; the default is before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The transaction.
    pub xid: u64,
    /// The announcement.
    pub id: i64,
}

/// One announcement.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// Where it stands.
    pub place: Place,
    /// `run`, `phase` or `unit`.
    pub aggregate: String,
    /// Which one.
    pub aggregate_id: uuid::Uuid,
    /// Its version after the change.
    pub version: i64,
    /// What happened, as `noun_verb`.
    pub kind: String,
    /// What there is to know about it.
    pub payload: Value,
    /// When.
    pub at: OffsetDateTime,
}

/// What lies behind a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// True when there is something to read.
    pub readable: bool,
    /// True when there is something, readable or not yet.
    pub more: bool,
    /// Where the run stands.
    pub state: RunState,
}

/// A unit at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitAt {
    /// Its id.
    pub id: UnitId,
    /// Its key.
    pub key: String,
    /// Where it stands.
    pub state: UnitState,
    /// Classified outcomes so far.
    pub attempt: u32,
    /// Its version; announcements up to it are contained in this.
    pub version: i64,
}

/// Names the cluster: the places of one mean nothing in another.
pub async fn cluster(tx: &mut TenantTx) -> Result<String, StoreError> {
    Ok(sqlx::query_scalar("select system_identifier::text from pg_control_system()").fetch_one(&mut **tx).await?)
}

/// The next announcements behind a place, in order.
pub async fn read(tx: &mut TenantTx, run: RunId, after: Place, limit: u32) -> Result<Vec<RunEvent>, StoreError> {
    let query = "select xid::text, id, aggregate, aggregate_id, aggregate_version, kind, payload, created_at from outbox o \
                 where organization_id = $1 and run_id = $2 and (xid, id) > ($3::xid8, $4) \
                 and xid < pg_snapshot_xmin(pg_current_snapshot()) order by o.xid, o.id limit $5";
    let query = sqlx::query(query).bind(tx.organization().0).bind(run.0).bind(after.xid.to_string()).bind(after.id);
    let rows = query.bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(RunEvent {
            place: Place { xid: number(row.try_get("xid")?)?, id: row.try_get("id")? },
            aggregate: row.try_get("aggregate")?,
            aggregate_id: row.try_get("aggregate_id")?,
            version: row.try_get("aggregate_version")?,
            kind: row.try_get("kind")?,
            payload: row.try_get::<Json<Value>, _>("payload")?.0,
            at: row.try_get("created_at")?,
        })
    };
    rows.iter().map(read).collect()
}

/// What lies behind a place; none when there is no such run.
pub async fn ahead(tx: &mut TenantTx, run: RunId, after: Place) -> Result<Option<Ahead>, StoreError> {
    let query = "select state, \
                 exists (select from outbox o where o.organization_id = r.organization_id and o.run_id = r.id and (xid, id) > ($3::xid8, $4) \
                     and xid < pg_snapshot_xmin(pg_current_snapshot())), \
                 exists (select from outbox o where o.organization_id = r.organization_id and o.run_id = r.id and (xid, id) > ($3::xid8, $4)) \
                 from runs r where organization_id = $1 and id = $2";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).bind(after.xid.to_string()).bind(after.id);
    let found: Option<(String, bool, bool)> = query.fetch_optional(&mut **tx).await?;
    found
        .map(|(state, readable, more)| {
            let state = RunState::parse(&state).ok_or_else(|| StoreError::corrupt("run state", state))?;
            Ok(Ahead { readable, more, state })
        })
        .transpose()
}

/// True while everything behind that place is still there: old announcements go first, so it is as long as the one at it is.
pub async fn continues(tx: &mut TenantTx, run: RunId, place: Place) -> Result<bool, StoreError> {
    let query = "select exists (select from outbox where organization_id = $1 and run_id = $2 and xid = $3::xid8 and id = $4)";
    let query = sqlx::query_scalar(query).bind(tx.organization().0).bind(run.0).bind(place.xid.to_string()).bind(place.id);
    Ok(query.fetch_one(&mut **tx).await?)
}

/// True while the announcement of the run's submission, its first, is still there.
pub async fn complete(tx: &mut TenantTx, run: RunId) -> Result<bool, StoreError> {
    let query =
        "select exists (select from outbox where organization_id = $1 and run_id = $2 and aggregate = 'run' and aggregate_version = 1)";
    Ok(sqlx::query_scalar(query).bind(tx.organization().0).bind(run.0).fetch_one(&mut **tx).await?)
}

/// The place before which everything is decided. What is read of the tables afterwards contains all of it.
pub async fn horizon(tx: &mut TenantTx) -> Result<Place, StoreError> {
    let xmin: String = sqlx::query_scalar("select pg_snapshot_xmin(pg_current_snapshot())::text").fetch_one(&mut **tx).await?;
    Ok(Place { xid: number(xmin)?, id: 0 })
}

/// The version of a run and its units, gates left out, in plan order.
pub async fn snapshot(tx: &mut TenantTx, run: RunId) -> Result<(i64, Vec<UnitAt>), StoreError> {
    let organization = tx.organization().0;
    let query = "select version from runs where organization_id = $1 and id = $2";
    let version: i64 = sqlx::query_scalar(query).bind(organization).bind(run.0).fetch_one(&mut **tx).await?;
    let query =
        "select id, key, state, attempt, version from run_tasks where organization_id = $1 and run_id = $2 and not gate order by ordinal";
    let rows = sqlx::query(query).bind(organization).bind(run.0).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let state: String = row.try_get("state")?;
        Ok(UnitAt {
            id: UnitId(row.try_get("id")?),
            key: row.try_get("key")?,
            state: UnitState::parse(&state).ok_or_else(|| StoreError::corrupt("unit state", state))?,
            attempt: row.try_get::<i32, _>("attempt")?.cast_unsigned(),
            version: row.try_get("version")?,
        })
    };
    Ok((version, rows.iter().map(read).collect::<Result<_, StoreError>>()?))
}

fn number(text: String) -> Result<u64, StoreError> {
    text.parse().map_err(|_| StoreError::corrupt("transaction number", text))
}
