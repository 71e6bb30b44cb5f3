-- What a run, each of its waves, each of its units and each attempt may use, and what was used. Money is counted in millionths.

create table budgets (
    organization_id uuid   not null,
    run_id          uuid   not null,
    scope           text   not null,
    tokens          bigint,
    cost_micros     bigint,
    time_ms         bigint,
    constraint budgets_pkey primary key (organization_id, run_id, scope),
    constraint budgets_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint budgets_scope_check check (scope in ('run', 'wave', 'unit', 'attempt')),
    constraint budgets_amounts_check check (tokens >= 0 and cost_micros >= 0 and time_ms >= 0)
);

select secure_tenant_table('budgets', 'select, insert, update');

-- What was set aside before it was used, then what was used of it. What is only set aside counts while the token under which it was is the
-- unit's current one and the unit is running: nobody has to give it back. What was used counts for good, whoever reports it and however
-- late.
create table budget_entries (
    organization_id uuid        not null,
    id              uuid        not null,
    run_id          uuid        not null,
    unit_id         uuid        not null,
    wave            integer,
    token           bigint      not null,
    purpose         text        not null,
    tokens          bigint      not null,
    cost_micros     bigint      not null,
    time_ms         bigint      not null,
    reserved_at     timestamptz not null default now(),
    spent_at        timestamptz,
    constraint budget_entries_pkey primary key (organization_id, id),
    constraint budget_entries_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint budget_entries_amounts_check check (tokens >= 0 and cost_micros >= 0 and time_ms >= 0)
);

create index budget_entries_run_idx on budget_entries (organization_id, run_id);

select secure_tenant_table('budget_entries', 'select, insert, update');
