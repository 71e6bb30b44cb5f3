//! Pattern search among so many patterns as the arguments say (default 1,000), and contexts out of the cache.
//!
//! `cargo bench --bench patterns -- 1000 10000 100000`. It keeps its rows in a PostgreSQL of its own below the data directory.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "../measure/mod.rs"]
mod measure;
#[path = "../../tests/standin/mod.rs"]
mod standin;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use measure::Table;
use specwave::app::App;
use specwave::config::Config;
use specwave::learning::Query;
use specwave::model::{OrganizationId, Pattern, PatternId, PatternKind, RunId};
use specwave::runner::preview::{self, Handles};
use specwave::store::breaker::Thresholds;
use specwave::store::cache::{Cache, Key};
use specwave::store::postgres::{patterns, plans, runs};
use specwave::store::vectors::{Collection, Filter, Generation, Point, Search, Vectors};
use uuid::Uuid;

/// Numbers in a vector: those of the neural embedder that `scripts/prepare-embedder` fetches.
const DIMENSION: usize = 384;
const ROUNDS: usize = 200;
const HITS: usize = 10;
/// Most patterns whose texts are really embedded: each takes some milliseconds, once.
const EMBEDDED_MAX: usize = 10_000;
/// Bytes of a standard context.
const CONTEXT_BYTES: usize = 8 * 1024;
/// A run with a unit that waits for somebody, who would be told a context.
const SPEC: &str = "# Shortener\n\nThe service must shorten addresses.\n\n# Logical Dependency Chain\n\n1. Storage module.\n\
2. Code generation.\n3. Endpoint that shortens (depends on 1 & 2).\n";
/// Never open: a failure is to end the benchmark, not to be measured.
const THRESHOLDS: Thresholds = Thresholds { failures: u32::MAX, open: Duration::ZERO };

#[tokio::main]
async fn main() {
    let mut sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes.push(1_000);
    }
    sizes.sort_unstable();
    let config = Config::load(&[]).unwrap();
    let mut table = Table::new("patterns");
    for size in &sizes {
        engines(&mut table, *size).await;
    }
    let embedded: Vec<usize> = sizes.iter().copied().filter(|size| *size <= EMBEDDED_MAX).collect();
    searches(&mut table, &config, &embedded).await;
    contexts(&mut table, &config).await;
    table.note(format!("Vectors of {DIMENSION} random numbers, {HITS} hits, the tenant's own points only. The stand-in is the engine in process behind gRPC: no time of it is a Qdrant server's."));
    table.write();
}

fn random() -> Vec<f32> {
    (0..DIMENSION).map(|_| fastrand::f32() - 0.5).collect()
}

async fn engines(table: &mut Table, size: usize) {
    let (tenant, directory, server) = (OrganizationId::new(), tempfile::tempdir().unwrap(), standin::StandIn::start(None));
    let generation = Generation { model_id: "bench".to_owned(), dimension: DIMENSION };
    let (edge, status) = Vectors::open(directory.path(), &generation).await;
    assert_eq!(status.mode, "qdrant-edge", "{status:?}");
    let settings = Config::load(&[("vectors.url", format!("http://{}", server.address()).into())]).unwrap().vectors.unwrap();
    let (client, _) = Vectors::server(&settings, &generation, THRESHOLDS).unwrap();
    let point = |_| Point { id: Uuid::now_v7(), tenant, version: 1, vector: random(), fields: BTreeMap::new() };
    let points: Vec<Point> = (0..size).map(point).collect();
    edge.upsert(Collection::CodePatterns, points.clone()).await.unwrap();
    client.upsert(Collection::CodePatterns, points).await.unwrap();
    search(table, &format!("{size} patterns, engine in process, no index"), &edge, tenant, "").await;
    edge.optimize().await.unwrap();
    search(table, &format!("{size} patterns, engine in process, index built"), &edge, tenant, "").await;
    search(table, &format!("{size} patterns, client over gRPC, no index"), &client, tenant, "stand-in server").await;
}

async fn search(table: &mut Table, what: &str, vectors: &Vectors, tenant: OrganizationId, remark: &str) {
    let ask = |_| async {
        let search = Search { vector: random(), filter: Filter::of(tenant), threshold: None, limit: HITS };
        assert_eq!(vectors.search(Collection::CodePatterns, search).await.unwrap().len(), HITS);
    };
    table.measure(what, ROUNDS, remark, ask).await;
}

