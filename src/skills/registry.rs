//! All skills, read once from the folders that are compiled in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};

use super::precedence::Precedence;
use super::skill::{Skill, SkillName};

/// One folder for each skill, and the table that says which wins where two contradict.
static STANDARDS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/skills/standards");

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::read(&STANDARDS).expect("the standards are constants that a test reads"));

/// What is wrong with a skill's folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("skill {skill}: {reason}")]
pub struct RegistryError {
    /// The folder.
    pub skill: String,
    /// What.
    pub reason: String,
}

/// All skills.
#[derive(Debug)]
pub struct Registry {
    skills: BTreeMap<SkillName, Skill>,
    pub(super) precedence: Precedence,
}

/// The skills of this program.
pub fn registry() -> &'static Registry {
    &REGISTRY
}

impl Registry {
    fn read(standards: &'static Dir<'static>) -> Result<Self, RegistryError> {
        let mut skills = BTreeMap::new();
        for folder in standards.dirs() {
            let name = folder.path().to_string_lossy().into_owned();
            let text = |file: &str| {
                let found = folder.get_file(folder.path().join(file)).and_then(|file| file.contents_utf8());
                found.ok_or_else(|| RegistryError { skill: name.clone(), reason: format!("it has no {file}") })
            };
            let skill = Skill::read(&name, text("skill.toml")?, text("guideline.md")?)?;
            skills.insert(skill.name.clone(), skill);
        }
        let table = standards.get_file("precedence.toml").and_then(|file| file.contents_utf8()).unwrap_or_default();
        let precedence = Precedence::read(table, &skills)?;
        Ok(Self { skills, precedence })
    }

    /// The skill of that name.
    pub fn find(&self, name: &str) -> Option<&Skill> {
        self.skills.get(&SkillName(name.to_owned()))
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Skill> {
        self.skills.values()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::skills::checks;

    #[test]
    fn all_standards_load() {
        let names: Vec<&str> = registry().all().map(|skill| skill.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "backend-api",
                "backend-migrations",
                "backend-models",
                "backend-queries",
                "frontend-accessibility",
                "frontend-components",
                "frontend-css",
                "frontend-responsive",
                "global-coding-style",
                "global-commenting",
                "global-conventions",
                "global-error-handling",
                "global-tech-stack",
                "global-validation",
                "testing-coverage",
                "testing-test-writing",
                "testing-unit-tests",
            ]
        );
        for skill in registry().all() {
            let (name, lines) = (&skill.name, skill.guideline.lines().count());
            assert!(name.as_str().starts_with(skill.domain.as_str()), "{name} is of another domain");
            assert!((15..=40).contains(&lines), "the guideline of {name} has {lines} lines");
            assert!(skill.summary.len() <= 400, "the summary of {name} takes {} bytes of a context", skill.summary.len());
            assert!(!skill.check_names().is_empty(), "{name} has no check");
        }
    }

    #[test]
    fn no_two_skills_stand_equally_high() {
        let heights: BTreeSet<u32> = registry().all().map(|skill| skill.precedence).collect();
        assert_eq!(heights.len(), registry().all().count());
    }

    #[test]
    fn every_check_is_made_by_a_skill() {
        let made: BTreeSet<&str> = registry().all().flat_map(Skill::check_names).collect();
        let idle: Vec<&str> = checks::all().map(|check| check.name).filter(|name| !made.contains(name)).collect();
        assert_eq!(idle, Vec::<&str>::new());
    }

    #[test]
    fn what_a_skill_states_wrongly_is_refused() {
        let settings = |name: &str, more: &str| {
            format!(
                "name = \"{name}\"\nversion = 1\ndomain = \"global\"\ntitle = \"T\"\nprecedence = 1\nsummary = \"S\"\n{more}\n\
                 [applies_to]\ntask_types = []\nlanguages = []\n"
            )
        };
        let check = |text: String, expected: &str| {
            let error = Skill::read("a", &text, "").unwrap_err();
            assert!(error.reason.contains(expected), "{expected}: {error}");
        };
        assert!(Skill::read("a", &settings("a", "checks = []"), "").is_ok());
        check(settings("b", "checks = []"), "calls itself b");
        check(settings("a", "checks = []\nmood = 1"), "unknown field `mood`");
        check(settings("a", "checks = [{ name = \"nothing\" }]"), "there is no check nothing");
        check(settings("a", "checks = [{ name = \"syntax\", parameters = { x = 1 } }]"), "syntax has no parameter x");
        check(settings("a", "checks = [{ name = \"syntax\", files = [\"[\"] }]"), "glob");
        check(settings("a", "checks = []\nlinters = [\"pylint\"]"), "unknown variant");
        check(settings("a", "checks = []").replace("version = 1", "version = 0"), "versions begin with 1");
    }
}
