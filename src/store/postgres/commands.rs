//! The commands that were executed for a run. A row is written when one begins, and completed when it has ended.

use std::time::Duration;

use serde_json::json;
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, TenantTx, text};
use crate::exec::record::{End, Outcome};
use crate::exec::{Confinement, Exit, Limits, Network, Record};
use crate::model::report::CommandsReport;
use crate::model::{RunId, WorkerId};

/// For what a command was run. Neither phase nor unit: for the run as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The phase.
    pub phase: Option<String>,
    /// The unit's key, and the token of the try.
    pub unit: Option<(String, i64)>,
}

/// A command that was run.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRow {
    /// Its id; later for later ones.
    pub id: Uuid,
    /// For what.
    pub place: Place,
    /// By which process.
    pub worker: WorkerId,
    /// The program and its arguments, redacted.
    pub argv: Vec<String>,
    /// The working directory.
    pub directory: String,
    /// What it might reach.
    pub network: Network,
    /// How it had to be confined.
    pub confinement: Confinement,
    /// How much it might use.
    pub limits: Limits,
    /// When it began.
    pub began_at: OffsetDateTime,
    /// How it ended; none while it runs, and for good when the process that ran it was killed.
    pub ended: Option<EndedRow>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRow {
    /// In words.
    pub outcome: String,
    /// Its exit code, when it had one.
    pub exit_code: Option<i32>,
    /// After how long.
    pub duration: Duration,
    /// How it was confined, in words; none when it never ran.
    pub sandbox: Option<String>,
    /// The most memory that its processes were seen to have at once.
    pub peak_rss_bytes: Option<u64>,
    /// What it asked for and was not given.
    pub denials: Vec<String>,
}

/// Which commands of a run.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Those of units whose key, or of phases whose name, contains this.
    pub part: Option<&'a str>,
    /// Those after this one.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// Writes records down; of two with the same id that are both known the ended one stays. No id may be among them twice.
pub async fn write(tx: &mut TenantTx, run: RunId, worker: WorkerId, records: &[(Place, Record)]) -> Result<(), StoreError> {
    let rows: Vec<_> = records.iter().map(|(place, record)| document(place, record)).collect();
    let upsert = "insert into commands (organization_id, id, run_id, phase, key, token, worker, argv, directory, network, confinement, limits, \
                  began_at, outcome, exit_code, duration_ms, sandbox, peak_rss_bytes, denials) \
                  select $1, id, $2, phase, key, token, $3, array(select jsonb_array_elements_text(argv)), directory, network, confinement, \
                         limits, began_at, outcome, exit_code, duration_ms, sandbox, peak_rss_bytes, \
                         array(select jsonb_array_elements_text(denials)) \
                  from jsonb_to_recordset($4) as given (id uuid, phase text, key text, token bigint, argv jsonb, directory text, network jsonb, \
                       confinement jsonb, limits jsonb, began_at timestamptz, outcome text, exit_code integer, duration_ms bigint, \
                       sandbox text, peak_rss_bytes bigint, denials jsonb) \
                  on conflict on constraint commands_pkey do update \
                  set outcome = excluded.outcome, exit_code = excluded.exit_code, duration_ms = excluded.duration_ms, \
                      sandbox = excluded.sandbox, peak_rss_bytes = excluded.peak_rss_bytes, denials = excluded.denials \
                  where commands.outcome is null";
    let rows = text::json(&rows)?;
    sqlx::query(upsert).bind(tx.organization().0).bind(run.0).bind(worker.0).bind(rows).execute(&mut **tx).await?;
    Ok(())
}

