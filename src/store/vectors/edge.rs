//! Qdrant Edge: the engine of Qdrant in process, one shard for each collection, below one locked directory.
//!
//! Its calls block and know no deadline, so they run on blocking threads under ours. It is a projection: a shard that does
//! not open, or whose log has grown too long, is thrown away and filled again from PostgreSQL.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use qdrant_edge::{
    Condition, CreateIndex, DEFAULT_VECTOR_NAME, Distance, EdgeConfig, EdgeConfigBuilder, EdgeShard, EdgeVectorParamsBuilder,
    FieldCondition, FieldIndexOperations, Filter as EdgeFilter, JsonPath, Match, NamedQuery, Payload, PayloadFieldSchema,
    PayloadSchemaType, PointId, PointInsertOperations, PointOperations, PointStruct, QueryEnum, ScrollRequest, SearchRequest,
    UpdateOperation, ValueVariants, WalOptions, WithPayloadInterface, WithVector,
};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Collection, Filter, Hit, NoShard, Point, SEARCH_MS_MAX, Search, VectorsError, WRITE_SECS_MAX, within};
use crate::model::OrganizationId;

const LOCK: &str = "lock";
const CONFIG: &str = "edge_config.json";
const TENANT: &str = "tenant";
const VERSION: &str = "version";
/// The engine's log is preallocated in pieces of this size; one batch of points must fit.
const LOG_PIECE_BYTES: usize = 4 * 1024 * 1024;
/// The engine never cuts its log; beyond this the shard is made anew at the next opening.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Points that are listed in one step.
const PAGE_POINTS: usize = 10_000;

/// The shards of all collections; clones share them, and the last one, or the last call, gives up the lock.
#[derive(Debug, Clone)]
pub struct Edge {
    dimension: usize,
    shards: Arc<Shards>,
}

#[derive(Debug)]
struct Shards {
    by_collection: BTreeMap<Collection, RwLock<EdgeShard>>,
    /// Given up after the shards, for fields are dropped in their order.
    _lock: File,
}

impl Drop for Shards {
    /// The engine flushes on drop and panics when it cannot (a full disk); what is lost comes back with the next catch-up.
    fn drop(&mut self) {
        for (collection, shard) in std::mem::take(&mut self.by_collection) {
            if catch_unwind(AssertUnwindSafe(|| drop(shard))).is_err() {
                tracing::warn!(collection = collection.name(), "vectors not flushed; the next start fetches them from PostgreSQL again");
            }
        }
    }
}

impl Edge {
    /// Locks the directory, opens its shards, and makes those that are not there or do not open.
    pub(super) async fn open(directory: PathBuf, dimension: usize) -> Result<Self, NoShard> {
        let call = move || {
            let lock = lock(&directory)?;
            let open = |collection: Collection| {
                let shard = open_shard(&directory.join(collection.name()), dimension)
                    .map_err(|reason| (format!("the shard in {} does not open: {reason}", directory.display()), None))?;
                Ok((collection, RwLock::new(shard)))
            };
            let by_collection = Collection::ALL.into_iter().map(open).collect::<Result<BTreeMap<_, _>, NoShard>>()?;
            Ok(Self { dimension, shards: Arc::new(Shards { by_collection, _lock: lock }) })
        };
        tokio::task::spawn_blocking(call).await.unwrap_or_else(|panic| Err((format!("the engine does not start: {panic}"), None)))
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) async fn upsert(&self, collection: Collection, points: Vec<Point>) -> Result<(), VectorsError> {
        self.write("writing vectors", collection, move |shard| {
            let ids: Vec<PointId> = points.iter().map(|point| PointId::Uuid(point.id)).collect();
            let mut there = BTreeMap::new();
            for record in shard.retrieve(&ids, Some(only(VERSION)), Some(WithVector::Bool(false))).map_err(text)? {
                if let Some((id, version)) = id_and_version(record.id, record.payload.as_ref()) {
                    there.insert(id, version);
                }
            }
            let newer = points.into_iter().filter(|point| there.get(&point.id).is_none_or(|version| *version < point.version));
            let newer: Vec<_> = newer.map(|point| stored(point).into()).collect();
            if newer.is_empty() {
                return Ok(());
            }
            let operation = PointOperations::UpsertPoints(PointInsertOperations::PointsList(newer));
            shard.update(UpdateOperation::PointOperation(operation)).map_err(text)
        })
        .await
    }

