// What the server is.
// Parameters: none. Columns: version.
CALL dbms.components() YIELD versions
RETURN versions[0] AS version
LIMIT 1
