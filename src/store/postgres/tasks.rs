//! The nodes of plans as somebody looks at them: with the state of the unit in a run, in pages; and how far a run has come.

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::plans::named;
use super::{StoreError, TenantTx};
use crate::model::{PlanId, Role, RunId, SpecId, TaskKind, TaskType, UnitId, UnitState};

/// A node of a plan, and the unit that it is in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEntry {
    /// Its place in the plan.
    pub ordinal: i32,
    /// Its key.
    pub key: String,
    /// The key of the node above.
    pub parent: Option<String>,
    /// Its level in the hierarchy.
    pub kind: TaskKind,
    /// Its part in the execution.
    pub role: Role,
    /// What sort of work it is.
    pub task_type: TaskType,
    /// The phase, 1 to 5.
    pub phase: u32,
    /// One line.
    pub title: String,
    /// 1 (first) to 5 (last).
    pub priority: u32,
    /// The wave, from 1.
    pub wave: Option<u32>,
    /// True when it lies on the critical path.
    pub critical: bool,
    /// The unit, where it is one and there is a run.
    pub unit: Option<UnitId>,
    /// Where the unit stands.
    pub state: Option<UnitState>,
    /// Classified outcomes of the unit so far.
    pub attempts: Option<u32>,
}

/// Which nodes to list; all when empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskFilter<'a> {
    /// Only units in that state.
    pub state: Option<UnitState>,
    /// Only of that sort of work.
    pub task_type: Option<&'a str>,
    /// Only of that wave.
    pub wave: Option<i32>,
    /// Only of that phase.
    pub phase: Option<i32>,
}

/// A unit, and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitEntry {
    /// Its id.
    pub id: UnitId,
    /// Its run.
    pub run: RunId,
    /// The specification of the run.
    pub spec: SpecId,
    /// Its key.
    pub key: String,
    /// One line.
    pub title: String,
    /// What sort of work it is.
    pub task_type: TaskType,
    /// The wave, from 1.
    pub wave: Option<u32>,
    /// Where it stands.
    pub state: UnitState,
    /// Dependencies that are not done.
    pub pending: u32,
    /// Classified outcomes so far.
    pub attempts: u32,
    /// When the next try is due, after a failed one.
    pub not_before: Option<OffsetDateTime>,
    /// Since when somebody works on it.
    pub started_at: Option<OffsetDateTime>,
    ordinal: i32,
}

/// A unit that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyEntry {
    /// Its id.
    pub id: UnitId,
    /// Its key.
    pub key: String,
    /// Where it stands.
    pub state: UnitState,
    /// Why it comes first.
    pub reason: String,
    /// True for a gate, which stands for all of a container.
    pub gate: bool,
}

/// How many units of a wave stand in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaveCount {
    /// The wave, from 1.
    pub wave: u32,
    /// The state.
    pub state: UnitState,
    /// How many.
    pub units: u64,
}

/// What a run has done so far, as its attempts say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Units that were built, reused ones left out.
    pub built: u64,
    /// When the first of them was begun.
    pub first_at: Option<OffsetDateTime>,
    /// When the last of them was finished.
    pub last_at: Option<OffsetDateTime>,
}

/// The plan of a specification's newest version, and its newest run; none when it was not planned yet.
pub async fn newest_plan(tx: &mut TenantTx, spec: SpecId) -> Result<Option<(PlanId, Option<RunId>)>, StoreError> {
    let query = "select p.id, (select r.id from runs r where r.organization_id = p.organization_id and r.spec_id = p.spec_id and r.plan_id = p.id \
                     order by r.created_at desc, r.id desc limit 1) \
                 from plans p join specs s on s.organization_id = p.organization_id and s.id = p.spec_id and s.version = p.spec_version \
                 where p.organization_id = $1 and p.spec_id = $2 order by p.version desc limit 1";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(spec.0);
    let found: Option<(uuid::Uuid, Option<uuid::Uuid>)> = query.fetch_optional(&mut **tx).await?;
    Ok(found.map(|(plan, run)| (PlanId(plan), run.map(RunId))))
}

