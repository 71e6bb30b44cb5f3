//! Vectors of patterns and what is nearest to a query: a projection of PostgreSQL's rows, which can be dropped at any time.
//!
//! Called by `learning`. A closed enum: Qdrant Edge in process, or an exact comparison with every vector where Edge was not
//! built in or another process holds the shard. The conformance suite below holds all variants to one behaviour. It never
//! embeds text and never decides what is similar enough.
//!
//! **Several processes.** A shard belongs to one process, which holds an OS lock on its directory. Every other process
//! compares exactly, over its own copy of the rows: nothing to clean up after a `kill -9`, the same answers, and no waiting.
//! What each of them lacks is found by [`Vectors::versions`] and fetched from PostgreSQL, so a row that another process
//! learned, or one that a crash lost, arrives with the next catch-up.

mod exact;

#[cfg(feature = "qdrant-edge")]
mod edge;

#[cfg(test)]
mod conformance;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::model::{OrganizationId, PatternKind};
use crate::store::postgres::pattern_vectors::VectorRow;

/// A search that takes longer is given up.
const SEARCH_MS_MAX: u64 = 500;
/// A write of one batch that takes longer is given up.
#[cfg(feature = "qdrant-edge")]
const WRITE_SECS_MAX: u64 = 30;
/// Most hits of one search.
pub const LIMIT_MAX: usize = 1_000;
/// Points that go into a store together; bounds the size of a log record.
const BATCH_POINTS: usize = 256;

/// Where the vectors of one embedder are.
#[derive(Debug, Clone)]
pub enum Vectors {
    /// Qdrant Edge: an engine in process, on disk.
    #[cfg(feature = "qdrant-edge")]
    Edge(edge::Edge),
    /// Every vector is compared; in memory.
    Exact(exact::Exact),
}

/// Which store serves and why: a line of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `qdrant-edge` or `exact`.
    pub mode: &'static str,
    /// Why, in a phrase.
    pub reason: String,
    /// What to do to get the better one; none when it serves, or when nothing needs to be done.
    pub hint: Option<String>,
}

/// The collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// Units of work and how they were planned.
    TaskEmbeddings,
    /// Code that passed its checks, or failed them.
    CodePatterns,
    /// Whole plans that were finished.
    SuccessPatterns,
}

impl Collection {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TaskEmbeddings, Self::CodePatterns, Self::SuccessPatterns];

    /// Its name in every store.
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskEmbeddings => "task_embeddings",
            Self::CodePatterns => "code_patterns",
            Self::SuccessPatterns => "success_patterns",
        }
    }

    /// Where patterns of that kind go.
    pub fn of(kind: PatternKind) -> Self {
        match kind {
            PatternKind::Task => Self::TaskEmbeddings,
            PatternKind::Code => Self::CodePatterns,
            PatternKind::Sequence => Self::SuccessPatterns,
        }
    }
}

/// The vectors of one embedder; those of another one are another generation, in other collections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The embedder's model id.
    pub model_id: String,
    /// Numbers in a vector.
    pub dimension: usize,
}

/// A vector and what can be asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The pattern's id (UUIDv5), the same on every write.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: OrganizationId,
    /// The row's version; an older one never replaces a newer one.
    pub version: i64,
    /// The vector.
    pub vector: Vec<f32>,
    /// Fields that filters may name.
    pub fields: BTreeMap<&'static str, Value>,
}

impl Point {
    /// What a row of PostgreSQL says, as a point of that tenant.
    pub fn of(row: VectorRow, tenant: OrganizationId) -> Self {
        let fields = BTreeMap::from([
            ("language", Value::from(row.language)),
            ("framework", Value::from(row.framework)),
            ("unit_type", Value::from(row.unit_type)),
            ("spec_type", Value::from(row.spec_type)),
            ("success", Value::from(row.success)),
        ]);
        Self { id: row.id.0, tenant, version: row.version, vector: row.vector, fields }
    }
}

/// What a hit must be. It always names the tenant: there is no other way to make one.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    tenant: OrganizationId,
    fields: BTreeMap<&'static str, Value>,
}

impl Filter {
    /// Everything of that tenant.
    pub fn of(tenant: OrganizationId) -> Self {
        Self { tenant, fields: BTreeMap::new() }
    }

    /// Only points of that unit type.
    #[must_use]
    pub fn unit_type(self, unit_type: &str) -> Self {
        self.with("unit_type", Value::from(unit_type))
    }

    /// Only points of that language.
    #[must_use]
    pub fn language(self, language: &str) -> Self {
        self.with("language", Value::from(language))
    }

    /// Only points of that framework.
    #[must_use]
    pub fn framework(self, framework: &str) -> Self {
        self.with("framework", Value::from(framework))
    }

    /// Only points from specifications of that format.
    #[must_use]
    pub fn spec_type(self, spec_type: &str) -> Self {
        self.with("spec_type", Value::from(spec_type))
    }

    /// Only what worked, or only what failed.
    #[must_use]
    pub fn success(self, success: bool) -> Self {
        self.with("success", Value::from(success))
    }

