// From here on queries see another generation.
// Parameters: projection, generation. Columns: generation.
MATCH (projection:Projection {name: $projection})
SET projection.generation = $generation
RETURN projection.generation AS generation