    pub(super) async fn delete(&self, collection: Collection, tenant: OrganizationId, ids: Vec<Uuid>) -> Result<(), VectorsError> {
        self.write("deleting vectors", collection, move |shard| {
            let ids: Vec<PointId> = ids.into_iter().map(PointId::Uuid).collect();
            let found = shard.retrieve(&ids, Some(only(TENANT)), Some(WithVector::Bool(false))).map_err(text)?;
            let own = Value::from(tenant.to_string());
            let of_tenant = |payload: &Option<Payload>| payload.as_ref().is_some_and(|payload| payload.0.get(TENANT) == Some(&own));
            let ids = found.into_iter().filter(|record| of_tenant(&record.payload)).map(|record| record.id).collect();
            shard.update(UpdateOperation::PointOperation(PointOperations::DeletePoints { ids })).map_err(text)
        })
        .await
    }

    pub(super) async fn search(&self, collection: Collection, search: Search) -> Result<Vec<Hit>, VectorsError> {
        let request = SearchRequest {
            query: QueryEnum::Nearest(NamedQuery::default_dense(search.vector)),
            filter: Some(conditions(&search.filter)),
            params: None,
            limit: search.limit,
            offset: 0,
            with_payload: Some(WithPayloadInterface::Bool(false)),
            with_vector: Some(WithVector::Bool(false)),
            score_threshold: search.threshold,
        };
        self.read("searching vectors", Duration::from_millis(SEARCH_MS_MAX), collection, move |shard| {
            let points = shard.search(request).map_err(text)?;
            let hit = |id, score| match id {
                PointId::Uuid(id) => Some(Hit { id, score }),
                PointId::NumId(_) => None,
            };
            Ok(points.into_iter().filter_map(|point| hit(point.id, point.score)).collect())
        })
        .await
    }

