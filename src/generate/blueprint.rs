//! What a target pack says about the units that a specification needs: the seam between generator and planner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::plan::Waiting;
use crate::model::{Position, Subject, TaskType};

/// One unit of work, before it has a place in a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blueprint {
    /// A stable path from the specification's own names: `model/book`, `router/books`, `project/settings`.
    pub key: String,
    /// The task group it belongs to, as a title: `Data model`, `Books API`.
    pub group: String,
    /// 1 Planning & Analysis … 5 Deployment & Documentation.
    pub phase: u8,
    /// What sort of work it is.
    pub task_type: TaskType,
    /// One line.
    pub title: String,
    /// More lines.
    pub description: String,
    /// 1 (first) to 5 (last).
    pub priority: u8,
    /// Relative size, at least 1.
    pub effort_points: u32,
    /// The files it writes; a trailing `/` declares a folder.
    pub files: Vec<String>,
    /// Keys of the units it needs, each with the reason.
    pub depends_on: Vec<(String, String)>,
    /// Names of the skills it needs.
    pub skills: Vec<String>,
    /// When it is done.
    pub criteria: Vec<String>,
    /// What it leaves behind, in a phrase.
    pub expected_output: String,
    /// What it serves: requirements with these subjects are traced to it.
    pub subjects: Vec<Subject>,
    /// Parts of it that are worth seeing in a plan but are done together.
    pub steps: Vec<Step>,
    /// Where it comes from.
    pub position: Option<Position>,
    /// Why nothing generates it; none when the pack does.
    pub waiting: Option<Waiting>,
}

/// A part of a unit, for example one operation of a router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// A stable path: `api/POST /books`.
    pub key: String,
    /// What sort of work it is.
    pub task_type: TaskType,
    /// One line.
    pub title: String,
    /// What it serves.
    pub subjects: Vec<Subject>,
    /// Where it comes from.
    pub position: Option<Position>,
}

/// A file that a pack made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Path below the project's root, `/`-separated, without `..`.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// True when it may be executed.
    pub executable: bool,
}

/// Files of an earlier delivery that a unit must carry on from: applied migrations and the tables that they led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prior {
    /// Content by path below the project's root.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A generated test and what it proves when it passes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Proof {
    /// What it proves.
    pub subject: Subject,
    /// The test as JUnit names it: class name, `::`, name without parameters, for example `tests.test_books::test_create_book`.
    pub test: String,
}
