// Takes away nodes of a plan; at most `limit` of them.
// Parameters: tenant, generation, plan, limit. Columns: total (taken away).
CALL () {
    MATCH (node:Task {tenant: $tenant, generation: $generation, plan: $plan}) WHERE node.key IS NOT NULL
    RETURN node
    UNION ALL
    MATCH (node:Wave {tenant: $tenant, generation: $generation, plan: $plan}) WHERE node.number IS NOT NULL
    RETURN node
    UNION ALL
    MATCH (node:Skill {tenant: $tenant, generation: $generation, plan: $plan}) WHERE node.name IS NOT NULL
    RETURN node
    UNION ALL
    MATCH (node:Agent {tenant: $tenant, generation: $generation, plan: $plan}) WHERE node.name IS NOT NULL
    RETURN node
}
WITH node LIMIT $limit
DETACH DELETE node
RETURN count(*) AS total
