//! Profiles of agents: what an agent is for, and what stands behind it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::TaskType;
use super::{AgentKind, Task};

/// Longest name of an agent.
pub const AGENT_NAME_CHARS_MAX: usize = 60;

/// What an agent knows best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Specialisation {
    /// Services and their interfaces.
    BackendApi,
    /// What people see.
    Frontend,
    /// Tables, migrations, queries.
    Database,
    /// Everything.
    #[default]
    Generalist,
}

impl Specialisation {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::BackendApi, Self::Frontend, Self::Database, Self::Generalist];

    /// The text in settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BackendApi => "backend_api",
            Self::Frontend => "frontend",
            Self::Database => "database",
            Self::Generalist => "generalist",
        }
    }

    /// Whose unit it is by its skills, or else by its sort.
    pub fn of(unit: &Task) -> Self {
        if unit.skills.iter().any(|skill| skill.starts_with("frontend")) {
            return Self::Frontend;
        }
        match unit.task_type {
            TaskType::Model | TaskType::Schema | TaskType::Migration => Self::Database,
            TaskType::Crud | TaskType::Api | TaskType::Auth => Self::BackendApi,
            TaskType::Analysis | TaskType::Design | TaskType::Infra | TaskType::Test | TaskType::Docs | TaskType::Generic => {
                Self::Generalist
            }
        }
    }
}

impl fmt::Display for Specialisation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Specialisation {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|specialisation| specialisation.as_str() == text).ok_or(())
    }
}

/// What an agent is sent for. Only builders are chosen for a unit by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// To build units.
    #[default]
    Build,
    /// To find the cause of what failed, and to mend it.
    Debug,
    /// To read what others wrote.
    Review,
    /// To make what works work faster.
    Optimise,
}

impl Duty {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Build, Self::Debug, Self::Review, Self::Optimise];

    /// The text in settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Debug => "debug",
            Self::Review => "review",
            Self::Optimise => "optimise",
        }
    }
}

impl FromStr for Duty {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|duty| duty.as_str() == text).ok_or(())
    }
}

/// An entry of the registry of agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// What stands behind it.
    pub kind: AgentKind,
    /// What it is sent for.
    #[serde(default)]
    pub duty: Duty,
    /// What it knows best.
    #[serde(default)]
    pub specialisation: Specialisation,
    /// The sorts of work that it is for; empty: whatever its specialisation covers.
    #[serde(default)]
    pub task_types: Vec<TaskType>,
    /// The skills that it has beside those of its sorts of work.
    #[serde(default)]
    pub skills: Vec<String>,
    /// Its own instructions, told with every unit.
    #[serde(default)]
    pub role: String,
    /// What its kind needs to know: a model's provider and name, a command line.
    #[serde(default)]
    pub settings: Value,
    /// False: it is chosen for nothing.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Counted up by every change.
    #[serde(default)]
    pub version: u32,
}

fn enabled() -> bool {
    true
}

impl Profile {
    /// How well it fits a unit; none when it does not. The larger the better: 3 for its sort of work, 2 for its specialisation, 1 for
    /// somebody who does everything.
    pub fn fit(&self, unit: &Task) -> Option<u8> {
        if !self.task_types.is_empty() {
            return self.task_types.contains(&unit.task_type).then_some(3);
        }
        let wanted = Specialisation::of(unit);
        match self.specialisation {
            Specialisation::Generalist => Some(1),
            own => (own == wanted).then_some(2),
        }
    }

    /// What is wrong with a name, if anything.
    pub fn check_name(name: &str) -> Result<(), String> {
        let plain = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && name.starts_with(|c: char| c.is_ascii_lowercase());
        if !plain {
            return Err(format!("{name:?} is no name of an agent: lower-case letters, digits and hyphens, a letter first"));
        }
        if name.chars().count() > AGENT_NAME_CHARS_MAX {
            return Err(format!("the name has more than {AGENT_NAME_CHARS_MAX} characters"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        let check = |name: &str, good: bool| assert_eq!(Profile::check_name(name).is_ok(), good, "{name:?}");
        check("claude-code", true);
        check("a1", true);
        for name in ["", "1a", "-a", "Claude", "a b", "generator/fastapi", "ä", &"a".repeat(61)] {
            check(name, false);
        }
    }
}
