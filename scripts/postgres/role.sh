#!/bin/bash
# Run once by the container of PostgreSQL, when its data directory is new: makes the role that specwave connects as. It owns its
# database, makes the roles that do the work, and is bound by row-level security as they are.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres <<'SQL'
\getenv password SPECWAVE_DATABASE_PASSWORD
create role specwave login createrole nosuperuser nobypassrls password :'password';
create database specwave owner specwave;
SQL
