-- Settles claimed units whose token is still theirs. $1 organization; $2 … $16 one array element per outcome.
-- The attempt and the end of the lease are written in the same statement; the table announces the change.
-- Returns: the indexes, from 0, of the outcomes that were written.
with given as (
    select *
    from unnest(
        $2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::integer[], $7::float8[], $8::uuid[], $9::text[], $10::text[],
        $11::text[], $12::text[], $13::text[], $14::uuid[], $15::jsonb[], $16::text[]
    ) with ordinality as given (
        run_id, ordinal, token, first_state, counts, retry_secs, attempt_id, outcome, error_class,
        error, agent, input_hash, reused, checks, log, place
    )
),
settled as (
    update run_tasks t
    set state = given.first_state,
        attempt = t.attempt + given.counts,
        not_before = now() + make_interval(secs => given.retry_secs)
    from given
    where t.organization_id = $1
      and t.run_id = given.run_id
      and t.ordinal = given.ordinal
      and t.token = given.token
      and t.state = 'running'
    returning t.run_id, t.ordinal, t.id, t.key, t.token, given.place
),
released as (
    delete from unit_leases l
    using settled
    where l.organization_id = $1
      and l.run_id = settled.run_id
      and l.ordinal = settled.ordinal
    returning l.run_id, l.ordinal, l.owner, l.started_at
),
attempted as (
    insert into task_attempts (
        organization_id, id, run_id, unit_id, token, spec_id, key, outcome, error_class, error, agent, input_hash, worker, reused,
        checks, log, started_at
    )
    select $1, given.attempt_id, settled.run_id, settled.id, settled.token, runs.spec_id, settled.key, given.outcome, given.error_class,
           given.error, given.agent, given.input_hash, released.owner, given.reused, given.checks, given.log,
           coalesce(released.started_at, now())
    from settled
    join given using (place)
    join runs on runs.organization_id = $1 and runs.id = settled.run_id
    left join released on released.run_id = settled.run_id and released.ordinal = settled.ordinal
)
select place - 1
from settled
order by place
