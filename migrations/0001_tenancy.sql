-- Who owns what, and who may see it. Everything below an organization carries its id, first in every key.
--
-- Three roles share the work. The owner (whoever runs this file) changes the tables and sees no row of them. The application
-- role sees the rows of one organization, named by the transaction. The system role crosses organizations, on the few tables
-- that say so. The names of the two are facts of this installation, because roles belong to the whole cluster.

create table installation (
    id         boolean     not null default true,
    app_role   text        not null,
    system_role text       not null,
    created_at timestamptz not null default now(),
    constraint installation_pkey primary key (id),
    constraint installation_id_check check (id)
);

insert into installation (app_role, system_role)
values (current_setting('specwave.app_role'), current_setting('specwave.system_role'));

-- Lets the application role at a table, one organization at a time. The sub-select is evaluated once per statement; after a
-- transaction-local setting the value is '' and not null, hence nullif.
create function secure_tenant_table(target regclass, privileges text, tenant_column text default 'organization_id')
returns void
language plpgsql
as $$
declare
    app text := (select app_role from installation);
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format(
        'create policy tenant on %s to %I using (%3$I = (select nullif(current_setting(''app.current_tenant'', true), '''')::uuid)) '
        'with check (%3$I = (select nullif(current_setting(''app.current_tenant'', true), '''')::uuid))',
        target, app, tenant_column
    );
    execute format('grant %s on %s to %I', privileges, target, app);
end
$$;

-- Lets the system role at a table, across organizations.
create function open_to_system(target regclass, privileges text)
returns void
language plpgsql
as $$
declare
    system text := (select system_role from installation);
begin
    execute format('create policy system on %s to %I using (true) with check (true)', target, system);
    execute format('grant %s on %s to %I', privileges, target, system);
end
$$;

revoke execute on function secure_tenant_table, open_to_system from public;

-- The tenants. Its own id is what guards a row.
create table organizations (
    id         uuid        not null,
    slug       text        not null,
    name       text        not null,
    created_at timestamptz not null default now(),
    constraint organizations_pkey primary key (id),
    constraint organizations_slug_key unique (slug),
    constraint organizations_slug_check check (slug ~ '^[a-z][a-z0-9-]{0,63}$')
);

-- The organization of an installation without accounts; `LOCAL_ORGANIZATION` in the model.
insert into organizations (id, slug, name)
values ('01900000-0000-7000-8000-000000000001', 'local', 'Local');

select secure_tenant_table('organizations', 'select', 'id');

-- What a person, a key or an agent asked for, with the state before and after. Append-only: nobody but the owner has the
-- privilege to change or delete. Partitioned by month, so that retention drops whole months; an attached partition inherits
-- neither row-level security nor grants, so it gets the former and never the latter: it can be reached only through its parent.
create table audit_log (
    organization_id uuid        not null,
    id              uuid        not null,
    created_at      timestamptz not null default now(),
    actor           text        not null,
    action          text        not null,
    subject         text        not null,
    before          jsonb,
    after           jsonb,
    constraint audit_log_pkey primary key (organization_id, created_at, id),
    constraint audit_log_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade
) partition by range (created_at);

create table audit_log_default partition of audit_log default;
alter table audit_log_default enable row level security;
alter table audit_log_default force row level security;

select secure_tenant_table('audit_log', 'select, insert');

-- Makes the partitions of this month and the next ones; called by the owner at every start.
create function create_month_partitions(months integer default 3)
returns void
language plpgsql
as $$
declare
    month date;
    partition_name text;
begin
    perform pg_advisory_xact_lock(hashtext('create_month_partitions'));
    for step in 0..months - 1 loop
        month := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => step))::date;
        partition_name := 'audit_log_' || to_char(month, 'YYYY_MM');
        continue when to_regclass(partition_name) is not null;
        execute format(
            'create table %I partition of audit_log for values from (%L) to (%L)',
            partition_name, month::timestamp at time zone 'UTC', (month + interval '1 month')::timestamp at time zone 'UTC'
        );
        execute format('alter table %I enable row level security', partition_name);
        execute format('alter table %I force row level security', partition_name);
    end loop;
end
$$;

revoke execute on function create_month_partitions from public;
select create_month_partitions();
