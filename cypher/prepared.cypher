// Whether the schema was applied, which version of it, and whether this installation has a generation.
// Parameters: projection. Columns: version (of the schema; 0 when it never was applied), begun.
OPTIONAL MATCH (counter:Counter {name: 'generation'})
OPTIONAL MATCH (projection:Projection {name: $projection})
RETURN coalesce(counter.schema, 0) AS version, projection.generation IS NOT NULL AS begun
