-- What the projections are fed from: one row per change, in the transaction that made it.
--
-- Numbers of a sequence become visible out of order, so a reader that remembers the last one loses rows. `xid` is the writing
-- transaction; a reader takes only what lies below the oldest transaction still open, in the order of (xid, id).

create table outbox (
    organization_id   uuid        not null,
    id                bigint      not null generated always as identity,
    xid               xid8        not null default pg_current_xact_id(),
    aggregate         text        not null,
    aggregate_id      uuid        not null,
    aggregate_version bigint      not null,
    kind              text        not null,
    payload           jsonb       not null,
    created_at        timestamptz not null default now(),
    constraint outbox_pkey primary key (organization_id, id)
);

create index outbox_xid_idx on outbox (xid, id);

select secure_tenant_table('outbox', 'insert');
select open_to_system('outbox', 'select, delete');

-- How far each projection has come. `system_identifier` names the cluster: after a restore elsewhere the numbers mean nothing.
create table projection_cursors (
    name              text        not null,
    system_identifier text        not null,
    generation        integer     not null default 1,
    xid               xid8        not null,
    id                bigint      not null,
    updated_at        timestamptz not null default now(),
    constraint projection_cursors_pkey primary key (name)
);

-- Rows that a projection refused too often; the others go on without them.
create table dead_letters (
    organization_id uuid        not null,
    projection      text        not null,
    outbox_id       bigint      not null,
    kind            text        not null,
    payload         jsonb       not null,
    error           text        not null,
    created_at      timestamptz not null default now(),
    constraint dead_letters_pkey primary key (organization_id, projection, outbox_id)
);

select secure_tenant_table('dead_letters', 'select');
select open_to_system('dead_letters', 'select, insert');

do $$
declare
    app text := (select app_role from installation);
    system text := (select system_role from installation);
begin
    execute format('grant select on installation to %I, %I', app, system);
    execute format('grant select, insert, update on projection_cursors to %I', system);
end
$$;
