//! Vectors in a Qdrant server, which several processes share.
//!
//! Each collection of an embedder is an alias (`code_patterns-MODEL`) of one physical collection (`code_patterns-MODEL-1`): its number
//! is the generation, and one request moves all aliases to another. Every call has a deadline and goes through the breaker; a
//! connection that failed is thrown away, so a server that comes back is used again without anybody's help.
//!
//! **Versions.** An update carries the condition that the stored version is older, and the server judges it point by point as it
//! applies it, so two writers cannot put an older state over a newer one. The condition does not hold for what is not there: a point
//! that was deleted comes back with a write that was under way. Whoever writes therefore reads the row last, and whoever finds a point
//! without a row removes it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use qdrant_client::qdrant as api;
use qdrant_client::{Qdrant as Client, QdrantError};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::qdrant_forms::{self as forms, Names, VERSION};
use super::{At, Collection, Content, Filter, Generation, Hit, Info, Point, SEARCH_MS_MAX, Search, VectorsError, WRITE_SECS_MAX};
use crate::config::VectorsServer;
use crate::model::OrganizationId;
use crate::store::breaker::{Breaker, Refused, Thresholds};

const SEARCH_DEADLINE: Duration = Duration::from_millis(SEARCH_MS_MAX);
const WRITE_DEADLINE: Duration = Duration::from_secs(WRITE_SECS_MAX);
/// A server that does not take a connection in this time is not there; it bounds the wait of calls with a longer deadline.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Points that are listed in one step, without and with their vectors: an answer stays below 2 MB.
const PAGE_VERSIONS: u32 = 5_000;
const PAGE_CONTENTS: u32 = 250;
/// Steps of one listing: 50 million points, or 2.5 million with their vectors. More are not walked through.
const PAGES_MAX: usize = 10_000;

/// The collections of one embedder in a server; clones share the connection.
#[derive(Clone)]
pub struct Qdrant {
    settings: VectorsServer,
    names: Names,
    dimension: usize,
    breaker: Breaker,
    connection: Arc<Mutex<Connection>>,
    failures: Arc<AtomicU64>,
}

/// A client, and whether its collections were seen to be there.
#[derive(Clone)]
struct Connection {
    client: Arc<Client>,
    prepared: Arc<OnceCell<()>>,
}

impl fmt::Debug for Qdrant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Qdrant").field("url", &self.settings.url).field("names", &self.names).finish_non_exhaustive()
    }
}

