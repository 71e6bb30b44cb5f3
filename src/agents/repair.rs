//! An earlier delivery that did not pass, as it is told to whoever tries again.

/// An earlier delivery and what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repair {
    /// Path and content of its text files.
    pub files: Vec<(String, String)>,
    /// The checks that failed.
    pub evidence: Vec<Evidence>,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Its name: `pytest`.
    pub check: String,
    /// What it said; of long ones the end is told.
    pub output: String,
}
