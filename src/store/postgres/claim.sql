-- Takes ready units of one run. $1 organization, $2 run, $3 how many, $4 worker, $5 lease in seconds, $6 true: waves are barriers.
-- At most so many may be running at once (null: no limit): $7 of the run, $8 of the organization, $9 of one wave of the run; and of each
-- kind of agent $10, in the organization, $11. $12 says whether any of $9, $10 and $11 is given. Where a limit is given, the caller holds
-- the lock under which claims count (units.rs).
-- Returns: ordinal, id, key, token, attempt, escalation, plan_id; in the order of dispatch.
-- Barriers: only the earliest wave in which something is ready or running. What is pending in an earlier one can only wait for somebody's
-- help: its dependencies lie in earlier waves still, and none of those is ready or running. So it holds up nothing.
-- Whoever changes a unit locks it before its place in the queue; a claim comes the other way and therefore waits for neither.
-- What was picked is looked up one by one, by its whole key: for an array of them, or a join, the planner, who takes a new run for a small
-- one, would read the whole run.
with busy as (
    select run_id, wave, agent_kind, count(*) as running
    from unit_leases
    where organization_id = $1
    group by run_id, wave, agent_kind
),
kinds as (
    select kind, allowed - coalesce((select sum(running) from busy where agent_kind = kind), 0) as room
    from unnest($10::text[], $11::integer[]) as given (kind, allowed)
),
waves as (
    select wave, sum(running) as running
    from busy
    where run_id = $2
    group by wave
),
open as (
    select ordinal, turn, ready_at, wave, agent_kind
    from ready_units
    where organization_id = $1
      and run_id = $2
      and ready_at <= now()
),
admitted as (
    select fits.ordinal
    from (
        select placed.ordinal, placed.wave, row_number() over (partition by placed.wave order by turn, ready_at, ordinal) as place
        from (
            select open.*, row_number() over (partition by agent_kind order by turn, ready_at, ordinal) as place
            from open
        ) placed
        left join kinds on kinds.kind = placed.agent_kind
        where kinds.room is null or placed.place <= kinds.room
    ) fits
    left join waves on waves.wave is not distinct from fits.wave
    where $9::integer is null or fits.place <= $9 - coalesce(waves.running, 0)
),
picked as materialized (
    select ctid as place_in_queue, ordinal
    from ready_units
    where organization_id = $1
      and run_id = $2
      and ready_at <= now()
      and exists (select from runs where organization_id = $1 and id = $2 and state = 'running')
      and (not $6 or wave is not distinct from (
          select min(wave)
          from (
              select wave from ready_units where organization_id = $1 and run_id = $2
              union all
              select wave from unit_leases where organization_id = $1 and run_id = $2
          ) begun
      ))
      and (not $12 or ordinal in (select ordinal from admitted))
    order by turn, ready_at, ordinal
    limit greatest(0, least(
        $3,
        case when $7::integer is not null then $7 - (select coalesce(sum(running), 0) from busy where run_id = $2) end,
        case when $8::integer is not null then $8 - (select coalesce(sum(running), 0) from busy) end
    ))::bigint
    for update skip locked
),
held as materialized (
    select picked.place_in_queue, unit.place_in_table
    from picked
    cross join lateral (
        select t.ctid as place_in_table
        from run_tasks t
        where t.organization_id = $1
          and t.run_id = $2
          and t.ordinal = picked.ordinal
          and t.state = 'ready'
        for update skip locked
    ) unit
),
taken as (
    delete from ready_units
    where ctid = any (array(select place_in_queue from held))
),
claimed as (
    update run_tasks t
    set state = 'running', token = t.token + 1, not_before = null
    where t.ctid = any (array(select place_in_table from held))
    returning t.ordinal, t.id, t.key, t.token, t.attempt, t.escalation, t.rank, t.wave, t.agent_kind
),
leased as (
    insert into unit_leases (organization_id, run_id, ordinal, owner, token, expires_at, wave, agent_kind)
    select $1, $2, ordinal, $4, token, now() + make_interval(secs => $5), wave, agent_kind
    from claimed
)
select ordinal, id, key, token, attempt, escalation, (select plan_id from runs where organization_id = $1 and id = $2) as plan_id
from claimed
order by rank desc, ordinal
