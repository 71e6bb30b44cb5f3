// Notes that a generation does not exist any more.
// Parameters: projection, generation. Columns: generation (the one in use).
MATCH (projection:Projection {name: $projection})
SET projection.held = true
WITH projection
SET projection.beside = [other IN coalesce(projection.beside, []) WHERE other <> $generation]
RETURN projection.generation AS generation