    fn with(mut self, field: &'static str, value: Value) -> Self {
        self.fields.insert(field, value);
        self
    }
}

/// A search in one collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What to be near to.
    pub vector: Vec<f32>,
    /// What a hit must be.
    pub filter: Filter,
    /// The least score; none shows everything.
    pub threshold: Option<f32>,
    /// Most hits, at most [`LIMIT_MAX`].
    pub limit: usize,
}

/// A point found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The pattern's id.
    pub id: Uuid,
    /// Cosine similarity, -1 to 1.
    pub score: f32,
}

/// What can go wrong. None of it loses a fact: the rows are in PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// A vector of another length than the collection's.
    #[error("a vector of {found} numbers was given to collections of {expected}")]
    Dimension {
        /// The collection's.
        expected: usize,
        /// The vector's.
        found: usize,
    },
    /// A vector holds a number that is none.
    #[error("a vector holds a number that is not finite")]
    NotFinite,
    /// The deadline passed.
    #[error("{action} took more than {} ms", within.as_millis())]
    Deadline {
        /// What was done.
        action: &'static str,
        /// The deadline.
        within: Duration,
    },
    /// The engine failed.
    #[error("{action} failed: {reason}")]
    Engine {
        /// What was done.
        action: &'static str,
        /// What it said.
        reason: String,
    },
}

impl VectorsError {
    /// True when the same call may well succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Deadline { .. })
    }
}

impl Vectors {
    /// Opens the collections of a generation below `directory` (`DATA_DIR/vectors`) and says which store serves. Never fails:
    /// where the shard cannot be had (another process holds it, the disk refuses it, it was not built in), it starts as an
    /// empty exact store, to be filled from PostgreSQL like any other.
    pub async fn open(directory: &Path, generation: &Generation) -> (Self, Status) {
        match open_edge(directory.join(safe_name(&generation.model_id)), generation.dimension).await {
            Ok((vectors, reason)) => (vectors, Status { mode: "qdrant-edge", reason, hint: None }),
            Err((reason, hint)) => {
                (Self::Exact(exact::Exact::new(generation.dimension)), Status { mode: "exact", reason, hint: hint.map(str::to_owned) })
            }
        }
    }

    /// An empty exact store, for tests and for who wants no disk.
    pub fn exact(dimension: usize) -> Self {
        Self::Exact(exact::Exact::new(dimension))
    }

    /// Writes points; those that are there with the same or a newer version stay as they are.
    pub async fn upsert(&self, collection: Collection, points: Vec<Point>) -> Result<(), VectorsError> {
        for point in &points {
            check(&point.vector, self.dimension())?;
        }
        for batch in points.chunks(BATCH_POINTS) {
            let batch = batch.to_vec();
            match self {
                #[cfg(feature = "qdrant-edge")]
                Self::Edge(edge) => edge.upsert(collection, batch).await?,
                Self::Exact(exact) => exact.upsert(collection, batch),
            }
        }
        Ok(())
    }

    /// Removes points of that tenant; ids that are not there, or are another tenant's, are passed over.
    pub async fn delete(&self, collection: Collection, tenant: OrganizationId, ids: Vec<Uuid>) -> Result<(), VectorsError> {
        match self {
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.delete(collection, tenant, ids).await,
            Self::Exact(exact) => {
                exact.delete(collection, tenant, &ids);
                Ok(())
            }
        }
    }

    /// The nearest points that pass the filter, best first; equal scores in the order of their ids.
    pub async fn search(&self, collection: Collection, search: Search) -> Result<Vec<Hit>, VectorsError> {
        check(&search.vector, self.dimension())?;
        let search = Search { limit: search.limit.min(LIMIT_MAX), ..search };
        if search.limit == 0 {
            return Ok(Vec::new());
        }
        let mut hits = match self {
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.search(collection, search).await?,
            Self::Exact(exact) => exact.search(collection, search).await?,
        };
        hits.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
        Ok(hits)
    }

    /// The version of every point of that tenant, by id: what a catch-up compares with PostgreSQL's.
    pub async fn versions(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, i64>, VectorsError> {
        match self {
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.versions(collection, tenant).await,
            Self::Exact(exact) => Ok(exact.versions(collection, tenant)),
        }
    }

    /// Brings what was written to the disk. Without it a `kill -9` may lose points, and the next catch-up brings them back.
    pub async fn flush(&self) -> Result<(), VectorsError> {
        match self {
            #[cfg(feature = "qdrant-edge")]
            Self::Edge(edge) => edge.flush().await,
            Self::Exact(_) => Ok(()),
        }
    }

    /// Numbers in a vector.
    pub fn dimension(&self) -> usize {
        match self {
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

/// A model id as a directory's name.
fn safe_name(model_id: &str) -> String {
    let safe = |character: char| if character.is_ascii_alphanumeric() || "-_.".contains(character) { character } else { '_' };
    let name: String = model_id.chars().map(safe).collect();
    name.trim_start_matches('.').to_owned()
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
