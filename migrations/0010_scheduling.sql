-- What claims are chosen and limited by: since when a unit is ready, its wave, the kind of agent that performs it, and who is to try it.

alter table run_tasks
    add column ready_at   timestamptz,
    add column wave       integer,
    add column agent_kind text     not null default '',
    add column escalation smallint not null default 0,
    add constraint run_tasks_agent_kind_check check (agent_kind in ('', 'generator', 'llm', 'command', 'agentapi', 'manual')),
    add constraint run_tasks_escalation_check check (escalation between 0 and 3);

-- Running units are counted here, by run, wave and kind of agent.
alter table unit_leases
    add column wave       integer,
    add column agent_kind text not null default '';

-- Units that exist take theirs from their plan. The owner, who changes tables, sees no row of them otherwise.
alter table run_tasks no force row level security;
alter table runs no force row level security;
alter table tasks no force row level security;

update run_tasks t
set wave = task.wave, ready_at = case t.state when 'ready' then now() end
from runs, tasks task
where runs.organization_id = t.organization_id
  and runs.id = t.run_id
  and task.organization_id = t.organization_id
  and task.plan_id = runs.plan_id
  and task.ordinal = t.ordinal;

alter table tasks force row level security;
alter table runs force row level security;
alter table run_tasks force row level security;

-- A person who is asked may say no: that is a failure, which can be reopened.
create or replace function unit_transition_allowed(before text, after text)
returns boolean
language sql
immutable
return (before, after) in (
    ('pending', 'ready'), ('pending', 'blocked'), ('pending', 'cancelled'),
    ('ready', 'running'), ('ready', 'cached'), ('ready', 'waiting'), ('ready', 'pending'), ('ready', 'cancelled'),
    ('running', 'succeeded'), ('running', 'failed'), ('running', 'waiting'), ('running', 'ready'), ('running', 'pending'),
    ('running', 'cancelled'),
    ('succeeded', 'ready'), ('succeeded', 'pending'),
    ('cached', 'ready'), ('cached', 'pending'),
    ('failed', 'ready'), ('failed', 'pending'), ('failed', 'cancelled'),
    ('waiting', 'ready'), ('waiting', 'succeeded'), ('waiting', 'failed'), ('waiting', 'pending'), ('waiting', 'cancelled'),
    ('blocked', 'pending'), ('blocked', 'cancelled')
);

-- Counts the changes of a unit, and notes since when it can be claimed, whichever statement makes it ready.
create function note_unit_change()
returns trigger
language plpgsql
as $$
begin
    new.version := old.version + 1;
    new.ready_at := case new.state when 'ready' then greatest(now(), new.not_before) end;
    return new;
end
$$;

drop trigger run_tasks_version on run_tasks;

create trigger run_tasks_note_change
before update of state on run_tasks
for each row
when (old.state is distinct from new.state)
execute function note_unit_change();

alter table run_tasks add constraint run_tasks_ready_at_check check ((state = 'ready') = (ready_at is not null) or gate);

-- On which machine a run is driven: its output directory is there. Workers look for runs with ready units, whoever's they are; one on another
-- machine can help where nothing was delivered to that directory before, for then no unit carries on from files in it.
alter table run_leases add column host text;

do $$
begin
    execute format('grant select (output_dir) on runs to %I', (select system_role from installation));
end
$$;

select open_to_system('run_phases', 'select');
