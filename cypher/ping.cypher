// The shortest question that a server answers.
// Parameters: none. Columns: answer (1).
RETURN 1 AS answer
