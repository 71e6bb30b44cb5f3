//! Deterministic generators: from a specification to the files of one unit, by the templates of a target pack.
//!
//! The planner asks a pack for its blueprints, the generator agent asks it for files. Nothing here knows waves,
//! runs or databases, and nothing here executes what it generates.

pub mod blueprint;

pub use blueprint::{Blueprint, GeneratedFile, Prior, Step};
