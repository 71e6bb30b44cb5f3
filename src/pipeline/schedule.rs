//! Phase 5: order, waves, critical path and slack of a plan.
//!
//! The graph store computes the same waves from what is stored; this is the fallback, and the check.

use std::collections::BTreeSet;

use super::plan::PlanError;
use crate::dag::{Edge, Graph, Node};
use crate::model::{Plan, Role, Task};

/// The graph of a plan: its units and gates with the edges between them, indexed in plan order.
pub fn graph(plan: &Plan) -> Result<Graph, PlanError> {
    let nodes = executed(plan).map(|task| Node {
        key: task.key.clone(),
        weight: u32::from(task.role == Role::Unit),
        effort: u64::from(task.effort.amount),
    });
    let edges = plan.dependencies.iter().map(|edge| Edge { task: edge.task.clone(), depends_on: edge.depends_on.clone() });
    Graph::build(nodes.collect(), &edges.collect::<Vec<_>>()).map_err(PlanError::Graph)
}

/// The units and gates of a plan, in the order of the graph's nodes.
pub fn executed(plan: &Plan) -> impl Iterator<Item = &Task> {
    plan.tasks.iter().filter(|task| matches!(task.role, Role::Unit | Role::Gate))
}

/// Fills in waves, critical path, slack, and priorities: what somebody urgent needs is as urgent.
pub fn schedule(plan: &mut Plan) -> Result<(), PlanError> {
    let graph = graph(plan)?;
    let numbers = graph.wave_numbers();
    let timing = graph.timing();
    let mut priorities: Vec<u8> = executed(plan).map(|task| task.priority).collect();
    for &at in graph.order().iter().rev() {
        let urgent = graph.dependents(at).iter().map(|&dependent| priorities[dependent]).min().unwrap_or(5);
        priorities[at] = priorities[at].min(urgent);
    }
    let critical: BTreeSet<usize> = timing.path.iter().copied().collect();
    for (at, task) in plan.tasks.iter_mut().filter(|task| matches!(task.role, Role::Unit | Role::Gate)).enumerate() {
        task.wave = Some(numbers[at] + 1);
        task.critical = critical.contains(&at);
        task.slack = u32::try_from(timing.slack(at)).unwrap_or(u32::MAX);
        task.priority = priorities[at];
    }
    let keys = |nodes: &[usize]| -> Vec<String> { nodes.iter().map(|&at| graph.key(at).to_owned()).collect() };
    plan.waves = graph.waves().iter().map(|wave| keys(wave)).collect();
    let units: Vec<usize> = timing.path.iter().copied().filter(|&at| graph.node(at).weight > 0).collect();
    plan.critical_path = keys(&units);
    Ok(())
}
