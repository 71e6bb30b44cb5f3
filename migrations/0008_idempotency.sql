-- What the HTTP interface keeps: answers under the callers' own keys, the key that page cursors are signed with, and the right of an
-- organization to follow its own runs.

-- The answer to a request that carried an Idempotency-Key, written in the transaction that did what was asked: either both exist or
-- neither does. `request_hash` covers method, route and body. Written and read by the HTTP interface, removed by a sweep.
create table idempotency_keys (
    organization_id uuid        not null,
    key             text        not null,
    request_hash    text        not null,
    status          integer,
    location        text,
    body            bytea,
    created_at      timestamptz not null default now(),
    constraint idempotency_keys_pkey primary key (organization_id, key),
    constraint idempotency_keys_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint idempotency_keys_key_check check (key <> '' and length(key) <= 255),
    constraint idempotency_keys_request_hash_check check (request_hash ~ '^[0-9a-f]{64}$'),
    constraint idempotency_keys_status_check check (status between 200 and 299)
);

create index idempotency_keys_created_at_idx on idempotency_keys (created_at);

select secure_tenant_table('idempotency_keys', 'select, insert, update');
select open_to_system('idempotency_keys', 'select, delete');

-- Keys that every process of this installation shares; made here once, 244 random bits each. Only the owner reads them.
create table signing_keys (
    name       text        not null,
    key        bytea       not null,
    created_at timestamptz not null default now(),
    constraint signing_keys_pkey primary key (name),
    constraint signing_keys_key_check check (octet_length(key) >= 32)
);

insert into signing_keys (name, key)
values ('cursor', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- Row-level security shows an organization its own announcements and no others.
do $$
declare
    app text := (select app_role from installation);
begin
    execute format('grant select on outbox to %I', app);
end
$$;
