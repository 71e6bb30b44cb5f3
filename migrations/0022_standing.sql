-- Where showing patterns stands, and what speaks for and against single patterns.

-- One row for each campaign but the first, which begins by itself, as a candidate. It is begun by the verdict of the campaign before it, whose
-- numbers are kept with it, or by a person who wants to try again, and says where patterns stand from then on. Append-only. Written by whoever is about to
-- draw an arm, by the phase that learns, and by `specwave patterns retry`; read by the same, by the report and by `specwave patterns standing`.
create table campaigns (
    organization_id uuid        not null,
    number          integer     not null,
    standing        text        not null,
    event           text        not null,
    actor           text        not null,
    began_at        timestamptz not null default clock_timestamp(),
    shown           integer,
    shown_passed    integer,
    held_out        integer,
    held_out_passed integer,
    uplift          double precision,
    lower           double precision,
    upper           double precision,
    level           double precision,
    constraint campaigns_pkey primary key (organization_id, number),
    constraint campaigns_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint campaigns_number_check check (number > 1),
    constraint campaigns_move_check check ((event, standing) in (('helps', 'promoted'), ('harms', 'demoted'), ('retry', 'candidate'))),
    constraint campaigns_evidence_check check (
        num_nulls(shown, shown_passed, held_out, held_out_passed, uplift, lower, upper, level) = case event when 'retry' then 8 else 0 end
        and case event when 'helps' then lower >= 0 when 'harms' then upper <= 0 else true end
    )
);

select secure_tenant_table('campaigns', 'select, insert');

-- In which campaign a unit was enrolled, whether it is told no patterns (by lot, or because they are demoted), and why, in words. Units of an
-- earlier campaign do not count in a later one.
alter table assignments
    add column campaign integer not null default 1,
    add column withheld boolean not null default false,
    add column arm_reason text not null default '';

create index assignments_trial_idx on assignments (organization_id, campaign, assigned_at, unit_id, token) where first and arm is not null;

-- What an agent's units cost counts with every try.
drop index assignments_record_idx;
create index assignments_record_idx on assignments (organization_id, task_type, unit_size, agent);

-- In how many runs the outcome of a pattern was verified, and when last. What patterns are about is one text for what worked and for what
-- failed at the same thing: the words that were embedded, without what a warning adds to them (`learning/harvest.rs`).
alter table patterns
    add column verified integer not null default 1,
    add column verified_at timestamptz,
    add column topic text not null generated always as (
        md5(kind || chr(31) || language || chr(31) || framework || chr(31) || unit_type || chr(31)
            || case when success then text else split_part(text, ' Failed the check ' || coalesce(evidence[1], '') || ': ', 1) end)
    ) stored;

-- A change of type rewrites the rows of every tenant, where an update by the owner would see none of them.
alter table patterns alter column verified_at type timestamptz using updated_at;
alter table patterns alter column verified_at set not null;
alter table patterns alter column verified_at set default now();
alter table patterns add constraint patterns_verified_check check (verified > 0);

create index patterns_topic_idx on patterns (organization_id, topic);
