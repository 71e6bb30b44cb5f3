//! `specwave rebuild`: graph, vectors and cache anew from the facts, while runs go on.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::failure::UNFINISHED;
use super::output::say;
use super::{Global, output};
use crate::app::App;
use crate::pipeline::validate::counted;
use crate::store::graph::Graph;
use crate::store::projection::Projection;

/// How long another process may go on writing to a projection before this one has its turn.
const TURN_WITHIN: Duration = Duration::from_mins(1);

/// Build a store that follows the facts anew.
#[derive(Debug, clap::Args)]
pub struct RebuildArgs {
    /// Which one
    store: Store,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What can be built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Store {
    /// Plans and how their units stand
    Graph,
    /// The vectors of patterns, from those kept in PostgreSQL; nothing is embedded again
    Vectors,
    /// Assembled contexts: all are dropped, and made again when they are needed
    Cache,
    /// Each of them
    All,
}

/// What became of one store.
#[derive(Debug, Serialize)]
struct Built {
    store: &'static str,
    mode: &'static str,
    /// Plans, patterns, or entries that were dropped; none where nothing is kept.
    aggregates: Option<u64>,
    seconds: f64,
    detail: String,
    /// False when it could not be done here and has to be done elsewhere.
    done: bool,
}

/// Runs the command.
pub async fn run(args: RebuildArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let app = App::open(Arc::new(global.config(Vec::new())?)).await?;
    let built = Box::pin(rebuild(&app, args.store)).await;
    app.close().await;
    let built = built?;
    if args.json {
        output::print_json(&built)?;
    } else {
        for line in &built {
            say!("{:<8} {:<11} {} ({:.1} s)", line.store, line.mode, line.detail, line.seconds);
        }
    }
    Ok(if built.iter().all(|store| store.done) { ExitCode::SUCCESS } else { ExitCode::from(UNFINISHED) })
}

async fn rebuild(app: &App, store: Store) -> anyhow::Result<Vec<Built>> {
    let mut built = Vec::new();
    if matches!(store, Store::Graph | Store::All) {
        built.push(graph(app).await?);
    }
    if matches!(store, Store::Vectors | Store::All) {
        built.push(vectors(app).await?);
    }
    if matches!(store, Store::Cache | Store::All) {
        built.push(cache(app).await?);
    }
    Ok(built)
}

async fn graph(app: &App) -> anyhow::Result<Built> {
    let (store, mode) = ("graph", app.graph.mode());
    if matches!(app.graph, Graph::Embedded(_)) {
        let detail = "nothing is kept: each process makes its graphs from the plans".to_owned();
        return Ok(Built { store, mode, aggregates: None, seconds: 0.0, detail, done: true });
    }
    let started = Instant::now();
    let rebuilt = app.projections().rebuild(Projection::Graph, TURN_WITHIN).await?;
    let detail = format!("{}, {} nodes and dependencies", counted(rebuilt.aggregates, "plan"), rebuilt.items);
    Ok(Built { store, mode, aggregates: Some(rebuilt.aggregates as u64), seconds: started.elapsed().as_secs_f64(), detail, done: true })
}

async fn vectors(app: &App) -> anyhow::Result<Built> {
    let (store, mode) = ("vectors", app.vectors_status.mode);
    if mode == "exact" {
        let detail = format!("not built: {}", app.vectors_status.reason);
        return Ok(Built { store, mode, aggregates: None, seconds: 0.0, detail, done: false });
    }
    let started = Instant::now();
    let rebuilt = app.projections().rebuild(Projection::Vectors, TURN_WITHIN).await?;
    // What the present embedder has never seen is embedded here, and only that.
    app.memory().catch_up().await?;
    app.vectors.optimize().await?;
    let detail = counted(rebuilt.aggregates, "pattern");
    Ok(Built { store, mode, aggregates: Some(rebuilt.aggregates as u64), seconds: started.elapsed().as_secs_f64(), detail, done: true })
}

async fn cache(app: &App) -> anyhow::Result<Built> {
    let (store, mode) = ("cache", app.cache.mode());
    let started = Instant::now();
    let dropped = app.cache.clear().await?;
    let detail = format!("{} dropped", counted(usize::try_from(dropped).unwrap_or(usize::MAX), "context"));
    Ok(Built { store, mode, aggregates: Some(dropped), seconds: started.elapsed().as_secs_f64(), detail, done: true })
}
