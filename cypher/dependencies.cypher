// What a node directly depends on.
// Parameters: projection, tenant, plan, key. Columns: known, found (1, or 0 when there is no such node), total, keys, ordinals (two lists of equal length).
MATCH (projection:Projection {name: $projection})
OPTIONAL MATCH (plan:Plan {tenant: $tenant, generation: projection.generation, plan: $plan})
WHERE plan.complete
OPTIONAL MATCH (start:Task {tenant: $tenant, generation: plan.generation, plan: $plan, key: $key})
WHERE start.weight IS NOT NULL
OPTIONAL MATCH (start)-[:DEPENDS_ON]->(task:Task)
RETURN plan IS NOT NULL AS known, count(DISTINCT start) AS found, count(task) AS total, collect(task.key) AS keys,
       collect(task.ordinal) AS ordinals