/// The nodes of a plan behind a place, in plan order, gates left out.
pub async fn list(
    tx: &mut TenantTx,
    plan: PlanId,
    run: Option<RunId>,
    filter: TaskFilter<'_>,
    after: Option<i32>,
    limit: u32,
) -> Result<Vec<TaskEntry>, StoreError> {
    let query = "select t.ordinal, t.key, p.key as parent, t.kind, t.role, t.task_type, t.phase, t.title, t.priority, t.wave, t.critical, \
                 u.id as unit, u.state, u.attempt \
                 from tasks t \
                 left join tasks p on p.organization_id = t.organization_id and p.plan_id = t.plan_id and p.ordinal = t.parent \
                 left join run_tasks u on u.organization_id = t.organization_id and u.run_id = $3 and u.ordinal = t.ordinal \
                 where t.organization_id = $1 and t.plan_id = $2 and t.role not in ('gate', 'removed') and t.ordinal > $4 \
                 and ($5::text is null or u.state = $5) and ($6::text is null or t.task_type = $6) \
                 and ($7::integer is null or t.wave = $7) and ($8::integer is null or t.phase = $8) \
                 order by t.ordinal limit $9";
    let query = sqlx::query(query).bind(tx.organization().0).bind(plan.0).bind(run.map(|run| run.0)).bind(after.unwrap_or(-1));
    let query = query.bind(filter.state.map(UnitState::as_str)).bind(filter.task_type).bind(filter.wave).bind(filter.phase);
    query.bind(i64::from(limit)).fetch_all(&mut **tx).await?.iter().map(read_task).collect()
}

fn read_task(row: &PgRow) -> Result<TaskEntry, StoreError> {
    Ok(TaskEntry {
        ordinal: row.try_get("ordinal")?,
        key: row.try_get("key")?,
        parent: row.try_get("parent")?,
        kind: named("task kind", row.try_get("kind")?)?,
        role: named("role", row.try_get("role")?)?,
        task_type: named("task type", row.try_get("task_type")?)?,
        phase: row.try_get::<i32, _>("phase")?.cast_unsigned(),
        title: row.try_get("title")?,
        priority: row.try_get::<i32, _>("priority")?.cast_unsigned(),
        wave: row.try_get::<Option<i32>, _>("wave")?.map(i32::cast_unsigned),
        critical: row.try_get("critical")?,
        unit: row.try_get::<Option<uuid::Uuid>, _>("unit")?.map(UnitId),
        state: row.try_get::<Option<String>, _>("state")?.map(state).transpose()?,
        attempts: row.try_get::<Option<i32>, _>("attempt")?.map(i32::cast_unsigned),
    })
}

/// The unit of that id; gates are nobody's work and are not found.
pub async fn unit(tx: &mut TenantTx, id: UnitId) -> Result<Option<UnitEntry>, StoreError> {
    entry(tx, Some(id), None, None).await
}

/// The files that the unit's task declares.
pub async fn declared_files(tx: &mut TenantTx, unit: &UnitEntry) -> Result<Vec<String>, StoreError> {
    let query = "select jsonb_array_elements_text(p.document -> 'tasks' -> $3 -> 'files') from runs r \
                 join plans p on p.organization_id = r.organization_id and p.id = r.plan_id where r.organization_id = $1 and r.id = $2";
    Ok(sqlx::query_scalar(query).bind(tx.organization().0).bind(unit.run.0).bind(unit.ordinal).fetch_all(&mut **tx).await?)
}

/// The unit of that key in a run; none when there is no such unit.
pub async fn unit_of_key(tx: &mut TenantTx, run: RunId, key: &str) -> Result<Option<UnitEntry>, StoreError> {
    entry(tx, None, Some(run), Some(key)).await
}

async fn entry(tx: &mut TenantTx, id: Option<UnitId>, run: Option<RunId>, key: Option<&str>) -> Result<Option<UnitEntry>, StoreError> {
    let query = "select u.id, u.run_id, r.spec_id, u.key, t.title, t.task_type, t.wave, u.state, u.pending, u.attempt, u.not_before, l.started_at, u.ordinal \
                 from run_tasks u join runs r on r.organization_id = u.organization_id and r.id = u.run_id \
                 join tasks t on t.organization_id = u.organization_id and t.plan_id = r.plan_id and t.ordinal = u.ordinal \
                 left join unit_leases l on l.organization_id = u.organization_id and l.run_id = u.run_id and l.ordinal = u.ordinal \
                 where u.organization_id = $1 and ($2::uuid is null or u.id = $2) and ($3::uuid is null or (u.run_id = $3 and u.key = $4)) and not u.gate";
    let query = sqlx::query(query).bind(tx.organization().0).bind(id.map(|id| id.0)).bind(run.map(|run| run.0)).bind(key);
    let row = query.fetch_optional(&mut **tx).await?;
    row.map(|row| {
        Ok(UnitEntry {
            id: UnitId(row.try_get("id")?),
            run: RunId(row.try_get("run_id")?),
            spec: SpecId(row.try_get("spec_id")?),
            key: row.try_get("key")?,
            title: row.try_get("title")?,
            task_type: named("task type", row.try_get("task_type")?)?,
            wave: row.try_get::<Option<i32>, _>("wave")?.map(i32::cast_unsigned),
            state: state(row.try_get("state")?)?,
            pending: row.try_get::<i32, _>("pending")?.cast_unsigned(),
            attempts: row.try_get::<i32, _>("attempt")?.cast_unsigned(),
            not_before: row.try_get("not_before")?,
            started_at: row.try_get("started_at")?,
            ordinal: row.try_get("ordinal")?,
        })
    })
    .transpose()
}

