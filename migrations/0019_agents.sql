-- Agents that read what they are told: who there is, who was sent to a unit and why, and what came of it.

-- The registry. Written by `specwave agents`, and with the built-in profiles when it is first read; read whenever a run is taken up.
create table agents (
    organization_id uuid        not null,
    name            text        not null,
    kind            text        not null,
    duty            text        not null,
    specialisation  text        not null,
    task_types      text[]      not null,
    skills          text[]      not null,
    role            text        not null,
    settings        jsonb       not null,
    enabled         boolean     not null,
    version         integer     not null default 1,
    updated_at      timestamptz not null default now(),
    constraint agents_pkey primary key (organization_id, name),
    constraint agents_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint agents_name_check check (name ~ '^[a-z][a-z0-9-]{0,59}$'),
    constraint agents_kind_check check (kind in ('llm', 'command', 'agentapi')),
    constraint agents_duty_check check (duty in ('build', 'debug', 'review', 'optimise')),
    constraint agents_specialisation_check check (specialisation in ('backend_api', 'frontend', 'database', 'generalist'))
);

select secure_tenant_table('agents', 'select, insert, update, delete');

-- Who was sent to a claimed unit, why, and in which arm of the trial of patterns: written before the unit is told anything. What it used
-- and said, and whether it passed: written when it has ended, and never for a claim that was lost. Read by `why`, `report`, the next
-- choice, and what learning is worth.
create table assignments (
    organization_id uuid        not null,
    unit_id         uuid        not null,
    token           bigint      not null,
    run_id          uuid        not null,
    spec_id         uuid        not null,
    key             text        not null,
    input_hash      text        not null,
    agent           text        not null,
    reason          text        not null,
    choice          jsonb,
    task_type       text        not null,
    unit_size       text        not null,
    -- True when no try of the same unit with the same input has ended before.
    first           boolean     not null,
    arm             text,
    holdout_share   double precision,
    assigned_at     timestamptz not null default clock_timestamp(),
    ended_at        timestamptz,
    passed          boolean,
    calls           integer     not null default 0,
    unreported      integer     not null default 0,
    input_tokens    bigint      not null default 0,
    cached_tokens   bigint      not null default 0,
    written_tokens  bigint      not null default 0,
    output_tokens   bigint      not null default 0,
    cost_micros     bigint,
    transcript      jsonb,
    -- What was delivered, by content hash, also when it did not pass: whoever tries again is shown it.
    files           jsonb,
    constraint assignments_pkey primary key (organization_id, unit_id, token),
    constraint assignments_unit_id_fkey foreign key (organization_id, unit_id) references run_tasks (organization_id, id) on delete cascade,
    constraint assignments_arm_check check (arm in ('shown', 'held_out')),
    constraint assignments_share_check check ((arm is null) = (holdout_share is null)),
    constraint assignments_ended_check check ((ended_at is null) = (passed is null)),
    constraint assignments_amounts_check check (
        calls >= 0 and unreported >= 0 and input_tokens >= 0 and cached_tokens >= 0 and written_tokens >= 0 and output_tokens >= 0 and cost_micros >= 0
    )
);

create index assignments_run_idx on assignments (organization_id, run_id);
create index assignments_input_idx on assignments (organization_id, spec_id, key, input_hash);
-- The record of each agent in each sort of work.
create index assignments_record_idx on assignments (organization_id, task_type, unit_size, agent) where first;

select secure_tenant_table('assignments', 'select, insert, update');

-- Which unit of a run a path belongs to, where the plan does not say: of two units that choose the same path, one is refused.
create table unit_paths (
    organization_id uuid not null,
    run_id          uuid not null,
    path            text not null,
    key             text not null,
    constraint unit_paths_pkey primary key (organization_id, run_id, path),
    constraint unit_paths_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade
);

select secure_tenant_table('unit_paths', 'select, insert, delete');

-- What did not pass its checks may pass them when it is tried again with what they said.
alter table task_attempts drop constraint task_attempts_error_class_check;
alter table task_attempts add constraint task_attempts_error_class_check check (
    error_class in ('transient', 'permanent', 'unfit', 'needs_input', 'budget', 'timeout', 'cancelled', 'crash_loop')
);
