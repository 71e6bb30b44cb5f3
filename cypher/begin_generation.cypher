// Hands out a generation that nothing uses yet. The lock is taken before the number is read, so that two callers never get the same.
// Parameters: none. Columns: generation.
MATCH (counter:Counter {name: 'generation'})
SET counter.held = true
WITH counter
SET counter.last = counter.last + 1
RETURN counter.last AS generation
