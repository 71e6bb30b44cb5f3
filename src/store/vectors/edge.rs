//! Qdrant Edge: the engine of Qdrant in process.
//!
//! Its calls block and know no deadline, so they run on blocking threads under ours. It is a projection: a shard that does
//! not open, or whose log has grown too long, is thrown away and filled again from PostgreSQL.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use qdrant_edge::{
    Condition, CountRequest, EdgeShard, FieldCondition, Filter as EdgeFilter, JsonPath, Match, NamedQuery, Payload, PointId,
    PointInsertOperations, PointOperations, PointStruct, QueryEnum, Record, ScrollRequest, SearchRequest, UpdateOperation, ValueVariants,
    VectorStructInternal, WithPayloadInterface, WithVector,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::edge_shards::{Opened, Shards};
use super::point::FIELDS;
use super::{At, Collection, Content, Filter, Hit, NoShard, Point, SEARCH_MS_MAX, Search, VectorsError, WRITE_SECS_MAX, within};
use crate::model::OrganizationId;

pub(super) const TENANT: &str = "tenant";
const VERSION: &str = "version";
/// Points that are listed in one step.
const PAGE_POINTS: usize = 10_000;
/// Building the index of many points takes long: 30 s were measured for 100,000.
const OPTIMIZE_DEADLINE: Duration = Duration::from_mins(10);

/// The shards of all collections; clones share them, and the last one, or the last call, gives up the lock.
#[derive(Debug, Clone)]
pub struct Edge {
    dimension: usize,
    shards: Arc<Shards>,
}

impl Edge {
    /// Locks the directory, opens its shards, and makes those that are not there or do not open.
    pub(super) async fn open(directory: PathBuf, dimension: usize) -> Result<Self, NoShard> {
        let call = move || Ok(Self { dimension, shards: Arc::new(Shards::open(directory, dimension)?) });
        tokio::task::spawn_blocking(call).await.unwrap_or_else(|panic| Err((format!("the engine does not start: {panic}"), None)))
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) async fn upsert(&self, at: At, collection: Collection, points: Vec<Point>) -> Result<(), VectorsError> {
        self.write("writing vectors", at, collection, move |shard| {
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
        self.write("deleting vectors", At::Active, collection, move |shard| {
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

    pub(super) async fn count(&self, collection: Collection, tenant: OrganizationId) -> Result<u64, VectorsError> {
        self.read("counting vectors", Duration::from_millis(SEARCH_MS_MAX), collection, move |shard| {
            let request = CountRequest { filter: Some(conditions(&Filter::of(tenant))), exact: true };
            Ok(shard.count(request).map_err(text)? as u64)
        })
        .await
    }

    pub(super) async fn versions(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, i64>, VectorsError> {
        self.list(collection, tenant, false, |record| id_and_version(record.id, record.payload.as_ref())).await
    }

    pub(super) async fn contents(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, Content>, VectorsError> {
        self.list(collection, tenant, true, move |record| {
            let (id, version) = id_and_version(record.id, record.payload.as_ref())?;
            let payload = &record.payload.as_ref()?.0;
            let fields = FIELDS.into_iter().filter_map(|field| Some((field, payload.get(field)?.clone()))).collect();
            let Some(VectorStructInternal::Single(vector)) = record.vector.clone() else { return None };
            Some((id, Point { id, tenant, version, vector, fields }.content()))
        })
        .await
    }

    /// What of every point of that tenant is asked for, page by page.
    async fn list<T: Send + 'static>(
        &self,
        collection: Collection,
        tenant: OrganizationId,
        vectors: bool,
        of: impl Fn(&Record) -> Option<(Uuid, T)> + Send + 'static,
    ) -> Result<BTreeMap<Uuid, T>, VectorsError> {
        self.read("listing vectors", Duration::from_secs(WRITE_SECS_MAX), collection, move |shard| {
            let mut listed = BTreeMap::new();
            let mut offset = None;
            loop {
                let request = ScrollRequest {
                    offset,
                    limit: Some(PAGE_POINTS),
                    filter: Some(conditions(&Filter::of(tenant))),
                    with_payload: Some(if vectors { WithPayloadInterface::Bool(true) } else { only(VERSION) }),
                    with_vector: WithVector::Bool(vectors),
                    order_by: None,
                };
                let (records, next) = shard.scroll(request).map_err(text)?;
                listed.extend(records.iter().filter_map(&of));
                match next {
                    Some(next) => offset = Some(next),
                    None => return Ok(listed),
                }
            }
        })
        .await
    }

    pub(super) async fn flush(&self) -> Result<(), VectorsError> {
        for collection in Collection::ALL {
            self.write("flushing vectors", At::Active, collection, |shard| {
                shard.flush();
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn optimize(&self) -> Result<(), VectorsError> {
        for collection in Collection::ALL {
            self.read("building the index of vectors", OPTIMIZE_DEADLINE, collection, |shard| shard.optimize().map_err(text)).await?;
        }
        Ok(())
    }

    pub(super) fn generations(&self) -> (Vec<u32>, u32) {
        self.shards.generations()
    }

    pub(super) async fn begin_generation(&self) -> Result<u32, VectorsError> {
        self.upkeep("beginning a generation of vectors", Shards::begin).await
    }

    pub(super) async fn switch_generation(&self, number: u32) -> Result<(), VectorsError> {
        let switched = self.upkeep("switching the generation of vectors", move |shards| shards.switch(number)).await?;
        if switched { Ok(()) } else { Err(VectorsError::NoGeneration { number }) }
    }

    pub(super) async fn drop_generation(&self, number: u32) -> Result<(), VectorsError> {
        let removed = self.upkeep("removing a generation of vectors", move |shards| shards.remove(number)).await?;
        if removed { Ok(()) } else { Err(VectorsError::Serving { number }) }
    }

    async fn upkeep<T: Send + 'static>(
        &self,
        action: &'static str,
        call: impl FnOnce(&Shards) -> Result<T, String> + Send + 'static,
    ) -> Result<T, VectorsError> {
        let shards = Arc::clone(&self.shards);
        within(action, Duration::from_secs(WRITE_SECS_MAX), move || call(&shards)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        action: &'static str,
        deadline: Duration,
        collection: Collection,
        call: impl FnOnce(&EdgeShard) -> Result<T, String> + Send + 'static,
    ) -> Result<T, VectorsError> {
        let shards = Arc::clone(&self.shards);
        let call = move || {
            let opened = generation(&shards, At::Active)?;
            call(&opened.by_collection[&collection].read().unwrap_or_else(PoisonError::into_inner))
        };
        within(action, deadline, call).await
    }

    /// One writer at a time, and no reader beside it: the engine's flush panics when somebody else is at work.
    async fn write(
        &self,
        action: &'static str,
        at: At,
        collection: Collection,
        call: impl FnOnce(&EdgeShard) -> Result<(), String> + Send + 'static,
    ) -> Result<(), VectorsError> {
        let shards = Arc::clone(&self.shards);
        let call = move || {
            let opened = generation(&shards, at)?;
            call(&opened.by_collection[&collection].write().unwrap_or_else(PoisonError::into_inner))
        };
        within(action, Duration::from_secs(WRITE_SECS_MAX), call).await
    }
}

fn generation(shards: &Shards, at: At) -> Result<Arc<Opened>, String> {
    shards.at(at).map_err(|number| format!("there is no generation {number}"))
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

pub(super) fn path(field: &str) -> JsonPath {
    field.parse().expect("the names of fields are plain words")
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
