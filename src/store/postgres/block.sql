-- Blocks what waits, at any distance, for units that failed. $1 organization, $2 runs, $3 ordinals of what failed.
with recursive behind (run_id, plan_id, ordinal) as (
    select given.run_id, runs.plan_id, given.ordinal
    from unnest($2::uuid[], $3::integer[]) as given (run_id, ordinal)
    join runs on runs.organization_id = $1 and runs.id = given.run_id
    union
    select behind.run_id, behind.plan_id, edge.task
    from behind
    join task_dependencies edge
      on edge.organization_id = $1 and edge.plan_id = behind.plan_id and edge.depends_on = behind.ordinal
)
update run_tasks t
set state = 'blocked'
from behind
where t.organization_id = $1
  and t.run_id = behind.run_id
  and t.ordinal = behind.ordinal
  and t.state = 'pending'
