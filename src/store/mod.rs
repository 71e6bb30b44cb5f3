//! The four stores: PostgreSQL holds the facts, graph and vectors are projections of them, the cache speeds up.
//!
//! Called by everything above. Only modules below this one name a store's client library.

pub mod postgres;

pub mod breaker;

pub mod graph;

pub mod vectors;

pub mod cache;

pub mod projection;

#[cfg(test)]
pub(crate) mod testing;
