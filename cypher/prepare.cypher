// Notes which schema was applied, and gives this installation its first generation. Generations are numbered across all installations that
// share a server. The lock is taken before the number is read.
// Parameters: projection, version. Columns: generation (the one in use).
MATCH (counter:Counter {name: 'generation'})
SET counter.held = true, counter.schema = $version
MERGE (projection:Projection {name: $projection})
ON CREATE SET projection.generation = counter.last + 1
SET counter.last = CASE WHEN projection.generation > counter.last THEN projection.generation ELSE counter.last END
RETURN projection.generation AS generation
