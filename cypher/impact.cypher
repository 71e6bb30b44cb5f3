// What needs nodes, within ten edges: every edge that leaves one of the nodes within nine. Whoever asks walks along them for the distances, so
// that no path is ever enumerated, and asks again from the tenth edge on where more is wanted.
// Parameters: projection, tenant, plan, keys (where to start). Columns: known, found (of the keys), total (edges), nears, fars, ordinals (three lists of
// equal length: from where, to where, and the latter's place in the plan).
MATCH (projection:Projection {name: $projection})
OPTIONAL MATCH (plan:Plan {tenant: $tenant, generation: projection.generation, plan: $plan})
WHERE plan.complete
CALL (plan) {
    UNWIND $keys AS key
    MATCH (start:Task {tenant: $tenant, generation: plan.generation, plan: $plan, key: key})
    WHERE start.weight IS NOT NULL
    RETURN collect(start) AS starts
}
CALL (starts) {
    UNWIND starts AS start
    MATCH (start)<-[:DEPENDS_ON*0..9]-(near:Task)
    WITH DISTINCT near
    MATCH (near)<-[:DEPENDS_ON]-(far:Task)
    RETURN count(*) AS total, collect(near.key) AS nears, collect(far.key) AS fars, collect(far.ordinal) AS ordinals
}
RETURN plan IS NOT NULL AS known, size(starts) AS found, total, nears, fars, ordinals
