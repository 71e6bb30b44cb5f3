//! The units of a run: loaded from the plan, claimed, kept alive, looked at. Settling is in `settle`, going back in `reopen`.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row;
use time::OffsetDateTime;

use super::{StoreError, TenantTx};
use crate::model::{
    AgentKind, Artifact, AttemptId, Escalation, Limits, Plan, PlanId, Role, RunId, SpecId, Task, UnitId, UnitState, WorkerId,
};

/// The first half of the key of the lock under which claims count against a limit; the second is the run's or the organization's.
const CLAIMS_LOCK: i32 = 0x5350_434C;

/// What a worker holds: it proves that it still is the one who may settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// The unit's place in the plan: `plan.tasks[ordinal]`.
    pub ordinal: usize,
    /// The unit.
    pub unit: UnitId,
    /// The fencing token.
    pub token: i64,
    /// Classified outcomes so far, of whoever tries it now: 0 on the first try.
    pub attempt: u32,
    /// Who is to try it.
    pub escalation: Escalation,
}

/// A unit that a worker may now perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedUnit {
    /// The proof.
    pub claim: Claim,
    /// The unit's key.
    pub key: String,
    /// The version of the plan that it is a task of now.
    pub plan: PlanId,
}

/// In which order ready units are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatch {
    /// As soon as their own dependencies are done.
    Readiness,
    /// Waves are barriers: as long as a unit of a wave is ready or running, none of a later wave is handed out.
    Waves,
}

/// Who takes units, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Take<'a> {
    /// The worker.
    pub worker: WorkerId,
    /// At most so many.
    pub max: u32,
    /// For how long, without a sign of life.
    pub lease: Duration,
    /// In which order.
    pub dispatch: Dispatch,
    /// How many may be running at once.
    pub limits: &'a Limits,
}

/// What is left to wait for when fewer units were claimed than asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Units that some worker holds, the ones just claimed included.
    pub running: usize,
    /// Units that are due and were not handed out: others hold them up, a limit or a barrier. None when the run is not running.
    pub held_up: usize,
    /// When the earliest retry is due; none when none is.
    pub next_due: Option<Duration>,
}

impl Outlook {
    /// How long to wait before something may be ready without anybody's help; none when nothing can be.
    pub fn wait(&self) -> Option<Duration> {
        if self.running > 0 || self.held_up > 0 { Some(self.next_due.unwrap_or(Duration::MAX)) } else { self.next_due }
    }
}

/// A unit as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRow {
    /// Its id.
    pub id: UnitId,
    /// Its place in the plan.
    pub ordinal: usize,
    /// Its key.
    pub key: String,
    /// Where it stands.
    pub state: UnitState,
    /// True for a gate, which is nobody's work.
    pub gate: bool,
    /// Dependencies that are not done.
    pub pending: u32,
    /// Classified outcomes so far.
    pub attempt: u32,
    /// When the next try is due, after a failed one.
    pub not_before: Option<OffsetDateTime>,
    /// Who works on it.
    pub owner: Option<WorkerId>,
    /// Since when.
    pub started_at: Option<OffsetDateTime>,
}

/// Where every unit of a run stands, gates left out, and the fencing token of whoever brought it there.
pub async fn tokens(tx: &mut TenantTx, run: RunId) -> Result<Vec<(String, UnitState, i64)>, StoreError> {
    let query = "select key, state, token from run_tasks where organization_id = $1 and run_id = $2 and not gate order by ordinal";
    let rows: Vec<(String, String, i64)> = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    let read = |(key, state, token): (String, String, i64)| {
        Ok((key, UnitState::parse(&state).ok_or_else(|| StoreError::corrupt("unit state", state))?, token))
    };
    rows.into_iter().map(read).collect()
}

