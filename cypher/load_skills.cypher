// Writes the skills that tasks need.
// Parameters: tenant, generation, plan, content, rows of {task, skill}. Columns: total (rows whose task exists).
UNWIND $rows AS row
MATCH (task:Task {tenant: $tenant, generation: $generation, plan: $plan, key: row.task})
MERGE (skill:Skill {tenant: $tenant, generation: $generation, plan: $plan, name: row.skill})
SET skill.content = $content
MERGE (task)-[edge:REQUIRES_SKILL]->(skill)
SET edge.content = $content
RETURN count(*) AS total
