//! What a check found in a file.

use serde::{Deserialize, Serialize};

use super::SkillName;
use super::syntax::Node;

/// More findings of one check in one file are counted, not told: whoever repairs the first ones looks again.
pub const PROBLEMS_MAX: usize = 50;
/// Characters of a message; foreign tools have told whole files.
const MESSAGE_CHARS_MAX: usize = 300;

/// One check of one skill on one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVerdict {
    /// The file, as it was given.
    pub path: String,
    /// The skill that asks for it.
    pub skill: SkillName,
    /// That skill's version.
    pub version: u32,
    /// The check's name.
    pub check: String,
    /// What it found.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// Whether a check held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Judgement {
    /// It held.
    Passed,
    /// It did not hold, in the order of the file.
    Failed {
        /// At most [`PROBLEMS_MAX`].
        problems: Vec<Problem>,
        /// How many more there are.
        omitted: usize,
    },
    /// It could not be made, or another standard decides.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// One place at which a check did not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, on one line.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Judgement {
    /// Passed when there is nothing to tell.
    pub(super) fn of(mut problems: Vec<Problem>) -> Self {
        if problems.is_empty() {
            return Self::Passed;
        }
        problems.sort();
        problems.dedup();
        let omitted = problems.len().saturating_sub(PROBLEMS_MAX);
        problems.truncate(PROBLEMS_MAX);
        Self::Failed { problems, omitted }
    }

    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped { reason: reason.into() }
    }

    /// True when it did not hold.
    pub fn failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// How many problems there are, told or not.
    pub fn problems(&self) -> usize {
        match self {
            Self::Failed { problems, omitted } => problems.len() + omitted,
            Self::Passed | Self::Skipped { .. } => 0,
        }
    }
}

impl Problem {
    /// A problem at that place. Control characters of the source do not come along.
    pub(super) fn new(line: usize, column: usize, message: impl AsRef<str>, hint: impl Into<String>) -> Self {
        let message = message.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS_MAX).collect();
        Self { line, column, message, hint: hint.into() }
    }

    /// A problem where that node begins.
    pub(super) fn at(node: Node<'_>, message: impl AsRef<str>, hint: impl Into<String>) -> Self {
        Self::new(node.line(), node.column(), message, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_in_the_order_of_the_file_once_and_up_to_a_limit() {
        let problem = |line| Problem::new(line, 1, "wrong", "mend it");
        assert_eq!(Judgement::of(Vec::new()), Judgement::Passed);
        let two = Judgement::of(vec![problem(2), problem(1), problem(2)]);
        assert_eq!(two, Judgement::Failed { problems: vec![problem(1), problem(2)], omitted: 0 });
        let many = Judgement::of((1..=PROBLEMS_MAX + 3).map(problem).collect());
        let Judgement::Failed { problems, omitted } = &many else { panic!("{many:?}") };
        assert_eq!((problems.len(), *omitted, many.problems()), (PROBLEMS_MAX, 3, PROBLEMS_MAX + 3));
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let problem = Problem::new(1, 1, format!("a\nb\u{1b}[31m{}", "x".repeat(1_000)), "");
        assert!(problem.message.starts_with("a b [31mx") && problem.message.chars().count() == MESSAGE_CHARS_MAX);
    }
}
