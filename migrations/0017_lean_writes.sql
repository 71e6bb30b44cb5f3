-- The same rules as before, checked once a statement where they were checked once a row: looking a referred row up costs as much as writing
-- the row, and a plan of 1,000 units has 3,000 edges. As after 0014, whoever gets the right to delete plans or runs deletes their rows first.

-- Both ends of an edge are tasks of its plan.
alter table task_dependencies drop constraint task_dependencies_depends_on_fkey;
alter table task_dependencies drop constraint task_dependencies_task_fkey;

create function refuse_edges_without_ends()
returns trigger
language plpgsql
as $$
declare
    missing record;
begin
    select edge.plan_id, ending.ordinal
    into missing
    from added edge
    cross join lateral (values (edge.depends_on), (edge.task)) ending (ordinal)
    where not exists (
        select from tasks
        where tasks.organization_id = edge.organization_id
          and tasks.plan_id = edge.plan_id
          and tasks.ordinal = ending.ordinal
    )
    limit 1;
    if found then
        raise exception 'a dependency of plan % names task %, which the plan does not have', missing.plan_id, missing.ordinal
            using errcode = 'foreign_key_violation', constraint = 'task_dependencies_ends_check';
    end if;
    return null;
end
$$;

create trigger task_dependencies_ends_check
after insert on task_dependencies
referencing new table as added
for each statement
execute function refuse_edges_without_ends();

-- A unit belongs to a run. The claim paid for the reference too: it changes rows that the same transaction has changed before.
alter table run_tasks drop constraint run_tasks_run_id_fkey;

create function refuse_units_without_run()
returns trigger
language plpgsql
as $$
declare
    missing uuid;
begin
    select unit.run_id
    into missing
    from (select distinct organization_id, run_id from added) unit
    where not exists (select from runs where runs.organization_id = unit.organization_id and runs.id = unit.run_id)
    limit 1;
    if found then
        raise exception 'a unit belongs to run %, which does not exist', missing
            using errcode = 'foreign_key_violation', constraint = 'run_tasks_run_check';
    end if;
    return null;
end
$$;

create trigger run_tasks_run_check
after insert on run_tasks
referencing new table as added
for each statement
execute function refuse_units_without_run();

-- One trigger for what two did: the conditions of a trigger are compiled anew for every statement, those of a function once.
drop trigger run_tasks_transition_check on run_tasks;

create or replace function note_unit_change()
returns trigger
language plpgsql
as $$
begin
    -- A gate is nobody's work: it passes in the statement that finishes its last dependency, so it takes the steps in between at once.
    if not new.gate and not unit_transition_allowed(old.state, new.state) then
        raise exception '% cannot follow %', new.state, old.state
            using errcode = 'check_violation', constraint = 'run_tasks_transition_check';
    end if;
    new.version := old.version + 1;
    new.ready_at := case new.state when 'ready' then greatest(now(), new.not_before) end;
    return new;
end
$$;

-- Nobody looks for these by their content, and comparing documents with each other is most of what gathering statistics costs.
alter table outbox alter column payload set statistics 0;
alter table task_attempts alter column checks set statistics 0;
alter table task_attempts alter column log set statistics 0;
alter table plans alter column document set statistics 0;

-- An index less for every attempt: the one that keeps attempts apart finds those of a run too.
alter table task_attempts drop constraint task_attempts_token_key;
drop index task_attempts_run_idx;
alter table task_attempts add constraint task_attempts_token_key unique (organization_id, run_id, unit_id, token, outcome);

-- And for every announcement: its number, which nobody chooses, is its own across organizations.
alter table outbox drop constraint outbox_pkey;
drop index outbox_xid_idx;
create unique index outbox_xid_idx on outbox (xid, id);
