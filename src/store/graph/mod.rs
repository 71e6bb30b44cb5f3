//! The task graphs of plans, and what follows from them: waves, closures, impact. A projection of PostgreSQL's rows.
//!
//! Called by `pipeline` (schedule) and `cli` (`why`). A closed enum with one conformance suite: in process over `dag` for now;
//! a graph server fits in beside it without touching a caller. It never decides what runs next.

mod embedded;

#[cfg(test)]
mod conformance;

use crate::dag::{Defect, Edge, Node};
use crate::model::{OrganizationId, Plan, PlanId, Role};

/// Where the graphs are.
#[derive(Debug, Clone)]
pub enum Graph {
    /// In this process.
    Embedded(embedded::Embedded),
}

/// Which graph is meant; its tenant is part of its name in every store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanKey {
    /// Whose plan it is.
    pub tenant: OrganizationId,
    /// The plan.
    pub plan: PlanId,
}

/// A node found by walking along edges, and how far away it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The node's key.
    pub key: String,
    /// Edges on the shortest way to it, at least 1.
    pub distance: usize,
}

/// What can go wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The plan was never loaded, or was let go; load it again.
    #[error("the graph of plan {0} is not loaded")]
    UnknownPlan(PlanId),
    /// The plan has no such node.
    #[error("the plan has no node {0}")]
    UnknownNode(String),
    /// Nodes and edges are not a directed acyclic graph; every defect is named, of the cycles one.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Defects(Vec<Defect>),
}

#[expect(clippy::unused_async, reason = "a graph server answers asynchronously, and callers are not to notice")]
impl Graph {
    /// An empty in-process store.
    pub fn embedded() -> Self {
        Self::Embedded(embedded::Embedded::default())
    }

    /// What serves: a line of `doctor`.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "in process",
        }
    }

    /// Loads the nodes and edges of a plan in place of what was there under that key.
    pub async fn load(&self, plan: PlanKey, nodes: Vec<Node>, edges: &[Edge]) -> Result<(), GraphError> {
        match self {
            Self::Embedded(graph) => graph.load(plan, nodes, edges),
        }
    }

    /// Unit keys by wave, first wave first, each wave in the order in which the nodes were loaded; gates are in none.
    pub async fn waves(&self, plan: PlanKey) -> Result<Vec<Vec<String>>, GraphError> {
        match self {
            Self::Embedded(graph) => graph.waves(plan),
        }
    }

    /// What a node directly depends on.
    pub async fn dependencies(&self, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        self.closure(plan, key, 1).await.map(keys)
    }

    /// What directly depends on a node.
    pub async fn dependents(&self, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        self.impact(plan, key, 1).await.map(keys)
    }

    /// Everything that a node needs, directly or not, within so many edges; nearest first.
    pub async fn closure(&self, plan: PlanKey, key: &str, levels: usize) -> Result<Vec<Reached>, GraphError> {
        match self {
            Self::Embedded(graph) => graph.closure(plan, key, levels),
        }
    }

    /// Everything that a change of a node touches, directly or not, within so many edges; nearest first.
    pub async fn impact(&self, plan: PlanKey, key: &str, levels: usize) -> Result<Vec<Reached>, GraphError> {
        match self {
            Self::Embedded(graph) => graph.impact(plan, key, levels),
        }
    }

    /// Lets a plan go; one that is not there is passed over.
    pub async fn remove(&self, plan: PlanKey) -> Result<(), GraphError> {
        match self {
            Self::Embedded(graph) => graph.remove(plan),
        }
        Ok(())
    }
}

/// The nodes and edges of a plan as every graph store takes them: units and gates, no containers and no steps.
pub fn nodes_and_edges(plan: &Plan) -> (Vec<Node>, Vec<Edge>) {
    let node = |key: &str, role: Role, effort: u32| match role {
        Role::Unit => Some(Node { key: key.to_owned(), weight: 1, effort: u64::from(effort) }),
        Role::Gate => Some(Node { key: key.to_owned(), weight: 0, effort: 0 }),
        Role::Container | Role::Step => None,
    };
    let nodes = plan.tasks.iter().filter_map(|task| node(&task.key, task.role, task.effort.amount)).collect();
    let edges = plan.dependencies.iter().map(|edge| Edge { task: edge.task.clone(), depends_on: edge.depends_on.clone() }).collect();
    (nodes, edges)
}

fn keys(reached: Vec<Reached>) -> Vec<String> {
    reached.into_iter().map(|reached| reached.key).collect()
}
