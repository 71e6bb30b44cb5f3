// The generations of this installation that exist beside the one in use: those before it, and what rebuilds left that did not finish.
// Parameters: projection. Columns: total, generations.
MATCH (projection:Projection {name: $projection})
WITH coalesce(projection.beside, []) AS beside
RETURN size(beside) AS total, beside AS generations
