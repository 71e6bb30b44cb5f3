// Takes away the last of a plan, unless somebody began to load it again.
// Parameters: tenant, generation, plan. Columns: total (1, or 0).
MATCH (plan:Plan {tenant: $tenant, generation: $generation, plan: $plan})
WHERE plan.content = ''
DETACH DELETE plan
RETURN count(*) AS total
