//! Vectors of patterns and what is nearest to a query: a projection of PostgreSQL's rows, which can be dropped at any time.
//!
//! Called by `learning` and the projection. A closed enum: a Qdrant server, Qdrant Edge in process, or an exact comparison with every
//! vector where Edge was not built in or another process holds the shard. The conformance suite below holds all variants to one
//! behaviour. It never embeds text and never decides what is similar enough.
//!
//! **Several processes.** A server is everybody's. A shard in process belongs to one, which holds an OS lock on its directory; every
//! other process compares exactly, over its own copy of the rows: nothing to clean up after a `kill -9`, the same answers, and no
//! waiting. What each of them lacks is found by [`Vectors::versions`] and fetched from PostgreSQL, so a row that another process
//! learned, or one that a crash lost, arrives with the next catch-up.
//!
//! **Generations.** The collections of one embedder exist in numbered generations, of which one serves. `rebuild` fills a new one
//! beside it, switches in one step and drops the old one, so searches never meet a half-filled store.

mod error;
mod exact;
mod point;
mod qdrant;
mod qdrant_forms;

#[cfg(feature = "qdrant-edge")]
mod edge;
#[cfg(feature = "qdrant-edge")]
mod edge_shards;

#[cfg(test)]
mod conformance;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

#[cfg(all(test, feature = "qdrant-edge"))]
pub(crate) use conformance::standin::StandIn;

pub use error::VectorsError;
pub use point::{Collection, Content, Filter, Generation, Hit, Point, Search};

use crate::config::VectorsServer;
use crate::model::OrganizationId;
use crate::store::breaker::{Breaker, Thresholds};

/// A search that takes longer is given up.
const SEARCH_MS_MAX: u64 = 500;
/// A write of one batch, or a step of upkeep, that takes longer is given up.
const WRITE_SECS_MAX: u64 = 30;
/// Most hits of one search.
pub const LIMIT_MAX: usize = 1_000;
/// Points that go into a store together; bounds the size of a log record and of a message.
const BATCH_POINTS: usize = 256;

/// Where the vectors of one embedder are.
#[derive(Debug, Clone)]
pub enum Vectors {
    /// A Qdrant server, which other processes use too.
    Qdrant(qdrant::Qdrant),
    /// Qdrant Edge: an engine in process, on disk.
    #[cfg(feature = "qdrant-edge")]
    Edge(edge::Edge),
    /// Every vector is compared; in memory.
    Exact(exact::Exact),
}

/// Which store serves and why: a line of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `qdrant`, `qdrant-edge` or `exact`.
    pub mode: &'static str,
    /// Why, in a phrase.
    pub reason: String,
    /// What to do to get the better one; none when it serves, or when nothing needs to be done.
    pub hint: Option<String>,
}

/// What `doctor` shows of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Where it is.
    pub address: String,
    /// Its version.
    pub version: String,
    /// How long one empty call took.
    pub latency: Duration,
}

/// Which generation a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The one that serves when the call is made.
    Active,
    /// That one.
    Numbered(u32),
}

impl Vectors {
    /// Opens the collections of an embedder below `directory` (`DATA_DIR/vectors`) and says which store serves. Never fails:
    /// where the shard cannot be had (another process holds it, the disk refuses it, it was not built in), it starts as an
    /// empty exact store, to be filled from PostgreSQL like any other.
    pub async fn open(directory: &Path, generation: &Generation) -> (Self, Status) {
        match open_edge(directory.join(generation.safe_name()), generation.dimension).await {
            Ok((vectors, reason)) => (vectors, Status { mode: "qdrant-edge", reason, hint: None }),
            Err((reason, hint)) => {
                (Self::Exact(exact::Exact::new(generation.dimension)), Status { mode: "exact", reason, hint: hint.map(str::to_owned) })
            }
        }
    }

    /// The collections of an embedder in a server. It is not asked yet: one that is down delays nobody, and serves as soon as it is there.
    pub fn server(settings: &VectorsServer, generation: &Generation, thresholds: Thresholds) -> Result<(Self, Status), VectorsError> {
        let qdrant = qdrant::Qdrant::new(settings, generation, thresholds)?;
        let status = Status { mode: "qdrant", reason: qdrant.address().to_owned(), hint: None };
        Ok((Self::Qdrant(qdrant), status))
    }