/// Makes the units of a run from its plan, ready where nothing is to be waited for: `order` gives each task its place in the order of
/// dispatch, the largest first, and `kind` the agent that is to perform it. Does nothing when they exist.
pub async fn load(
    tx: &mut TenantTx,
    run: RunId,
    plan: &Plan,
    order: &[i32],
    kind: impl Fn(&Task) -> Option<AgentKind>,
) -> Result<(), StoreError> {
    let mut pending: BTreeMap<&str, i32> = BTreeMap::new();
    for edge in &plan.dependencies {
        *pending.entry(&edge.task).or_default() += 1;
    }
    let nodes: Vec<_> = plan.tasks.iter().zip(0_i32..).filter(|(task, _)| matches!(task.role, Role::Unit | Role::Gate)).collect();
    let insert = "insert into run_tasks (organization_id, run_id, ordinal, id, rank, pending, gate, wave, agent_kind, key, state, ready_at) \
                  select $1, $2, ordinal, id, rank, pending, gate, wave, agent_kind, key, \
                         case when pending = 0 and not gate then 'ready' else 'pending' end, case when pending = 0 and not gate then now() end \
                  from unnest($3::integer[], $4::uuid[], $5::integer[], $6::integer[], $7::boolean[], $8::integer[], $9::text[], $10::text[]) \
                  as given (ordinal, id, rank, pending, gate, wave, agent_kind, key) \
                  on conflict on constraint run_tasks_pkey do nothing";
    let insert = sqlx::query(insert).bind(tx.organization().0).bind(run.0);
    insert
        .bind(nodes.iter().map(|(_, ordinal)| *ordinal).collect::<Vec<_>>())
        .bind(nodes.iter().map(|_| UnitId::new().0).collect::<Vec<_>>())
        .bind(nodes.iter().map(|(_, ordinal)| order.get(ordinal.cast_unsigned() as usize).copied().unwrap_or_default()).collect::<Vec<_>>())
        .bind(nodes.iter().map(|(task, _)| pending.get(task.key.as_str()).copied().unwrap_or_default()).collect::<Vec<_>>())
        .bind(nodes.iter().map(|(task, _)| task.role == Role::Gate).collect::<Vec<_>>())
        .bind(nodes.iter().map(|(task, _)| task.wave.and_then(|wave| i32::try_from(wave).ok())).collect::<Vec<_>>())
        .bind(nodes.iter().map(|(task, _)| kind(task).map_or("", AgentKind::as_str)).collect::<Vec<_>>())
        .bind(nodes.iter().map(|(task, _)| task.key.as_str()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Gates of that run that wait for nothing: an empty container's. They pass when the run is loaded.
pub async fn open_gates(tx: &mut TenantTx, run: RunId) -> Result<Vec<i32>, StoreError> {
    let update = "update run_tasks set state = 'succeeded' \
                  where organization_id = $1 and run_id = $2 and gate and pending = 0 and state = 'pending' returning ordinal";
    Ok(sqlx::query_scalar(update).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?)
}

/// Takes ready units of a running run, in the order that they were loaded with, for as long as the lease.
///
/// Claimers never wait for each other, a unit that another one is taking is passed over; only where a limit is set do they count one
/// after the other.
pub async fn claim(tx: &mut TenantTx, run: RunId, take: Take<'_>) -> Result<Vec<ClaimedUnit>, StoreError> {
    let Take { worker, max, lease, dispatch, limits } = take;
    if !limits.is_empty() {
        // A statement of its own: the next one must see what the last holder of the lock has committed.
        let counted = if limits.beyond_a_run() { tx.organization().0 } else { run.0 };
        let lock = "select pg_advisory_xact_lock($1, hashtext($2::text))";
        sqlx::query(lock).bind(CLAIMS_LOCK).bind(counted).execute(&mut **tx).await?;
    }
    let limit = |limit: Option<u32>| limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX));
    let query = sqlx::query(include_str!("claim.sql")).bind(tx.organization().0).bind(run.0).bind(i64::from(max)).bind(worker.0);
    let query = query.bind(lease.as_secs_f64()).bind(dispatch == Dispatch::Waves);
    let query = query.bind(limit(limits.run)).bind(limit(limits.organization)).bind(limit(limits.wave));
    let query = query.bind(limits.agent_kinds.keys().map(|kind| kind.as_str()).collect::<Vec<_>>());
    let query = query.bind(limits.agent_kinds.values().filter_map(|count| limit(Some(*count))).collect::<Vec<_>>());
    let rows = query.bind(limits.by_unit()).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let step: i16 = row.try_get("escalation")?;
        let claim = Claim {
            run,
            ordinal: place(row.try_get("ordinal")?)?,
            unit: UnitId(row.try_get("id")?),
            token: row.try_get("token")?,
            attempt: row.try_get::<i32, _>("attempt")?.cast_unsigned(),
            escalation: Escalation::of_number(step).ok_or_else(|| StoreError::corrupt("escalation", step))?,
        };
        Ok(ClaimedUnit { claim, key: row.try_get("key")?, plan: PlanId(row.try_get("plan_id")?) })
    };
    rows.iter().map(read).collect()
}

