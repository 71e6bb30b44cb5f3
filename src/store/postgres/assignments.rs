//! Who was sent to a unit, why, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::plans::name_of;
use super::units::Claim;
use super::{StoreError, TenantTx, text};
use crate::model::{RunId, SpecId, TaskType, UnitId};

/// The first units of a campaign that are read: what as many cannot tell is too small to be worth knowing.
const TRIAL_UNITS_MAX: i64 = 50_000;

/// An assignment before anything is told.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAssignment<'a> {
    /// The specification.
    pub spec: SpecId,
    /// The unit's key.
    pub key: &'a str,
    /// The hash of everything that goes in.
    pub input_hash: &'a str,
    /// Who is sent.
    pub agent: &'a str,
    /// Why, in a sentence.
    pub reason: &'a str,
    /// The draw, where there was one.
    pub choice: Option<Value>,
    /// The sort of work.
    pub task_type: TaskType,
    /// How large it is: `small`, `medium` or `large`.
    pub unit_size: &'a str,
    /// The arm of the trial, and the share with which it was drawn.
    pub arm: Option<(&'a str, f64)>,
    /// True when it is told no patterns: by lot, or because they are demoted.
    pub withheld: bool,
    /// Why it is shown patterns or none, in words.
    pub arm_reason: &'a str,
    /// The campaign of the trial.
    pub campaign: u32,
}

/// What a try used and left behind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ended {
    /// True when it passed its checks; none when it came to nothing for a reason that is not its own, and the next try counts in its place.
    pub passed: Option<bool>,
    /// Requests.
    pub calls: usize,
    /// Requests whose use nobody reported.
    pub unreported: usize,
    /// Tokens read.
    pub input_tokens: u64,
    /// The part of them that came out of a provider's cache.
    pub cached_tokens: u64,
    /// The part of them that was written into it.
    pub written_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Money in millionths; none when nobody knows.
    pub cost_micros: Option<u64>,
    /// The conversation; written here, and read by [`transcripts`].
    pub transcript: Value,
    /// Content hash by path of what was delivered.
    pub files: BTreeMap<String, String>,
}

/// An assignment as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct AssignmentRow {
    /// The unit.
    pub unit: UnitId,
    /// Its key.
    pub key: String,
    /// The claim's token.
    pub token: i64,
    /// The hash of everything that went in.
    pub input_hash: String,
    /// Who was sent.
    pub agent: String,
    /// Why.
    pub reason: String,
    /// The draw.
    pub choice: Option<Value>,
    /// The arm of the trial.
    pub arm: Option<String>,
    /// True when it was told no patterns: by lot, or because they were demoted.
    pub withheld: bool,
    /// Why it was shown patterns or none.
    pub arm_reason: String,
    /// When.
    pub assigned_at: OffsetDateTime,
    /// What came of it; none while it is under way, and for good when its claim was lost.
    pub ended: Option<Ended>,
}

/// One unit of the trial that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRow {
    /// Who performed it.
    pub agent: String,
    /// The arm.
    pub arm: String,
    /// The share with which it was drawn.
    pub holdout_share: f64,
    /// True when its first try passed.
    pub passed: bool,
}

/// Keeps it, before the unit is told anything. A second one for the same claim changes nothing.
pub async fn record(tx: &mut TenantTx, claim: &Claim, new: &NewAssignment<'_>) -> Result<(), StoreError> {
    let insert = "insert into assignments (organization_id, unit_id, token, run_id, spec_id, key, input_hash, agent, reason, choice, \
                  task_type, unit_size, first, arm, holdout_share, arm_reason, campaign, withheld) \
                  select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, not exists ( \
                      select from assignments where organization_id = $1 and spec_id = $5 and key = $6 and input_hash = $7 and passed is not null \
                  ), $13, $14, $15, $16, $17 on conflict on constraint assignments_pkey do nothing";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(claim.unit.0).bind(claim.token).bind(claim.run.0);
    let insert = insert.bind(new.spec.0).bind(new.key).bind(new.input_hash).bind(new.agent).bind(text::without_nul(new.reason));
    let insert = insert.bind(new.choice.as_ref().map(text::json).transpose()?).bind(name_of(&new.task_type)?).bind(new.unit_size);
    let insert = insert.bind(new.arm.map(|(arm, _)| arm)).bind(new.arm.map(|(_, share)| share)).bind(new.arm_reason);
    insert.bind(i32::try_from(new.campaign).unwrap_or(i32::MAX)).bind(new.withheld).execute(&mut **tx).await?;
    Ok(())
}

