// Plans of a generation, whoever's they are; at most `limit`.
// Parameters: generation, limit. Columns: total, tenants, plans (two lists of equal length).
CALL () {
    MATCH (plan:Plan {generation: $generation})
    RETURN plan LIMIT $limit
}
RETURN count(*) AS total, collect(plan.tenant) AS tenants, collect(plan.plan) AS plans
