// The wave of every unit and gate: peels one frontier after the other inside one statement.
//
// `pending` counts dependencies that are not peeled yet, `level` is the raw depth, `wave_no` counts weights (unit 1, gate 0) and so does not
// grow behind a gate. Nodes without a level lie on or behind a cycle, or deeper than `depth_max`. The plan is held while it is peeled.
// Parameters: projection, tenant, plan, depth_max. Columns: known, total (nodes), deepest (level), levelled (nodes that have a level), and of these
// keys, ordinals, weights, waves (four lists of equal length).
MATCH (projection:Projection {name: $projection})
OPTIONAL MATCH (plan:Plan {tenant: $tenant, generation: projection.generation, plan: $plan})
WHERE plan.complete
SET plan.held = true
WITH plan, plan.generation AS generation, CASE WHEN plan.nodes < $depth_max THEN plan.nodes ELSE $depth_max END AS depth
CALL (generation) {
    MATCH (task:Task {tenant: $tenant, generation: generation, plan: $plan})
    WHERE task.key IS NOT NULL AND task.weight IS NOT NULL
    WITH task, COUNT { (task)-[:DEPENDS_ON]->() } AS pending
    SET task.pending = pending, task.wave_no = 0, task.level = CASE pending WHEN 0 THEN 0 END
    RETURN count(*) AS total
}
CALL (generation, depth) {
    UNWIND range(1, coalesce(depth, 0)) AS level
    CALL (generation, level) {
        MATCH (done:Task {tenant: $tenant, plan: $plan, generation: generation, level: level - 1})<-[:DEPENDS_ON]-(task:Task)
        WITH level, task, count(*) AS met, max(done.wave_no + done.weight) AS wave
        SET task.pending = task.pending - met, task.wave_no = CASE WHEN wave > task.wave_no THEN wave ELSE task.wave_no END
        WITH level, task
        WHERE task.pending = 0
        SET task.level = level
        RETURN count(*) AS found
    }
    RETURN coalesce(max(CASE WHEN found > 0 THEN level END), 0) AS deepest
}
CALL (generation) {
    MATCH (task:Task {tenant: $tenant, plan: $plan, generation: generation})
    WHERE task.level IS NOT NULL
    RETURN count(*) AS levelled, collect(task.key) AS keys, collect(task.ordinal) AS ordinals, collect(task.weight) AS weights,
           collect(task.wave_no) AS waves
}
RETURN plan IS NOT NULL AS known, total, deepest, levelled, keys, ordinals, weights, waves
