-- The commands that were executed for a run: by its phases (`phase`), in a try at a unit (`key` and `token`), or for the run as a whole, which is
-- when the tools of its target are installed. Written when a command begins and once more when it has ended, by the process that runs it;
-- a row without an outcome runs, or belongs to a process that was killed, which ends its commands. Read by `specwave logs --commands` and by whoever looks at a run over HTTP.
-- Words are redacted and of bounded length before they come here. git, the servers that specwave starts and the question to Python who it is
-- are not among them: they are its own, and no text of others decides what they do.
create table commands (
    organization_id uuid        not null,
    id              uuid        not null,
    run_id          uuid        not null,
    phase           text,
    key             text,
    token           bigint,
    worker          uuid        not null,
    argv            text[]      not null,
    directory       text        not null,
    network         jsonb       not null,
    confinement     jsonb       not null,
    limits          jsonb       not null,
    began_at        timestamptz not null,
    outcome         text,
    exit_code       integer,
    duration_ms     bigint,
    sandbox         text,
    peak_rss_bytes  bigint,
    denials         text[]      not null default '{}',
    constraint commands_pkey primary key (organization_id, id),
    constraint commands_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint commands_place_check check ((key is null) = (token is null) and (phase is null or key is null)),
    constraint commands_end_check check ((outcome is null) = (duration_ms is null) and (outcome is not null or exit_code is null)),
    constraint commands_amounts_check check (duration_ms >= 0 and peak_rss_bytes >= 0)
);

-- Identifiers are in the order of beginning.
create index commands_run_idx on commands (organization_id, run_id, id);

select secure_tenant_table('commands', 'select, insert, update (outcome, exit_code, duration_ms, sandbox, peak_rss_bytes, denials)');
