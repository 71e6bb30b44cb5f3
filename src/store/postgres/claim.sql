-- Takes ready units of one run. $1 organization, $2 run, $3 how many, $4 worker, $5 lease in seconds, $6 true: waves are barriers.
-- Returns: ordinal, id, key, token, attempt; the longest chain first.
-- The front is the earliest wave in which something is ready or running. What is pending in an earlier one can only wait for
-- somebody's help: its dependencies lie in earlier waves still, and none of those is ready or running. So it holds up nothing.
-- What was picked is looked up by its key, an array of them at once: a join would be planned for a handful of rows while the tables are
-- new, and compare each with each.
with front as (
    select ordinal
    from (
        select t.ordinal, task.wave, min(task.wave) over () as first_wave
        from run_tasks t
        join runs on runs.organization_id = $1 and runs.id = $2
        join tasks task on task.organization_id = $1 and task.plan_id = runs.plan_id and task.ordinal = t.ordinal
        where t.organization_id = $1
          and t.run_id = $2
          and t.state in ('ready', 'running')
          and not t.gate
    ) open
    where wave is not distinct from first_wave
),
picked as (
    select ordinal
    from run_tasks
    where organization_id = $1
      and run_id = $2
      and state = 'ready'
      and not gate
      and (not_before is null or not_before <= now())
      and exists (select from runs where organization_id = $1 and id = $2 and state = 'running')
      and (not $6 or ordinal in (select ordinal from front))
    order by rank desc, ordinal
    limit $3
    for update skip locked
),
claimed as (
    update run_tasks t
    set state = 'running', token = t.token + 1, not_before = null
    where t.organization_id = $1
      and t.run_id = $2
      and t.ordinal = any (array(select ordinal from picked))
    returning t.ordinal, t.id, t.key, t.token, t.attempt, t.rank
),
leased as (
    insert into unit_leases (organization_id, run_id, ordinal, owner, token, expires_at)
    select $1, $2, ordinal, $4, token, now() + make_interval(secs => $5)
    from claimed
)
select ordinal, id, key, token, attempt
from claimed
order by rank desc, ordinal
