//! The phases of a run.

pub mod analyze;
pub mod atomize;
pub mod compliance;
pub mod events;
pub mod plan;
pub mod probe;
pub mod schedule;
