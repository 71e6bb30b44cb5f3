-- What was submitted, and the task graph made of it. Versions and plans never change once written.

create table specs (
    organization_id uuid        not null,
    id              uuid        not null,
    slug            text        not null,
    title           text        not null,
    version         integer     not null,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint specs_pkey primary key (organization_id, id),
    constraint specs_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint specs_slug_key unique (organization_id, slug),
    constraint specs_slug_check check (slug ~ '^[a-z][a-z0-9-]{0,63}$'),
    constraint specs_version_check check (version >= 1)
);

select secure_tenant_table('specs', 'select, insert, update');

-- The bytes as they were submitted. The same content again is the same version.
create table spec_versions (
    organization_id uuid        not null,
    spec_id         uuid        not null,
    version         integer     not null,
    content_hash    text        not null,
    source_name     text        not null,
    content         bytea       not null,
    created_at      timestamptz not null default now(),
    constraint spec_versions_pkey primary key (organization_id, spec_id, version),
    constraint spec_versions_spec_id_fkey foreign key (organization_id, spec_id) references specs (organization_id, id) on delete cascade,
    constraint spec_versions_content_hash_key unique (organization_id, spec_id, content_hash),
    constraint spec_versions_content_hash_check check (content_hash ~ '^[0-9a-f]{64}$')
);

select secure_tenant_table('spec_versions', 'select, insert');

-- One version of the task graph. `document` is the whole plan; the rows below are what the engine works with.
create table plans (
    organization_id uuid        not null,
    id              uuid        not null,
    spec_id         uuid        not null,
    spec_version    integer     not null,
    version         integer     not null,
    plan_hash       text        not null,
    document        jsonb       not null,
    created_at      timestamptz not null default now(),
    constraint plans_pkey primary key (organization_id, id),
    constraint plans_spec_version_fkey foreign key (organization_id, spec_id, spec_version)
        references spec_versions (organization_id, spec_id, version) on delete cascade,
    constraint plans_version_key unique (organization_id, spec_id, version),
    constraint plans_plan_hash_key unique (organization_id, spec_id, spec_version, plan_hash)
);

select secure_tenant_table('plans', 'select, insert');

create table requirements (
    organization_id uuid    not null,
    plan_id         uuid    not null,
    ordinal         integer not null,
    key             text    not null,
    text            text    not null,
    class           text    not null,
    priority        integer not null,
    weight          integer not null,
    subject         text    not null,
    line            integer,
    constraint requirements_pkey primary key (organization_id, plan_id, ordinal),
    constraint requirements_plan_id_fkey foreign key (organization_id, plan_id) references plans (organization_id, id) on delete cascade,
    constraint requirements_key_key unique (organization_id, plan_id, key),
    constraint requirements_priority_check check (priority between 1 and 5)
);

select secure_tenant_table('requirements', 'select, insert');

-- Every node of a plan. `ordinal` is its place in the plan, parents before children; `rank` is the effort of the longest chain
-- that begins with it, so the largest goes first.
create table tasks (
    organization_id uuid    not null,
    plan_id         uuid    not null,
    ordinal         integer not null,
    key             text    not null,
    parent          integer,
    kind            text    not null,
    role            text    not null,
    task_type       text    not null,
    phase           integer not null,
    title           text    not null,
    priority        integer not null,
    rank            integer not null,
    wave            integer,
    critical        boolean not null,
    constraint tasks_pkey primary key (organization_id, plan_id, ordinal),
    constraint tasks_plan_id_fkey foreign key (organization_id, plan_id) references plans (organization_id, id) on delete cascade,
    constraint tasks_parent_fkey foreign key (organization_id, plan_id, parent) references tasks (organization_id, plan_id, ordinal),
    constraint tasks_key_key unique (organization_id, plan_id, key),
    constraint tasks_kind_check check (kind in ('phase', 'task_group', 'task', 'subtask')),
    constraint tasks_role_check check (role in ('container', 'unit', 'step', 'gate')),
    constraint tasks_phase_check check (phase between 1 and 5),
    constraint tasks_priority_check check (priority between 1 and 5)
);

select secure_tenant_table('tasks', 'select, insert');

-- An edge: `task` starts after `depends_on` is done. The key begins with the earlier node, because what is asked is always
-- "who waits for this one".
create table task_dependencies (
    organization_id uuid    not null,
    plan_id         uuid    not null,
    depends_on      integer not null,
    task            integer not null,
    reason          text    not null,
    constraint task_dependencies_pkey primary key (organization_id, plan_id, depends_on, task),
    constraint task_dependencies_depends_on_fkey foreign key (organization_id, plan_id, depends_on)
        references tasks (organization_id, plan_id, ordinal) on delete cascade,
    constraint task_dependencies_task_fkey foreign key (organization_id, plan_id, task)
        references tasks (organization_id, plan_id, ordinal) on delete cascade,
    constraint task_dependencies_self_check check (task <> depends_on)
);

create index task_dependencies_task_idx on task_dependencies (organization_id, plan_id, task);

select secure_tenant_table('task_dependencies', 'select, insert');
