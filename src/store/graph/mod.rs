//! The task graphs of plans, and what follows from them: waves, closures, impact. A projection of PostgreSQL's rows.
//!
//! Called by `pipeline` (schedule), the projection and `cli` (`why`, `doctor`). A closed enum with one conformance suite: in process over
//! `dag`, or a Neo4j server with the former as its stand-by. It never decides what runs next.

mod embedded;
mod neo4j;
mod neo4j_plans;
mod neo4j_queries;
mod plan;
mod server;
mod statements;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod waves_tests;

use std::time::Duration;

pub use plan::{AgentLoad, Counts, PlanContents, PlanGraph, PlanNode, TaskContents, UnitUpdate};

use super::breaker::{Breaker, Thresholds};
use crate::config::GraphServer;
use crate::dag::{Defect, Direction};
use crate::model::{OrganizationId, PlanId};

/// Where the graphs are.
#[derive(Debug, Clone)]
pub enum Graph {
    /// In this process.
    Embedded(embedded::Embedded),
    /// In a Neo4j server, with a stand-by in this process.
    Server(server::Server),
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

/// Where a plan was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Wherever it belongs.
    Everywhere,
    /// The server failed: in this process only.
    StandByOnly,
}

/// What a graph server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphInfo {
    /// Its version.
    pub version: String,
    /// How long one empty statement took.
    pub latency: Duration,
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
    /// The server cannot be used, or its answer cannot.
    #[error("the graph server: {0}")]
    Unavailable(String),
    /// The server's address cannot be used.
    #[error("the graph server's address {address} cannot be used: {reason}")]
    Address {
        /// As it was given.
        address: String,
        /// Why.
        reason: String,
    },
}

impl GraphError {
    /// True when the server is to blame, and not the question.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable(_) => Some("check that a Neo4j 5 server runs there and that NEO4J_USER and NEO4J_PASSWORD are right"),
            Self::Address { .. } => Some("the form of NEO4J_URI is bolt://host:port, or bolt+s:// where the server has a certificate"),
            Self::UnknownPlan(_) | Self::UnknownNode(_) | Self::Defects(_) => None,
        }
    }
}

impl Graph {
    /// An empty in-process store.
    pub fn embedded() -> Self {
        Self::Embedded(embedded::Embedded::default())
    }

    /// The server, or graphs in this process where none is given; asks it nothing yet. `installation` tells whose graphs they are among
    /// those that share the server. Fails for an address that cannot be used.
    pub fn open(server: Option<&GraphServer>, installation: &str, thresholds: Thresholds) -> Result<Self, GraphError> {
        let Some(settings) = server else { return Ok(Self::embedded()) };
        Ok(Self::Server(server::Server::open(settings, installation, thresholds, embedded::Embedded::default())?))
    }

    /// The same, with the server's schema applied. A server that does not answer is no error: the breaker has seen its failure, the
    /// stand-by serves, and later calls try again.
    pub async fn connect(server: Option<&GraphServer>, installation: &str, thresholds: Thresholds) -> Result<Self, GraphError> {
        let graph = Self::open(server, installation, thresholds)?;
        match graph.migrate().await {
            Ok(()) | Err(GraphError::Unavailable(_)) => Ok(graph),
            Err(error) => Err(error),
        }
    }

