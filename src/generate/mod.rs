//! Deterministic generators: from a specification to the files of one unit, by the templates of a target pack.
//!
//! The planner asks a pack for its blueprints, the generator agent asks it for files. Nothing here knows waves,
//! runs or databases, and nothing here executes what it generates.

pub mod blueprint;
mod blueprints;
mod classes;
mod conditions;
mod context_errors;
mod context_factories;
mod context_model;
mod context_router;
mod context_router_list;
mod context_rules;
mod context_schema;
mod context_service;
mod context_tests;
mod contexts;
pub mod error;
mod imports;
mod layout;
mod migration;
mod migration_steps;
mod order;
pub mod pack;
mod patterns;
mod project;
mod proofs;
mod python;
mod render;
mod samples;
mod shapes;
mod solver;
mod sql;
mod tables;
mod test_values;
mod tests_case;
mod tests_list;
mod tests_rows;
mod tests_write;
mod units;
mod used;

pub use blueprint::{Blueprint, GeneratedFile, Prior, Proof, Step};
pub use error::GenerateError;
pub use pack::{Commands, ProjectCheck, TargetPack, UnitCheck, WarmUp};
