//! Every handle that several commands share, made once from the settings; the only place that wires.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::agents::{Agent, GeneratorAgent, Roster, profile};
use crate::config::{Config, SchedulingSettings};
use crate::embed::{self, Embedder};
use crate::engine::{Engine, EngineOptions, RetryPolicy, RunGuard};
use crate::generate::TargetPack;
use crate::learning::{Follower, Memory};
use crate::model::Actor;
use crate::pipeline::run::{RunOptions, Submission};
use crate::pipeline::{Commands, Events, Run};
use crate::runner::queue::Prepare;
use crate::store::breaker::Thresholds;
use crate::store::cache::{Cache, CacheError};
use crate::store::graph::Graph;
use crate::store::postgres::{Postgres, PostgresConfig, StoreError, runs, specs};
use crate::store::projection::Projections;
use crate::store::vectors::{self, Generation, Vectors, VectorsError};

/// Connections beside those of the units: the run's driver, heartbeats, the writer of results, progress.
const CONNECTIONS_BESIDE_UNITS: u32 = 8;

/// The handles.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// On whose behalf commands act.
    pub actor: Actor,
    /// The facts.
    pub postgres: Postgres,
    /// The graphs of plans.
    pub graph: Graph,
    /// Assembled contexts.
    pub cache: Cache,
    /// Text to vector.
    pub embedder: Arc<dyn Embedder>,
    /// Which embedder that is and why.
    pub embedder_status: embed::Status,
    /// The nearest patterns.
    pub vectors: Vectors,
    /// Which vector store that is and why.
    pub vectors_status: vectors::Status,
    /// How far the vectors have followed the rows.
    pub follower: Follower,
}

impl App {
    /// Connects to every store; starts the managed PostgreSQL and applies migrations where that is needed.
    pub async fn open(config: Arc<Config>) -> anyhow::Result<Self> {
        Self::open_for(config, 1).await
    }

    /// The same for a process that drives so many runs at once.
    pub async fn open_for(config: Arc<Config>, runs: usize) -> anyhow::Result<Self> {
        let postgres = connect_for(&config, runs).await?;
        let (embedder, embedder_status) = match embed::open(&embed::Settings::of(&config)).await {
            Ok(opened) => opened,
            Err(missing) => {
                leave(&postgres).await;
                return Err(missing.into());
            }
        };
        let generation = Generation { model_id: embedder_status.model_id.clone(), dimension: embedder_status.dimension };
        let opened = async {
            let cache = open_cache(&config, &postgres)?;
            let (vectors, vectors_status) = open_vectors(&config, &generation).await?;
            let graph = Graph::connect(config.graph.as_ref(), postgres.installation(), thresholds(&config)).await?;
            Ok::<_, anyhow::Error>((cache, vectors, vectors_status, graph))
        };
        let (cache, vectors, vectors_status, graph) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                leave(&postgres).await;
                return Err(error);
            }
        };
        let actor = Actor::local(&config.user);
        Ok(Self {
            config,
            actor,
            postgres,
            graph,
            cache,
            embedder,
            embedder_status,
            vectors,
            vectors_status,
            follower: Follower::default(),
        })
    }

    /// The engine of this process, as the settings have it.
    pub fn engine(&self) -> Engine {
        Engine::new(self.postgres.clone(), engine_options(&self.config.scheduling))
    }

    /// What was learned, and the way to it.
    pub fn memory(&self) -> Memory {
        Memory {
            tenant: self.actor.organization,
            postgres: self.postgres.clone(),
            embedder: Arc::clone(&self.embedder),
            vectors: self.vectors.clone(),
            follower: self.follower.clone(),
            half_life: self.config.agents.pattern_half_life,
        }
    }

    /// What follows the facts.
    pub fn projections(&self) -> Projections {
        Projections::new(self.postgres.clone(), self.graph.clone(), self.vectors.clone(), self.embedder.model_id())
    }

    /// A run that this process has the right to drive, with everything that its phases use.
    pub async fn run(&self, engine: Engine, guard: RunGuard, events: Events, stop: CancellationToken) -> anyhow::Result<Run> {
        let submission = Arc::new(self.submission(&guard).await?);
        let pack = Arc::new(TargetPack::load(&submission.target)?);
        let generator: Arc<dyn Agent> = Arc::new(GeneratorAgent::new(Arc::clone(&pack)));
        let roster = Arc::new(self.roster(submission.options.agent.as_deref()).await?);
        let worker = engine.worker();
        Ok(Run {
            id: guard.run,
            organization: guard.organization,
            actor: self.actor.clone(),
            guard,
            submission,
            config: Arc::clone(&self.config),
            postgres: self.postgres.clone(),
            engine,
            graph: self.graph.clone(),
            cache: self.cache.clone(),
            memory: self.memory(),
            embedder: self.embedder_status.clone(),
            pack: Some(pack),
            generator: Some(generator),
            roster,
            events,
            commands: Commands::of(&self.postgres, &guard, worker),
            stop,
            told: Arc::default(),
            begun: Arc::default(),
            tools: Arc::new(OnceCell::new()),
            repository: Arc::new(OnceCell::new()),
        })
    }

    /// The same for a worker, which finds the runs itself.
    pub fn prepare(&self, engine: &Engine) -> Prepare {
        let (app, engine) = (self.clone(), engine.clone());
        Arc::new(move |guard, events, stop| {
            let (app, engine) = (app.clone(), engine.clone());
            Box::pin(async move { app.run(engine, guard, events, stop).await })
        })
    }

    /// Everybody who can be sent to a unit, and who is sent by default.
    pub async fn roster(&self, default: Option<&str>) -> anyhow::Result<Roster> {
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        let profiles = profile::registered(&mut tx).await?;
        tx.commit().await?;
        Ok(Roster::new(profiles, &self.config.agents, default, self.config.unit_timeout))
    }

    async fn submission(&self, guard: &RunGuard) -> anyhow::Result<Submission> {
        let mut tx = self.postgres.tenant(guard.organization).await?;
        let row = runs::find(&mut tx, guard.run).await?.ok_or_else(|| anyhow::anyhow!("run {} is gone", guard.run))?;
        let content = specs::content(&mut tx, row.spec, row.spec_version).await?;
        let (content, source_name) = content.ok_or_else(|| anyhow::anyhow!("version {} of {} is gone", row.spec_version, row.slug))?;
        let options: RunOptions = serde_json::from_value(row.options)?;
        Ok(Submission {
            spec: row.spec,
            slug: row.slug,
            version: row.spec_version,
            content,
            source_name,
            target: row.target,
            out: options.delivers().then(|| PathBuf::from(row.output_dir)),
            options,
        })
    }

    /// Leaves the stores: the last process to leave the managed PostgreSQL stops it.
    pub async fn close(self) {
        leave(&self.postgres).await;
    }
}

