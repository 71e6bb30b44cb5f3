//! The outbox: one row per change, written with it, read by the projections in the order in which transactions ended.
//!
//! A reader takes only rows whose transaction lies below the oldest one still open: everything below it is decided, so nothing can
//! appear behind the cursor later. The cursor moves only after the projection has acknowledged.

use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;

use super::{StoreError, SystemTx, TenantTx};
use crate::model::OrganizationId;

/// A change to announce.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What sort of thing changed.
    pub aggregate: &'a str,
    /// Which one.
    pub id: uuid::Uuid,
    /// Its version after the change; readers ignore older ones.
    pub version: i64,
    /// What happened to it, as `noun_verb`.
    pub kind: &'a str,
    /// What a projection needs to know.
    pub payload: &'a Value,
}

/// A change as a projection reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// The tenant.
    pub organization: OrganizationId,
    /// Its number.
    pub id: i64,
    /// The transaction that wrote it.
    pub xid: String,
    /// What sort of thing changed.
    pub aggregate: String,
    /// Which one.
    pub aggregate_id: uuid::Uuid,
    /// Its version.
    pub aggregate_version: i64,
    /// What happened to it.
    pub kind: String,
    /// What a projection needs to know.
    pub payload: Value,
}

/// What a projection finds.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// The next changes, in order; empty when it is up to date.
    Rows(Vec<OutboxRow>),
    /// The database was restored on another cluster, where the old numbers mean nothing: commit, then rebuild the projection. The
    /// cursor stands at the present; rows of the old cluster that turn up later carry old versions and are ignored.
    Restored {
        /// The new generation's number.
        generation: u32,
    },
}

/// Announces a change in its own transaction.
pub async fn append(tx: &mut TenantTx, change: &Change<'_>) -> Result<(), StoreError> {
    let insert =
        "insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload) values ($1, $2, $3, $4, $5, $6)";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(change.aggregate).bind(change.id).bind(change.version);
    insert.bind(change.kind).bind(Json(change.payload)).execute(&mut **tx).await?;
    Ok(())
}

/// Reads the next changes of some aggregates for a projection, and locks its cursor: one reader per projection at a time.
pub async fn read(tx: &mut SystemTx, projection: &str, aggregates: &[&str], limit: u32) -> Result<Read, StoreError> {
    let make = "insert into projection_cursors (name, system_identifier, xid, id) \
                select $1, system_identifier::text, '0', 0 from pg_control_system() on conflict on constraint projection_cursors_pkey do nothing";
    sqlx::query(make).bind(projection).execute(&mut **tx).await?;
    let cursor = "select c.system_identifier = s.system_identifier::text, s.system_identifier::text from projection_cursors c, pg_control_system() s \
                  where name = $1 for update of c";
    let (same, cluster): (bool, String) = sqlx::query_as(cursor).bind(projection).fetch_one(&mut **tx).await?;
    if !same {
        let reset = "update projection_cursors set system_identifier = $2, generation = generation + 1, \
                     xid = pg_snapshot_xmin(pg_current_snapshot()), id = 0, updated_at = now() where name = $1 returning generation";
        let generation: i32 = sqlx::query_scalar(reset).bind(projection).bind(cluster).fetch_one(&mut **tx).await?;
        return Ok(Read::Restored { generation: generation.cast_unsigned() });
    }
    let query = "select o.organization_id, o.id, o.xid::text, aggregate, aggregate_id, aggregate_version, kind, payload \
                 from outbox o, projection_cursors c \
                 where c.name = $1 and (o.xid, o.id) > (c.xid, c.id) and o.xid < pg_snapshot_xmin(pg_current_snapshot()) \
                 and aggregate = any($2) order by o.xid, o.id limit $3";
    let rows = sqlx::query(query).bind(projection).bind(aggregates).bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(OutboxRow {
            organization: OrganizationId(row.try_get("organization_id")?),
            id: row.try_get("id")?,
            xid: row.try_get("xid")?,
            aggregate: row.try_get("aggregate")?,
            aggregate_id: row.try_get("aggregate_id")?,
            aggregate_version: row.try_get("aggregate_version")?,
            kind: row.try_get("kind")?,
            payload: row.try_get::<Json<Value>, _>("payload")?.0,
        })
    };
    Ok(Read::Rows(rows.iter().map(read).collect::<Result<_, StoreError>>()?))
}

/// Moves the projection's cursor to that row, which it has taken in.
pub async fn acknowledge(tx: &mut SystemTx, projection: &str, row: &OutboxRow) -> Result<(), StoreError> {
    let update = "update projection_cursors set xid = $2::xid8, id = $3, updated_at = now() where name = $1";
    sqlx::query(update).bind(projection).bind(&row.xid).bind(row.id).execute(&mut **tx).await?;
    Ok(())
}

/// Sets a row aside that the projection refused too often, so that the others go on.
pub async fn set_aside(tx: &mut SystemTx, projection: &str, row: &OutboxRow, error: &str) -> Result<(), StoreError> {
    let insert = "insert into dead_letters (organization_id, projection, outbox_id, kind, payload, error) values ($1, $2, $3, $4, $5, $6) \
                  on conflict on constraint dead_letters_pkey do nothing";
    let insert = sqlx::query(insert).bind(row.organization.0).bind(projection).bind(row.id).bind(&row.kind);
    insert.bind(Json(&row.payload)).bind(error).execute(&mut **tx).await?;
    Ok(())
}

/// Removes rows that every projection has passed, and rows older than `age_days` whoever still waits for them. Returns how many.
pub async fn prune(tx: &mut SystemTx, age_days: u32) -> Result<u64, StoreError> {
    let delete = "delete from outbox o \
                  where (o.xid, o.id) <= (select c.xid, c.id from projection_cursors c order by c.xid, c.id limit 1) \
                  or created_at < now() - make_interval(days => $1)";
    Ok(sqlx::query(delete).bind(age_days.cast_signed()).execute(&mut **tx).await?.rows_affected())
}

/// How many changes a projection has not taken in yet, for `doctor`.
pub async fn lag(tx: &mut SystemTx, projection: &str, aggregates: &[&str]) -> Result<u64, StoreError> {
    let query = "select count(*) from outbox o where aggregate = any($2) \
                 and not exists (select from projection_cursors c where name = $1 and (o.xid, o.id) <= (c.xid, c.id))";
    let count: i64 = sqlx::query_scalar(query).bind(projection).bind(aggregates).fetch_one(&mut **tx).await?;
    Ok(count.cast_unsigned())
}
