// How many units each agent of a tenant was given, and how many of them run, over all plans.
// Parameters: projection, tenant. Columns: total (agents), agents, assigned, running (three lists of equal length).
MATCH (projection:Projection {name: $projection})
CALL (projection) {
    MATCH (agent:Agent {tenant: $tenant, generation: projection.generation})<-[:ASSIGNED_TO]-(task:Task)
    WHERE agent.plan IS NOT NULL AND agent.name IS NOT NULL
    RETURN agent.name AS name, count(*) AS assigned, sum(CASE task.state WHEN 'running' THEN 1 ELSE 0 END) AS running
}
RETURN count(*) AS total, collect(name) AS agents, collect(assigned) AS assigned, collect(running) AS running