/// Writes down what came of it. A second one for the same claim changes nothing.
pub async fn end(tx: &mut TenantTx, claim: &Claim, ended: &Ended) -> Result<(), StoreError> {
    let update = "update assignments set ended_at = clock_timestamp(), passed = $4, calls = $5, unreported = $6, input_tokens = $7, \
                  cached_tokens = $8, written_tokens = $9, output_tokens = $10, cost_micros = $11, transcript = $12, files = $13 \
                  where organization_id = $1 and unit_id = $2 and token = $3 and ended_at is null";
    let update = sqlx::query(update).bind(tx.organization().0).bind(claim.unit.0).bind(claim.token).bind(ended.passed);
    let update = update.bind(count(ended.calls)).bind(count(ended.unreported)).bind(number(ended.input_tokens));
    let update = update.bind(number(ended.cached_tokens)).bind(number(ended.written_tokens)).bind(number(ended.output_tokens));
    let update = update.bind(ended.cost_micros.map(number)).bind(text::json(&ended.transcript)?).bind(Json(&ended.files));
    update.execute(&mut **tx).await?;
    Ok(())
}

/// The assignments of a run, or of one unit of it: by key, oldest first within a unit.
pub async fn list(tx: &mut TenantTx, run: RunId, key: Option<&str>) -> Result<Vec<AssignmentRow>, StoreError> {
    let query = "select unit_id, key, token, input_hash, agent, reason, choice, arm, arm_reason, withheld, assigned_at, passed, calls, unreported, input_tokens, \
                 cached_tokens, written_tokens, output_tokens, cost_micros, files, ended_at \
                 from assignments where organization_id = $1 and run_id = $2 and ($3::text is null or key = $3) order by key, token";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).bind(key).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

/// What was said in each try of a run that has ended: the unit's key, the claim's token, who was sent, and the conversation.
pub async fn transcripts(tx: &mut TenantTx, run: RunId, key_part: &str) -> Result<Vec<(String, i64, String, Value)>, StoreError> {
    let query = "select key, token, agent, transcript from assignments \
                 where organization_id = $1 and run_id = $2 and position($3 in key) > 0 and transcript is not null order by key, token";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).bind(key_part);
    let rows: Vec<(String, i64, String, Json<Value>)> = query.fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|(key, token, agent, Json(transcript))| (key, token, agent, transcript)).collect())
}

/// The keys of the units of a run that somebody was ever sent to.
pub async fn keys(tx: &mut TenantTx, run: RunId) -> Result<BTreeSet<String>, StoreError> {
    let query = "select distinct key from assignments where organization_id = $1 and run_id = $2";
    let keys: Vec<String> = sqlx::query_scalar(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    Ok(keys.into_iter().collect())
}

/// What became of an agent's units in one sort of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordRow {
    /// First tries that passed.
    pub passed: u32,
    /// First tries that did not.
    pub failed: u32,
    /// What a unit cost on average, all its tries together, in millionths and rounded up; none when no unit's cost is known whole.
    pub cost_micros: Option<u64>,
}

/// What became of every agent's units in a sort of work.
pub async fn records(tx: &mut TenantTx, task_type: TaskType, unit_size: &str) -> Result<BTreeMap<String, RecordRow>, StoreError> {
    let query = "select agent, sum(passed)::bigint, sum(failed)::bigint, ceil(avg(cost))::bigint from ( \
                     select agent, count(*) filter (where first and passed) as passed, count(*) filter (where first and not passed) as failed, \
                            case when bool_and(cost_micros is not null) filter (where passed is not null) then sum(cost_micros) end as cost \
                     from assignments where organization_id = $1 and task_type = $2 and unit_size = $3 and ended_at is not null group by agent, unit_id \
                 ) as units group by agent";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(name_of(&task_type)?).bind(unit_size);
    let rows: Vec<(String, i64, i64, Option<i64>)> = query.fetch_all(&mut **tx).await?;
    let small = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let row = |(agent, passed, failed, cost): (String, i64, i64, Option<i64>)| {
        (agent, RecordRow { passed: small(passed), failed: small(failed), cost_micros: cost.map(i64::cast_unsigned) })
    };
    Ok(rows.into_iter().map(row).collect())
}

/// What became of an agent's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// First tries that passed.
    pub passed: u64,
    /// First tries that did not.
    pub failed: u64,
    /// Tokens in and out, of all tries.
    pub tokens: u64,
    /// Money in millionths, of all tries whose cost is known.
    pub cost_micros: u64,
    /// What a unit cost on average, all its tries together; none when no unit's cost is known whole.
    pub unit_cost_micros: Option<u64>,
}

