//! The standards that code must meet: guidelines for whoever writes it, and checks of what was written.
//!
//! A skill is versioned data, a folder in `standards/`: what it is about, the guideline, the checks with their numbers. Called by the
//! planner and the assembly of contexts ([`map`], [`guidelines`]), by the phases that check a tree ([`validate()`], [`linters::lint`],
//! [`linters::apply`], [`repair_instructions`]), and by the command line. It judges text; it never runs the code that it judges, and
//! changes nothing but through a formatter or the safe fixes of a linter.

mod checks;
pub mod collect;
mod guideline;
mod instructions;
mod language;
pub mod linters;
mod mapping;
mod metrics;
mod precedence;
mod registry;
mod skill;
mod syntax;
mod validate;
mod verdict;

pub use guideline::{GuidelineText, guidelines};
pub use instructions::{INSTRUCTIONS_BYTES_MAX, repair_instructions};
pub use language::Language;
pub use mapping::{Mapping, map};
pub use metrics::SkillMetrics;
pub use precedence::Conflict;
pub use registry::{Registry, RegistryError, registry};
pub use skill::{Domain, Skill, SkillName};
pub use validate::{SourceFile, validate};
pub use verdict::{FileVerdict, Judgement, PROBLEMS_MAX, Problem};
