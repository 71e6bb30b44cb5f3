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
use std::sync::Arc;
use std::time::Duration;

use measure::Table;
use specwave::app::App;
use specwave::config::Config;
use specwave::learning::Query;
use specwave::model::{OrganizationId, Pattern, PatternId, PatternKind, RunId};
use specwave::store::breaker::Thresholds;
use specwave::store::cache::{Cache, Key};
use specwave::store::postgres::patterns;
use specwave::store::vectors::{Collection, Filter, Generation, Point, Search, Vectors};
use uuid::Uuid;

/// Numbers in a vector: those of the neural embedder that `scripts/prepare-embedder` fetches.
const DIMENSION: usize = 384;
const ROUNDS: usize = 200;
const HITS: usize = 10;
/// Bytes of a standard context.
const CONTEXT_BYTES: usize = 8 * 1024;
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
    searches(&mut table, &config, &sizes).await;
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
    }
    app.close().await;
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
