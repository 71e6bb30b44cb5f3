// Writes how units stand, unless a node knows something newer: a later run wins, within a run the later version. A node is locked before it
// is looked at, so that of two writers the newer one wins whoever comes last. With a new run the agent of the old one is forgotten.
// Parameters: projection, tenant, generation (null: the one in use), plan, rows of {key, run, version, state, attempts, agent, duration_ms}. Columns: known, found (units and gates of these keys), applied.
MATCH (projection:Projection {name: $projection})
OPTIONAL MATCH (plan:Plan {tenant: $tenant, generation: coalesce($generation, projection.generation), plan: $plan})
WHERE plan.complete
CALL (plan) {
    UNWIND $rows AS row
    MATCH (task:Task {tenant: $tenant, generation: plan.generation, plan: $plan, key: row.key})
    WHERE task.weight IS NOT NULL
    SET task.held = true
    WITH plan, row, task, task.run AS run, task.run IS NULL OR row.run > task.run OR (row.run = task.run AND row.version > task.version) AS newer
    CALL (plan, row, task, run, newer) {
        WITH plan, row, task, run
        WHERE newer
        SET task.run = row.run, task.version = row.version, task.state = row.state, task.attempts = row.attempts,
            task.duration_ms = row.duration_ms, task.agent = coalesce(row.agent, CASE WHEN run = row.run THEN task.agent END)
        WITH plan, row, task
        OPTIONAL MATCH (task)-[former:ASSIGNED_TO]->(other:Agent)
        WHERE task.agent IS NULL OR other.name <> task.agent
        DELETE former
        WITH DISTINCT plan, row, task
        CALL (plan, row, task) {
            WITH plan, row, task
            WHERE row.agent IS NOT NULL
            MERGE (agent:Agent {tenant: $tenant, generation: plan.generation, plan: $plan, name: row.agent})
            MERGE (task)-[:ASSIGNED_TO]->(agent)
        }
        RETURN count(*) AS applied
    }
    RETURN count(*) AS found, coalesce(sum(applied), 0) AS applied
}
RETURN plan IS NOT NULL AS known, found, applied