impl Qdrant {
    /// For the server of the settings; nothing is sent yet.
    pub(super) fn new(settings: &VectorsServer, generation: &Generation, thresholds: Thresholds) -> Result<Self, VectorsError> {
        let reason = match settings.url.split_once("://") {
            Some(("http" | "https", rest)) if !rest.contains('@') => None,
            Some(("http" | "https", _)) => Some("it carries a user; the key is a setting of its own"),
            _ => Some("it begins with neither http:// nor https://"),
        };
        if let Some(reason) = reason {
            return Err(VectorsError::Address { reason: reason.to_owned() });
        }
        let connection = Connection::new(settings)?;
        Ok(Self {
            settings: settings.clone(),
            names: Names::of(generation),
            dimension: generation.dimension,
            breaker: Breaker::new("vectors", thresholds),
            connection: Arc::new(Mutex::new(connection)),
            failures: Arc::default(),
        })
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn address(&self) -> &str {
        &self.settings.url
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// One request for each version in the batch, for a condition is one for all points of a request.
    pub(super) async fn upsert(&self, at: At, collection: Collection, points: Vec<Point>) -> Result<(), VectorsError> {
        let mut by_version: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
        for point in points {
            by_version.entry(point.version).or_default().push(point);
        }
        for (version, points) in by_version {
            let points = points.into_iter().map(|point| forms::stored(point, collection, self.names.model())).collect();
            let request = api::UpsertPoints {
                collection_name: self.names.at(collection, at),
                wait: Some(true),
                points,
                update_filter: Some(forms::older_than(version)),
                ..api::UpsertPoints::default()
            };
            self.prepared("writing vectors", WRITE_DEADLINE, async |client| client.upsert_points(request).await).await?;
        }
        Ok(())
    }

    pub(super) async fn delete(&self, collection: Collection, tenant: OrganizationId, ids: Vec<Uuid>) -> Result<(), VectorsError> {
        let request = api::DeletePointsBuilder::new(self.names.alias(collection)).points(forms::of_tenant(tenant, &ids)).wait(true);
        self.prepared("deleting vectors", WRITE_DEADLINE, async |client| client.delete_points(request).await).await?;
        Ok(())
    }

    pub(super) async fn search(&self, collection: Collection, search: Search) -> Result<Vec<Hit>, VectorsError> {
        let limit = search.limit as u64;
        let request = api::QueryPointsBuilder::new(self.names.alias(collection))
            .query(search.vector)
            .filter(forms::conditions(&search.filter))
            .limit(limit)
            .with_payload(false)
            .with_vectors(false);
        let request = match search.threshold {
            Some(threshold) => request.score_threshold(threshold),
            None => request,
        };
        let answer = self.prepared("searching vectors", SEARCH_DEADLINE, async |client| client.query(request).await).await?;
        Ok(answer.result.iter().filter_map(forms::hit).collect())
    }

    pub(super) async fn count(&self, collection: Collection, tenant: OrganizationId) -> Result<u64, VectorsError> {
        let request = api::CountPointsBuilder::new(self.names.alias(collection)).filter(forms::conditions(&Filter::of(tenant))).exact(true);
        let answer = self.prepared("counting vectors", SEARCH_DEADLINE, async |client| client.count(request).await).await?;
        Ok(answer.result.unwrap_or_default().count)
    }

    pub(super) async fn versions(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, i64>, VectorsError> {
        let request = self.list(collection, tenant, PAGE_VERSIONS).with_payload(forms::only(VERSION)).with_vectors(false);
        self.pages(request, forms::id_and_version).await
    }

    pub(super) async fn contents(&self, collection: Collection, tenant: OrganizationId) -> Result<BTreeMap<Uuid, Content>, VectorsError> {
        let request = self.list(collection, tenant, PAGE_CONTENTS).with_payload(true).with_vectors(true);
        self.pages(request, |point| forms::id_and_content(point, tenant)).await
    }

    fn list(&self, collection: Collection, tenant: OrganizationId, page: u32) -> api::ScrollPointsBuilder {
        api::ScrollPointsBuilder::new(self.names.alias(collection)).filter(forms::conditions(&Filter::of(tenant))).limit(page)
    }

    async fn pages<T>(
        &self,
        request: api::ScrollPointsBuilder,
        of: impl Fn(&api::RetrievedPoint) -> Option<(Uuid, T)>,
    ) -> Result<BTreeMap<Uuid, T>, VectorsError> {
        let (action, mut listed, mut request) = ("listing vectors", BTreeMap::new(), request);
        for _ in 0..PAGES_MAX {
            let page = request.clone();
            let page = self.prepared(action, WRITE_DEADLINE, async |client| client.scroll(page).await).await?;
            listed.extend(page.result.iter().filter_map(&of));
            match page.next_page_offset {
                Some(next) => request = request.offset(next),
                None => return Ok(listed),
            }
        }
        Err(VectorsError::Engine { action, reason: format!("there are more than {PAGES_MAX} pages") })
    }

    /// Version and round-trip time of the server.
    pub(super) async fn info(&self) -> Result<Info, VectorsError> {
        let action = "asking for the version";
        let version = self.call(action, CONNECT_DEADLINE, async |client| client.health_check().await).await?.version;
        let started = Instant::now();
        self.call(action, CONNECT_DEADLINE, async |client| client.health_check().await).await?;
        Ok(Info { address: self.settings.url.clone(), version, latency: started.elapsed() })
    }

    pub(super) async fn generations(&self) -> Result<(Vec<u32>, u32), VectorsError> {
        self.prepare(WRITE_DEADLINE).await?;
        let action = "listing generations of vectors";
        let existing = self.call(action, WRITE_DEADLINE, async |client| client.list_collections().await).await?;
        let numbers = self.names.numbers(existing.collections.iter().map(|collection| collection.name.as_str()));
        let active = self.aliases(WRITE_DEADLINE).await?.values().max().copied().unwrap_or(0);
        Ok((numbers, active))
    }

    pub(super) async fn begin_generation(&self) -> Result<u32, VectorsError> {
        let number = self.generations().await?.0.last().copied().unwrap_or(0) + 1;
        self.make(number).await?;
        Ok(number)
    }

    pub(super) async fn switch_generation(&self, number: u32) -> Result<(), VectorsError> {
        if !self.generations().await?.0.contains(&number) {
            return Err(VectorsError::NoGeneration { number });
        }
        self.point_aliases_at(number).await
    }

    pub(super) async fn drop_generation(&self, number: u32) -> Result<(), VectorsError> {
        let (existing, active) = self.generations().await?;
        if number == active {
            return Err(VectorsError::Serving { number });
        }
        if existing.contains(&number) {
            for collection in Collection::ALL {
                let name = self.names.physical(collection, number);
                self.call("removing a generation of vectors", WRITE_DEADLINE, async |client| client.delete_collection(name).await).await?;
            }
        }
        Ok(())
    }

    /// Makes sure, once for each connection, that there are collections. An empty server gets its first generation.
    async fn prepare(&self, deadline: Duration) -> Result<(), VectorsError> {
        let connection = self.connection();
        let prepare = async || {
            if self.aliases(deadline).await?.len() == Collection::ALL.len() {
                return Ok(());
            }
            let existing = self.call("listing collections", WRITE_DEADLINE, async |client| client.list_collections().await).await?;
            let numbers = self.names.numbers(existing.collections.iter().map(|collection| collection.name.as_str()));
            let first = numbers.first().copied().unwrap_or(1);
            self.make(first).await?;
            self.point_aliases_at(first).await
        };
        // Boxed: the compiler lays out one future within the other only so deep.
        Box::pin(connection.prepared.get_or_try_init(prepare)).await.copied()
    }

    /// The generations that the aliases of this embedder stand for.
    async fn aliases(&self, deadline: Duration) -> Result<BTreeMap<Collection, u32>, VectorsError> {
        let answer = self.call("looking for collections", deadline, async |client| client.list_aliases().await).await?;
        Ok(self.names.generations(answer.aliases.iter().map(|alias| (alias.alias_name.as_str(), alias.collection_name.as_str()))))
    }

    /// Makes the collections of a generation with their indexes; those that are there already stay. Two processes that start on an
    /// empty server make the same ones.
    async fn make(&self, number: u32) -> Result<(), VectorsError> {
        let action = "making collections of vectors";
        for collection in Collection::ALL {
            let name = self.names.physical(collection, number);
            let exists = async |client: Arc<Client>| client.collection_exists(name.clone()).await;
            if !self.call(action, WRITE_DEADLINE, exists).await? {
                let request = forms::collection(&name, self.dimension);
                let made = self.call(action, WRITE_DEADLINE, async |client| client.create_collection(request).await).await;
                if made.is_err() && !self.call(action, WRITE_DEADLINE, exists).await? {
                    made?;
                }
            }
            for request in forms::indexes(&name) {
                self.call(action, WRITE_DEADLINE, async |client| client.create_field_index(request).await).await?;
            }
        }
        Ok(())
    }

    async fn point_aliases_at(&self, number: u32) -> Result<(), VectorsError> {
        let there = self.aliases(WRITE_DEADLINE).await?;
        let actions = self.names.moves(&there, number);
        let action = "switching the generation of vectors";
        self.call(action, WRITE_DEADLINE, async |_| forms::change_aliases(&self.settings, actions).await).await
    }

    /// A call that needs the collections. When the server says that one is gone, the next call looks for them again.
    async fn prepared<T, F>(&self, action: &'static str, deadline: Duration, call: impl FnOnce(Arc<Client>) -> F) -> Result<T, VectorsError>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        self.prepare(deadline).await?;
        Box::pin(self.call(action, deadline, call)).await
    }

    /// A call within its deadline, behind the breaker. A connection that failed it is not used again.
    async fn call<T, F>(&self, action: &'static str, deadline: Duration, call: impl FnOnce(Arc<Client>) -> F) -> Result<T, VectorsError>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let connection = self.connection();
        let call = call(Arc::clone(&connection.client));
        let call = async { call.await.map_err(|error| forms::Said::of(&error)) };
        let answer = self.breaker.call(deadline, |said| said.is_outage, Box::pin(call)).await;
        let refused = match answer {
            Ok(value) => return Ok(value),
            Err(refused) => refused,
        };
        if let Refused::Deadline { .. } | Refused::Failed(_) = refused {
            self.forget(&connection);
        }
        Err(match refused {
            Refused::Open { .. } => VectorsError::LeftAlone { action, reason: refused.to_string() },
            Refused::Deadline { within, .. } => VectorsError::Deadline { action, within },
            Refused::Failed(said) => VectorsError::Engine { action, reason: said.reason },
        })
    }

    fn connection(&self) -> Connection {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whoever comes next connects anew and looks for the collections, unless somebody has done so already.
    fn forget(&self, failed: &Connection) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut current = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current.client, &failed.client)
            && let Ok(connection) = Connection::new(&self.settings)
        {
            *current = connection;
        }
    }
}

impl Connection {
    fn new(settings: &VectorsServer) -> Result<Self, VectorsError> {
        let config = Client::from_url(&settings.url)
            .timeout(WRITE_DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            .keep_alive_while_idle()
            .skip_compatibility_check();
        let config = match &settings.api_key {
            Some(key) => config.api_key(key.expose()),
            None => config,
        };
        let client = config.build().map_err(|error| VectorsError::Address { reason: forms::reason(&error) })?;
        Ok(Self { client: Arc::new(client), prepared: Arc::default() })
    }
}
