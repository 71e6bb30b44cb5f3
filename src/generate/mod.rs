//! Deterministic generators: from a specification to the files of one unit, by the templates of a target pack.
//!
//! The planner asks a pack for its blueprints, the generator agent asks it for files. Nothing here knows waves,
//! runs or databases, and nothing here executes what it generates.

pub mod blueprint;
mod blueprints;
mod classes;
mod contexts;
pub mod error;
mod imports;
mod layout;
mod order;
pub mod pack;
mod project;
mod units;

pub use blueprint::{Blueprint, GeneratedFile, Prior, Proof, Step};
pub use error::GenerateError;
pub use pack::{Commands, ProjectCheck, TargetPack, UnitCheck};
