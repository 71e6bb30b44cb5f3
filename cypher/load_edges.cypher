// Writes dependencies.
// Parameters: tenant, generation, plan, content, rows of {task, depends_on}. Columns: total (rows whose ends exist).
UNWIND $rows AS row
MATCH (task:Task {tenant: $tenant, generation: $generation, plan: $plan, key: row.task})
MATCH (earlier:Task {tenant: $tenant, generation: $generation, plan: $plan, key: row.depends_on})
MERGE (task)-[edge:DEPENDS_ON]->(earlier)
SET edge.content = $content
RETURN count(*) AS total
