//! Patterns: what verified outcomes teach, and finding it again.
//!
//! Called by `pipeline` (phase learn, and when a unit's context is made) and `cli` (`patterns`). It stores only what checks
//! have proved, keeps failures as warnings, and never gives instructions: what it finds is data with its origin.

pub mod advice;
pub mod campaign;
pub mod cut;
pub mod follow;
pub mod harvest;
pub mod memory;
#[cfg(test)]
mod memory_tests;
pub mod query;
pub mod transfer;
pub mod trial;
pub mod words;

pub use advice::Advised;
pub use campaign::Campaign;
pub use follow::Follower;
pub use harvest::{Harvest, UnitResult};
pub use memory::{Learned, Memory, MemoryError};
pub use query::Query;
