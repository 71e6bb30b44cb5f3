//! The graph of a plan as every graph store takes it, and what is held of it.
//!
//! Made by `pipeline` and by the projection from a [`Plan`]; compared by `verify`. It never decides what a plan is.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::dag::{Defect, Edge, Graph as Dag, Node};
use crate::model::unit_state::UnitState;
use crate::model::{Plan, Role, RunId};

/// Nodes and edges of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanGraph {
    /// Every node in plan order, containers and steps included.
    pub nodes: Vec<PlanNode>,
    /// Dependencies between units and gates.
    pub edges: Vec<Edge>,
}

/// A node of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanNode {
    /// Its name, unique in the plan.
    pub key: String,
    /// Units and gates take part in waves; containers and steps do not.
    pub role: Role,
    /// How much work it is.
    pub effort: u32,
    /// One line.
    pub title: String,
    /// What sort of work it is, in snake_case.
    pub task_type: String,
    /// The key of the node above.
    pub parent: Option<String>,
    /// Names of the skills it needs.
    pub skills: Vec<String>,
}

impl PlanNode {
    /// What it adds to the wave of its dependents: 1 for a unit, 0 for a gate, nothing for what takes no part.
    pub fn weight(&self) -> Option<u32> {
        match self.role {
            Role::Unit => Some(1),
            Role::Gate => Some(0),
            Role::Container | Role::Step | Role::Removed => None,
        }
    }
}

impl PlanGraph {
    /// The graph of that plan.
    pub fn of(plan: &Plan) -> Self {
        let nodes = plan.tasks.iter().map(|task| PlanNode {
            key: task.key.clone(),
            role: task.role,
            effort: task.effort.amount,
            title: task.title.clone(),
            task_type: name_of(&task.task_type),
            parent: task.parent.clone(),
            skills: task.skills.clone(),
        });
        let edges = plan.dependencies.iter().map(|edge| Edge { task: edge.task.clone(), depends_on: edge.depends_on.clone() });
        Self { nodes: nodes.collect(), edges: edges.collect() }
    }

    /// Units and gates, validated; their order is the plan's.
    pub fn dag(&self) -> Result<Dag, Vec<Defect>> {
        let node = |node: &PlanNode| Some(Node { key: node.key.clone(), weight: node.weight()?, effort: u64::from(node.effort) });
        Dag::build(self.nodes.iter().filter_map(node).collect(), &self.edges)
    }

    /// The wave of every unit, from 1, by key.
    pub(super) fn waves(dag: &Dag) -> BTreeMap<&str, u32> {
        let numbers = dag.wave_numbers();
        let units = (0..dag.len()).filter(|&node| dag.node(node).weight > 0);
        units.map(|node| (dag.key(node), numbers[node] + 1)).collect()
    }

    /// A name for exactly this content: equal graphs have equal ones.
    pub(super) fn content(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text);
        };
        for node in &self.nodes {
            part(&node.key);
            part(&name_of(&node.role));
            part(&node.effort.to_string());
            part(&node.title);
            part(&node.task_type);
            part(node.parent.as_deref().unwrap_or_default());
            part(&node.skills.len().to_string());
            node.skills.iter().for_each(|skill| part(skill));
        }
        for edge in &self.edges {
            part(&edge.task);
            part(&edge.depends_on);
        }
        hex::encode(hash.finalize())
    }
}

/// How a unit stands in a run: a message to the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitUpdate {
    /// The unit's key.
    pub key: String,
    /// In which run; a later run wins over an earlier one.
    pub run: RunId,
    /// Counts the changes within the run; a later one wins.
    pub version: u64,
    /// Its state.
    pub state: UnitState,
    /// Attempts so far.
    pub attempts: u32,
    /// Who has it; none leaves what was known within the run.
    pub agent: Option<String>,
    /// How long the last attempt took.
    pub duration_ms: Option<u64>,
}

impl UnitUpdate {
    /// What is compared to tell which of two is newer.
    pub(super) fn order(&self) -> (RunId, u64) {
        (self.run, self.version)
    }
}

/// What an agent has to do, over all plans of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLoad {
    /// The agent.
    pub agent: String,
    /// Units that were given to it.
    pub assigned: usize,
    /// Those of them that run.
    pub running: usize,
}

/// How much of a plan a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Nodes, containers and steps included.
    pub nodes: usize,
    /// Dependencies.
    pub edges: usize,
}

/// Everything of a plan that a comparison with the facts looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanContents {
    /// The nodes by key.
    pub tasks: BTreeMap<String, TaskContents>,
    /// (task, depends_on).
    pub edges: BTreeSet<(String, String)>,
    /// (node, the one above it).
    pub parents: BTreeSet<(String, String)>,
    /// (node, skill).
    pub skills: BTreeSet<(String, String)>,
}

/// A node as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskContents {
    /// `unit`, `gate`, `container` or `step`.
    pub role: String,
    /// Its weight; none for what takes no part in waves.
    pub weight: Option<u32>,
    /// The wave of a unit, from 1.
    pub wave: Option<u32>,
    /// State, run and version of its unit's last update; none before the first.
    pub unit: Option<(UnitState, RunId, u64)>,
}

impl PlanContents {
    /// What a store holds of this graph before any unit was updated.
    pub fn expected(graph: &PlanGraph) -> Result<Self, Vec<Defect>> {
        let dag = graph.dag()?;
        let waves = PlanGraph::waves(&dag);
        let task = |node: &PlanNode| TaskContents {
            role: name_of(&node.role),
            weight: node.weight(),
            wave: waves.get(node.key.as_str()).copied(),
            unit: None,
        };
        let skills = |node: &PlanNode| node.skills.iter().map(|skill| (node.key.clone(), skill.clone())).collect::<Vec<_>>();
        Ok(Self {
            tasks: graph.nodes.iter().map(|node| (node.key.clone(), task(node))).collect(),
            edges: graph.edges.iter().map(|edge| (edge.task.clone(), edge.depends_on.clone())).collect(),
            parents: graph.nodes.iter().filter_map(|node| Some((node.key.clone(), node.parent.clone()?))).collect(),
            skills: graph.nodes.iter().flat_map(skills).collect(),
        })
    }
}

/// The snake_case name that the model gives to a variant.
pub(super) fn name_of(variant: &impl serde::Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("variants without fields are written as their name, not as {other:?}"),
    }
}
