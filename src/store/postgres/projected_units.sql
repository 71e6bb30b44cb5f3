-- Units as a graph shows them. $1 organization, $2 ids of units, $3 a run: those units, and all of that run.
-- `ready` counts as `pending`, since going there is not announced. Agent and duration are those of the last attempt.
-- Returns: plan_id, run_id, key, state, version, attempt, agent, duration_ms; by run and key.
select r.plan_id, t.run_id, t.key, case t.state when 'ready' then 'pending' else t.state end as state, t.version, t.attempt,
       nullif(a.agent, '') as agent, a.duration_ms
from run_tasks t
join runs r on r.organization_id = $1 and r.id = t.run_id and r.plan_id is not null
left join lateral (
    select agent, (extract(epoch from finished_at - started_at) * 1000)::bigint as duration_ms
    from task_attempts
    where organization_id = $1
      and run_id = t.run_id
      and unit_id = t.id
    order by finished_at desc, id desc
    limit 1
) a on true
where t.organization_id = $1
  and not t.gate
  and (t.id = any($2) or t.run_id = $3)
order by t.run_id, t.key
