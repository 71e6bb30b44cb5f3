//! The stores that follow the facts: outbox to graph and vectors, built anew from the tables, compared with them.
//!
//! Called by `runner` (the loop that keeps them in step) and `cli` (`rebuild`, `verify`, `doctor`). A change is announced by its id;
//! what it came to is read from the tables when it is taken in, so that order, repetition and delay of announcements do not matter. It
//! never decides anything from what a projection says.

mod graph;
pub mod relay;
mod vectors;
pub mod verify;

use std::time::Duration;

use self::graph::Plans;
use self::relay::{Rebuilt, Step, TargetError};
use self::vectors::Patterns;
use self::verify::{Repair, Verified};
use crate::store::graph::Graph;
use crate::store::postgres::outbox::{self, Lag};
use crate::store::postgres::{Postgres, StoreError};
use crate::store::vectors::Vectors;

/// How long changes are kept that every projection has taken in: whoever follows a run may come back to them.
const CHANGES_KEPT: Duration = Duration::from_hours(24);
/// How long they are kept for a projection that is away. One that comes back later is built anew.
const CHANGES_KEPT_MAX: Duration = Duration::from_hours(24 * 7);

/// A projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Projection {
    /// Plans and how their units stand, in the graph store.
    Graph,
    /// The vectors of patterns, in the vector store.
    Vectors,
}

impl Projection {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Graph, Self::Vectors];

    /// Its name: that of its cursor.
    pub fn name(self) -> &'static str {
        match self {
            Self::Graph => graph::NAME,
            Self::Vectors => vectors::NAME,
        }
    }
}

/// Every projection of an installation.
#[derive(Clone)]
pub struct Projections {
    postgres: Postgres,
    graph: Plans,
    vectors: Patterns,
}

impl Projections {
    /// Into those stores; `model` is the embedder whose vectors are followed.
    pub fn new(postgres: Postgres, graph: Graph, vectors: Vectors, model: String) -> Self {
        let graph = Plans { postgres: postgres.clone(), graph };
        let vectors = Patterns { postgres: postgres.clone(), vectors, model };
        Self { postgres, graph, vectors }
    }

    /// Those that follow by the outbox: what is kept by a server. A store in process reads the tables itself.
    pub fn followed(&self) -> Vec<Projection> {
        let server = |projection: &Projection| match projection {
            Projection::Graph => matches!(self.graph.graph, Graph::Server(_)),
            Projection::Vectors => self.vectors.vectors.shared(),
        };
        Projection::ALL.into_iter().filter(server).collect()
    }

    /// Takes the next changes in, when there are any and it is this process's turn.
    pub async fn step(&self, projection: Projection) -> Result<Step, TargetError> {
        match projection {
            Projection::Graph => Box::pin(relay::step(&self.postgres, &self.graph)).await,
            Projection::Vectors => Box::pin(relay::step(&self.postgres, &self.vectors)).await,
        }
    }

    /// Takes changes in until there is nothing new, at most as long as `within`; false when that did not suffice.
    pub async fn catch_up(&self, projection: Projection, within: Duration) -> Result<bool, TargetError> {
        let (_, done) = match projection {
            Projection::Graph => Box::pin(relay::catch_up(&self.postgres, &self.graph, within)).await?,
            Projection::Vectors => Box::pin(relay::catch_up(&self.postgres, &self.vectors, within)).await?,
        };
        Ok(done)
    }

    /// Takes changes in that a test has put together.
    #[cfg(test)]
    pub(crate) async fn take_in(&self, projection: Projection, changes: &[outbox::OutboxRow]) -> Result<(), TargetError> {
        match projection {
            Projection::Graph => Box::pin(relay::Target::take_in(&self.graph, changes)).await,
            Projection::Vectors => Box::pin(relay::Target::take_in(&self.vectors, changes)).await,
        }
    }

    /// How far behind it is.
    pub async fn lag(&self, projection: Projection) -> Result<Lag, StoreError> {
        lag(&self.postgres, projection).await
    }

    /// Builds it anew from the tables beside what serves, and switches over; waits for its turn at most as long as `within`.
    pub async fn rebuild(&self, projection: Projection, within: Duration) -> Result<Rebuilt, TargetError> {
        match projection {
            Projection::Graph => Box::pin(relay::rebuild(&self.postgres, &self.graph, within)).await,
            Projection::Vectors => Box::pin(relay::rebuild(&self.postgres, &self.vectors, within)).await,
        }
    }

    /// Compares it with the tables.
    pub async fn verify(&self, projection: Projection, repair: Repair) -> Result<Verified, TargetError> {
        match projection {
            Projection::Graph => Box::pin(verify::verify(&self.graph, repair)).await,
            Projection::Vectors => Box::pin(verify::verify(&self.vectors, repair)).await,
        }
    }

    /// Removes changes that nobody waits for any more, or that are too old; returns how many.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let mut tx = self.postgres.system().await?;
        let pruned = outbox::prune(&mut tx, CHANGES_KEPT, CHANGES_KEPT_MAX).await?;
        tx.commit().await?;
        Ok(pruned)
    }
}

/// How far behind a projection is, whether its store answers or not.
pub async fn lag(postgres: &Postgres, projection: Projection) -> Result<Lag, StoreError> {
    let aggregates = match projection {
        Projection::Graph => graph::AGGREGATES,
        Projection::Vectors => vectors::AGGREGATES,
    };
    let mut tx = postgres.system().await?;
    let lag = outbox::lag(&mut tx, projection.name(), aggregates).await?;
    tx.commit().await?;
    Ok(lag)
}
