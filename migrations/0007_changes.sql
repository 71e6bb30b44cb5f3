-- Every change of a plan, a run, a phase, a unit or a pattern is announced in the outbox by the tables themselves, whichever
-- statement makes it. Projections and whoever follows a run read them there.

-- Whose stream a change belongs to; read by whoever follows one run.
alter table outbox add column run_id uuid;
create index outbox_run_idx on outbox (organization_id, run_id, xid, id) where run_id is not null;

-- Counts the changes of a row, so that a projection can tell an older state from a newer one.
create function count_version()
returns trigger
language plpgsql
as $$
begin
    new.version := old.version + 1;
    return new;
end
$$;

alter table runs add column version bigint not null default 1;

create trigger runs_version
before update on runs
for each row
when (old.state is distinct from new.state or old.plan_id is distinct from new.plan_id)
execute function count_version();

alter table run_tasks add column version bigint not null default 1;

create trigger run_tasks_version
before update of state on run_tasks
for each row
when (old.state is distinct from new.state)
execute function count_version();

create function announce_plans()
returns trigger
language plpgsql
as $$
begin
    insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload)
    select organization_id, 'plan', id, 1, 'plan_stored', jsonb_build_object('plan', id, 'spec', spec_id)
    from after;
    return null;
end
$$;

create trigger plans_announce
after insert on plans
referencing new table as after
for each statement
execute function announce_plans();

create function announce_new_runs()
returns trigger
language plpgsql
as $$
begin
    insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload, run_id)
    select organization_id, 'run', id, version, 'run_' || state, jsonb_build_object('run', id, 'state', state), id
    from after;
    return null;
end
$$;

create trigger runs_announce_new
after insert on runs
referencing new table as after
for each statement
execute function announce_new_runs();

create function announce_runs()
returns trigger
language plpgsql
as $$
begin
    insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload, run_id)
    select after.organization_id, 'run', after.id, after.version,
           case when after.state is distinct from before.state then 'run_' || after.state else 'run_planned' end,
           jsonb_build_object('run', after.id, 'state', after.state, 'reason', left(after.reason, 2000), 'plan', after.plan_id),
           after.id
    from after
    join before using (organization_id, id)
    where after.state is distinct from before.state or after.plan_id is distinct from before.plan_id;
    return null;
end
$$;

create trigger runs_announce
after update on runs
referencing old table as before new table as after
for each statement
execute function announce_runs();

create function announce_phases()
returns trigger
language plpgsql
as $$
begin
    insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload, run_id)
    select organization_id, 'phase', run_id, starts, 'phase_' || state,
           jsonb_strip_nulls(jsonb_build_object(
               'run', run_id, 'phase', phase, 'round', round, 'state', state, 'summary', output -> 'summary', 'error', left(error, 2000),
               'duration_ms', (extract(epoch from finished_at - started_at) * 1000)::bigint
           )),
           run_id
    from after;
    return null;
end
$$;

create trigger run_phases_announce_new
after insert on run_phases
referencing new table as after
for each statement
execute function announce_phases();

create trigger run_phases_announce
after update on run_phases
referencing new table as after
for each statement
execute function announce_phases();

-- `ready` is a moment between `pending` and `running` that nobody outside the engine acts on: going there is announced only on the
-- way back.
create function announce_units()
returns trigger
language plpgsql
as $$
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
    return null;
end
$$;

create trigger run_tasks_announce
after update on run_tasks
referencing old table as before new table as after
for each statement
execute function announce_units();

-- The transaction that changed a pattern last: a reader that has everything below a snapshot asks only for what came after it.
alter table patterns add column changed_xid xid8 not null default pg_current_xact_id();
create index patterns_changed_idx on patterns (organization_id, changed_xid);

create function note_change()
returns trigger
language plpgsql
as $$
begin
    new.changed_xid := pg_current_xact_id();
    return new;
end
$$;

create trigger patterns_changed
before update on patterns
for each row
execute function note_change();

create function announce_deleted_patterns()
returns trigger
language plpgsql
as $$
begin
    insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload)
    select organization_id, 'pattern', id, version + 1, 'pattern_deleted', jsonb_build_object('kind', kind)
    from before;
    return null;
end
$$;

create trigger patterns_announce_deleted
after delete on patterns
referencing old table as before
for each statement
execute function announce_deleted_patterns();

-- When a run had to do without a store, and why. Written by the driver of the run, read by its report.
create table degradations (
    organization_id uuid        not null,
    run_id          uuid        not null,
    store           text        not null,
    began_at        timestamptz not null,
    ended_at        timestamptz,
    reason          text        not null,
    constraint degradations_pkey primary key (organization_id, run_id, store, began_at),
    constraint degradations_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint degradations_store_check check (store in ('graph', 'vectors', 'cache'))
);

select secure_tenant_table('degradations', 'select, insert, update');

-- What rebuild and verify walk through, and what a worker looks for work in.
select open_to_system('organizations', 'select');

do $$
declare
    app text := (select app_role from installation);
    system text := (select system_role from installation);
begin
    execute format('create policy system on runs to %I using (true) with check (true)', system);
    execute format('grant select (organization_id, id, state, created_at) on runs to %I', system);
    execute format('grant delete on patterns to %I', app);
    execute format('grant delete on dead_letters to %I', system);
end
$$;
