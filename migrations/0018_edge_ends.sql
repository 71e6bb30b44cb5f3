-- The ends of edges are compared with the tasks of their plan as sets. As a join it was left to what the planner believes of a table that the
-- same transaction has filled: on a new database it looked through all tasks of the plan for each end, 20,000 tasks for 120,000 ends.
create or replace function refuse_edges_without_ends()
returns trigger
language plpgsql
as $$
declare
    plan record;
    missing integer;
begin
    for plan in select distinct organization_id, plan_id from added loop
        select ordinal
        into missing
        from (
            (select depends_on as ordinal from added where organization_id = plan.organization_id and plan_id = plan.plan_id
             union
             select task from added where organization_id = plan.organization_id and plan_id = plan.plan_id)
            except
            select ordinal from tasks where organization_id = plan.organization_id and plan_id = plan.plan_id
        ) without_task
        limit 1;
        if found then
            raise exception 'a dependency of plan % names task %, which the plan does not have', plan.plan_id, missing
                using errcode = 'foreign_key_violation', constraint = 'task_dependencies_ends_check';
        end if;
    end loop;
    return null;
end
$$;
