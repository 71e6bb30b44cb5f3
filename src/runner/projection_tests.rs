//! Graph and vectors on servers, behind an engine at work: whatever is delivered, and how often, in the end they say what the tables say.
#![cfg(feature = "qdrant-edge")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::*;
use crate::config::VectorsServer;
use crate::engine::testing::{Bench, ORGANIZATION, plan};
use crate::model::{Pattern, PatternId, PatternKind, PlanId};
use crate::store::breaker::Thresholds;
use crate::store::graph::{Graph, PlanKey};
use crate::store::postgres::outbox::{self, OutboxRow, Read};
use crate::store::postgres::{patterns, projected};
use crate::store::projection::relay::Rebuilt;
use crate::store::projection::verify::{Repair, Verified};
use crate::store::vectors::{Collection, Generation, StandIn, Vectors};

const WITHIN: Duration = Duration::from_mins(1);
const MODEL: &str = "test";
/// Never open: a test looks at each failure itself.
const THRESHOLDS: Thresholds = Thresholds { failures: u32::MAX, open: Duration::ZERO };
/// A diamond behind a gate, and something beside it.
const UNITS: [(&str, u32); 6] = [("a", 1), ("b", 2), ("c", 1), ("gate", 0), ("d", 3), ("beside", 1)];
const WAITS: [(&str, &str); 5] = [("b", "a"), ("c", "a"), ("gate", "b"), ("gate", "c"), ("d", "gate")];

struct Following {
    bench: Bench,
    projections: Projections,
    graph: Graph,
    vectors: Vectors,
    plan: PlanKey,
    _server: StandIn,
}

