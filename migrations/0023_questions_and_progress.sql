-- What somebody wants to know about a unit, and what agents tell while they work. Both are announced in the outbox, for whoever follows
-- the run.

-- Questions about units, and what was answered. Written by whoever asks (a person, or an agent that cannot go on without knowing) and by
-- the person who answers; a clarification that nobody has asked for is an answer without a question. Read by the worker that claims the
-- unit: an open question of its run holds it up, and answers, of earlier runs of the specification too, are told to whoever performs it.
create table questions (
    organization_id uuid        not null,
    id              uuid        not null,
    run_id          uuid        not null,
    spec_id         uuid        not null,
    key             text        not null,
    number          integer     not null,
    question        text        not null,
    asked_by        text        not null,
    asked_at        timestamptz not null default clock_timestamp(),
    answer          text,
    answered_by     text,
    answered_at     timestamptz,
    constraint questions_pkey primary key (organization_id, id),
    constraint questions_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint questions_number_key unique (organization_id, run_id, key, number),
    constraint questions_number_check check (number > 0),
    constraint questions_question_check check (question <> '' or answer is not null),
    constraint questions_answer_check check (
        (answer is null) = (answered_by is null) and (answer is null) = (answered_at is null) and answer <> ''
    )
);

create index questions_told_idx on questions (organization_id, spec_id, key, answered_at) where answer is not null;

select secure_tenant_table('questions', 'select, insert, update (answer, answered_by, answered_at)');

create function announce_questions()
returns trigger
language plpgsql
as $$
begin
    insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload, run_id)
    select organization_id, 'question', id, case when answer is null then 1 else 2 end,
           case when answer is null then 'question_asked' else 'question_answered' end,
           jsonb_strip_nulls(jsonb_build_object(
               'run', run_id, 'key', key, 'number', number, 'question', question, 'answer', answer, 'by', coalesce(answered_by, asked_by)
           )),
           run_id
    from after;
    return null;
end
$$;

create trigger questions_announce_new
after insert on questions
referencing new table as after
for each statement
execute function announce_questions();

create trigger questions_announce
after update on questions
referencing new table as after
for each statement
execute function announce_questions();

-- The last that the agent of a unit has told of its work: one row for each unit that somebody was sent to who tells, written at most once a
-- second by the worker that holds the claim. Read by whoever looks at the run. Units that are generated have none.
create table unit_progress (
    organization_id uuid        not null,
    unit_id         uuid        not null,
    run_id          uuid        not null,
    token           bigint      not null,
    agent           text        not null,
    session         text,
    step            text        not null,
    steps           bigint      not null,
    tokens          bigint,
    told_at         timestamptz not null default clock_timestamp(),
    constraint unit_progress_pkey primary key (organization_id, unit_id),
    constraint unit_progress_unit_id_fkey foreign key (organization_id, unit_id) references run_tasks (organization_id, id) on delete cascade,
    constraint unit_progress_amounts_check check (steps >= 0 and tokens >= 0)
) with (fillfactor = 50);

create index unit_progress_run_idx on unit_progress (organization_id, run_id);

select secure_tenant_table('unit_progress', 'select, insert, update');

create function announce_progress()
returns trigger
language plpgsql
as $$
begin
    insert into outbox (organization_id, aggregate, aggregate_id, aggregate_version, kind, payload, run_id)
    select after.organization_id, 'progress', after.unit_id, after.steps, 'unit_progress',
           jsonb_strip_nulls(jsonb_build_object(
               'run', after.run_id, 'key', unit.key, 'agent', after.agent, 'session', after.session, 'step', after.step,
               'steps', after.steps, 'tokens', after.tokens
           )),
           after.run_id
    from after
    join run_tasks unit on unit.organization_id = after.organization_id and unit.id = after.unit_id;
    return null;
end
$$;

create trigger unit_progress_announce_new
after insert on unit_progress
referencing new table as after
for each statement
execute function announce_progress();

create trigger unit_progress_announce
after update on unit_progress
referencing new table as after
for each statement
execute function announce_progress();
