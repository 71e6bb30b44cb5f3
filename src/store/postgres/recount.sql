-- Brings the units of a run in line with the plan that it has now. $1 organization, $2 run; $3, $4: place in the order of dispatch by ordinal.
-- The caller holds the run, has set back to pending what was blocked, and gates that wait for something new.
-- Counters are counted anew. What may not have begun yet because of a new dependency waits again; what was running is fenced.
-- Returns: ordinal, id, token, key of units that were running and are not any more.
with counted as (
    select t.ordinal, t.state as before, task.role, task.wave, given.rank,
           count(edge.depends_on) filter (where parent.state not in ('succeeded', 'cached'))::integer as pending
    from run_tasks t
    join runs on runs.organization_id = $1 and runs.id = $2
    join tasks task on task.organization_id = $1 and task.plan_id = runs.plan_id and task.ordinal = t.ordinal
    join unnest($3::integer[], $4::integer[]) as given (ordinal, rank) on given.ordinal = t.ordinal
    left join task_dependencies edge
      on edge.organization_id = $1 and edge.plan_id = runs.plan_id and edge.task = t.ordinal
    left join run_tasks parent
      on parent.organization_id = $1 and parent.run_id = $2 and parent.ordinal = edge.depends_on
    where t.organization_id = $1
      and t.run_id = $2
    group by t.ordinal, t.state, task.role, task.wave, given.rank
),
changed as (
    update run_tasks t
    set pending = counted.pending,
        rank = counted.rank,
        wave = counted.wave,
        gate = t.gate or counted.role = 'removed',
        state = case
            when counted.role = 'removed' then 'cancelled'
            when t.state in ('ready', 'running', 'waiting') and counted.pending > 0 then 'pending'
            when t.state = 'pending' and counted.pending = 0 and not t.gate then 'ready'
            else t.state
        end,
        token = t.token + case when counted.role = 'removed' or (t.state = 'running' and counted.pending > 0) then 1 else 0 end
    from counted
    where t.organization_id = $1
      and t.run_id = $2
      and t.ordinal = counted.ordinal
    returning t.ordinal, t.id, t.token, t.key, t.state, counted.before
),
released as (
    delete from unit_leases l
    using changed
    where l.organization_id = $1
      and l.run_id = $2
      and l.ordinal = changed.ordinal
      and l.token <> changed.token
)
select ordinal, id, token, key
from changed
where before = 'running'
  and state <> 'running'
order by ordinal
