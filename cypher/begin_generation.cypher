// Hands out a generation that nothing uses yet, and notes it with those that exist beside the one in use. The lock is taken before the
// number is read, so that two callers never get the same.
// Parameters: projection. Columns: generation.
MATCH (counter:Counter {name: 'generation'})
SET counter.held = true
WITH counter
SET counter.last = counter.last + 1
WITH counter
MATCH (projection:Projection {name: $projection})
SET projection.held = true
WITH counter, projection
SET projection.beside = coalesce(projection.beside, []) + counter.last
RETURN counter.last AS generation
