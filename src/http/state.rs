//! What every handler shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::cursor::CursorKey;
use super::error::ApiError;
use super::events::Streams;
use super::metrics::Recorded;
use crate::app::App;
use crate::engine::Engine;
use crate::model::OrganizationId;
use crate::store::postgres::{StoreError, TenantTx};

/// How long a request waits for a connection to PostgreSQL before it says that there is none.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(8);
/// Documents that are parsed and planned at once: each takes a whole core.
const PARSERS_MAX: usize = 2;

/// The shared handles; cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// Every store and setting.
    pub app: App,
    /// The engine of this process.
    pub engine: Engine,
    /// What cursors are signed with.
    pub cursors: CursorKey,
    /// Below it runs get their output directories.
    pub output_root: Arc<PathBuf>,
    /// The places for event streams.
    pub streams: Streams,
    /// What is recorded for Prometheus.
    pub recorded: Recorded,
    /// Cancelled when the server is to end.
    pub stop: CancellationToken,
    parsers: Arc<Semaphore>,
}

/// Why the interface cannot be served.
#[derive(Debug, Error)]
pub enum StartError {
    /// PostgreSQL.
    #[error("the signing key of cursors cannot be read")]
    Store(#[from] StoreError),
    /// The directory of outputs.
    #[error("cannot use {path} for what runs deliver")]
    OutputRoot {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Api {
    /// Reads what all processes of the installation share, and makes the directory of outputs.
    pub async fn new(app: App, engine: Engine, recorded: Recorded, stop: CancellationToken) -> Result<Self, StartError> {
        let cursors = CursorKey::new(app.postgres.signing_key("cursor").await?);
        let root = app.config.http.output_root.clone();
        let refused = |source| StartError::OutputRoot { path: root.clone(), source };
        std::fs::create_dir_all(&root).map_err(refused)?;
        let output_root = Arc::new(root.canonicalize().map_err(refused)?);
        let (streams, parsers) = (Streams::default(), Arc::new(Semaphore::new(PARSERS_MAX)));
        Ok(Self { app, engine, cursors, output_root, streams, recorded, stop, parsers })
    }

    /// The organization whose rows are shown: that of an installation without accounts.
    pub fn organization(&self) -> OrganizationId {
        self.app.actor.organization
    }

    /// Begins a transaction; 503 when no connection can be had soon.
    pub async fn begin(&self) -> Result<TenantTx, ApiError> {
        match tokio::time::timeout(BEGIN_TIMEOUT, self.app.postgres.tenant(self.organization())).await {
            Ok(begun) => Ok(begun?),
            Err(_) => Err(ApiError::Unavailable { detail: "the database gives no connection".to_owned(), retry: BEGIN_TIMEOUT }),
        }
    }

    /// Runs what parses or plans on a thread that may block, at most so many at once.
    pub async fn parse<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let _permit = self.parsers.acquire().await.map_err(|error| ApiError::internal(&error))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(&error))
    }
}
