//! Every handle that several commands share, made once from the settings; the only place that wires.

use std::sync::Arc;

use crate::config::Config;
use crate::embed::{self, Embedder};
use crate::store::postgres::{Postgres, PostgresConfig, StoreError};
use crate::store::vectors::{self, Generation, Vectors};

/// Connections beside those of the units: the run's driver, heartbeats, the writer of results, progress.
const CONNECTIONS_BESIDE_UNITS: u32 = 8;

/// The handles.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// The facts.
    pub postgres: Postgres,
    /// Text to vector.
    pub embedder: Arc<dyn Embedder>,
    /// Which embedder that is and why.
    pub embedder_status: embed::Status,
    /// The nearest patterns.
    pub vectors: Vectors,
    /// Which vector store that is and why.
    pub vectors_status: vectors::Status,
}

impl App {
    /// Connects to every store; starts the managed PostgreSQL and applies migrations where that is needed.
    pub async fn open(config: Arc<Config>) -> anyhow::Result<Self> {
        let postgres = connect(&config).await?;
        let (embedder, embedder_status) = embed::open(&embed::Settings::of(&config)).await?;
        let generation = Generation { model_id: embedder_status.model_id.clone(), dimension: embedder_status.dimension };
        let (vectors, vectors_status) = Vectors::open(&config.data_dir.join("vectors"), &generation).await;
        Ok(Self { config, postgres, embedder, embedder_status, vectors, vectors_status })
    }

    /// Leaves the stores: the last process to leave the managed PostgreSQL stops it.
    pub async fn close(self) {
        if let Err(error) = self.postgres.close().await {
            tracing::warn!(%error, "the managed PostgreSQL could not be left in order; the next call adopts it");
        }
    }
}

/// Connects to PostgreSQL alone, for commands that need no other store.
pub async fn connect(config: &Config) -> Result<Postgres, StoreError> {
    let connections = u32::try_from(config.concurrency).unwrap_or(u32::MAX).saturating_add(CONNECTIONS_BESIDE_UNITS);
    let settings = PostgresConfig {
        url: config.database_url.as_ref().map(|url| url.expose().to_owned()),
        data_dir: config.data_dir.clone(),
        offline: config.offline,
        connections_max: connections,
    };
    Postgres::connect(&settings).await
}
