//! How well a standard was met in one run.

use serde::{Deserialize, Serialize};

/// Counts of one version of one skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SkillCounts {
    /// The skill's name.
    pub skill: String,
    /// Its version.
    pub version: u32,
    /// Files of which at least one check was made.
    pub files_checked: u32,
    /// Those of which at least one check failed.
    pub files_failed: u32,
    /// Files that it is about and of which no check could be made.
    pub files_skipped: u32,
    /// Those that failed, and no longer did after they were repaired.
    pub files_fixed: u32,
    /// Places at which a check did not hold.
    pub problems: u32,
}

impl SkillCounts {
    /// Nothing counted yet.
    pub fn of(skill: &str, version: u32) -> Self {
        let skill = skill.to_owned();
        Self { skill, version, files_checked: 0, files_failed: 0, files_skipped: 0, files_fixed: 0, problems: 0 }
    }
}
