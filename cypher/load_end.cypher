// Makes a loaded plan visible, unless somebody began to load something else under its name.
// Parameters: tenant, generation, plan, content. Columns: total (1, or 0).
MATCH (plan:Plan {tenant: $tenant, generation: $generation, plan: $plan})
WHERE plan.content = $content
SET plan.complete = true, plan.stale = false
RETURN count(*) AS total
