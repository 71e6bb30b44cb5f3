// From here on queries see another generation; the one before exists beside it.
// Parameters: projection, generation. Columns: generation.
MATCH (projection:Projection {name: $projection})
SET projection.held = true
WITH projection, coalesce(projection.beside, []) + projection.generation AS others
SET projection.generation = $generation, projection.beside = [other IN others WHERE other <> $generation]
RETURN projection.generation AS generation
