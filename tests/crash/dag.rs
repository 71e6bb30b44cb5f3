//! Plans by number: the same number gives the same plan in every process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use specwave::model::plan::{Effort, EffortUnit, PLAN_SCHEMA_VERSION, PlanSpec};
use specwave::model::{Dependency, Plan, Role, SpecFormat, Task, TaskKind, TaskType};

/// Units of a layer, on average: at least so many, and of a large plan so much of it.
const WIDTH_MIN: usize = 8;
const LAYERS: usize = 25;
/// Dependencies of a unit, at most.
const EDGES_MAX: usize = 3;
/// One unit of so many fails in passing the first time that it is tried.
const FAILS_ONE_OF: usize = 9;

/// What a plan is made from.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Shape {
    /// Its number.
    pub seed: u64,
    /// Units, gates not counted.
    pub units: usize,
    /// How long the work on a unit lasts at most, in milliseconds.
    pub work_ms_max: u64,
}

/// A plan in layers, with gates between some of them.
pub struct Dag {
    shape: Shape,
    /// The plan.
    pub plan: Plan,
    /// The places of the units that each place waits for; gates are looked through.
    pub dependencies: BTreeMap<usize, Vec<usize>>,
}

impl Dag {
    /// The plan of that number.
    pub fn new(shape: Shape) -> Self {
        let mut rng = fastrand::Rng::with_seed(shape.seed);
        let mut layers: Vec<Vec<usize>> = Vec::new();
        let (mut tasks, mut edges, mut dependencies) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (mut left, width_max) = (shape.units, 2 * WIDTH_MIN.max(shape.units / LAYERS));
        while left > 0 {
            let width = rng.usize(1..width_max).min(left);
            left -= width;
            let gate = layers.last().filter(|_| rng.u8(0..4) == 0).map(|layer| {
                let gate = tasks.len();
                tasks.push(task(format!("gate/{gate:05}"), Role::Gate));
                edges.extend(layer.iter().map(|unit| (gate, *unit)));
                (gate, layer.clone())
            });
            let mut layer = Vec::new();
            for _ in 0..width {
                let unit = tasks.len();
                tasks.push(task(format!("unit/{unit:05}"), Role::Unit));
                let mut behind: BTreeSet<usize> = BTreeSet::new();
                if let Some((gate, units)) = &gate {
                    edges.push((unit, *gate));
                    behind.extend(units);
                } else if let Some(last) = layers.last() {
                    let mut direct: BTreeSet<usize> = [last[rng.usize(..last.len())]].into();
                    for _ in 1..rng.usize(1..=EDGES_MAX) {
                        let earlier = &layers[rng.usize(..layers.len())];
                        direct.insert(earlier[rng.usize(..earlier.len())]);
                    }
                    edges.extend(direct.iter().map(|earlier| (unit, *earlier)));
                    behind.extend(direct);
                }
                dependencies.insert(unit, behind.into_iter().collect());
                layer.push(unit);
            }
            layers.push(layer);
        }
        let edge = |(task, depends_on): (usize, usize)| Dependency {
            task: tasks[task].key.clone(),
            depends_on: tasks[depends_on].key.clone(),
            reason: "shape".to_owned(),
        };
        let edges = edges.into_iter().map(edge).collect();
        Self { shape, plan: plan(tasks, edges), dependencies }
    }

    /// How many units it has.
    pub fn units(&self) -> usize {
        self.dependencies.len()
    }

    /// The units that `place` waits for.
    pub fn dependencies(&self, place: usize) -> &[usize] {
        self.dependencies.get(&place).map_or(&[], Vec::as_slice)
    }

    /// How long the work on that unit lasts.
    pub fn work(&self, place: usize) -> Duration {
        Duration::from_millis(fastrand::Rng::with_seed(self.shape.seed ^ place as u64).u64(0..=self.shape.work_ms_max))
    }

    /// True when the first try at that unit fails in passing.
    pub fn fails_first(&self, place: usize) -> bool {
        fastrand::Rng::with_seed(!self.shape.seed ^ place as u64).usize(..FAILS_ONE_OF) == 0
    }
}

fn task(key: String, role: Role) -> Task {
    Task {
        title: key.clone(),
        key,
        parent: None,
        kind: TaskKind::Task,
        role,
        task_type: TaskType::Generic,
        phase: 3,
        description: String::new(),
        priority: 3,
        effort: Effort { amount: u32::from(role == Role::Unit), unit: EffortUnit::Points },
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
    }
}

fn plan(tasks: Vec<Task>, dependencies: Vec<Dependency>) -> Plan {
    let content_hash = "0".repeat(64);
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        spec: PlanSpec { title: "Crash".to_owned(), slug: "crash".to_owned(), format: SpecFormat::Markdown, content_hash },
        target: None,
        requirements: Vec::new(),
        tasks,
        dependencies,
        waves: Vec::new(),
        critical_path: Vec::new(),
        findings: Vec::new(),
    }
}
