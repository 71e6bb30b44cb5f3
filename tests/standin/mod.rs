//! A stand-in for a Qdrant server, for tests and for the client's part of a benchmark.
//!
//! It speaks the official interface, whose server traits the client library ships, over the engine in process, in temporary folders. It
//! is strict: a request that says anything it does not know is answered UNIMPLEMENTED, never with that part passed over. It is not a
//! Qdrant server: it knows one shard, no cluster, no optimiser that works by itself and no storage that outlives it, and **no time that
//! is measured with it is Qdrant's**.

mod collections;
mod forms;
mod points;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use qdrant_client::qdrant as api;
use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::{Qdrant, QdrantServer};
use qdrant_edge::EdgeShard;
use tempfile::TempDir;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What a request may say at most; the client sends batches far below it.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A running server; dropped, it ends.
pub struct StandIn {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// An empty server on a free port of this machine; with a key, whoever does not carry it is refused.
    pub fn start(key: Option<&str>) -> Self {
        let key = key.map(str::to_owned);
        let (bound, address) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_nodelay(Some(true));
                bound.send(incoming.local_addr().unwrap()).unwrap();
                let store = Store::default();
                let check = move |request: Request<()>| {
                    let given = request.metadata().get("api-key").and_then(|key| key.to_str().ok());
                    let right = key.is_none() || given == key.as_deref();
                    if right { Ok(request) } else { Err(Status::unauthenticated("Invalid API key or JWT")) }
                };
                let points = PointsServer::new(store.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
                let server = Server::builder()
                    .layer(tonic::service::InterceptorLayer::new(check))
                    .add_service(points)
                    .add_service(CollectionsServer::new(store.clone()))
                    .add_service(QdrantServer::new(store));
                // Not in order: whoever waits for the end may be what keeps a connection.
                tokio::select! {
                    served = server.serve_with_incoming(incoming) => served.unwrap(),
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self { address: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    /// Where it is: `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Every collection and every alias.
#[derive(Clone, Default)]
struct Store {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    collections: BTreeMap<String, Arc<Collection>>,
    aliases: BTreeMap<String, String>,
}

struct Collection {
    dimension: usize,
    shard: RwLock<EdgeShard>,
    /// Removed after the shard, for fields are dropped in their order.
    _folder: TempDir,
}

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The collection of that name or alias.
    fn collection(&self, name: &str) -> Result<Arc<Collection>, Status> {
        let state = self.state();
        let name = state.aliases.get(name).map_or(name, String::as_str);
        state.collections.get(name).cloned().ok_or_else(|| forms::missing(name))
    }

    /// Works on a collection, away from the threads that answer.
    async fn on<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Collection) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let collection = self.collection(name)?;
        let done = tokio::task::spawn_blocking(move || work(&collection)).await;
        done.map_err(|panic| Status::internal(panic.to_string()))?.map(Response::new)
    }
}

impl Collection {
    fn new(dimension: usize) -> Result<Self, Status> {
        let folder = TempDir::new().map_err(|error| Status::internal(error.to_string()))?;
        let shard = forms::shard(folder.path(), dimension)?;
        Ok(Self { dimension, shard: RwLock::new(shard), _folder: folder })
    }

    fn read<T>(&self, work: impl FnOnce(&EdgeShard) -> Result<T, Status>) -> Result<T, Status> {
        work(&self.shard.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, work: impl FnOnce(&EdgeShard) -> Result<T, Status>) -> Result<T, Status> {
        work(&self.shard.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tonic::async_trait]
impl Qdrant for Store {
    async fn health_check(&self, _: Request<api::HealthCheckRequest>) -> Result<Response<api::HealthCheckReply>, Status> {
        Ok(Response::new(api::HealthCheckReply { title: "stand-in".to_owned(), version: "1.16.0-stand-in".to_owned(), commit: None }))
    }
}

/// The methods of a service that the stand-in does not know.
macro_rules! unknown {
    ($($method:ident($request:ident) -> $response:ident,)*) => {
        $(fn $method<'a, 'b>(
            &'a self,
            _: tonic::Request<api::$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<tonic::Response<api::$response>, tonic::Status>> + Send + 'b>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(tonic::Status::unimplemented(concat!("the stand-in does not know ", stringify!($method)))) })
        })*
    };
}
use unknown;

fn open(folder: &Path, config: qdrant_edge::EdgeConfig) -> Result<EdgeShard, Status> {
    EdgeShard::new(folder, config).map_err(|error| Status::internal(error.to_string()))
}
