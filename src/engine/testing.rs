//! Plans for the engine's tests.

use crate::model::plan::{Effort, EffortUnit, PLAN_SCHEMA_VERSION, PlanSpec};
use crate::model::{Dependency, Plan, Role, SpecFormat, Task, TaskKind, TaskType};

/// A plan of units with their efforts (a gate has effort 0), and edges `(task, depends_on)`.
pub(super) fn plan(units: &[(&str, u32)], edges: &[(&str, &str)]) -> Plan {
    let task = |(key, effort): &(&str, u32)| Task {
        key: (*key).to_owned(),
        parent: None,
        kind: TaskKind::Task,
        role: if *effort == 0 { Role::Gate } else { Role::Unit },
        task_type: TaskType::Generic,
        phase: 3,
        title: format!("Task {key}"),
        description: String::new(),
        priority: 3,
        effort: Effort { amount: *effort, unit: EffortUnit::Points },
        criteria: Vec::new(),
        expected_output: String::new(),
        files: Vec::new(),
        skills: Vec::new(),
        requirements: Vec::new(),
        position: None,
        wave: Some(1),
        critical: false,
        slack: 0,
        waiting: None,
    };
    let edge = |(task, depends_on): &(&str, &str)| Dependency {
        task: (*task).to_owned(),
        depends_on: (*depends_on).to_owned(),
        reason: "test".to_owned(),
    };
    let content_hash = "0".repeat(64);
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        spec: PlanSpec { title: "Test".to_owned(), slug: "test".to_owned(), format: SpecFormat::Markdown, content_hash },
        target: None,
        requirements: Vec::new(),
        tasks: units.iter().map(task).collect(),
        dependencies: edges.iter().map(edge).collect(),
        waves: Vec::new(),
        critical_path: Vec::new(),
        findings: Vec::new(),
    }
}
