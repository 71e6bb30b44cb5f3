-- What the work left behind. The attempts are the engine's own history: rows are added, and only `withdrawn_at` ever changes.

create table task_attempts (
    organization_id uuid        not null,
    id              uuid        not null,
    run_id          uuid        not null,
    unit_id         uuid        not null,
    token           bigint      not null,
    spec_id         uuid        not null,
    key             text        not null,
    outcome         text        not null,
    error_class     text,
    error           text        not null default '',
    agent           text        not null default '',
    input_hash      text,
    worker          uuid,
    reused          uuid,
    checks          jsonb       not null default '[]',
    log             text        not null default '',
    started_at      timestamptz not null,
    finished_at     timestamptz not null default now(),
    withdrawn_at    timestamptz,
    constraint task_attempts_pkey primary key (organization_id, id),
    constraint task_attempts_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint task_attempts_token_key unique (organization_id, unit_id, token, outcome),
    constraint task_attempts_outcome_check check (
        outcome in ('succeeded', 'cached', 'handed_in', 'failed', 'waiting', 'released', 'lost', 'cancelled', 'reopened')
    ),
    constraint task_attempts_error_class_check check (
        error_class in ('transient', 'permanent', 'needs_input', 'budget', 'timeout', 'cancelled', 'crash_loop')
    )
);

create index task_attempts_run_idx on task_attempts (organization_id, run_id, unit_id);
-- Finds the earlier success of the same input.
create index task_attempts_success_idx on task_attempts (organization_id, spec_id, key, input_hash)
where outcome in ('succeeded', 'handed_in') and withdrawn_at is null;

select secure_tenant_table('task_attempts', 'select, insert, update (withdrawn_at)');

-- File contents, each once.
create table blobs (
    organization_id uuid        not null,
    sha256          text        not null,
    size_bytes      bigint      not null,
    content         bytea       not null,
    created_at      timestamptz not null default now(),
    constraint blobs_pkey primary key (organization_id, sha256),
    constraint blobs_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint blobs_sha256_check check (sha256 ~ '^[0-9a-f]{64}$'),
    constraint blobs_size_bytes_check check (size_bytes = octet_length(content))
);

select secure_tenant_table('blobs', 'select, insert');

-- The files that an attempt wrote.
create table artifacts (
    organization_id uuid    not null,
    attempt_id      uuid    not null,
    path            text    not null,
    sha256          text    not null,
    size_bytes      bigint  not null,
    executable      boolean not null,
    constraint artifacts_pkey primary key (organization_id, attempt_id, path),
    constraint artifacts_attempt_id_fkey foreign key (organization_id, attempt_id) references task_attempts (organization_id, id) on delete cascade,
    constraint artifacts_sha256_fkey foreign key (organization_id, sha256) references blobs (organization_id, sha256),
    constraint artifacts_path_check check (path <> '' and path !~ '(^/|(^|/)\.\.(/|$))')
);

create index artifacts_sha256_idx on artifacts (organization_id, sha256);

select secure_tenant_table('artifacts', 'select, insert');

-- Where each part of an agent's context came from, and what was left out; one per claim of a unit.
create table context_receipts (
    organization_id uuid        not null,
    unit_id         uuid        not null,
    token           bigint      not null,
    document        jsonb       not null,
    created_at      timestamptz not null default now(),
    constraint context_receipts_pkey primary key (organization_id, unit_id, token),
    constraint context_receipts_unit_id_fkey foreign key (organization_id, unit_id) references run_tasks (organization_id, id) on delete cascade
);

select secure_tenant_table('context_receipts', 'select, insert');

-- Documents that a run ends with, by kind and round.
create table reports (
    organization_id uuid        not null,
    run_id          uuid        not null,
    kind            text        not null,
    round           integer     not null,
    document        jsonb       not null,
    created_at      timestamptz not null default now(),
    constraint reports_pkey primary key (organization_id, run_id, kind, round),
    constraint reports_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint reports_kind_check check (kind ~ '^[a-z][a-z_]{0,31}$')
);

select secure_tenant_table('reports', 'select, insert, update');

-- Every check and call that was made against what a run built.
create table health_checks (
    organization_id uuid        not null,
    run_id          uuid        not null,
    phase           text        not null,
    round           integer     not null,
    ordinal         integer     not null,
    name            text        not null,
    subject         text,
    verdict         text        not null,
    command         text        not null,
    detail          text        not null,
    duration_ms     bigint      not null,
    created_at      timestamptz not null default now(),
    constraint health_checks_pkey primary key (organization_id, run_id, phase, round, ordinal),
    constraint health_checks_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint health_checks_verdict_check check (verdict in ('passed', 'failed', 'skipped'))
);

select secure_tenant_table('health_checks', 'select, insert, delete');

-- What was noticed about a run's input, in the order it was noticed.
create table findings (
    organization_id uuid    not null,
    run_id          uuid    not null,
    phase           text    not null,
    ordinal         integer not null,
    severity        text    not null,
    code            text    not null,
    message         text    not null,
    line            integer,
    column_number   integer,
    hint            text    not null,
    constraint findings_pkey primary key (organization_id, run_id, phase, ordinal),
    constraint findings_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint findings_severity_check check (severity in ('info', 'warning', 'error'))
);

select secure_tenant_table('findings', 'select, insert, delete');