    /// What serves: a line of `doctor`.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "in process",
            Self::Server(_) => "neo4j",
        }
    }

    /// The server's address; none in process.
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Embedded(_) => None,
            Self::Server(server) => Some(&server.neo4j.address),
        }
    }

    /// The circuit to the server; none in process.
    pub fn breaker(&self) -> Option<&Breaker> {
        match self {
            Self::Embedded(_) => None,
            Self::Server(server) => Some(&server.breaker),
        }
    }

    /// Asks the server what it is; none in process.
    pub async fn info(&self) -> Result<Option<GraphInfo>, GraphError> {
        match self {
            Self::Embedded(_) => Ok(None),
            Self::Server(server) => server.info().await.map(Some),
        }
    }

    /// Applies the server's schema; it is harmless where it is there. Fails when the server does.
    pub async fn migrate(&self) -> Result<(), GraphError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Server(server) => server.migrate().await,
        }
    }

    /// Loads a plan in place of what was there under that key, in the generation in use; what its units have lived through stays. A
    /// defective graph is refused. The server's failure is no error, for the stand-by has the plan; whoever must know looks at the answer.
    pub async fn load(&self, plan: PlanKey, graph: &PlanGraph) -> Result<Kept, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.load(None, plan, graph).map(|()| Kept::Everywhere),
            Self::Server(server) => server.load(plan, graph).await,
        }
    }

    /// A generation of the whole store that nothing uses yet: to be filled by [`Graph::load_into`] while queries go on seeing the present
    /// one. Fails when the server does.
    pub async fn begin_generation(&self) -> Result<u32, GraphError> {
        match self {
            Self::Embedded(embedded) => Ok(embedded.begin_generation()),
            Self::Server(server) => server.strictly(neo4j::COLD_DEADLINE, server.neo4j.begin_generation()).await,
        }
    }

    /// The generation that queries see. Fails when the server does.
    pub async fn active_generation(&self) -> Result<u32, GraphError> {
        match self {
            Self::Embedded(embedded) => Ok(embedded.active_generation()),
            Self::Server(server) => server.strictly(neo4j::COLD_DEADLINE, server.neo4j.active_generation()).await,
        }
    }

    /// Loads a plan into a generation. Fails when the server does.
    pub async fn load_into(&self, generation: u32, plan: PlanKey, graph: &PlanGraph) -> Result<(), GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.load(Some(generation), plan, graph),
            Self::Server(server) => server.load_into(Some(generation), plan, graph).await,
        }
    }

    /// Loads a plan where it is served: into the server's generation in use alone, where there is one. Fails when the server does.
    pub async fn load_served(&self, plan: PlanKey, graph: &PlanGraph) -> Result<(), GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.load(None, plan, graph),
            Self::Server(server) => server.load_into(None, plan, graph).await,
        }
    }

    /// From here on every query sees that generation. Fails when the server does.
    pub async fn switch(&self, generation: u32) -> Result<(), GraphError> {
        match self {
            Self::Embedded(embedded) => {
                embedded.switch(generation);
                Ok(())
            }
            Self::Server(server) => server.strictly(neo4j::COLD_DEADLINE, server.neo4j.switch(generation)).await,
        }
    }

    /// The generations that exist beside the one in use: those before it, and what rebuilds left that did not finish. Fails when the
    /// server does.
    pub async fn generations_beside(&self) -> Result<Vec<u32>, GraphError> {
        match self {
            Self::Embedded(embedded) => Ok(embedded.beside()),
            Self::Server(server) => server.strictly(neo4j::COLD_DEADLINE, server.neo4j.beside()).await,
        }
    }

    /// Takes away every plan of a generation that is no longer in use. Fails when the server does.
    pub async fn drop_generation(&self, generation: u32) -> Result<(), GraphError> {
        match self {
            Self::Embedded(embedded) => {
                embedded.drop_generation(generation);
                Ok(())
            }
            Self::Server(server) => server.strictly(neo4j::LOAD_DEADLINE, server.neo4j.drop_generation(generation)).await,
        }
    }

    /// Unit keys by wave, first wave first, each wave in plan order; gates are in none.
    pub async fn waves(&self, plan: PlanKey) -> Result<Vec<Vec<String>>, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.waves(plan),
            Self::Server(server) => server.waves(plan).await,
        }
    }

    /// One cycle of a loaded plan, each node depending on the next and the last on the first. [`Graph::load`] lets none in; this looks
    /// whether the store has one all the same.
    pub async fn cycle(&self, plan: PlanKey) -> Result<Option<Vec<String>>, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.waves(plan).map(|_| None),
            Self::Server(server) => server.cycle(plan).await,
        }
    }

    /// What a node directly depends on, in plan order.
    pub async fn dependencies(&self, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        self.neighbours(plan, key, Direction::Dependencies).await
    }

    /// What directly depends on a node, in plan order.
    pub async fn dependents(&self, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        self.neighbours(plan, key, Direction::Dependents).await
    }

    /// Everything that a node needs, directly or not, within so many edges; nearest first, then in plan order.
    pub async fn closure(&self, plan: PlanKey, key: &str, levels: usize) -> Result<Vec<Reached>, GraphError> {
        self.reach(plan, key, Direction::Dependencies, levels).await
    }

    /// Everything that a change of a node touches, directly or not, within so many edges; nearest first, then in plan order.
    pub async fn impact(&self, plan: PlanKey, key: &str, levels: usize) -> Result<Vec<Reached>, GraphError> {
        self.reach(plan, key, Direction::Dependents, levels).await
    }

    /// The other units of a unit's wave, in plan order; none for a gate.
    pub async fn wave_siblings(&self, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.wave_siblings(plan, key),
            Self::Server(server) => server.wave_siblings(plan, key).await,
        }
    }

    /// Writes how units stand, each only if (run, version) is greater than what is known; returns how many were. Units that the plan does
    /// not have are passed over. Fails when the server does.
    pub async fn update_units(&self, plan: PlanKey, updates: &[UnitUpdate]) -> Result<usize, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.update_units(None, plan, updates),
            Self::Server(server) => server.update_units(plan, updates).await,
        }
    }

    /// The same in a generation that need not be in use. Fails when the server does.
    pub async fn update_units_into(&self, generation: u32, plan: PlanKey, updates: &[UnitUpdate]) -> Result<usize, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.update_units(Some(generation), plan, updates),
            Self::Server(server) => server.strictly(neo4j::LOAD_DEADLINE, server.neo4j.update_units(Some(generation), plan, updates)).await,
        }
    }

    /// What each agent of a tenant has to do over all its plans, by name.
    pub async fn agent_workload(&self, tenant: OrganizationId) -> Result<Vec<AgentLoad>, GraphError> {
        match self {
            Self::Embedded(embedded) => Ok(embedded.agent_workload(tenant)),
            Self::Server(server) => server.agent_workload(tenant).await,
        }
    }

    /// How much of a plan the store holds. Fails when the server does.
    pub async fn counts(&self, plan: PlanKey) -> Result<Counts, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.counts(plan),
            Self::Server(server) => server.strictly(neo4j::COLD_DEADLINE, server.neo4j.counts(plan)).await,
        }
    }

    /// Everything of a plan that the store holds, to be compared with the facts. Fails when the server does.
    pub async fn contents(&self, plan: PlanKey) -> Result<PlanContents, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.contents(plan),
            Self::Server(server) => server.strictly(neo4j::CHUNK_DEADLINE, server.neo4j.contents(plan)).await,
        }
    }

    /// The plans of a tenant that the store holds, sorted. Fails when the server does.
    pub async fn plans(&self, tenant: OrganizationId) -> Result<Vec<PlanId>, GraphError> {
        match self {
            Self::Embedded(embedded) => Ok(embedded.plans(tenant)),
            Self::Server(server) => server.strictly(neo4j::CHUNK_DEADLINE, server.neo4j.plans(tenant)).await,
        }
    }

    /// Lets a plan go; one that is not there is passed over. Fails when the server does.
    pub async fn remove(&self, plan: PlanKey) -> Result<(), GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.remove(plan),
            Self::Server(server) => {
                server.standby.remove(plan);
                return server.strictly(neo4j::LOAD_DEADLINE, server.neo4j.remove(plan)).await;
            }
        }
        Ok(())
    }

    async fn reach(&self, plan: PlanKey, key: &str, direction: Direction, levels: usize) -> Result<Vec<Reached>, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.reach(plan, key, direction, levels),
            Self::Server(server) => server.reach(plan, key, direction, levels).await,
        }
    }

    async fn neighbours(&self, plan: PlanKey, key: &str, direction: Direction) -> Result<Vec<String>, GraphError> {
        match self {
            Self::Embedded(embedded) => embedded.reach(plan, key, direction, 1).map(keys),
            Self::Server(server) => server.neighbours(plan, key, direction).await,
        }
    }
}

fn keys(reached: Vec<Reached>) -> Vec<String> {
    reached.into_iter().map(|reached| reached.key).collect()
}