    /// An empty exact store, for tests and for who wants no disk.
    pub fn exact(dimension: usize) -> Self {
        Self::Exact(exact::Exact::new(dimension))
    }

    /// True for a server: whoever changes a pattern, or the projection, brings it there for everybody.
    pub fn shared(&self) -> bool {
        matches!(self, Self::Qdrant(_))
    }

    /// Calls that a server has failed so far. While the number stands still, what was compared with it still holds.
    pub fn failures(&self) -> u64 {
        if let Self::Qdrant(qdrant) = self { qdrant.failures() } else { 0 }
    }

    /// The breaker in front of the server; none in process.
    pub fn breaker(&self) -> Option<&Breaker> {
        match self {
            Self::Qdrant(qdrant) => Some(qdrant.breaker()),
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(_) => None,
            Self::Exact(_) => None,
        }
    }

    /// The server's address, version and round-trip time, asked for now; none in process.
    pub async fn info(&self) -> Result<Option<Info>, VectorsError> {
        match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.info()).await.map(Some),
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(_) => Ok(None),
            Self::Exact(_) => Ok(None),
        }
    }

    /// Writes points; those that are there with the same or a newer version stay as they are.
    pub async fn upsert(&self, collection: Collection, points: Vec<Point>) -> Result<(), VectorsError> {
        self.write(At::Active, collection, points).await
    }

    /// Writes points into a generation that does not serve yet.
    pub async fn upsert_into(&self, generation: u32, collection: Collection, points: Vec<Point>) -> Result<(), VectorsError> {
        self.write(At::Numbered(generation), collection, points).await
    }

    async fn write(&self, at: At, collection: Collection, mut points: Vec<Point>) -> Result<(), VectorsError> {
        for point in &mut points {
            check(&point.vector, self.dimension())?;
            point.vector = point::normalised(&point.vector);
        }
        for batch in points.chunks(BATCH_POINTS) {
            let batch = batch.to_vec();
            match self {
                Self::Qdrant(qdrant) => Box::pin(qdrant.upsert(at, collection, batch)).await?,
                #[cfg(feature = "qdrant-edge")]
                Self::Edge(edge) => edge.upsert(at, collection, batch).await?,
                Self::Exact(exact) => exact.upsert(at, collection, batch)?,
            }
        }
        Ok(())
    }

    /// Removes points of that tenant; ids that are not there, or are another tenant's, are passed over.
    pub async fn delete(&self, collection: Collection, tenant: OrganizationId, ids: Vec<Uuid>) -> Result<(), VectorsError> {
        for batch in ids.chunks(BATCH_POINTS) {
            match self {
                Self::Qdrant(qdrant) => Box::pin(qdrant.delete(collection, tenant, batch.to_vec())).await?,
                #[cfg(feature = "qdrant-edge")]
                Self::Edge(edge) => edge.delete(collection, tenant, batch.to_vec()).await?,
                Self::Exact(exact) => exact.delete(collection, tenant, batch)?,
            }
        }
        Ok(())
    }

    /// The nearest points that pass the filter, best first; equal scores in the order of their ids.
    pub async fn search(&self, collection: Collection, search: Search) -> Result<Vec<Hit>, VectorsError> {
        check(&search.vector, self.dimension())?;
        let search = Search { limit: search.limit.min(LIMIT_MAX), ..search };
        if search.limit == 0 {
            return Ok(Vec::new());
        }
        let mut hits = match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.search(collection, search)).await?,
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.search(collection, search).await?,
            Self::Exact(exact) => exact.search(collection, search).await?,
        };
        hits.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
        Ok(hits)
    }

    /// How many points that tenant has.
    pub async fn count(&self, collection: Collection, tenant: OrganizationId) -> Result<u64, VectorsError> {
        match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.count(collection, tenant)).await,
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.count(collection, tenant).await,
            Self::Exact(exact) => Ok(exact.versions(collection, tenant)?.len() as u64),
        }
    }

    /// The version of every point of that tenant, by id: what a catch-up compares with PostgreSQL's.
    pub async fn versions(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, i64>, VectorsError> {
        match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.versions(collection, tenant)).await,
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.versions(collection, tenant).await,
            Self::Exact(exact) => exact.versions(collection, tenant),
        }
    }

    /// What every point of that tenant consists of, by id: what `verify` compares with [`Point::content`] of the rows.
    pub async fn contents(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, Content>, VectorsError> {
        match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.contents(collection, tenant)).await,
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.contents(collection, tenant).await,
            Self::Exact(exact) => exact.contents(collection, tenant),
        }
    }

    /// Brings what was written to the disk. Without it a `kill -9` may lose points, and the next catch-up brings them back.
    pub async fn flush(&self) -> Result<(), VectorsError> {
        match self {
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.flush().await,
            // A server does so before it answers; in memory there is no disk.
            Self::Qdrant(_) | Self::Exact(_) => Ok(()),
        }
    }

    /// Builds the index that makes searches among many points fast, where it is not built by itself. Takes 30 s for 100,000 points.
    pub async fn optimize(&self) -> Result<(), VectorsError> {
        match self {
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.optimize().await,
            Self::Qdrant(_) | Self::Exact(_) => Ok(()),
        }
    }

    /// The numbers of the generations that exist, and which one serves.
    pub async fn generations(&self) -> Result<(Vec<u32>, u32), VectorsError> {
        match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.generations()).await,
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => Ok(edge.generations()),
            Self::Exact(exact) => Ok(exact.generations()),
        }
    }

    /// Makes an empty generation and returns its number, which none had before it.
    pub async fn begin_generation(&self) -> Result<u32, VectorsError> {
        match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.begin_generation()).await,
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.begin_generation().await,
            Self::Exact(exact) => Ok(exact.begin_generation()),
        }
    }

    /// From now on that generation serves: all of its collections in one step.
    pub async fn switch_generation(&self, generation: u32) -> Result<(), VectorsError> {
        match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.switch_generation(generation)).await,
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.switch_generation(generation).await,
            Self::Exact(exact) => exact.switch_generation(generation),
        }
    }

    /// Removes a generation. The one that serves is refused; one that does not exist is passed over.
    pub async fn drop_generation(&self, generation: u32) -> Result<(), VectorsError> {
        match self {
            Self::Qdrant(qdrant) => Box::pin(qdrant.drop_generation(generation)).await,
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.drop_generation(generation).await,
            Self::Exact(exact) => exact.drop_generation(generation),
        }
    }

    /// Numbers in a vector.
    pub fn dimension(&self) -> usize {
        match self {
            Self::Qdrant(qdrant) => qdrant.dimension(),
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.dimension(),
            Self::Exact(exact) => exact.dimension(),
        }
    }
}

