//! What whoever writes a unit is told about the standards that it must meet.

use std::fmt::Write;

use super::mapping::Mapping;

/// A standard in the shortest useful form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuidelineText {
    /// The skill's name.
    pub skill: String,
    /// What it asks for, and over whom it wins.
    pub text: String,
}

/// One piece for each skill of a unit, highest precedence first; a contradiction is settled in the winner's piece.
pub fn guidelines(mapping: &Mapping) -> Vec<GuidelineText> {
    let piece = |skill: &&'static super::Skill| {
        let mut text = skill.summary.trim().to_owned();
        for conflict in mapping.conflicts.iter().filter(|conflict| conflict.winner == skill.name.as_str()) {
            write!(text, " About {} this counts, not {}.", conflict.about, conflict.loser).expect("a string takes everything");
        }
        GuidelineText { skill: skill.name.to_string(), text }
    };
    mapping.skills.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skills::registry;

    #[test]
    fn a_contradiction_is_settled_in_the_piece_of_the_winner() {
        let skills = vec![registry().find("testing-test-writing").unwrap(), registry().find("global-coding-style").unwrap()];
        let conflicts: Vec<_> = registry().precedence.between(&skills).collect();
        let pieces = guidelines(&Mapping { skills, unknown: Vec::new(), conflicts });
        assert_eq!(pieces.iter().map(|piece| piece.skill.as_str()).collect::<Vec<_>>(), ["testing-test-writing", "global-coding-style"]);
        assert!(pieces[0].text.ends_with("this counts, not global-coding-style."), "{}", pieces[0].text);
        assert!(!pieces[1].text.contains("this counts"));
    }
}