impl Following {
    /// An engine that drives a run of that plan, on stores that have nothing yet.
    async fn new() -> Option<Self> {
        let settings = crate::store::graph::testing::settings()?;
        let bench = Bench::new(&plan(&UNITS, &WAITS)).await;
        let postgres = bench.engine.store().clone();
        let graph = Graph::connect(Some(&settings), postgres.installation(), THRESHOLDS).await.unwrap();
        let server = StandIn::start(None);
        let settings = VectorsServer { url: format!("http://{}", server.address()), api_key: None };
        let generation = Generation { model_id: MODEL.to_owned(), dimension: 2 };
        let (vectors, _) = Vectors::server(&settings, &generation, THRESHOLDS).unwrap();
        let mut tx = postgres.tenant(ORGANIZATION).await.unwrap();
        let plans = projected::plans(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let plan = PlanKey { tenant: ORGANIZATION, plan: plans[0] };
        let projections = Projections::new(postgres, graph.clone(), vectors.clone(), MODEL.to_owned());
        assert_eq!(projections.followed(), Projection::ALL);
        Some(Self { bench, projections, graph, vectors, plan, _server: server })
    }

    /// Performs every unit that is ready.
    async fn perform_ready(&self) -> usize {
        let claimed = self.bench.claim(10).await;
        for unit in &claimed {
            self.bench.succeed(unit).await;
        }
        claimed.len()
    }

    async fn learn(&self, number: u128, vector: &[f32]) {
        let pattern = Pattern {
            id: PatternId(Uuid::from_u128(number)),
            kind: PatternKind::Code,
            title: number.to_string(),
            text: "paginated list".to_owned(),
            code: "def list(): ...".to_owned(),
            language: "python".to_owned(),
            framework: "fastapi".to_owned(),
            unit_type: "api".to_owned(),
            spec_type: "markdown".to_owned(),
            success: true,
            run: self.bench.run,
            unit_key: "a".to_owned(),
            evidence: Vec::new(),
        };
        let mut tx = self.bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        patterns::store(&mut tx, &pattern, MODEL, vector).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn forget(&self, number: u128) {
        let mut tx = self.bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        assert!(patterns::delete(&mut tx, PatternId(Uuid::from_u128(number))).await.unwrap());
        tx.commit().await.unwrap();
    }

    /// Until nothing is behind: another test's open transaction holds the horizon back, which is the cluster's.
    async fn until_up_to_date(&self) {
        for projection in Projection::ALL {
            let all = async {
                loop {
                    assert!(self.projections.catch_up(projection, WITHIN).await.unwrap());
                    if self.projections.lag(projection).await.unwrap().rows == 0 {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(WITHIN, all).await.unwrap();
        }
    }

    async fn verify(&self, projection: Projection, repair: Repair) -> Verified {
        self.projections.verify(projection, repair).await.unwrap()
    }

    async fn is_clean(&self) {
        for projection in Projection::ALL {
            assert_eq!(self.verify(projection, Repair::No).await.differences, []);
        }
    }

    /// Every change that the outbox has for a projection, as often as it is asked for.
    async fn changes(&self, aggregates: &[&str]) -> Vec<OutboxRow> {
        let mut tx = self.bench.engine.store().system().await.unwrap();
        let mut from = outbox::position(&mut tx).await.unwrap();
        from.rewind();
        outbox::restart(&mut tx, "observer", &from, 1).await.unwrap();
        let Read::Rows(rows) = outbox::read(&mut tx, "observer", aggregates, 10_000).await.unwrap() else { panic!("it was begun") };
        tx.commit().await.unwrap();
        rows
    }

    /// How the units stand according to the graph.
    async fn states(&self) -> Vec<String> {
        let contents = self.graph.contents(self.plan).await.unwrap();
        let state = |unit: Option<(crate::model::UnitState, _, _)>| unit.map_or("none", |(state, _, _)| state.as_str());
        contents.tasks.iter().filter(|(_, task)| task.role == "unit").map(|(key, task)| format!("{key}:{}", state(task.unit))).collect()
    }
}

#[tokio::test]
async fn what_happens_arrives() {
    let Some(following) = Following::new().await else { return };
    following.learn(1, &[1.0, 0.0]).await;
    following.until_up_to_date().await;
    assert_eq!(following.states().await, ["a:pending", "b:pending", "beside:pending", "c:pending", "d:pending"]);
    assert_eq!(following.graph.waves(following.plan).await.unwrap().len(), 3, "the gate adds none");
    following.is_clean().await;

    assert_eq!(following.perform_ready().await, 2);
    following.learn(2, &[0.0, 1.0]).await;
    following.forget(1).await;
    following.until_up_to_date().await;
    assert_eq!(following.states().await, ["a:succeeded", "b:pending", "beside:succeeded", "c:pending", "d:pending"]);
    let held = following.vectors.versions(Collection::CodePatterns, ORGANIZATION).await.unwrap();
    assert_eq!(held.into_keys().collect::<Vec<_>>(), [Uuid::from_u128(2)], "what was deleted is gone");
    let load = following.graph.agent_workload(ORGANIZATION).await.unwrap();
    assert_eq!(load.iter().map(|agent| (agent.agent.as_str(), agent.assigned)).collect::<Vec<_>>(), [("test", 2)]);
    following.is_clean().await;
}

#[tokio::test]
async fn deliveries_that_are_late_doubled_and_out_of_order_change_nothing() {
    let Some(following) = Following::new().await else { return };
    following.learn(1, &[1.0, 0.0]).await;
    while following.perform_ready().await > 0 {}
    following.learn(1, &[0.0, 1.0]).await;
    following.forget(1).await;
    following.learn(1, &[1.0, 1.0]).await;
    following.learn(2, &[1.0, 1.0]).await;
    following.until_up_to_date().await;
    for (projection, aggregates) in [(Projection::Graph, &["plan", "run", "unit"][..]), (Projection::Vectors, &["pattern"][..])] {
        let mut changes = following.changes(aggregates).await;
        assert!(changes.len() > 4, "{changes:?}");
        for round in 0..5 {
            fastrand::Rng::with_seed(round).shuffle(&mut changes);
            for batch in changes.chunks(3) {
                following.projections.take_in(projection, batch).await.unwrap();
                following.projections.take_in(projection, batch).await.unwrap();
            }
        }
    }
    following.is_clean().await;
}

#[tokio::test]
async fn deliveries_that_are_lost_are_found_named_and_mended() {
    let Some(following) = Following::new().await else { return };
    following.learn(1, &[1.0, 0.0]).await;
    following.until_up_to_date().await;
    following.perform_ready().await;
    following.learn(2, &[0.0, 1.0]).await;
    let mut tx = following.bench.engine.store().system().await.unwrap();
    assert!(outbox::lose(&mut tx).await.unwrap() > 0);
    tx.commit().await.unwrap();
    following.until_up_to_date().await;

    let found = following.verify(Projection::Graph, Repair::No).await;
    let [difference] = &found.differences[..] else { panic!("{found:?}") };
    assert_eq!((found.aggregates, difference.mended), (1, false));
    assert!(difference.aggregate.contains(&following.plan.plan.to_string()), "{difference:?}");
    assert!(difference.detail.contains("task a is unit") && difference.detail.contains("should be"), "{difference:?}");
    let found = following.verify(Projection::Vectors, Repair::No).await;
    let [difference] = &found.differences[..] else { panic!("{found:?}") };
    assert!(difference.aggregate.starts_with("code_patterns"), "{difference:?}");
    assert_eq!(difference.detail, format!("lacks pattern {}", Uuid::from_u128(2)));

    for projection in Projection::ALL {
        let mended = following.verify(projection, Repair::Yes).await;
        assert!(mended.differences.len() == 1 && mended.differences[0].mended, "{mended:?}");
    }
    following.is_clean().await;
}

#[tokio::test]
async fn whatever_is_wrong_in_a_store_is_mended() {
    let Some(following) = Following::new().await else { return };
    following.learn(1, &[1.0, 0.0]).await;
    following.until_up_to_date().await;
    // A plan that no table has, one that the store lost, a point without a row, a row without a point.
    let unknown = PlanKey { tenant: ORGANIZATION, plan: PlanId::new() };
    following.graph.load(unknown, &crate::store::graph::PlanGraph::default()).await.unwrap();
    following.graph.remove(following.plan).await.unwrap();
    following.vectors.delete(Collection::CodePatterns, ORGANIZATION, vec![Uuid::from_u128(1)]).await.unwrap();
    let stray = crate::store::vectors::Point {
        id: Uuid::from_u128(9),
        tenant: ORGANIZATION,
        version: 1,
        vector: vec![1.0, 0.0],
        fields: std::collections::BTreeMap::new(),
    };
    following.vectors.upsert(Collection::SuccessPatterns, vec![stray]).await.unwrap();

    let found = following.verify(Projection::Graph, Repair::Yes).await;
    let details: BTreeSet<&str> = found.differences.iter().map(|difference| difference.detail.as_str()).collect();
    assert_eq!(details, BTreeSet::from(["is missing", "is not among the facts any more"]));
    let found = following.verify(Projection::Vectors, Repair::Yes).await;
    assert_eq!(found.differences.len(), 2, "{found:?}");
    following.is_clean().await;
}

#[tokio::test]
async fn several_processes_follow_while_units_are_performed() {
    let Some(following) = Following::new().await else { return };
    let done = AtomicBool::new(false);
    let work = async {
        let mut number = 0;
        while following.perform_ready().await > 0 {
            number += 1;
            following.learn(number, &[1.0, 0.0]).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    let follow = async {
        while !done.load(Ordering::SeqCst) {
            let steps = (0..3).flat_map(|_| Projection::ALL).map(|projection| following.projections.step(projection));
            for step in futures_util::future::join_all(steps).await {
                step.unwrap();
            }
        }
    };
    tokio::time::timeout(WITHIN, futures_util::future::join(work, follow)).await.unwrap();
    following.until_up_to_date().await;
    assert!(following.states().await.iter().all(|state| state.ends_with(":succeeded")));
    following.is_clean().await;
}

#[tokio::test]
async fn a_rebuild_while_work_goes_on_hides_nothing_and_loses_nothing() {
    let Some(following) = Following::new().await else { return };
    following.learn(1, &[1.0, 0.0]).await;
    following.until_up_to_date().await;
    let done = AtomicBool::new(false);
    let work = async {
        let mut number = 1;
        while following.perform_ready().await > 0 {
            number += 1;
            following.learn(number, &[1.0, 0.0]).await;
        }
    };
    let look = async {
        let mut looked = 0;
        while !done.load(Ordering::SeqCst) {
            // Asked of the server alone; the stand-by is not among those that answer this.
            let counts = following.graph.counts(following.plan).await.unwrap();
            assert_eq!((counts.nodes, counts.edges), (UNITS.len(), WAITS.len()));
            // The stand-in may be late while it makes and removes shards; what it answers must be right.
            match following.vectors.count(Collection::CodePatterns, ORGANIZATION).await {
                Ok(count) => assert!(count > 0),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            looked += 1;
        }
        assert!(looked > 0);
    };
    let rebuild = async {
        for projection in Projection::ALL {
            let rebuilt = following.projections.rebuild(projection, WITHIN).await.unwrap();
            assert!(rebuilt.aggregates > 0, "{rebuilt:?}");
        }
        done.store(true, Ordering::SeqCst);
    };
    tokio::time::timeout(WITHIN, futures_util::future::join3(work, look, rebuild)).await.unwrap();
    following.until_up_to_date().await;
    following.is_clean().await;
    let generations = following.vectors.generations().await.unwrap();
    assert_eq!(generations.0, [generations.1], "the former one is gone");
}

#[tokio::test]
async fn what_a_store_can_never_take_is_set_aside_and_the_rest_arrives() {
    let Some(following) = Following::new().await else { return };
    following.until_up_to_date().await;
    following.learn(1, &[1.0, 0.0]).await;
    following.learn(2, &[1.0, 0.0, 0.0]).await;
    following.learn(3, &[0.0, 1.0]).await;
    following.until_up_to_date().await;
    let lag = following.projections.lag(Projection::Vectors).await.unwrap();
    assert_eq!((lag.rows, lag.dead_letters), (0, 1));
    let held = following.vectors.versions(Collection::CodePatterns, ORGANIZATION).await.unwrap();
    assert_eq!(held.into_keys().collect::<Vec<_>>(), [Uuid::from_u128(1), Uuid::from_u128(3)]);
    assert!(following.projections.rebuild(Projection::Vectors, WITHIN).await.is_err(), "a store that lacks something does not go live");
    following.forget(2).await;
    let rebuilt = following.projections.rebuild(Projection::Vectors, WITHIN).await.unwrap();
    assert_eq!(rebuilt, Rebuilt { aggregates: 2, items: 2 });
    assert_eq!(following.projections.lag(Projection::Vectors).await.unwrap().dead_letters, 0);
    following.is_clean().await;
}

#[tokio::test]
async fn the_loop_brings_the_end_before_it_ends() {
    let Some(following) = Following::new().await else { return };
    let stop = CancellationToken::new();
    let task = tokio::spawn(keep_in_step(following.projections.clone(), stop.clone()));
    while following.perform_ready().await > 0 {}
    stop.cancel();
    tokio::time::timeout(WITHIN, task).await.unwrap().unwrap();
    // The horizon may be held back by another test's transaction; then the next process brings the rest.
    following.until_up_to_date().await;
    assert!(following.states().await.iter().all(|state| state.ends_with(":succeeded")));
}
