// Writes which node stands above which.
// Parameters: tenant, generation, plan, content, rows of {task, parent}. Columns: total (rows whose ends exist).
UNWIND $rows AS row
MATCH (task:Task {tenant: $tenant, generation: $generation, plan: $plan, key: row.task})
MATCH (parent:Task {tenant: $tenant, generation: $generation, plan: $plan, key: row.parent})
MERGE (parent)-[edge:PARENT_OF]->(task)
SET edge.content = $content
RETURN count(*) AS total