/// What became of every agent's units, in all sorts of work.
pub async fn standings(tx: &mut TenantTx) -> Result<BTreeMap<String, Standing>, StoreError> {
    let query = "select agent, sum(passed)::bigint, sum(failed)::bigint, sum(tokens)::bigint, coalesce(sum(known), 0)::bigint, \
                        ceil(avg(whole))::bigint from ( \
                     select agent, count(*) filter (where first and passed) as passed, count(*) filter (where first and not passed) as failed, \
                            sum(input_tokens + output_tokens) as tokens, sum(cost_micros) as known, \
                            case when bool_and(cost_micros is not null) filter (where passed is not null) then sum(cost_micros) end as whole \
                     from assignments where organization_id = $1 and ended_at is not null group by agent, unit_id \
                 ) as units group by agent";
    let rows: Vec<(String, i64, i64, i64, i64, Option<i64>)> = sqlx::query_as(query).bind(tx.organization().0).fetch_all(&mut **tx).await?;
    let standing = |(agent, passed, failed, tokens, cost, unit): (String, i64, i64, i64, i64, Option<i64>)| {
        let [passed, failed, tokens, cost_micros] = [passed, failed, tokens, cost].map(i64::cast_unsigned);
        (agent, Standing { passed, failed, tokens, cost_micros, unit_cost_micros: unit.map(i64::cast_unsigned) })
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// How many units of the organization each agent has at the moment.
pub async fn busy(tx: &mut TenantTx) -> Result<BTreeMap<String, u32>, StoreError> {
    let query = "select a.agent, count(*) from unit_leases l \
                 join run_tasks t on t.organization_id = l.organization_id and t.run_id = l.run_id and t.ordinal = l.ordinal \
                 join assignments a on a.organization_id = l.organization_id and a.unit_id = t.id and a.token = l.token \
                 where l.organization_id = $1 and a.ended_at is null group by a.agent";
    let rows: Vec<(String, i64)> = sqlx::query_as(query).bind(tx.organization().0).fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|(agent, count)| (agent, u32::try_from(count).unwrap_or(u32::MAX))).collect())
}

/// The units of a campaign of the trial that have ended, in the order of enrolment, up to the earliest that is under way: what comes
/// after it may have ended sooner because of its arm. A try whose claim was lost, or that came to nothing for a reason that is not its own, is none; the
/// unit's next one is.
pub async fn trial(tx: &mut TenantTx, campaign: u32) -> Result<Vec<TrialRow>, StoreError> {
    let query = "with enrolled as ( \
                     select agent, arm, holdout_share, passed, assigned_at, ended_at, unit_id, token from assignments \
                     where organization_id = $1 and campaign = $2 and first and arm is not null \
                 ), under_way as ( \
                     select e.assigned_at, e.unit_id, e.token from enrolled e \
                     join run_tasks t on t.organization_id = $1 and t.id = e.unit_id \
                     join unit_leases l on l.organization_id = $1 and l.run_id = t.run_id and l.ordinal = t.ordinal and l.token = e.token \
                     where e.ended_at is null order by e.assigned_at, e.unit_id, e.token limit 1 \
                 ) \
                 select e.agent, e.arm, e.holdout_share, e.passed from enrolled e left join under_way u on true \
                 where e.passed is not null \
                 and (u.assigned_at is null or (e.assigned_at, e.unit_id, e.token) < (u.assigned_at, u.unit_id, u.token)) \
                 order by e.assigned_at, e.unit_id, e.token limit $3";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(i32::try_from(campaign).unwrap_or(i32::MAX)).bind(TRIAL_UNITS_MAX);
    let rows: Vec<(String, String, f64, bool)> = query.fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|(agent, arm, holdout_share, passed)| TrialRow { agent, arm, holdout_share, passed }).collect())
}

fn read(row: &PgRow) -> Result<AssignmentRow, StoreError> {
    let whole = |name: &'static str| row.try_get::<i64, _>(name).map(i64::cast_unsigned);
    let small = |name: &'static str| row.try_get::<i32, _>(name).map(|count| usize::try_from(count).unwrap_or(0));
    let ended_at: Option<OffsetDateTime> = row.try_get("ended_at")?;
    let ended = match ended_at {
        None => None,
        Some(_) => Some(Ended {
            passed: row.try_get("passed")?,
            calls: small("calls")?,
            unreported: small("unreported")?,
            input_tokens: whole("input_tokens")?,
            cached_tokens: whole("cached_tokens")?,
            written_tokens: whole("written_tokens")?,
            output_tokens: whole("output_tokens")?,
            cost_micros: row.try_get::<Option<i64>, _>("cost_micros")?.map(i64::cast_unsigned),
            transcript: Value::Null,
            files: row.try_get::<Option<Json<BTreeMap<String, String>>>, _>("files")?.map(|Json(files)| files).unwrap_or_default(),
        }),
    };
    Ok(AssignmentRow {
        unit: UnitId(row.try_get("unit_id")?),
        key: row.try_get("key")?,
        token: row.try_get("token")?,
        input_hash: row.try_get("input_hash")?,
        agent: row.try_get("agent")?,
        reason: row.try_get("reason")?,
        choice: row.try_get::<Option<Json<Value>>, _>("choice")?.map(|Json(value)| value),
        arm: row.try_get("arm")?,
        withheld: row.try_get("withheld")?,
        arm_reason: row.try_get("arm_reason")?,
        assigned_at: row.try_get("assigned_at")?,
        ended,
    })
}

fn number(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
