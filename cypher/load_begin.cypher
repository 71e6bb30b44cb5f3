// Begins to load a plan: it is invisible until load_end. What was loaded completely with the same content stays as it is.
// Parameters: tenant, generation, plan, content (a hash), nodes (units and gates), edges.
// Columns: complete (nothing is to be done), stale (something else was there before).
MERGE (plan:Plan {tenant: $tenant, generation: $generation, plan: $plan})
SET plan.held = true
WITH plan, coalesce(plan.complete AND plan.content = $content, false) AS complete, coalesce(plan.content <> $content, false) AS stale
SET plan.complete = complete, plan.stale = coalesce(plan.stale, false) OR stale, plan.content = $content, plan.nodes = $nodes, plan.edges = $edges
RETURN plan.complete AS complete, plan.stale AS stale