/// The commands of a run, in the order in which they began.
pub async fn list(tx: &mut TenantTx, run: RunId, wanted: Wanted<'_>) -> Result<Vec<CommandRow>, StoreError> {
    let query = "select id, phase, key, token, worker, argv, directory, network, confinement, limits, began_at, outcome, exit_code, \
                 duration_ms, sandbox, peak_rss_bytes, denials from commands \
                 where organization_id = $1 and run_id = $2 and ($3::uuid is null or id > $3) \
                   and ($4::text is null or strpos(coalesce(key, phase, ''), $4) > 0) \
                 order by id limit $5";
    let query = sqlx::query(query).bind(tx.organization().0).bind(run.0).bind(wanted.after).bind(wanted.part).bind(wanted.limit);
    query.fetch_all(&mut **tx).await?.iter().map(read).collect()
}

/// How many commands a run has executed, and what became of them.
pub async fn counts(tx: &mut TenantTx, run: RunId) -> Result<CommandsReport, StoreError> {
    let query = "select count(*), count(*) filter (where outcome is not null and sandbox is null), count(*) filter (where outcome is null), \
                 count(*) filter (where denials <> '{}') from commands where organization_id = $1 and run_id = $2";
    let row = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_one(&mut **tx).await?;
    let count = |column: usize| Ok::<_, StoreError>(row.try_get::<i64, _>(column)?.cast_unsigned());
    Ok(CommandsReport { all: count(0)?, not_run: count(1)?, unfinished: count(2)?, denied: count(3)? })
}

fn document(place: &Place, record: &Record) -> serde_json::Value {
    let end = record.end.as_ref();
    let exit_code = end.and_then(|end| match end.outcome {
        Outcome::Ended(Exit::Code(code)) => Some(code),
        _ => None,
    });
    let millis = |end: &End| u64::try_from(end.duration.as_millis()).unwrap_or(u64::MAX);
    json!({
        "id": record.id,
        "phase": place.phase,
        "key": place.unit.as_ref().map(|(key, _)| key),
        "token": place.unit.as_ref().map(|(_, token)| token),
        "argv": record.argv,
        "directory": record.dir.to_string_lossy(),
        "network": record.network,
        "confinement": record.confinement,
        "limits": record.limits,
        "began_at": record.began_at.format(&time::format_description::well_known::Rfc3339).ok(),
        "outcome": end.map(|end| end.outcome.to_string()),
        "exit_code": exit_code,
        "duration_ms": end.map(millis),
        "sandbox": end.and_then(|end| end.tier).map(|tier| tier.to_string()),
        "peak_rss_bytes": end.and_then(|end| end.peak_rss_bytes),
        "denials": end.map(|end| end.denials.as_slice()).unwrap_or_default(),
    })
}

fn read(row: &PgRow) -> Result<CommandRow, StoreError> {
    let known = |column: &'static str| move |error: serde_json::Error| StoreError::corrupt(column, error);
    let key: Option<String> = row.try_get("key")?;
    let token: Option<i64> = row.try_get("token")?;
    let outcome: Option<String> = row.try_get("outcome")?;
    let ended = match outcome {
        None => None,
        Some(outcome) => Some(EndedRow {
            outcome,
            exit_code: row.try_get("exit_code")?,
            duration: Duration::from_millis(row.try_get::<i64, _>("duration_ms")?.cast_unsigned()),
            sandbox: row.try_get("sandbox")?,
            peak_rss_bytes: row.try_get::<Option<i64>, _>("peak_rss_bytes")?.map(i64::cast_unsigned),
            denials: row.try_get("denials")?,
        }),
    };
    Ok(CommandRow {
        id: row.try_get("id")?,
        place: Place { phase: row.try_get("phase")?, unit: key.zip(token) },
        worker: WorkerId(row.try_get("worker")?),
        argv: row.try_get("argv")?,
        directory: row.try_get("directory")?,
        network: serde_json::from_value(row.try_get("network")?).map_err(known("network"))?,
        confinement: serde_json::from_value(row.try_get("confinement")?).map_err(known("confinement"))?,
        limits: serde_json::from_value(row.try_get("limits")?).map_err(known("limits"))?,
        began_at: row.try_get("began_at")?,
        ended,
    })
}
