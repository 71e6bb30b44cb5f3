-- For tests: units whose counter, state or lease differ from what counting gives, and ready ones that do not stand in the queue as they
-- should. Returns: key.
with dependency as (
    select t.run_id, d.task as ordinal, p.state from run_tasks t join runs r on r.id = t.run_id
    join task_dependencies d on d.plan_id = r.plan_id and d.task = t.ordinal
    join run_tasks p on p.run_id = t.run_id and p.ordinal = d.depends_on
), counted as (
    select run_id, ordinal, count(*) filter (where state not in ('succeeded', 'cached')) as pending,
    count(*) filter (where state in ('failed', 'blocked', 'cancelled')) as failed from dependency group by run_id, ordinal
)
select t.key from run_tasks t left join counted c using (run_id, ordinal)
left join unit_leases l on l.run_id = t.run_id and l.ordinal = t.ordinal and l.token = t.token
where t.pending <> coalesce(c.pending, 0)
or (t.state = 'pending' and t.pending = 0)
or (t.state = 'running') <> (l.token is not null)
or (t.state = 'ready' and not t.gate)::integer
    <> (select count(*) from ready_units q where q.run_id = t.run_id and q.ordinal = t.ordinal)
or (t.state = 'ready' and not t.gate) <> exists (select from ready_units q where q.run_id = t.run_id and q.ordinal = t.ordinal
    and q.turn = -t.rank and q.ready_at = t.ready_at and q.wave is not distinct from t.wave and q.agent_kind = t.agent_kind)
or (t.state in ('pending', 'blocked') and (t.state = 'blocked') <> (coalesce(c.failed, 0) > 0))
order by t.ordinal
