//! The outbox: one row per change, written with it, read by the projections in the order in which transactions ended.
//!
//! A reader takes only rows whose transaction lies below the oldest one still open: everything below it is decided, so nothing can
//! appear behind the cursor later. The cursor moves only after the projection has acknowledged.

use std::time::Duration;

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
    /// There is nothing that the projection could go on from: it is new, the database was restored on another cluster, where the old
    /// numbers mean nothing, or the rows it still needed are too old and gone. It must be rebuilt from the tables.
    Rebuild {
        /// Where to go on once that is done: everything from here on may be missing in what was read before.
        from: Position,
        /// The generation that the rebuild makes.
        generation: u32,
    },
}

/// A place in the order of changes, of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The cluster that counted it.
    system_identifier: String,
    /// The oldest transaction that was open then.
    xid: String,
}

#[cfg(test)]
impl Position {
    /// Before every change of this cluster.
    pub(crate) fn rewind(&mut self) {
        "0".clone_into(&mut self.xid);
    }
}

/// How far behind a projection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Changes that it has not taken in.
    pub rows: u64,
    /// How long the oldest of them has been waiting.
    pub age: Duration,
    /// Changes that it refused and that were set aside.
    pub dead_letters: u64,
    /// Its generation; none before it was first built.
    pub generation: Option<u32>,
}

/// Announces a change in its own transaction.
pub async fn append(tx: &mut TenantTx, change: &Change<'_>) -> Result<(), StoreError> {
    let insert =
        "insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload) values ($1, $2, $3, $4, $5, $6)";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(change.aggregate).bind(change.id).bind(change.version);
    insert.bind(change.kind).bind(Json(change.payload)).execute(&mut **tx).await?;
    Ok(())
}

/// The present as a position: changes of every transaction that ended before lie below it.
pub async fn position(tx: &mut SystemTx) -> Result<Position, StoreError> {
    let query = "select system_identifier::text, pg_snapshot_xmin(pg_current_snapshot())::text from pg_control_system()";
    let (system_identifier, xid) = sqlx::query_as(query).fetch_one(&mut **tx).await?;
    Ok(Position { system_identifier, xid })
}

/// Reads the next changes of some aggregates for a projection. Whoever calls it has the projection's turn (see `turn`): two readers of
/// one projection would only do the same work twice, for every write is guarded by versions.
pub async fn read(tx: &mut SystemTx, projection: &str, aggregates: &[&str], limit: u32) -> Result<Read, StoreError> {
    let from = position(tx).await?;
    let cursor = "select system_identifier, generation from projection_cursors where name = $1";
    let cursor: Option<(String, i32)> = sqlx::query_as(cursor).bind(projection).fetch_optional(&mut **tx).await?;
    let Some((system_identifier, generation)) = cursor else { return Ok(Read::Rebuild { from, generation: 1 }) };
    if system_identifier != from.system_identifier {
        return Ok(Read::Rebuild { from, generation: generation.cast_unsigned() + 1 });
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

/// Begins a generation of a projection that was built from the tables as they were at that position or later. Changes that it had
/// refused before are in it now, or in what comes.
pub async fn restart(tx: &mut SystemTx, projection: &str, from: &Position, generation: u32) -> Result<(), StoreError> {
    let insert = "insert into projection_cursors (name, system_identifier, generation, xid, id) values ($1, $2, $3, $4::xid8, 0) \
                  on conflict on constraint projection_cursors_pkey do update set system_identifier = excluded.system_identifier, \
                  generation = excluded.generation, xid = excluded.xid, id = 0, updated_at = now()";
    let insert = sqlx::query(insert).bind(projection).bind(&from.system_identifier).bind(generation.cast_signed());
    insert.bind(&from.xid).execute(&mut **tx).await?;
    sqlx::query("delete from dead_letters where projection = $1").bind(projection).execute(&mut **tx).await?;
    Ok(())
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

/// Removes rows that every projection has passed and that are older than `kept`, for who follows a run may come back to them; and rows
/// older than `age_max` whoever still waits for them: such a projection is rebuilt when it comes back. Returns how many.
pub async fn prune(tx: &mut SystemTx, kept: Duration, age_max: Duration) -> Result<u64, StoreError> {
    let outdated = "update projection_cursors c set system_identifier = 'outdated' \
                    where exists (select from outbox o where (o.xid, o.id) > (c.xid, c.id) and o.created_at < now() - make_interval(secs => $1))";
    sqlx::query(outdated).bind(age_max.as_secs_f64()).execute(&mut **tx).await?;
    let delete = "delete from outbox o where o.created_at < now() - make_interval(secs => $1) \
                  and not exists (select from projection_cursors c where c.system_identifier <> 'outdated' and (o.xid, o.id) > (c.xid, c.id))";
    Ok(sqlx::query(delete).bind(kept.as_secs_f64()).execute(&mut **tx).await?.rows_affected())
}

/// How far behind a projection is, for `doctor` and metrics.
pub async fn lag(tx: &mut SystemTx, projection: &str, aggregates: &[&str]) -> Result<Lag, StoreError> {
    let generation = "select generation from projection_cursors where name = $1";
    let generation: Option<i32> = sqlx::query_scalar(generation).bind(projection).fetch_optional(&mut **tx).await?;
    let waiting = "select count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::float8 from outbox o where aggregate = any($2) \
                   and not exists (select from projection_cursors c where name = $1 and (o.xid, o.id) <= (c.xid, c.id))";
    let (rows, age_secs): (i64, f64) = sqlx::query_as(waiting).bind(projection).bind(aggregates).fetch_one(&mut **tx).await?;
    let aside = "select count(*) from dead_letters where projection = $1";
    let aside: i64 = sqlx::query_scalar(aside).bind(projection).fetch_one(&mut **tx).await?;
    Ok(Lag {
        rows: rows.cast_unsigned(),
        age: Duration::from_secs_f64(age_secs.max(0.0)),
        dead_letters: aside.cast_unsigned(),
        generation: generation.map(i32::cast_unsigned),
    })
}

/// What a network or an operator may do to announcements: they are gone. Returns how many there were.
#[cfg(test)]
pub(crate) async fn lose(tx: &mut SystemTx) -> Result<u64, StoreError> {
    Ok(sqlx::query("delete from outbox").execute(&mut **tx).await?.rows_affected())
}