/// What a user waits for: the question's vector, the nearest patterns, their rows.
async fn searches(table: &mut Table, config: &Config, sizes: &[usize]) {
    let own = config.data_dir.join("bench-patterns");
    let run = planned(&own);
    let flags = [("data_dir", own.to_string_lossy().into_owned().into()), ("database_url", "".into()), ("vectors.url", "".into())];
    let app = App::open(Arc::new(Config::load(&flags).unwrap())).await.unwrap();
    let memory = app.memory();
    let mut tx = app.postgres.tenant(app.actor.organization).await.unwrap();
    let mut there = usize::try_from(patterns::count(&mut tx).await.unwrap()).unwrap();
    tx.commit().await.unwrap();
    let embed = |round| {
        let embedder = Arc::clone(&app.embedder);
        async move { drop(embedder.embed(vec![format!("list endpoint with filter number {round}")]).await.unwrap()) }
    };
    table.measure("the vector of one question", ROUNDS, app.embedder.name(), embed).await;
    for size in sizes {
        let missing: Vec<Pattern> = (there..*size).map(pattern).collect();
        memory.learn(&missing).await.unwrap();
        there = there.max(*size);
        let ask = |round| {
            let memory = memory.clone();
            async move { assert_eq!(memory.search(&Query::of(format!("list endpoint number {round}"))).await.unwrap().len(), HITS) }
        };
        table.measure(format!("{there} patterns, `patterns search` within one process"), ROUNDS, app.vectors_status.mode, ask).await;
        assembled(table, &app, run, there).await;
    }
    app.close().await;
}

/// What an agent would be told about a unit: the plan is read, similar work looked up, the parts are put together or found in the cache.
async fn assembled(table: &mut Table, app: &App, run: RunId, there: usize) {
    let organization = app.actor.organization;
    let plan = {
        let mut tx = app.postgres.tenant(organization).await.unwrap();
        let row = runs::find(&mut tx, run).await.unwrap().unwrap();
        plans::load(&mut tx, row.plan.unwrap()).await.unwrap().unwrap()
    };
    let unit = plan.units().next().unwrap().key.clone();
    for (what, cold) in [("made anew", true), ("out of the cache", false)] {
        let make = |_| {
            let (app, unit) = (app.clone(), unit.clone());
            async move {
                if cold {
                    app.cache.clear().await.unwrap();
                }
                let handles = Handles { organization, postgres: app.postgres.clone(), cache: app.cache.clone(), memory: app.memory() };
                let made = preview::of_unit(&handles, run, &unit, None).await.unwrap();
                assert!(made.without_similar.is_none() && !made.context.text.is_empty());
            }
        };
        let remark = format!("with the vector of its question; cache {}", app.cache.mode());
        table.measure(format!("{there} patterns, the context of a unit {what}"), ROUNDS, &remark, make).await;
    }
}

/// The id of a run below that data directory whose units wait.
fn planned(data_dir: &Path) -> RunId {
    let scratch = tempfile::tempdir().unwrap();
    let (spec, out) = (scratch.path().join("shortener.md"), scratch.path().join("out"));
    std::fs::write(&spec, SPEC).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_specwave"));
    command.args(["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"]).env("SPECWAVE_DATA_DIR", data_dir);
    let output = command.env_remove("DATABASE_URL").env_remove("QDRANT_URL").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    report["run"].as_str().unwrap().parse().unwrap()
}

fn pattern(number: usize) -> Pattern {
    let text = format!("Paginated list endpoint number {number} with filter: GET /things-{number}");
    Pattern {
        id: PatternId(Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())),
        kind: PatternKind::Code,
        title: text.clone(),
        text,
        code: "def list_things(): ...".to_owned(),
        language: "python".to_owned(),
        framework: "FastAPI".to_owned(),
        unit_type: "api".to_owned(),
        spec_type: "markdown".to_owned(),
        success: true,
        run: RunId(Uuid::from_u128(1)),
        unit_key: "router/things".to_owned(),
        evidence: vec!["probe".to_owned()],
    }
}

async fn contexts(table: &mut Table, config: &Config) {
    cached(table, "a context of 8 KB out of the cache, in process", &Cache::embedded()).await;
    match &config.cache_url {
        Some(url) => {
            let cache = Cache::redis(url.expose(), "bench-patterns", THRESHOLDS).unwrap();
            cached(table, "a context of 8 KB out of the cache, Redis", &cache).await;
            assert_eq!(cache.breaker().unwrap().outages(), [], "every answer was the server's");
            cache.clear().await.unwrap();
        }
        None => table.note("No Redis was configured: REDIS_URL is not set."),
    }
}

async fn cached(table: &mut Table, what: &str, cache: &Cache) {
    let key = Key { tenant: OrganizationId::new(), task: "api/bench".to_owned(), level: "standard", content_version: "1".to_owned() };
    let get = |_| {
        let key = key.clone();
        async move {
            let made = cache.get_or_make(key, async { Ok::<_, Infallible>(vec![b'x'; CONTEXT_BYTES]) }).await;
            assert_eq!(made.unwrap().len(), CONTEXT_BYTES);
        }
    };
    table.measure(what, ROUNDS, "", get).await;
    assert_eq!(cache.stats().misses, 1, "made once, found ever after");
}
