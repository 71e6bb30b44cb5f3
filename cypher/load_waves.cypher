// Writes which unit is in which wave.
// Parameters: tenant, generation, plan, content, rows of {task, wave}. Columns: total (rows whose task exists).
UNWIND $rows AS row
MATCH (task:Task {tenant: $tenant, generation: $generation, plan: $plan, key: row.task})
MERGE (wave:Wave {tenant: $tenant, generation: $generation, plan: $plan, number: row.wave})
SET wave.content = $content
MERGE (task)-[edge:IN_WAVE]->(wave)
SET edge.content = $content
RETURN count(*) AS total
