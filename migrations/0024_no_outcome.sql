-- A try that ended and says nothing of whoever was sent: a server that was away, or somebody who called it off. What it used is known, whether
-- it would have passed is not; the next try with the same input is then the first one.
-- Written when a try ends; read by the trial of patterns and by whoever chooses agents, who count what passed or did not.

alter table assignments
    drop constraint assignments_ended_check,
    add constraint assignments_ended_check check (passed is null or ended_at is not null);
