//! The graphs, the same for the same size on every machine.

use std::collections::HashMap;

use specwave::model::plan::{Effort, EffortUnit, PLAN_SCHEMA_VERSION, PlanSpec};
use specwave::model::{Dependency, Plan, Role, SpecFormat, Task, TaskKind, TaskType};

/// Dependencies of a unit on units of the layer before.
const EDGES_EACH: usize = 3;

/// A plan of known shape.
pub struct Shape {
    /// What it is called in the table.
    pub name: String,
    /// How many units it has.
    pub units: usize,
    /// The plan.
    pub plan: Plan,
    dependencies: HashMap<String, Vec<String>>,
}

impl Shape {
    /// A plan of so many units, with pairs of a unit and one that it waits for.
    pub fn new(name: String, units: usize, edges: &[(usize, usize)]) -> Self {
        let mut dependencies: HashMap<String, Vec<String>> = HashMap::new();
        for (task, depends_on) in edges {
            dependencies.entry(key(*task)).or_default().push(key(*depends_on));
        }
        Self { name, units, plan: plan(units, edges), dependencies }
    }

    /// What a unit waits for.
    pub fn dependencies(&self, key: &str) -> &[String] {
        self.dependencies.get(key).map_or(&[], Vec::as_slice)
    }
}

/// What a unit is called.
pub fn key(unit: usize) -> String {
    format!("unit/{unit:05}")
}

/// Layers, each unit waiting for three of the layer before.
pub fn layered(depth: usize, width: usize) -> Shape {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut edges = Vec::new();
    for unit in width..depth * width {
        let before = (unit / width - 1) * width;
        edges.extend(rng.choose_multiple(before..before + width, EDGES_EACH).into_iter().map(|earlier| (unit, earlier)));
    }
    Shape::new(format!("{depth}×{width}"), depth * width, &edges)
}

/// One after the other.
pub fn chain(length: usize) -> Shape {
    let edges: Vec<(usize, usize)> = (1..length).map(|unit| (unit, unit - 1)).collect();
    Shape::new(format!("chain of {length}"), length, &edges)
}

/// One, then all the others at once, then one that waits for them.
pub fn fan(units: usize) -> Shape {
    let last = units - 1;
    let edges: Vec<(usize, usize)> = (1..last).flat_map(|unit| [(unit, 0), (last, unit)]).collect();
    Shape::new(format!("fan 1–{}–1", units - 2), units, &edges)
}

/// Layers of random width, each unit waiting for up to three of any layer before and for one of the last.
pub fn random(units: usize, depth: usize) -> Shape {
    let mut rng = fastrand::Rng::with_seed(2);
    let mut begins: Vec<usize> = rng.choose_multiple(1..units, depth - 1);
    begins.push(0);
    begins.sort_unstable();
    let mut edges = Vec::new();
    for (layer, begin) in begins.iter().enumerate().skip(1) {
        let end = begins.get(layer + 1).copied().unwrap_or(units);
        for unit in *begin..end {
            let mut earlier = rng.choose_multiple(0..*begin, EDGES_EACH.min(*begin) - 1);
            earlier.push(rng.usize(begins[layer - 1]..*begin));
            earlier.sort_unstable();
            earlier.dedup();
            edges.extend(earlier.into_iter().map(|earlier| (unit, earlier)));
        }
    }
    Shape::new(format!("random, {units} in {depth} layers"), units, &edges)
}

/// Nothing waits for anything.
pub fn wide(units: usize) -> Shape {
    Shape::new(format!("{units} side by side"), units, &[])
}

fn plan(units: usize, edges: &[(usize, usize)]) -> Plan {
    let task = |unit| Task {
        key: key(unit),
        parent: None,
        kind: TaskKind::Task,
        role: Role::Unit,
        task_type: TaskType::Generic,
        phase: 3,
        title: format!("Unit {unit}"),
        description: String::new(),
        priority: 3,
        effort: Effort { amount: 1, unit: EffortUnit::Points },
        criteria: Vec::new(),
        expected_output: String::new(),
        files: Vec::new(),
        skills: Vec::new(),
        requirements: Vec::new(),
        position: None,
        wave: None,
        critical: false,
        slack: 0,
        waiting: None,
    };
    let edge =
        |(task, depends_on): &(usize, usize)| Dependency { task: key(*task), depends_on: key(*depends_on), reason: "shape".to_owned() };
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        spec: PlanSpec { title: "Bench".to_owned(), slug: "bench".to_owned(), format: SpecFormat::Markdown, content_hash: "0".repeat(64) },
        target: None,
        requirements: Vec::new(),
        tasks: (0..units).map(task).collect(),
        dependencies: edges.iter().map(edge).collect(),
        waves: Vec::new(),
        critical_path: Vec::new(),
        findings: Vec::new(),
    }
}
