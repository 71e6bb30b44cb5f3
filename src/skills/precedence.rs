//! Which skill wins where two contradict, and why: a table in data (`standards/precedence.toml`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::registry::RegistryError;
use super::skill::{Skill, SkillName};

/// The table.
#[derive(Debug)]
pub struct Precedence {
    conflicts: Vec<Conflict>,
}

/// Two skills that contradict in one matter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// Whose word counts.
    pub winner: String,
    /// Who gives way.
    pub loser: String,
    /// In which matter.
    pub about: String,
    /// Why.
    pub reason: String,
    /// The loser's checks that are not made of files that both are about.
    pub drops: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    conflicts: Vec<Conflict>,
}

impl Precedence {
    pub(super) fn read(table: &str, skills: &BTreeMap<SkillName, Skill>) -> Result<Self, RegistryError> {
        let wrong = |reason: String| RegistryError { skill: "precedence.toml".to_owned(), reason };
        let Table { conflicts } = toml::from_str(table).map_err(|error| wrong(error.to_string()))?;
        let find = |name: &str| skills.get(&SkillName(name.to_owned())).ok_or_else(|| wrong(format!("there is no skill {name}")));
        for Conflict { winner, loser, drops, .. } in &conflicts {
            let (winner, loser) = (find(winner)?, find(loser)?);
            if winner.precedence <= loser.precedence {
                return Err(wrong(format!("{} wins over {}, which stands higher", winner.name, loser.name)));
            }
            if let Some(unknown) = drops.iter().find(|check| !loser.check_names().contains(&check.as_str())) {
                return Err(wrong(format!("{} has no check {unknown}", loser.name)));
            }
        }
        Ok(Self { conflicts })
    }

    /// Every conflict between two of these skills.
    pub fn between<'a>(&'a self, skills: &[&Skill]) -> impl Iterator<Item = &'a Conflict> {
        let has = |name: &str| skills.iter().any(|skill| skill.name.as_str() == name);
        self.conflicts.iter().filter(move |conflict| has(&conflict.winner) && has(&conflict.loser))
    }

    /// Why that skill's check is not made of a file that all of `present` are about; none when it is.
    pub(super) fn set_aside(&self, skill: &Skill, check: &str, present: &[&Skill]) -> Option<String> {
        let lost = |conflict: &&Conflict| conflict.loser == skill.name.as_str() && conflict.drops.iter().any(|drop| drop == check);
        if let Some(conflict) = self.between(present).find(lost) {
            return Some(format!("{} decides about {}: {}", conflict.winner, conflict.about, conflict.reason));
        }
        let same = |other: &&&Skill| other.precedence > skill.precedence && other.checks.iter().any(|stated| stated.check.name == check);
        let higher = present.iter().filter(same).max_by_key(|other| other.precedence)?;
        Some(format!("{} makes this check with its own numbers", higher.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skills::registry::registry;

    fn skills() -> BTreeMap<SkillName, Skill> {
        let skill = |name: &str, precedence: u32| {
            let settings = format!(
                "name = \"{name}\"\nversion = 1\ndomain = \"global\"\ntitle = \"T\"\nprecedence = {precedence}\nsummary = \"S\"\n\
                 checks = [{{ name = \"syntax\" }}, {{ name = \"function-length\" }}]\n[applies_to]\ntask_types = []\nlanguages = []\n"
            );
            (SkillName(name.to_owned()), Skill::read(name, &settings, "").unwrap())
        };
        BTreeMap::from([skill("high", 2), skill("low", 1)])
    }

    fn table(winner: &str, loser: &str, drops: &str) -> String {
        format!("[[conflicts]]\nwinner = \"{winner}\"\nloser = \"{loser}\"\nabout = \"length\"\nreason = \"R\"\ndrops = [{drops}]\n")
    }

    #[test]
    fn the_table_is_refused_where_it_is_wrong() {
        let check = |text: String, expected: &str| {
            let error = Precedence::read(&text, &skills()).unwrap_err();
            assert!(error.reason.contains(expected), "{expected}: {error}");
        };
        check(table("low", "high", ""), "low wins over high, which stands higher");
        check(table("high", "none", ""), "there is no skill none");
        check(table("high", "low", "\"nothing\""), "low has no check nothing");
        check("conflicts = [{}]".to_owned(), "missing field");
    }

    #[test]
    fn the_loser_gives_way_only_where_the_winner_speaks() {
        let skills = skills();
        let precedence = Precedence::read(&table("high", "low", "\"function-length\""), &skills).unwrap();
        let (high, low) = (&skills[&SkillName("high".to_owned())], &skills[&SkillName("low".to_owned())]);
        let check = |skill, name, present: &[&Skill], expected: Option<&str>| {
            assert_eq!(precedence.set_aside(skill, name, present).as_deref(), expected);
        };
        check(low, "function-length", &[high, low], Some("high decides about length: R"));
        check(low, "syntax", &[high, low], Some("high makes this check with its own numbers"));
        check(low, "function-length", &[low], None);
        check(high, "function-length", &[high, low], None);
    }

    #[test]
    fn the_standards_say_who_wins_and_why() {
        let conflicts = &registry().precedence.conflicts;
        assert!(conflicts.len() >= 6);
        assert!(conflicts.iter().all(|conflict| !conflict.about.is_empty() && !conflict.reason.is_empty()));
    }
}
