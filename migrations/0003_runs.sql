-- Runs and their units: what the engine moves. The hot rows are narrow and leave half of each page free, so that an update stays
-- on its page and touches no index; that is why no index here names a column that changes.

-- What may follow what; `RunState::next` and `UnitState::next` say the same, and a test compares them.
create function run_transition_allowed(before text, after text)
returns boolean
language sql
immutable
return (before, after) in (
    ('queued', 'running'), ('queued', 'paused'), ('queued', 'cancelled'), ('queued', 'superseded'),
    ('running', 'paused'), ('running', 'succeeded'), ('running', 'partial'), ('running', 'failed'), ('running', 'cancelled'),
    ('running', 'superseded'),
    ('paused', 'running'), ('paused', 'cancelled'), ('paused', 'superseded'),
    ('partial', 'running'), ('partial', 'cancelled'), ('partial', 'superseded'),
    ('failed', 'running'), ('failed', 'cancelled'), ('failed', 'superseded')
);

create function unit_transition_allowed(before text, after text)
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
    ('waiting', 'ready'), ('waiting', 'succeeded'), ('waiting', 'pending'), ('waiting', 'cancelled'),
    ('blocked', 'pending'), ('blocked', 'cancelled')
);

create function refuse_transition()
returns trigger
language plpgsql
as $$
begin
    raise exception '% cannot follow %', new.state, old.state
        using errcode = 'check_violation', constraint = tg_table_name || '_transition_check';
end
$$;

-- One execution of a plan. The plan comes after the run: planning is one of its phases.
create table runs (
    organization_id uuid        not null,
    id              uuid        not null,
    spec_id         uuid        not null,
    spec_version    integer     not null,
    plan_id         uuid,
    run_key         text        not null,
    target          text        not null,
    output_dir      text        not null,
    options         jsonb       not null,
    state           text        not null default 'queued',
    reason          text        not null default '',
    actor           text        not null,
    created_at      timestamptz not null default now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    constraint runs_pkey primary key (organization_id, id),
    constraint runs_spec_version_fkey foreign key (organization_id, spec_id, spec_version)
        references spec_versions (organization_id, spec_id, version) on delete cascade,
    constraint runs_plan_id_fkey foreign key (organization_id, plan_id) references plans (organization_id, id),
    constraint runs_state_check check (
        state in ('queued', 'running', 'paused', 'succeeded', 'partial', 'failed', 'cancelled', 'superseded')
    )
);

-- The same command twice at the same moment is one run.
create unique index runs_unfinished_key on runs (organization_id, run_key) where state in ('queued', 'running', 'paused');
create index runs_spec_idx on runs (organization_id, spec_id, created_at);
create index runs_created_at_idx on runs (organization_id, created_at);

create trigger runs_transition_check
before update of state on runs
for each row
when (old.state is distinct from new.state and not run_transition_allowed(old.state, new.state))
execute function refuse_transition();

select secure_tenant_table('runs', 'select, insert, update');

-- Who drives a run. The row is also what writers of one run's units queue on. `presence` is the advisory lock that the driver's
-- session holds: the server drops it the moment the driver's process is gone, which is long before the lease runs out.
create table run_leases (
    organization_id uuid        not null,
    run_id          uuid        not null,
    owner           uuid,
    token           bigint      not null default 0,
    presence        bigint,
    expires_at      timestamptz,
    progress_at     timestamptz not null default now(),
    constraint run_leases_pkey primary key (organization_id, run_id),
    constraint run_leases_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint run_leases_owner_check check ((owner is null) = (expires_at is null))
) with (fillfactor = 50);

select secure_tenant_table('run_leases', 'select, insert, update');
select open_to_system('run_leases', 'select');

-- The journal of the phases. A phase that succeeded in a round is not done again in that round.
create table run_phases (
    organization_id uuid        not null,
    run_id          uuid        not null,
    phase           text        not null,
    round           integer     not null,
    state           text        not null default 'running',
    starts          integer     not null default 1,
    output          jsonb,
    error           text,
    started_at      timestamptz not null default now(),
    finished_at     timestamptz,
    constraint run_phases_pkey primary key (organization_id, run_id, phase, round),
    constraint run_phases_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint run_phases_state_check check (state in ('running', 'succeeded', 'failed')),
    constraint run_phases_output_check check ((state = 'succeeded') = (output is not null)),
    constraint run_phases_error_check check ((state = 'failed') = (error is not null)),
    constraint run_phases_round_check check (round >= 0)
);

select secure_tenant_table('run_phases', 'select, insert, update');

-- The units and gates of a run. `pending` counts the dependencies that are not done, whatever the state. `token` fences: every
-- claim, reopen and cancel makes a new one, and whoever comes back with an old one changes nothing.
create table run_tasks (
    organization_id uuid        not null,
    run_id          uuid        not null,
    ordinal         integer     not null,
    id              uuid        not null,
    rank            integer     not null,
    pending         integer     not null,
    attempt         integer     not null default 0,
    lost_leases     integer     not null default 0,
    token           bigint      not null default 0,
    gate            boolean     not null,
    state           text        not null,
    not_before      timestamptz,
    key             text        not null,
    constraint run_tasks_pkey primary key (organization_id, run_id, ordinal),
    constraint run_tasks_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint run_tasks_id_key unique (organization_id, id),
    constraint run_tasks_state_check check (
        state in ('pending', 'ready', 'running', 'succeeded', 'cached', 'failed', 'waiting', 'blocked', 'cancelled')
    ),
    constraint run_tasks_pending_check check (pending >= 0),
    constraint run_tasks_ready_check check (state not in ('ready', 'running') or pending = 0)
) with (fillfactor = 50);

-- A gate is nobody's work: it passes in the statement that finishes its last dependency, so it takes the steps in between at once.
create trigger run_tasks_transition_check
before update of state on run_tasks
for each row
when (not new.gate and old.state is distinct from new.state and not unit_transition_allowed(old.state, new.state))
execute function refuse_transition();

select secure_tenant_table('run_tasks', 'select, insert, update');

-- Who works on a unit, and until when without a sign of life. There is a row exactly while the unit is running.
create table unit_leases (
    organization_id uuid        not null,
    run_id          uuid        not null,
    ordinal         integer     not null,
    owner           uuid        not null,
    token           bigint      not null,
    started_at      timestamptz not null default now(),
    expires_at      timestamptz not null,
    constraint unit_leases_pkey primary key (organization_id, run_id, ordinal),
    constraint unit_leases_unit_fkey foreign key (organization_id, run_id, ordinal)
        references run_tasks (organization_id, run_id, ordinal) on delete cascade
) with (fillfactor = 50);

select secure_tenant_table('unit_leases', 'select, insert, update, delete');
select open_to_system('unit_leases', 'select');
