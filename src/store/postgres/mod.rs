//! PostgreSQL: the only authority.