/// What a claimer that got too little can wait for.
pub async fn outlook(tx: &mut TenantTx, run: RunId) -> Result<Outlook, StoreError> {
    let query = "select (select count(*) from unit_leases where organization_id = $1 and run_id = $2), \
                 count(*) filter (where ready_at <= now() \
                     and exists (select from runs where organization_id = $1 and id = $2 and state = 'running')), \
                 extract(epoch from min(ready_at) filter (where ready_at > now()) - now())::float8 \
                 from ready_units where organization_id = $1 and run_id = $2";
    let row = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_one(&mut **tx).await?;
    let count = |index: usize| Ok::<_, StoreError>(usize::try_from(row.try_get::<i64, _>(index)?).unwrap_or_default());
    let due_secs: Option<f64> = row.try_get(2)?;
    Ok(Outlook { running: count(0)?, held_up: count(1)?, next_due: due_secs.map(|secs| Duration::from_secs_f64(secs.max(0.0))) })
}

/// Renews the leases of those claims, expired ones too while nobody else took the unit. Returns the claims that are lost.
pub async fn heartbeat(tx: &mut TenantTx, claims: &[Claim], lease: Duration) -> Result<Vec<Claim>, StoreError> {
    let update = "update unit_leases l set expires_at = now() + make_interval(secs => $5) \
                  from (select * from unnest($2::uuid[], $3::integer[], $4::bigint[]) as given (run_id, ordinal, token) order by 1, 2) given \
                  where l.organization_id = $1 and l.run_id = given.run_id and l.ordinal = given.ordinal and l.token = given.token \
                  returning l.run_id, l.ordinal";
    let update = sqlx::query_as(update).bind(tx.organization().0);
    let update = update.bind(claims.iter().map(|claim| claim.run.0).collect::<Vec<_>>());
    let update = update.bind(claims.iter().map(|claim| ordinal(claim.ordinal)).collect::<Vec<_>>());
    let update = update.bind(claims.iter().map(|claim| claim.token).collect::<Vec<_>>()).bind(lease.as_secs_f64());
    let renewed: Vec<(uuid::Uuid, i32)> = update.fetch_all(&mut **tx).await?;
    let lost = claims.iter().filter(|claim| !renewed.contains(&(claim.run.0, ordinal(claim.ordinal))));
    Ok(lost.copied().collect())
}

/// Every unit and gate of a run, in plan order.
pub async fn list(tx: &mut TenantTx, run: RunId) -> Result<Vec<UnitRow>, StoreError> {
    let query = "select t.id, t.ordinal, key, state, gate, pending, attempt, not_before, owner, started_at \
                 from run_tasks t left join lateral ( \
                     select owner, started_at from unit_leases where organization_id = $1 and run_id = $2 and ordinal = t.ordinal offset 0 \
                 ) l on true \
                 where t.organization_id = $1 and t.run_id = $2 order by t.ordinal";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let state: String = row.try_get("state")?;
        Ok(UnitRow {
            id: UnitId(row.try_get("id")?),
            ordinal: place(row.try_get("ordinal")?)?,
            key: row.try_get("key")?,
            state: UnitState::parse(&state).ok_or_else(|| StoreError::corrupt("unit state", state))?,
            gate: row.try_get("gate")?,
            pending: row.try_get::<i32, _>("pending")?.cast_unsigned(),
            attempt: row.try_get::<i32, _>("attempt")?.cast_unsigned(),
            not_before: row.try_get("not_before")?,
            owner: row.try_get::<Option<uuid::Uuid>, _>("owner")?.map(WorkerId),
            started_at: row.try_get("started_at")?,
        })
    };
    rows.iter().map(read).collect()
}

/// The newest success of that unit with that input in this specification which was not withdrawn, with its files by path.
pub async fn find_success(
    tx: &mut TenantTx,
    spec: SpecId,
    key: &str,
    input_hash: &str,
) -> Result<Option<(AttemptId, Vec<Artifact>)>, StoreError> {
    let query = "select id from task_attempts where organization_id = $1 and spec_id = $2 and key = $3 and input_hash = $4 \
                 and outcome in ('succeeded', 'handed_in') and withdrawn_at is null order by finished_at desc, id desc limit 1";
    let query = sqlx::query_scalar(query).bind(tx.organization().0).bind(spec.0).bind(key).bind(input_hash);
    let found: Option<uuid::Uuid> = query.fetch_optional(&mut **tx).await?;
    let Some(attempt) = found.map(AttemptId) else { return Ok(None) };
    Ok(Some((attempt, super::artifacts::of_attempt(tx, attempt).await?)))
}

/// A place in the plan as the database counts it.
pub(super) fn ordinal(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}

fn place(ordinal: i32) -> Result<usize, StoreError> {
    usize::try_from(ordinal).map_err(|error| StoreError::corrupt("ordinal", error))
}
