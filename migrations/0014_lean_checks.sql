-- Two references are upheld by the statements that write the rows (claim.sql, settle.sql: the unit is locked in the same statement), and cost
-- every claim and every settlement a look-up and a lock of the row referred to. Nobody has the right to delete a run; who gets it deletes
-- these rows first.
alter table unit_leases drop constraint unit_leases_unit_fkey;
alter table task_attempts drop constraint task_attempts_run_id_fkey;
