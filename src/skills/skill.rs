//! A skill as its `skill.toml` states it, read strictly.

use std::collections::BTreeMap;
use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::checks::{self, Check};
use super::language::Language;
use super::linters::Linter;
use super::registry::RegistryError;
use crate::model::TaskType;

/// The name of a skill: words in lower case, with `-` between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SkillName(pub(super) String);

impl SkillName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SkillName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What part of a product a skill is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Domain {
    Backend,
    Frontend,
    Global,
    Testing,
}

impl Domain {
    /// The text in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Frontend => "frontend",
            Self::Global => "global",
            Self::Testing => "testing",
        }
    }
}

/// A named quality standard.
#[derive(Debug)]
pub struct Skill {
    /// Its name.
    pub name: SkillName,
    /// Bumped whenever its guideline or its checks change.
    pub version: u32,
    /// What it is about.
    pub domain: Domain,
    /// One line.
    pub title: String,
    /// Where two skills make the same check of one file, the higher one's parameters count. No two are equal.
    pub precedence: u32,
    /// What it asks for, in a few sentences: what a context holds.
    pub summary: String,
    /// What it asks for, for whoever writes the code.
    pub guideline: &'static str,
    pub(super) applies_to: AppliesTo,
    pub(super) checks: Vec<CheckUse>,
    /// The foreign tools whose findings count for it.
    pub(super) linters: Vec<Linter>,
}

/// What a skill is about.
#[derive(Debug)]
pub(super) struct AppliesTo {
    pub(super) task_types: Vec<TaskType>,
    pub(super) languages: Vec<Language>,
    pub(super) files: Paths,
    /// True when it names the files that it is about, instead of being about every file of its languages.
    pub(super) particular: bool,
}

/// A check as a skill makes it.
#[derive(Debug)]
pub(super) struct CheckUse {
    pub(super) check: &'static Check,
    pub(super) parameters: Parameters,
    /// The part of the skill's files of which it is made.
    pub(super) files: Paths,
}

/// The numbers that a check works with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(BTreeMap<&'static str, usize>);

impl Parameters {
    pub(super) fn get(&self, name: &str) -> usize {
        *self.0.get(name).expect("a test runs every check with the parameters that it declares")
    }
}

/// Globs of paths.
#[derive(Debug)]
pub(super) struct Paths {
    included: GlobSet,
    excluded: GlobSet,
}

impl Paths {
    fn of(included: &[String], excluded: &[String]) -> Result<Self, globset::Error> {
        let set = |globs: &[String]| {
            let mut set = GlobSetBuilder::new();
            for glob in globs {
                set.add(GlobBuilder::new(glob).literal_separator(true).build()?);
            }
            set.build()
        };
        let all = ["**".to_owned()];
        Ok(Self { included: set(if included.is_empty() { &all } else { included })?, excluded: set(excluded)? })
    }

    pub(super) fn holds(&self, path: &str) -> bool {
        self.included.is_match(path) && !self.excluded.is_match(path)
    }
}

impl Skill {
    /// Reads what the two files of a skill's folder say.
    pub(super) fn read(folder: &str, settings: &str, guideline: &'static str) -> Result<Self, RegistryError> {
        let wrong = |reason: String| RegistryError { skill: folder.to_owned(), reason };
        let Settings { name, version, domain, title, precedence, summary, applies_to, checks, linters } =
            toml::from_str(settings).map_err(|error| wrong(error.to_string()))?;
        if name != folder {
            return Err(wrong(format!("it calls itself {name}")));
        }
        if version == 0 {
            return Err(wrong("versions begin with 1".to_owned()));
        }
        let paths = |files: &[String], except: &[String]| Paths::of(files, except).map_err(|error| wrong(error.to_string()));
        let files = paths(&applies_to.files, &applies_to.except)?;
        let particular = !applies_to.files.is_empty();
        let applies_to = AppliesTo { task_types: applies_to.task_types, languages: applies_to.languages, files, particular };
        let mut uses = Vec::new();
        for stated in checks {
            let check = checks::find(&stated.name).ok_or_else(|| wrong(format!("there is no check {}", stated.name)))?;
            let parameters = parameters(check, &stated.parameters).map_err(wrong)?;
            uses.push(CheckUse { check, parameters, files: paths(&stated.files, &stated.except)? });
        }
        Ok(Self { name: SkillName(name), version, domain, title, precedence, summary, guideline, applies_to, checks: uses, linters })
    }

    /// True when it has something to say about a file of that path.
    pub fn about(&self, path: &str) -> bool {
        let language = Language::of(path);
        let languages = &self.applies_to.languages;
        (languages.is_empty() || languages.contains(&language)) && self.applies_to.files.holds(path)
    }

    /// The names of its checks, foreign tools included, in the order of its file.
    pub fn check_names(&self) -> Vec<&'static str> {
        self.checks.iter().map(|stated| stated.check.name).chain(self.linters.iter().map(|linter| linter.as_str())).collect()
    }
}

/// What the check declares, with what the skill states instead.
fn parameters(check: &'static Check, stated: &BTreeMap<String, usize>) -> Result<Parameters, String> {
    let mut parameters = Parameters(check.parameters.iter().copied().collect());
    for (name, value) in stated {
        let known = check.parameters.iter().find(|(known, _)| known == name);
        let (name, _) = known.ok_or_else(|| format!("{} has no parameter {name}", check.name))?;
        parameters.0.insert(name, *value);
    }
    Ok(parameters)
}

/// `skill.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    version: u32,
    domain: Domain,
    title: String,
    precedence: u32,
    summary: String,
    applies_to: StatedAppliesTo,
    checks: Vec<StatedCheck>,
    #[serde(default)]
    linters: Vec<Linter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedAppliesTo {
    task_types: Vec<TaskType>,
    languages: Vec<Language>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedCheck {
    name: String,
    #[serde(default)]
    parameters: BTreeMap<String, usize>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
}

/// What a check works with where no skill states anything.
#[cfg(test)]
pub(super) fn parameters_of(check: &'static Check) -> Parameters {
    parameters(check, &BTreeMap::new()).expect("nothing is stated")
}
