//! The phases of a run.

pub mod analyze;
pub mod atomize;
pub mod plan;
pub mod schedule;
