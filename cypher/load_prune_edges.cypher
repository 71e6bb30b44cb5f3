// Takes away relationships of what was loaded under the same name before; at most `limit` of them.
// Parameters: tenant, generation, plan, content, limit. Columns: total (taken away).
MATCH (task:Task {tenant: $tenant, generation: $generation, plan: $plan})
WHERE task.key IS NOT NULL
MATCH (task)-[edge:DEPENDS_ON|PARENT_OF|REQUIRES_SKILL|IN_WAVE]->()
WHERE edge.content <> $content
WITH edge LIMIT $limit
DELETE edge
RETURN count(*) AS total
