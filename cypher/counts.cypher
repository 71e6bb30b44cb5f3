// How many nodes and dependencies of a plan are there.
// Parameters: projection, tenant, plan. Columns: known, tasks, edges.
MATCH (projection:Projection {name: $projection})
OPTIONAL MATCH (plan:Plan {tenant: $tenant, generation: projection.generation, plan: $plan})
WHERE plan.complete
OPTIONAL MATCH (task:Task {tenant: $tenant, generation: plan.generation, plan: $plan})
WHERE task.key IS NOT NULL
RETURN count(plan) > 0 AS known, count(task) AS tasks, coalesce(sum(COUNT { (task)-[:DEPENDS_ON]->() }), 0) AS edges
