// Takes away nodes of what was loaded under the same name before; at most `limit` of them.
// Parameters: tenant, generation, plan, content, limit. Columns: total (taken away).
CALL () {
    MATCH (node:Task {tenant: $tenant, generation: $generation, plan: $plan})
    WHERE node.key IS NOT NULL AND node.content <> $content
    RETURN node
    UNION ALL
    MATCH (node:Wave {tenant: $tenant, generation: $generation, plan: $plan})
    WHERE node.number IS NOT NULL AND node.content <> $content
    RETURN node
    UNION ALL
    MATCH (node:Skill {tenant: $tenant, generation: $generation, plan: $plan})
    WHERE node.name IS NOT NULL AND node.content <> $content
    RETURN node
}
WITH node LIMIT $limit
DETACH DELETE node
RETURN count(*) AS total