/// The same unit in the newest run of its specification that has one of its key.
pub async fn newest_of_unit(tx: &mut TenantTx, unit: &UnitEntry) -> Result<Option<UnitId>, StoreError> {
    let query = "select u.id from run_tasks u join runs r on r.organization_id = u.organization_id and r.id = u.run_id \
                 where u.organization_id = $1 and r.spec_id = $2 and u.key = $3 order by r.created_at desc, r.id desc limit 1";
    let query = sqlx::query_scalar(query).bind(tx.organization().0).bind(unit.spec.0).bind(&unit.key);
    let id: Option<uuid::Uuid> = query.fetch_optional(&mut **tx).await?;
    Ok(id.map(UnitId))
}

/// What a unit waits for, or has waited for, in plan order.
pub async fn dependencies(tx: &mut TenantTx, unit: &UnitEntry) -> Result<Vec<DependencyEntry>, StoreError> {
    let query = "select d.id, d.key, d.state, e.reason, d.gate from task_dependencies e \
                 join runs r on r.organization_id = e.organization_id and r.plan_id = e.plan_id \
                 join run_tasks d on d.organization_id = e.organization_id and d.run_id = r.id and d.ordinal = e.depends_on \
                 where e.organization_id = $1 and r.id = $2 and e.task = $3 order by e.depends_on";
    let rows = sqlx::query(query).bind(tx.organization().0).bind(unit.run.0).bind(unit.ordinal).fetch_all(&mut **tx).await?;
    let read = |row: &PgRow| {
        Ok(DependencyEntry {
            id: UnitId(row.try_get("id")?),
            key: row.try_get("key")?,
            state: state(row.try_get("state")?)?,
            reason: row.try_get("reason")?,
            gate: row.try_get("gate")?,
        })
    };
    rows.iter().map(read).collect()
}

/// How many units of each wave stand in each state, gates left out.
pub async fn waves(tx: &mut TenantTx, run: RunId) -> Result<Vec<WaveCount>, StoreError> {
    let query = "select t.wave, u.state, count(*) from runs r \
                 join run_tasks u on u.organization_id = r.organization_id and u.run_id = r.id and not u.gate \
                 join tasks t on t.organization_id = r.organization_id and t.plan_id = r.plan_id and t.ordinal = u.ordinal \
                 where r.organization_id = $1 and r.id = $2 and t.wave is not null group by t.wave, u.state order by t.wave, u.state";
    let rows: Vec<(i32, String, i64)> = sqlx::query_as(query).bind(tx.organization().0).bind(run.0).fetch_all(&mut **tx).await?;
    let read = |(wave, text, units): (i32, String, i64)| {
        Ok(WaveCount { wave: wave.cast_unsigned(), state: state(text)?, units: units.cast_unsigned() })
    };
    rows.into_iter().map(read).collect()
}

/// What the attempts of a run say about its speed.
pub async fn measured(tx: &mut TenantTx, run: RunId) -> Result<Measured, StoreError> {
    let query = "select count(*), min(started_at), max(finished_at) from task_attempts \
                 where organization_id = $1 and run_id = $2 and outcome = 'succeeded' and withdrawn_at is null";
    let query = sqlx::query_as(query).bind(tx.organization().0).bind(run.0);
    let (built, first_at, last_at): (i64, Option<OffsetDateTime>, Option<OffsetDateTime>) = query.fetch_one(&mut **tx).await?;
    Ok(Measured { built: built.cast_unsigned(), first_at, last_at })
}

fn state(text: String) -> Result<UnitState, StoreError> {
    UnitState::parse(&text).ok_or_else(|| StoreError::corrupt("unit state", text))
}
