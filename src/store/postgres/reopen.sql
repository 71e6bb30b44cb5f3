-- Sends finished units back, and resets everything that waits for them. $1 organization, $2 run, $3 keys.
-- A unit of $3 becomes ready, unless something that it waits for is not done; its dependents become pending. Running ones are fenced.
-- Returns: ordinal, id, key, token, before, asked (true for a unit of $3), input_hash of what is withdrawn.
with recursive asked as (
    select ordinal
    from run_tasks
    where organization_id = $1
      and run_id = $2
      and key = any($3)
      and not gate
      and state in ('succeeded', 'cached', 'failed')
),
behind (ordinal) as (
    select ordinal
    from asked
    union
    select edge.task
    from behind
    join runs on runs.organization_id = $1 and runs.id = $2
    join task_dependencies edge
      on edge.organization_id = $1 and edge.plan_id = runs.plan_id and edge.depends_on = behind.ordinal
),
counted as (
    select behind.ordinal,
           count(*) filter (where again.ordinal is not null or parent.state not in ('succeeded', 'cached'))::integer as pending
    from behind
    join runs on runs.organization_id = $1 and runs.id = $2
    left join task_dependencies edge
      on edge.organization_id = $1 and edge.plan_id = runs.plan_id and edge.task = behind.ordinal
    left join run_tasks parent
      on parent.organization_id = $1 and parent.run_id = $2 and parent.ordinal = edge.depends_on
    left join behind again on again.ordinal = edge.depends_on
    group by behind.ordinal
),
before as (
    select t.ordinal, t.state
    from run_tasks t
    join behind using (ordinal)
    where t.organization_id = $1
      and t.run_id = $2
),
changed as (
    update run_tasks t
    set state = case
            when t.state in ('pending', 'cancelled') then t.state
            when t.ordinal in (select ordinal from asked) and counted.pending = 0 then 'ready'
            else 'pending'
        end,
        pending = counted.pending,
        token = t.token + 1,
        attempt = 0,
        escalation = 0,
        not_before = null
    from counted
    where t.organization_id = $1
      and t.run_id = $2
      and t.ordinal = counted.ordinal
    returning t.ordinal, t.id, t.key, t.token, t.gate
),
released as (
    delete from unit_leases l
    using changed
    where l.organization_id = $1
      and l.run_id = $2
      and l.ordinal = changed.ordinal
)
select changed.ordinal, changed.id, changed.key, changed.token, before.state as before,
       changed.ordinal in (select ordinal from asked) as asked
from changed
join before using (ordinal)
where not changed.gate
  and before.state <> 'pending'
order by changed.ordinal
