-- Units that may be claimed, in the order in which they go (the smallest turn first): a claim reads as many rows as it takes, whatever the size of the run. There is a
-- row exactly while a unit is ready. The claim takes its rows out itself; everything else is seen to here, whichever statement does it.
create table ready_units (
    organization_id uuid        not null,
    run_id          uuid        not null,
    turn            integer     not null,
    ready_at        timestamptz not null,
    ordinal         integer     not null,
    wave            integer,
    agent_kind      text        not null,
    constraint ready_units_pkey primary key (organization_id, run_id, turn, ready_at, ordinal)
);

select secure_tenant_table('ready_units', 'select, insert, update, delete');
select open_to_system('ready_units', 'select');

alter table run_tasks no force row level security;

insert into ready_units (organization_id, run_id, turn, ready_at, ordinal, wave, agent_kind)
select organization_id, run_id, -rank, ready_at, ordinal, wave, agent_kind
from run_tasks
where state = 'ready'
  and not gate;

alter table run_tasks force row level security;

create function queue_new_units()
returns trigger
language plpgsql
as $$
begin
    insert into ready_units (organization_id, run_id, turn, ready_at, ordinal, wave, agent_kind)
    select organization_id, run_id, -rank, ready_at, ordinal, wave, agent_kind
    from after
    where state = 'ready'
      and not gate;
    return null;
end
$$;

create trigger run_tasks_queue_new
after insert on run_tasks
referencing new table as after
for each statement
execute function queue_new_units();

-- Announces what changed, as before, and keeps the queue in step. From `ready` to `running` is the claim's own way.
create or replace function announce_units()
returns trigger
language plpgsql
as $$
declare
    leaving boolean;
    coming boolean;
begin
    insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload, run_id)
    select after.organization_id, 'unit', after.id, after.version, 'unit_' || after.state,
           jsonb_build_object('run', after.run_id, 'key', after.key, 'state', after.state, 'attempt', after.attempt),
           after.run_id
    from after
    join before using (organization_id, run_id, ordinal)
    where not after.gate
      and after.state is distinct from before.state
      and not (before.state = 'pending' and after.state = 'ready');

    select coalesce(bool_or(after.state = 'ready'), false), not coalesce(bool_and(after.state = 'running'), true) into coming, leaving from after;
    leaving := leaving and exists (select from before where before.state = 'ready');
    if leaving then
        delete from ready_units q
        using before
        join after using (organization_id, run_id, ordinal)
        where before.state = 'ready'
          and not before.gate
          and after.state <> 'running'
          and q.organization_id = before.organization_id
          and q.run_id = before.run_id
          and q.turn = -before.rank
          and q.ready_at = before.ready_at
          and q.ordinal = before.ordinal;
    end if;
    if coming then
        insert into ready_units (organization_id, run_id, turn, ready_at, ordinal, wave, agent_kind)
        select organization_id, run_id, -rank, ready_at, ordinal, wave, agent_kind
        from after
        where state = 'ready'
          and not gate;
    end if;
    return null;
end
$$;

alter function announce_units() set enable_nestloop = off;

-- A cache hit is found by whoever claimed the unit.
create or replace function unit_transition_allowed(before text, after text)
returns boolean
language sql
immutable
return (before, after) in (
    ('pending', 'ready'), ('pending', 'blocked'), ('pending', 'cancelled'),
    ('ready', 'running'), ('ready', 'waiting'), ('ready', 'pending'), ('ready', 'cancelled'),
    ('running', 'succeeded'), ('running', 'cached'), ('running', 'failed'), ('running', 'waiting'), ('running', 'ready'),
    ('running', 'pending'), ('running', 'cancelled'),
    ('succeeded', 'ready'), ('succeeded', 'pending'),
    ('cached', 'ready'), ('cached', 'pending'),
    ('failed', 'ready'), ('failed', 'pending'), ('failed', 'cancelled'),
    ('waiting', 'ready'), ('waiting', 'succeeded'), ('waiting', 'failed'), ('waiting', 'pending'), ('waiting', 'cancelled'),
    ('blocked', 'pending'), ('blocked', 'cancelled')
);
