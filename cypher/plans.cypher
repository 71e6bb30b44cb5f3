// The plans of a tenant that are completely loaded.
// Parameters: projection, tenant. Columns: total, plans (a list).
MATCH (projection:Projection {name: $projection})
OPTIONAL MATCH (plan:Plan {tenant: $tenant, generation: projection.generation})
WHERE plan.plan IS NOT NULL AND plan.complete
RETURN count(plan) AS total, collect(plan.plan) AS plans
