-- What worked, and what did not, for later runs. The vectors are kept here too, so that the vector store can be rebuilt.

create table patterns (
    organization_id uuid        not null,
    id              uuid        not null,
    kind            text        not null,
    title           text        not null,
    text            text        not null,
    code            text        not null,
    language        text        not null,
    framework       text        not null,
    unit_type       text        not null,
    spec_type       text        not null,
    success         boolean     not null,
    run_id          uuid        not null,
    unit_key        text        not null,
    evidence        text[]      not null,
    version         bigint      not null default 1,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint patterns_pkey primary key (organization_id, id),
    constraint patterns_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint patterns_kind_check check (kind in ('task', 'code', 'sequence'))
);

create index patterns_created_at_idx on patterns (organization_id, created_at);

select secure_tenant_table('patterns', 'select, insert, update');
select open_to_system('patterns', 'select');

-- One vector for each embedder that has seen the text; `model` says which, for vectors of different ones do not compare.
create table pattern_vectors (
    organization_id uuid    not null,
    pattern_id      uuid    not null,
    model           text    not null,
    dimension       integer not null,
    vector          real[]  not null,
    constraint pattern_vectors_pkey primary key (organization_id, pattern_id, model),
    constraint pattern_vectors_pattern_id_fkey foreign key (organization_id, pattern_id) references patterns (organization_id, id) on delete cascade,
    constraint pattern_vectors_dimension_check check (dimension = cardinality(vector))
);

select secure_tenant_table('pattern_vectors', 'select, insert, update');
select open_to_system('pattern_vectors', 'select');

-- Which unit was shown which pattern.
create table pattern_uses (
    organization_id uuid        not null,
    pattern_id      uuid        not null,
    unit_id         uuid        not null,
    created_at      timestamptz not null default now(),
    constraint pattern_uses_pkey primary key (organization_id, pattern_id, unit_id),
    constraint pattern_uses_pattern_id_fkey foreign key (organization_id, pattern_id) references patterns (organization_id, id) on delete cascade,
    constraint pattern_uses_unit_id_fkey foreign key (organization_id, unit_id) references run_tasks (organization_id, id) on delete cascade
);

select secure_tenant_table('pattern_uses', 'select, insert');
