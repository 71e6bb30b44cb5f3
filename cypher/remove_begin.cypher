// Makes a plan invisible before its nodes go.
// Parameters: tenant, generation, plan. Columns: total (1, or 0 when there is no such plan).
MATCH (plan:Plan {tenant: $tenant, generation: $generation, plan: $plan})
SET plan.complete = false, plan.stale = true, plan.content = ''
RETURN count(*) AS total