/// Why there is no shard, and what to do about it.
type NoShard = (String, Option<&'static str>);

#[cfg(feature = "qdrant-edge")]
async fn open_edge(directory: PathBuf, dimension: usize) -> Result<(Vectors, String), NoShard> {
    let shown = directory.display().to_string();
    let edge = edge::Edge::open(directory, dimension).await?;
    Ok((Vectors::Edge(edge), shown))
}

#[cfg(not(feature = "qdrant-edge"))]
#[expect(clippy::unused_async, reason = "the same signature as with the feature")]
async fn open_edge(_: PathBuf, _: usize) -> Result<(Vectors, String), NoShard> {
    Err(("specwave was built without the feature `qdrant-edge`".to_owned(), Some("build with `--features qdrant-edge`")))
}

fn check(vector: &[f32], expected: usize) -> Result<(), VectorsError> {
    if vector.len() != expected {
        return Err(VectorsError::Dimension { expected, found: vector.len() });
    }
    if vector.iter().all(|number| number.is_finite()) { Ok(()) } else { Err(VectorsError::NotFinite) }
}

/// Runs a blocking call of an engine within its deadline; when that passes, the call ends unheard.
async fn within<T: Send + 'static>(
    action: &'static str,
    within: Duration,
    call: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, VectorsError> {
    match tokio::time::timeout(within, tokio::task::spawn_blocking(call)).await {
        Ok(Ok(done)) => done.map_err(|reason| VectorsError::Engine { action, reason }),
        Ok(Err(panic)) => Err(VectorsError::Engine { action, reason: panic.to_string() }),
        Err(_) => Err(VectorsError::Deadline { action, within }),
    }
}
