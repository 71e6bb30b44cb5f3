-- Counts finished dependencies off the units that wait for them. $1 organization, $2 runs, $3 ordinals of what was finished.
-- A unit that waits for nothing becomes ready; a gate passes at once.
-- Returns: run, ordinal of the gates that passed, which are finished dependencies themselves.
with done as (
    select run_id, ordinal
    from unnest($2::uuid[], $3::integer[]) as given (run_id, ordinal)
),
waiting as (
    select done.run_id, edge.task as ordinal, count(*)::integer as finished
    from done
    join runs on runs.organization_id = $1 and runs.id = done.run_id
    join task_dependencies edge
      on edge.organization_id = $1 and edge.plan_id = runs.plan_id and edge.depends_on = done.ordinal
    group by done.run_id, edge.task
),
moved as (
    update run_tasks t
    set pending = t.pending - waiting.finished,
        state = case
            when t.state <> 'pending' or t.pending > waiting.finished then t.state
            when t.gate then 'succeeded'
            else 'ready'
        end
    from waiting
    where t.organization_id = $1
      and t.run_id = waiting.run_id
      and t.ordinal = waiting.ordinal
    returning t.run_id, t.ordinal, t.gate, t.state
)
select run_id, ordinal
from moved
where gate and state = 'succeeded'