async fn leave(postgres: &Postgres) {
    if let Err(error) = postgres.close().await {
        tracing::warn!(%error, "the managed PostgreSQL could not be left in order; the next call adopts it");
    }
}

/// The cache that the settings name; a server is asked only when something is looked up.
fn open_cache(config: &Config, postgres: &Postgres) -> Result<Cache, CacheError> {
    match &config.cache_url {
        None => Ok(Cache::embedded()),
        Some(url) => Cache::redis(url.expose(), postgres.installation(), thresholds(config)),
    }
}

/// The vector store that the settings name; a server is asked only when something is looked up.
pub async fn open_vectors(config: &Config, generation: &Generation) -> Result<(Vectors, vectors::Status), VectorsError> {
    match &config.vectors {
        None => Ok(Vectors::open(&config.data_dir.join("vectors"), generation).await),
        Some(server) => Vectors::server(server, generation, thresholds(config)),
    }
}

/// How the engine behaves, from the settings.
pub fn engine_options(settings: &SchedulingSettings) -> EngineOptions {
    let SchedulingSettings { strategy, limits, attempts_max, backoff, retry_base, retry_cap, escalation, budgets, lease, stuck_after } =
        settings;
    EngineOptions {
        lease: *lease,
        retry: RetryPolicy {
            attempts_max: *attempts_max,
            backoff: *backoff,
            base: *retry_base,
            cap: *retry_cap,
            escalation: escalation.clone(),
        },
        strategy: *strategy,
        limits: limits.clone(),
        budgets: budgets.clone(),
        stuck_after: *stuck_after,
    }
}

/// When the circuit to a store opens, and for how long.
pub fn thresholds(config: &Config) -> Thresholds {
    Thresholds { failures: config.breaker.failures, open: config.breaker.open }
}

/// Connects to PostgreSQL alone, for commands that need no other store.
pub async fn connect(config: &Config) -> Result<Postgres, StoreError> {
    connect_for(config, 1).await
}

/// Connections are held for single statements, so one for each unit is plenty; a server of several runs answers requests beside them.
async fn connect_for(config: &Config, runs: usize) -> Result<Postgres, StoreError> {
    let units = u32::try_from(config.concurrency.max(runs.saturating_mul(2))).unwrap_or(u32::MAX);
    let connections = units.saturating_add(CONNECTIONS_BESIDE_UNITS);
    let settings = PostgresConfig {
        url: config.database_url.as_ref().map(|url| url.expose().to_owned()),
        data_dir: config.data_dir.clone(),
        offline: config.offline,
        connections_max: connections,
    };
    Postgres::connect(&settings).await
}
