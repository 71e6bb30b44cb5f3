-- What persons have done of units by hand: the files, whose contents are blobs. Written by whoever hands something in; read by the worker that
-- claims the unit, which judges it as it judges what agents deliver, and writes down with which token. A hand-in is open until the try with
-- that token was settled, so that a worker that dies in between loses nothing.
create table hand_ins (
    organization_id uuid        not null,
    id              uuid        not null,
    run_id          uuid        not null,
    key             text        not null,
    person          text        not null,
    note            text        not null default '',
    files           jsonb       not null,
    handed_at       timestamptz not null default clock_timestamp(),
    judged_token    bigint,
    constraint hand_ins_pkey primary key (organization_id, id),
    constraint hand_ins_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint hand_ins_files_check check (jsonb_typeof(files) = 'array')
);

create index hand_ins_unit_idx on hand_ins (organization_id, run_id, key, handed_at);

select secure_tenant_table('hand_ins', 'select, insert, update');
