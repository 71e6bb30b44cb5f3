//! A graph server with graphs in this process as its stand-by, behind a circuit breaker.
//!
//! Called by [`super::Graph`]. Questions about a plan are answered by the stand-by when the server fails, is late, or does not have the
//! plan; what is written and what is compared with the facts is the server's alone, and its failure is told.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::embedded::Embedded;
use super::neo4j::{COLD_DEADLINE, LOAD_DEADLINE, Neo4j};
use super::neo4j_queries::{neighbour, walk};
use super::plan::{AgentLoad, PlanGraph, UnitUpdate};
use super::statements::{self, Statement};
use super::{GraphError, GraphInfo, Kept, PlanKey, Reached};
use crate::config::GraphServer;
use crate::dag::Direction;
use crate::model::OrganizationId;
use crate::store::breaker::{Breaker, Refused, Thresholds};

/// What a question for waves may send: the second names a cycle, and is hardly ever asked.
const PEELING: [Statement; 2] = [statements::WAVES, statements::UNPEELED];

/// The server, and what takes its place; clones share them.
#[derive(Clone)]
pub struct Server {
    pub(super) neo4j: Arc<Neo4j>,
    pub(super) breaker: Breaker,
    pub(super) standby: Embedded,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Server").field("address", &self.neo4j.address).field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

impl Server {
    /// Connects to nothing yet.
    pub(super) fn open(settings: &GraphServer, installation: &str, thresholds: Thresholds, standby: Embedded) -> Result<Self, GraphError> {
        let neo4j = Arc::new(Neo4j::new(settings, installation)?);
        Ok(Self { neo4j, breaker: Breaker::new("graph", thresholds), standby })
    }

    /// Applies the schema where it is missing.
    pub(super) async fn migrate(&self) -> Result<(), GraphError> {
        self.strictly(LOAD_DEADLINE, self.neo4j.prepare()).await
    }

    /// Loads the stand-by, which validates, then the server.
    pub(super) async fn load(&self, plan: PlanKey, graph: &PlanGraph) -> Result<Kept, GraphError> {
        self.standby.load(None, plan, graph)?;
        match self.load_into(None, plan, graph).await {
            Ok(()) => Ok(Kept::Everywhere),
            Err(error) if error.is_outage() => Ok(Kept::StandByOnly),
            Err(error) => Err(error),
        }
    }

    /// Loads the server alone.
    pub(super) async fn load_into(&self, generation: Option<u32>, plan: PlanKey, graph: &PlanGraph) -> Result<(), GraphError> {
        let dag = graph.dag().map_err(GraphError::Defects)?;
        self.strictly(LOAD_DEADLINE, self.neo4j.load(generation, plan, graph, &dag)).await
    }

    pub(super) async fn waves(&self, plan: PlanKey) -> Result<Vec<Vec<String>>, GraphError> {
        self.query(&PEELING, self.neo4j.waves(plan), |standby| standby.waves(plan)).await
    }

    pub(super) async fn cycle(&self, plan: PlanKey) -> Result<Option<Vec<String>>, GraphError> {
        // What the stand-by holds was validated.
        self.query(&PEELING, self.neo4j.cycle(plan), |standby| standby.waves(plan).map(|_| None)).await
    }

    pub(super) async fn reach(&self, plan: PlanKey, key: &str, direction: Direction, levels: usize) -> Result<Vec<Reached>, GraphError> {
        let call = self.neo4j.reach(plan, key, direction, levels);
        self.query(&[walk(direction)], call, |standby| standby.reach(plan, key, direction, levels)).await
    }

    pub(super) async fn neighbours(&self, plan: PlanKey, key: &str, direction: Direction) -> Result<Vec<String>, GraphError> {
        let standby = |standby: &Embedded| standby.reach(plan, key, direction, 1).map(super::keys);
        self.query(&[neighbour(direction)], self.neo4j.neighbours(plan, key, direction), standby).await
    }

    pub(super) async fn wave_siblings(&self, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        let call = self.neo4j.wave_siblings(plan, key);
        self.query(&[statements::WAVE_SIBLINGS], call, |standby| standby.wave_siblings(plan, key)).await
    }

    pub(super) async fn agent_workload(&self, tenant: OrganizationId) -> Result<Vec<AgentLoad>, GraphError> {
        let call = self.neo4j.agent_workload(tenant);
        self.query(&[statements::AGENT_WORKLOAD], call, |standby| Ok(standby.agent_workload(tenant))).await
    }

    pub(super) async fn update_units(&self, plan: PlanKey, updates: &[UnitUpdate]) -> Result<usize, GraphError> {
        match self.standby.update_units(None, plan, updates) {
            // It holds the newest plans only.
            Ok(_) | Err(GraphError::UnknownPlan(_)) => {}
            Err(error) => return Err(error),
        }
        // Nobody waits for it, and a whole wave may have changed.
        self.strictly(LOAD_DEADLINE, self.neo4j.update_units(None, plan, updates)).await
    }

    pub(super) async fn info(&self) -> Result<GraphInfo, GraphError> {
        let call = async { Ok((self.neo4j.version().await?, self.neo4j.ping().await?)) };
        let (version, latency) = self.strictly(COLD_DEADLINE, call).await?;
        Ok(GraphInfo { version, latency })
    }

    /// Asks the server, whose failure the caller is told.
    pub(super) async fn strictly<T>(&self, within: Duration, call: impl Future<Output = Result<T, GraphError>>) -> Result<T, GraphError> {
        self.breaker.call(within, GraphError::is_outage, Box::pin(call)).await.map_err(refused)
    }

    /// Asks the server; the stand-by when it fails, is late, or does not have the plan.
    async fn query<T>(
        &self,
        statements: &[Statement],
        call: impl Future<Output = Result<T, GraphError>>,
        standby: impl FnOnce(&Embedded) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        match self.strictly(self.neo4j.deadline(statements), call).await {
            Err(GraphError::Unavailable(_) | GraphError::UnknownPlan(_)) => standby(&self.standby),
            answer => answer,
        }
    }
}

fn refused(refused: Refused<GraphError>) -> GraphError {
    match refused {
        Refused::Failed(error) => error,
        refused => GraphError::Unavailable(refused.to_string()),
    }
}
