-- Counts finished dependencies off the units that wait for them. $1 organization, $2 runs, $3 ordinals of what was finished.
-- A unit that waits for nothing becomes ready; a gate passes at once. As in settle.sql, what is written is looked up by key and locked:
-- the caller holds the run, and no claim touches a unit that still waits, so it lies where it was found.
-- Returns: run, ordinal of the gates that passed, which are finished dependencies themselves.
with done as (
    select run_id, ordinal
    from unnest($2::uuid[], $3::integer[]) as given (run_id, ordinal)
),
waiting as (
    select done.run_id, edge.task as ordinal, count(*)::integer as finished
    from done
    cross join lateral (
        select task
        from task_dependencies
        where organization_id = $1
          and plan_id = (select plan_id from runs where organization_id = $1 and id = done.run_id)
          and depends_on = done.ordinal
        offset 0
    ) edge
    group by done.run_id, edge.task
),
held as materialized (
    select waiting.finished, unit.place_in_table
    from waiting
    cross join lateral (
        select t.ctid as place_in_table
        from run_tasks t
        where t.organization_id = $1
          and t.run_id = waiting.run_id
          and t.ordinal = waiting.ordinal
        for no key update
    ) unit
),
moved as (
    update run_tasks t
    set pending = t.pending - held.finished,
        state = case
            when t.state <> 'pending' or t.pending > held.finished then t.state
            when t.gate then 'succeeded'
            else 'ready'
        end
    from held
    where t.ctid = held.place_in_table
    returning t.run_id, t.ordinal, t.gate, t.state
)
select run_id, ordinal
from moved
where gate and state = 'succeeded'
