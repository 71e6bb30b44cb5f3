//! The plan: one immutable version of the task graph of a specification.
//!
//! It holds neither ids nor times, so that equal bytes in give equal bytes out.

use serde::{Deserialize, Serialize};

use super::{Finding, Position, Requirement, SpecFormat};

/// The version of the JSON form of [`Plan`].
pub const PLAN_SCHEMA_VERSION: u32 = 1;

/// One version of the task graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// [`PLAN_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was planned.
    pub spec: PlanSpec,
    /// The target pack's name and version; none when nothing is generated.
    pub target: Option<PlanTarget>,
    /// What the specification demands.
    pub requirements: Vec<Requirement>,
    /// Every node, parents before children.
    pub tasks: Vec<Task>,
    /// Edges between atomic units and gates, sorted by (task, depends_on).
    pub dependencies: Vec<Dependency>,
    /// Unit keys by wave; `waves[0]` is wave 1.
    pub waves: Vec<Vec<String>>,
    /// Unit keys of the longest chain by effort, first to last.
    pub critical_path: Vec<String>,
    /// What was noticed on the way.
    pub findings: Vec<Finding>,
}

/// The specification that a plan belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanSpec {
    /// The title.
    pub title: String,
    /// The slug.
    pub slug: String,
    /// The format.
    pub format: SpecFormat,
    /// SHA-256 of the submitted bytes.
    pub content_hash: String,
}

/// The target pack that a plan was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanTarget {
    /// For example `fastapi`.
    pub name: String,
    /// The pack's version.
    pub version: String,
}

/// A node of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Task {
    /// A stable path from the specification's own names, for example `model/book`.
    pub key: String,
    /// The key of the node above.
    pub parent: Option<String>,
    /// Its level in the hierarchy.
    pub kind: TaskKind,
    /// Its part in the execution.
    pub role: Role,
    /// What sort of work it is.
    pub task_type: TaskType,
    /// 1 Planning & Analysis … 5 Deployment & Documentation.
    pub phase: u8,
    /// One line.
    pub title: String,
    /// More lines.
    pub description: String,
    /// 1 (first) to 5 (last).
    pub priority: u8,
    /// How much work it is.
    pub effort: Effort,
    /// When it is done.
    pub criteria: Vec<String>,
    /// What it leaves behind.
    pub expected_output: String,
    /// The files it writes; a trailing `/` declares a folder.
    pub files: Vec<String>,
    /// Names of the skills it needs.
    pub skills: Vec<String>,
    /// Keys of the requirements it serves.
    pub requirements: Vec<String>,
    /// Where it comes from.
    pub position: Option<Position>,
    /// The wave, from 1; none for containers and steps.
    pub wave: Option<u32>,
    /// True when it lies on the critical path.
    pub critical: bool,
    /// By how much it may be late without delaying the end, in its effort's unit.
    pub slack: u32,
    /// Why nothing can do it as things are configured; none when something can.
    pub waiting: Option<Waiting>,
}

/// Why a unit waits, and what would let it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Waiting {
    /// The reason.
    pub reason: String,
    /// What to configure.
    pub configure: String,
}

/// An amount of work in points: relative, of the deterministic generator's scale; never summed with other units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Effort {
    /// How many.
    pub amount: u32,
    /// In what.
    pub unit: EffortUnit,
}

/// What effort is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum EffortUnit {
    Points,
    Minutes,
    Hours,
}

/// Levels of the hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TaskKind {
    Phase,
    TaskGroup,
    Task,
    Subtask,
}

/// What part a node has in the execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Above the units; its status rolls up.
    Container,
    /// Executed.
    Unit,
    /// Below a unit: a step of it.
    Step,
    /// Stands for all of a container; weighs nothing.
    Gate,
    /// An earlier plan of the run had it; it only keeps its place.
    Removed,
}

/// Sorts of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TaskType {
    Analysis,
    Design,
    Model,
    Schema,
    Crud,
    Api,
    Auth,
    Migration,
    Infra,
    Test,
    Docs,
    Generic,
}

/// An edge: `task` starts after `depends_on` is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Dependency {
    /// The later node's key.
    pub task: String,
    /// The earlier node's key.
    pub depends_on: String,
    /// Why.
    pub reason: String,
}

impl Plan {
    /// The node of that key.
    pub fn task(&self, key: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.key == key)
    }

    /// The nodes that are executed, in plan order.
    pub fn units(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| task.role == Role::Unit)
    }
}
