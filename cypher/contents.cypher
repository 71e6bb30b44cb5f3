// Everything of a plan that a comparison with the facts looks at.
// Parameters: projection, tenant, plan. Columns: known; tasks (how many), task_rows [key, role, weight, wave, state, run, version];
// edges, edge_rows [task, depends_on]; parents, parent_rows [task, parent]; skills, skill_rows [task, skill].
MATCH (projection:Projection {name: $projection})
OPTIONAL MATCH (plan:Plan {tenant: $tenant, generation: projection.generation, plan: $plan})
WHERE plan.complete
CALL (plan) {
    MATCH (task:Task {tenant: $tenant, generation: plan.generation, plan: $plan})
    WHERE task.key IS NOT NULL
    RETURN collect(task) AS nodes
}
CALL (nodes) {
    UNWIND nodes AS task
    RETURN count(*) AS tasks, collect([task.key, task.role, task.weight, task.wave, task.state, task.run, task.version]) AS task_rows
}
CALL (nodes) {
    UNWIND nodes AS task
    MATCH (task)-[:DEPENDS_ON]->(earlier:Task)
    RETURN count(*) AS edges, collect([task.key, earlier.key]) AS edge_rows
}
CALL (nodes) {
    UNWIND nodes AS task
    MATCH (task)<-[:PARENT_OF]-(parent:Task)
    RETURN count(*) AS parents, collect([task.key, parent.key]) AS parent_rows
}
CALL (nodes) {
    UNWIND nodes AS task
    MATCH (task)-[:REQUIRES_SKILL]->(skill:Skill)
    RETURN count(*) AS skills, collect([task.key, skill.name]) AS skill_rows
}
RETURN plan IS NOT NULL AS known, tasks, task_rows, edges, edge_rows, parents, parent_rows, skills, skill_rows
