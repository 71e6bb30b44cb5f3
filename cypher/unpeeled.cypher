// What waves.cypher left over: the nodes without a level, and the dependencies between them.
// Parameters: projection, tenant, plan. Columns: known, total (nodes), keys, ordinals (lists), edges (how many), tasks, depends_on (lists).
MATCH (projection:Projection {name: $projection})
OPTIONAL MATCH (plan:Plan {tenant: $tenant, generation: projection.generation, plan: $plan})
WHERE plan.complete
CALL (plan) {
    MATCH (task:Task {tenant: $tenant, generation: plan.generation, plan: $plan})
    WHERE task.key IS NOT NULL AND task.weight IS NOT NULL AND task.level IS NULL
    RETURN count(*) AS total, collect(task.key) AS keys, collect(task.ordinal) AS ordinals
}
CALL (plan) {
    MATCH (task:Task {tenant: $tenant, generation: plan.generation, plan: $plan})
    WHERE task.key IS NOT NULL AND task.weight IS NOT NULL AND task.level IS NULL
    MATCH (task)-[:DEPENDS_ON]->(earlier)
    WHERE earlier.level IS NULL
    RETURN count(*) AS edges, collect(task.key) AS tasks, collect(earlier.key) AS depends_on
}
RETURN plan IS NOT NULL AS known, total, keys, ordinals, edges, tasks, depends_on
