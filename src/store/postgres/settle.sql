-- Settles claimed units whose token is still theirs. $1 organization; $2 … $17 one array element per outcome.
-- The attempt and the end of the lease are written in the same statement; the table announces the change.
-- Each unit is looked up by its key, locked, and written where it lies: a join would be planned for a handful of rows while the tables are
-- new, and compare each with each. Only what was written counts as settled.
-- Returns: the indexes, from 0, of the outcomes that were written.
with given as (
    select *
    from unnest(
        $2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::integer[], $7::float8[], $8::uuid[], $9::text[], $10::text[],
        $11::text[], $12::text[], $13::text[], $14::uuid[], $15::jsonb[], $16::text[], $17::smallint[]
    ) with ordinality as given (
        run_id, ordinal, token, next_state, counts, retry_secs, attempt_id, outcome, error_class,
        error, agent, input_hash, reused, checks, log, escalation, place
    )
),
held as materialized (
    select given.*, unit.place_in_table, lease.owner, lease.started_at
    from given
    cross join lateral (
        select t.ctid as place_in_table
        from run_tasks t
        where t.organization_id = $1
          and t.run_id = given.run_id
          and t.ordinal = given.ordinal
          and t.token = given.token
          and t.state = 'running'
        for no key update
    ) unit
    left join lateral (
        select owner, started_at
        from unit_leases
        where organization_id = $1
          and run_id = given.run_id
          and ordinal = given.ordinal
        offset 0
    ) lease on true
),
settled as (
    update run_tasks t
    set state = held.next_state,
        attempt = case when held.escalation is null then t.attempt + held.counts else 0 end,
        escalation = coalesce(held.escalation, t.escalation),
        not_before = now() + make_interval(secs => held.retry_secs)
    from held
    where t.ctid = held.place_in_table
    returning t.run_id, t.ordinal, t.id, t.key, t.token, held.place, held.attempt_id, held.outcome, held.error_class, held.error, held.agent,
              held.input_hash, held.reused, held.checks, held.log, held.owner, held.started_at
),
released as (
    delete from unit_leases l
    using settled
    where l.organization_id = $1
      and l.run_id = settled.run_id
      and l.ordinal = settled.ordinal
),
attempted as (
    insert into task_attempts (
        organization_id, id, run_id, unit_id, token, spec_id, key, outcome, error_class, error, agent, input_hash, worker, reused,
        checks, log, started_at
    )
    select $1, attempt_id, run_id, id, token, (select spec_id from runs where runs.organization_id = $1 and runs.id = settled.run_id), key,
           outcome, error_class, error, agent, input_hash, owner, reused, checks, log, coalesce(started_at, now())
    from settled
)
select place - 1
from settled
order by place
