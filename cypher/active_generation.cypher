// The generation that queries see.
// Parameters: projection. Columns: generation.
MATCH (projection:Projection {name: $projection})
RETURN projection.generation AS generation
