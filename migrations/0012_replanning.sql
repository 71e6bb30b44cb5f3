-- A plan of a run under way is changed by a newer one. A node that the newer one does without keeps its place, so that every place means
-- the same node in all plans of the run; its unit becomes a gate that nobody waits for.
alter table tasks drop constraint tasks_role_check;
alter table tasks add constraint tasks_role_check check (role in ('container', 'unit', 'step', 'gate', 'removed'));
