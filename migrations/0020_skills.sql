-- How well each standard was met in each run. Written by whoever checks a run's files against the skills, once a run, skill and version
-- (checking again replaces the counts); read by `specwave skills history`.
create table skill_results (
    organization_id uuid        not null,
    run_id          uuid        not null,
    skill           text        not null,
    version         integer     not null,
    files_checked   integer     not null,
    files_failed    integer     not null,
    files_skipped   integer     not null,
    files_fixed     integer     not null,
    problems        integer     not null,
    recorded_at     timestamptz not null default now(),
    constraint skill_results_pkey primary key (organization_id, run_id, skill, version),
    constraint skill_results_run_id_fkey foreign key (organization_id, run_id) references runs (organization_id, id) on delete cascade,
    constraint skill_results_version_check check (version > 0),
    constraint skill_results_counts_check check (
        files_checked >= files_failed and files_failed >= files_fixed and files_fixed >= 0 and files_skipped >= 0 and problems >= 0
    )
);

create index skill_results_skill_idx on skill_results (organization_id, skill, recorded_at);

select secure_tenant_table('skill_results', 'select, insert, update');