    pub(super) async fn versions(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, i64>, VectorsError> {
        self.read("listing vectors", Duration::from_secs(WRITE_SECS_MAX), collection, move |shard| {
            let mut versions = BTreeMap::new();
            let mut offset = None;
            loop {
                let request = ScrollRequest {
                    offset,
                    limit: Some(PAGE_POINTS),
                    filter: Some(conditions(&Filter::of(tenant))),
                    with_payload: Some(only(VERSION)),
                    with_vector: WithVector::Bool(false),
                    order_by: None,
                };
                let (records, next) = shard.scroll(request).map_err(text)?;
                versions.extend(records.iter().filter_map(|record| id_and_version(record.id, record.payload.as_ref())));
                match next {
                    Some(next) => offset = Some(next),
                    None => return Ok(versions),
                }
            }
        })
        .await
    }

    pub(super) async fn flush(&self) -> Result<(), VectorsError> {
        for collection in Collection::ALL {
            self.write("flushing vectors", collection, |shard| {
                shard.flush();
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn read<T: Send + 'static>(
        &self,
        action: &'static str,
        deadline: Duration,
        collection: Collection,
        call: impl FnOnce(&EdgeShard) -> Result<T, String> + Send + 'static,
    ) -> Result<T, VectorsError> {
        let shards = Arc::clone(&self.shards);
        within(action, deadline, move || call(&shards.by_collection[&collection].read().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// One writer at a time, and no reader beside it: the engine's flush panics when somebody else is at work.
    async fn write(
        &self,
        action: &'static str,
        collection: Collection,
        call: impl FnOnce(&EdgeShard) -> Result<(), String> + Send + 'static,
    ) -> Result<(), VectorsError> {
        let shards = Arc::clone(&self.shards);
        let call = move || call(&shards.by_collection[&collection].write().unwrap_or_else(PoisonError::into_inner));
        within(action, Duration::from_secs(WRITE_SECS_MAX), call).await
    }
}

/// Takes the directory for this process, or says who cannot have it.
fn lock(directory: &Path) -> Result<File, NoShard> {
    let refused = |error: std::io::Error| (format!("{} cannot be used: {error}", directory.display()), None);
    fs::create_dir_all(directory).map_err(refused)?;
    let lock = File::options().create(true).truncate(false).write(true).open(directory.join(LOCK)).map_err(refused)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err((format!("another process holds {}; this one compares every vector", directory.display()), None))
        }
        Err(error) => Err(refused(error.into())),
    }
}

/// Opens a shard; one that is not usable any more is made anew.
fn open_shard(directory: &Path, dimension: usize) -> Result<EdgeShard, String> {
    if directory.join(CONFIG).exists() && log_bytes(directory) <= LOG_BYTES_MAX {
        match guarded(|| EdgeShard::load(directory, Some(config(dimension)))) {
            Ok(shard) => return Ok(shard),
            Err(reason) => {
                tracing::warn!(directory = %directory.display(), reason, "shard thrown away, to be filled again from PostgreSQL");
            }
        }
    }
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(text)?;
    }
    fs::create_dir_all(directory).map_err(text)?;
    let shard = guarded(|| EdgeShard::new(directory, config(dimension)))?;
    let index = CreateIndex { field_name: path(TENANT), field_schema: Some(PayloadFieldSchema::FieldType(PayloadSchemaType::Keyword)) };
    shard.update(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(index))).map_err(text)?;
    Ok(shard)
}

fn config(dimension: usize) -> EdgeConfig {
    let log = WalOptions { segment_capacity: LOG_PIECE_BYTES, ..WalOptions::default() };
    let vector = EdgeVectorParamsBuilder::new(dimension, Distance::Cosine).build();
    EdgeConfigBuilder::new().vector(DEFAULT_VECTOR_NAME, vector).wal_options(log).build()
}

fn log_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory.join("wal")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// The engine panics on some damaged files.
fn guarded<T, E: std::fmt::Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(done) => done.map_err(text),
        Err(_) => Err("the engine panicked on it".to_owned()),
    }
}

fn stored(point: Point) -> PointStruct {
    let mut payload: Map<String, Value> = point.fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
    payload.insert(TENANT.to_owned(), Value::from(point.tenant.to_string()));
    payload.insert(VERSION.to_owned(), Value::from(point.version));
    PointStruct::new(PointId::Uuid(point.id), point.vector, Value::Object(payload))
}

fn conditions(filter: &Filter) -> EdgeFilter {
    let equal = |field: &str, value: ValueVariants| Condition::Field(FieldCondition::new_match(path(field), Match::new_value(value)));
    let mut must = vec![equal(TENANT, ValueVariants::String(filter.tenant.to_string()))];
    for (field, value) in &filter.fields {
        let value = match value {
            Value::Bool(flag) => ValueVariants::Bool(*flag),
            Value::String(text) => ValueVariants::String(text.clone()),
            other => ValueVariants::String(other.to_string()),
        };
        must.push(equal(field, value));
    }
    EdgeFilter { should: None, min_should: None, must: Some(must), must_not: None }
}

fn id_and_version(id: PointId, payload: Option<&Payload>) -> Option<(Uuid, i64)> {
    match id {
        PointId::Uuid(id) => Some((id, payload?.0.get(VERSION)?.as_i64()?)),
        PointId::NumId(_) => None,
    }
}

fn only(field: &str) -> WithPayloadInterface {
    WithPayloadInterface::Fields(vec![path(field)])
}

fn path(field: &str) -> JsonPath {
    field.parse().expect("the names of fields are plain words")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
