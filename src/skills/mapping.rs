//! Which skills a unit of a plan must meet.

use super::language::Language;
use super::precedence::Conflict;
use super::registry::registry;
use super::skill::{Skill, SkillName};
use crate::model::Task;

/// The skills of one unit.
#[derive(Debug)]
pub struct Mapping {
    /// The skills, highest precedence first.
    pub skills: Vec<&'static Skill>,
    /// Names that the unit declares and that no skill has.
    pub unknown: Vec<String>,
    /// Where two of them contradict, and who wins.
    pub conflicts: Vec<&'static Conflict>,
}

impl Mapping {
    /// The names, highest precedence first.
    pub fn names(&self) -> Vec<SkillName> {
        self.skills.iter().map(|skill| skill.name.clone()).collect()
    }
}

/// The skills that a unit declares, those that are about its sort of work in that language, and those that are about one of its
/// files. No language: the sort of work decides alone.
pub fn map(unit: &Task, language: Option<Language>) -> Mapping {
    let wanted = |skill: &&Skill| {
        let declared = unit.skills.iter().any(|name| name == skill.name.as_str());
        let languages = &skill.applies_to.languages;
        let spoken = language.is_none_or(|language| languages.is_empty() || languages.contains(&language));
        let by_type = skill.applies_to.task_types.contains(&unit.task_type) && spoken;
        // A trailing `/` declares a folder, of which no single name is known. Skills about every file come by the sort of work.
        let by_file = || unit.files.iter().any(|file| !file.ends_with('/') && skill.about(file));
        declared || by_type || skill.applies_to.particular && by_file()
    };
    let mut skills: Vec<&'static Skill> = registry().all().filter(wanted).collect();
    skills.sort_by_key(|skill| std::cmp::Reverse(skill.precedence));
    let unknown = unit.skills.iter().filter(|name| registry().find(name).is_none()).cloned().collect();
    let conflicts = registry().precedence.between(&skills).collect();
    Mapping { skills, unknown, conflicts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::{Effort, EffortUnit};
    use crate::model::{Role, TaskKind, TaskType};

    fn unit(task_type: TaskType, files: &[&str], skills: &[&str]) -> Task {
        let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Task {
            key: "unit".to_owned(),
            parent: None,
            kind: TaskKind::Task,
            role: Role::Unit,
            task_type,
            phase: 3,
            title: String::new(),
            description: String::new(),
            priority: 3,
            effort: Effort { amount: 1, unit: EffortUnit::Points },
            criteria: Vec::new(),
            expected_output: String::new(),
            files: all(files),
            skills: all(skills),
            requirements: Vec::new(),
            position: None,
            wave: None,
            critical: false,
            slack: 0,
            waiting: None,
        }
    }

    fn check(unit: &Task, language: Option<Language>, expected: &[&str]) {
        let names = map(unit, language).names();
        assert_eq!(names.iter().map(SkillName::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_unit_gets_what_it_declares_and_what_its_work_and_its_files_ask_for() {
        let python = Some(Language::Python);
        check(&unit(TaskType::Docs, &[], &[]), python, &["global-commenting"]);
        check(&unit(TaskType::Docs, &[], &["backend-api"]), python, &["backend-api", "global-commenting"]);
        check(
            &unit(TaskType::Docs, &["migrations/versions/0002_more.py", "docs/"], &[]),
            python,
            &["backend-migrations", "global-commenting"],
        );
        let service = ["global-validation", "global-error-handling", "global-coding-style"];
        check(&unit(TaskType::Api, &[], &[]), python, &[&["backend-api"][..], &service].concat());
        let page = ["frontend-accessibility", "frontend-components", "frontend-css"];
        check(&unit(TaskType::Api, &["src/web/Shelf.tsx"], &[]), Some(Language::Tsx), &[&page[..], &service].concat());
    }

    #[test]
    fn a_name_that_no_skill_has_is_told() {
        assert_eq!(map(&unit(TaskType::Docs, &[], &["backend-api", "juggling"]), None).unknown, ["juggling"]);
    }

    #[test]
    fn contradictions_come_with_the_winner_and_the_reason() {
        let mapped = map(&unit(TaskType::Test, &["tests/test_books.py"], &["global-coding-style"]), Some(Language::Python));
        let told: Vec<_> = mapped.conflicts.iter().map(|conflict| (conflict.winner.as_str(), conflict.loser.as_str())).collect();
        assert!(told.contains(&("testing-test-writing", "global-coding-style")), "{told:?}");
        assert!(mapped.conflicts.iter().all(|conflict| !conflict.reason.is_empty()));
    }
}
