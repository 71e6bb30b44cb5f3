// Writes tasks. Whatever a task's unit has lived through since stays.
// Parameters: tenant, generation, plan, content, rows of {key, ordinal, role, weight, effort, title, type, wave}. Columns: total (rows written).
UNWIND $rows AS row
MERGE (task:Task {tenant: $tenant, generation: $generation, plan: $plan, key: row.key})
SET task.ordinal = row.ordinal, task.role = row.role, task.weight = row.weight, task.effort = row.effort, task.title = row.title,
    task.type = row.type, task.wave = row.wave, task.content = $content
RETURN count(*) AS total
