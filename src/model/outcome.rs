//! What an attempt leaves behind: files, verdicts, and what it cost.

use serde::{Deserialize, Serialize};

use super::Subject;

/// The name under which a unit's checks list the files that it changed and does not declare.
pub const UNDECLARED_FILES: &str = "undeclared files";

/// The result of one attempt at one unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outcome {
    /// The files it wrote.
    pub artifacts: Vec<Artifact>,
    /// What was checked.
    pub checks: Vec<CheckResult>,
}

/// A produced file, addressed by its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Artifact {
    /// Path below the project's root, `/`-separated, without `..`.
    pub path: String,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
    /// Bytes.
    pub size_bytes: u64,
    /// True when it may be executed.
    pub executable: bool,
}

/// One check and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckResult {
    /// A stable name, for example `lint` or `probe/create`.
    pub name: String,
    /// What it speaks of.
    pub subject: Option<Subject>,
    /// What it found.
    pub verdict: Verdict,
    /// The command or call that was made.
    pub command: String,
    /// What it printed or answered, cut to 4,000 characters.
    pub detail: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It held.
    Passed,
    /// It did not hold.
    Failed,
    /// It could not be made; `detail` says why.
    Skipped,
}

impl Verdict {
    /// As it is written: `passed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
