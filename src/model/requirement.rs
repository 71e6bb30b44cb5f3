//! Requirements: one checkable statement each, with the line it comes from.

use serde::{Deserialize, Serialize};

use super::{Position, Subject};

/// One checkable statement of a specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Requirement {
    /// `R-001`, numbered in source order.
    pub key: String,
    /// The statement, one line.
    pub text: String,
    /// What kind it is.
    pub class: RequirementClass,
    /// 1 (first) to 5 (last); 3 when the source says nothing.
    pub priority: u8,
    /// What it counts in compliance: 3 for data, api and functional demands, 1 otherwise.
    pub weight: u32,
    /// What evidence must speak of.
    pub subject: Subject,
    /// Where it stands.
    pub position: Option<Position>,
}

/// Kinds of requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RequirementClass {
    Functional,
    Data,
    Api,
    Security,
    Performance,
    Reliability,
    Usability,
    Constraint,
    NonFunctional,
}

impl RequirementClass {
    /// True when an unverified requirement of this class keeps a run from `succeeded`.
    pub fn needs_evidence(self) -> bool {
        matches!(self, Self::Functional | Self::Data | Self::Api)
    }
}
