//! A graph server that fails in every way that a network allows: questions about a plan are answered by the graph in this process, what
//! only the server can do fails and says so, all in bounded time, and the server is used again as soon as it answers.

use std::time::{Duration, Instant};

use specwave::config::GraphServer;
use specwave::dag::Edge;
use specwave::model::unit_state::UnitState;
use specwave::model::{OrganizationId, PlanId, Role, RunId};
use specwave::store::breaker::{Position, Thresholds};
use specwave::store::graph::{Graph, GraphError, Kept, PlanGraph, PlanKey, PlanNode, UnitUpdate};

use crate::proxy::{Mode, Proxy};
use crate::services;

/// Twice what two questions within 2 s and an update within 10 s take; far less than a client library that waits and tries again.
const ANSWER_MAX: Duration = Duration::from_secs(28);
/// Half-open at once: the next call is the one that tries.
const THRESHOLDS: Thresholds = Thresholds { failures: 3, open: Duration::ZERO };

struct Behind {
    settings: GraphServer,
    proxy: Proxy,
    installation: String,
}

impl Behind {
    fn proxy() -> Option<Self> {
        let uri = services::server("SPECWAVE_TEST_NEO4J_URI")?;
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} belongs to SPECWAVE_TEST_NEO4J_URI"));
        let (scheme, server) = uri.split_once("://").unwrap();
        let proxy = Proxy::start(server);
        let (user, password) = (variable("SPECWAVE_TEST_NEO4J_USER"), variable("SPECWAVE_TEST_NEO4J_PASSWORD").into());
        let settings = GraphServer { uri: format!("{scheme}://{}", proxy.address()), user, password };
        Some(Self { settings, proxy, installation: format!("test-{}", PlanId::new()) })
    }

    async fn connect(&self) -> Graph {
        Graph::connect(Some(&self.settings), &self.installation, THRESHOLDS).await.unwrap()
    }
}

fn key() -> PlanKey {
    PlanKey { tenant: OrganizationId::new(), plan: PlanId::new() }
}

/// `b` and `c` need `a`.
fn plan() -> PlanGraph {
    let node = |key: &&str| PlanNode {
        key: (*key).to_owned(),
        role: Role::Unit,
        effort: 1,
        title: String::new(),
        task_type: "generic".to_owned(),
        parent: None,
        skills: Vec::new(),
    };
    let edge = |task: &str| Edge { task: task.to_owned(), depends_on: "a".to_owned() };
    PlanGraph { nodes: ["a", "b", "c"].iter().map(node).collect(), edges: vec![edge("b"), edge("c")] }
}

fn update(version: u64) -> UnitUpdate {
    let (key, run, state) = ("a".to_owned(), RunId(uuid::Uuid::from_u128(7)), UnitState::Running);
    UnitUpdate { key, run, version, state, attempts: 1, agent: None, duration_ms: None }
}

async fn fails_and_recovers(mode: Mode) {
    let Some(behind) = Behind::proxy() else { return };
    let (graph, key) = (behind.connect().await, key());
    let waves = [vec!["a"], vec!["b", "c"]];
    assert_eq!(graph.load(key, &plan()).await, Ok(Kept::Everywhere));
    assert_eq!(graph.waves(key).await.unwrap(), waves);
    assert_eq!(graph.update_units(key, &[update(1)]).await, Ok(1));
    let breaker = graph.breaker().unwrap();
    assert_eq!(breaker.outages(), []);

    behind.proxy.set(mode);
    let started = Instant::now();
    for round in 0..2 {
        assert_eq!(graph.waves(key).await.unwrap(), waves, "{mode:?}, round {round}");
    }
    let refused = graph.update_units(key, &[update(2)]).await;
    assert!(matches!(refused, Err(GraphError::Unavailable(_))), "{mode:?}: what only the server can do fails: {refused:?}");
    assert!(started.elapsed() < ANSWER_MAX, "{mode:?}: {:?}", started.elapsed());
    assert_eq!(breaker.position(), Position::HalfOpen, "{mode:?}");
    let [outage] = &breaker.outages()[..] else { panic!("{:?}", breaker.outages()) };
    assert!(outage.store == "graph" && outage.ended_at.is_none() && !outage.reason.is_empty(), "{outage:?}");

    behind.proxy.set(Mode::Pass);
    assert_eq!(graph.update_units(key, &[update(3)]).await, Ok(1), "{mode:?}: the server is asked again");
    assert_eq!(graph.contents(key).await.unwrap().tasks["a"].unit, Some((UnitState::Running, update(3).run, 3)), "{mode:?}");
    assert_eq!(breaker.position(), Position::Closed);
    assert!(breaker.outages()[0].ended_at.is_some());
    graph.remove(key).await.unwrap();
}

#[tokio::test]
async fn a_server_that_refuses() {
    fails_and_recovers(Mode::Refuse).await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    fails_and_recovers(Mode::Hang).await;
}

#[tokio::test]
async fn a_server_that_is_slower_than_the_deadline() {
    fails_and_recovers(Mode::Slow(Duration::from_secs(11))).await;
}

#[tokio::test]
async fn a_server_that_closes_half_of_each_connection() {
    fails_and_recovers(Mode::HalfClose).await;
}

#[tokio::test]
async fn a_server_that_resets_each_connection() {
    fails_and_recovers(Mode::Reset).await;
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_used_once_it_is_up() {
    let Some(behind) = Behind::proxy() else { return };
    behind.proxy.set(Mode::Refuse);
    let (graph, key) = (behind.connect().await, key());
    assert_eq!(graph.breaker().unwrap().outages().len(), 1);
    assert_eq!(graph.load(key, &plan()).await, Ok(Kept::StandByOnly));
    assert_eq!(graph.dependents(key, "a").await.unwrap(), ["b", "c"]);
    behind.proxy.set(Mode::Pass);
    assert_eq!(graph.dependents(key, "a").await.unwrap(), ["b", "c"], "the server does not have it, the graph in this process does");
    assert_eq!(graph.contents(key).await, Err(GraphError::UnknownPlan(key.plan)), "which is not compared with the facts");
    assert_eq!(graph.load(key, &plan()).await, Ok(Kept::Everywhere));
    assert_eq!(graph.contents(key).await.unwrap().tasks.len(), 3);
    assert!(behind.proxy.connections() > 0);
    graph.remove(key).await.unwrap();
}

#[tokio::test]
async fn an_address_that_skips_the_certificate_is_refused() {
    let settings = GraphServer { uri: "bolt+ssc://127.0.0.1:1".to_owned(), user: "neo4j".to_owned(), password: "x".to_owned().into() };
    let refused = Graph::connect(Some(&settings), "test", THRESHOLDS).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the graph server's address bolt+ssc://127.0.0.1:1 cannot be used: its scheme bolt+ssc would not check the server's certificate"
    );
}
