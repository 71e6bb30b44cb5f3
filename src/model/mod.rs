//! The nouns: what every other module talks about. No I/O, no async, nothing of ours imported.
//!
//! Reading order: identifiers, positions and findings; the specification (entities, shapes, operations, rules);
//! requirements; the plan; states of units and runs; what an attempt leaves behind.

pub mod actor;
pub mod budget;
pub mod entity;
pub mod event;
pub mod finding;
pub mod id;
pub mod limits;
pub mod operation;
pub mod outcome;
pub mod pattern;
pub mod plan;
pub mod profile;
pub mod question;
pub mod report;
pub mod requirement;
pub mod rule;
pub mod run_state;
pub mod scheduling;
pub mod shape;
pub mod skill;
pub mod spec;
pub mod subject;
pub mod unit_state;

pub use actor::Actor;
pub use entity::{Entity, Field, FieldType, OnDelete};
pub use event::{Event, EventKind, Phase};
pub use finding::{Finding, Position, Severity};
pub use id::{AttemptId, OrganizationId, PatternId, PlanId, QuestionId, RunId, SpecId, SpendId, UnitId, WorkerId};
pub use limits::Limits;
pub use operation::{Behaviour, Method, Operation};
pub use outcome::{Artifact, CheckResult, Outcome, Verdict};
pub use pattern::{Pattern, PatternHit, PatternKind};
pub use plan::{Dependency, Plan, Role, Task, TaskKind, TaskType};
pub use profile::{Duty, Profile, Specialisation};
pub use question::Question;
pub use requirement::{Requirement, RequirementClass};
pub use rule::{Rule, RuleKind};
pub use run_state::{RunEvent, RunState};
pub use scheduling::{AgentKind, Backoff, Escalation, Strategy};
pub use shape::{Schema, SchemaRole, Shape, ShapeKind};
pub use skill::SkillCounts;
pub use spec::{SpecDocument, SpecFormat};
pub use subject::Subject;
pub use unit_state::{UnitEvent, UnitState};
