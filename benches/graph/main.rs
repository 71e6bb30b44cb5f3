//! Waves, loading, closures and updates, in process and on the Neo4j server that the settings name.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "../measure/mod.rs"]
mod measure;

use std::future::Future;
use std::time::{Duration, Instant};

use measure::Table;
use specwave::config::Config;
use specwave::dag::Edge;
use specwave::model::unit_state::UnitState;
use specwave::model::{OrganizationId, PlanId, Role, RunId};
use specwave::store::breaker::Thresholds;
use specwave::store::graph::{Graph, Kept, PlanGraph, PlanKey, PlanNode, UnitUpdate};

/// Dependencies of each task on tasks of the layer before.
const EDGES_EACH: usize = 3;
/// Calls to a server before the measured ones: it compiles a statement, and the code that executes it, only as it is used more.
const WARM_UP: usize = 60;
/// Of `Dependencies`: from the last layer, so that there are ten layers behind it.
const LEVELS: usize = 10;

/// What design asks for.
struct Goal {
    percent: usize,
    at_most: Duration,
}

const fn median(at_most_ms: u64) -> Goal {
    Goal { percent: 50, at_most: Duration::from_millis(at_most_ms) }
}

const fn p95(at_most_ms: u64) -> Goal {
    Goal { percent: 95, at_most: Duration::from_millis(at_most_ms) }
}

#[tokio::main]
async fn main() {
    let config = Config::load(&[]).unwrap();
    let mut table = Table::new("graph");
    measure_store(&mut table, &Graph::embedded(), "in process", false).await;
    if config.graph.is_some() {
        // Never open: a failure is to end the benchmark, not to be measured as an answer of the stand-by.
        let thresholds = Thresholds { failures: u32::MAX, open: Duration::ZERO };
        let server = Graph::connect(config.graph.as_ref(), &format!("bench-{}", PlanId::new()), thresholds).await.unwrap();
        let info = server.info().await.unwrap().unwrap();
        measure_store(&mut table, &server, "Neo4j", true).await;
        assert_eq!(server.breaker().unwrap().outages(), [], "every answer was the server's");
        table.note(format!("Neo4j {} over Bolt on this machine, heap and page cache as scripts/stack sets them.", info.version));
    } else {
        table.note("No Neo4j was configured: NEO4J_URI is not set.");
    }
    table.note(
        "Layered plans, three dependencies each on the layer before: 1,000 tasks are 20×50, 10,000 are 100×100. A closure is of 10 levels.",
    );
    table.write();
}

async fn measure_store(table: &mut Table, graph: &Graph, store: &str, goals: bool) {
    let goal = |goal: Goal| goals.then_some(goal);
    let tenant = OrganizationId::new();
    let (small, large) = (layered(20, 50), layered(100, 100));
    for (plan, tasks, count, limit) in [(&small, "1,000", 60, median(50)), (&large, "10,000", 12, median(1_000))] {
        let keys: Vec<PlanKey> = (0..count.min(8)).map(|_| PlanKey { tenant, plan: PlanId::new() }).collect();
        let mut times = Vec::new();
        for key in &keys {
            times.push(timed(async { assert_eq!(graph.load(*key, plan).await.unwrap(), Kept::Everywhere) }).await);
        }
        add(table, format!("load of {tasks} tasks, {store}"), times, None);
        let key = keys[0];
        let waves = async |_: usize| assert_eq!(graph.waves(key).await.unwrap().concat().len(), plan.nodes.len());
        measure(table, format!("waves of {tasks} tasks, {store}"), count, goal(limit), waves).await;
        for key in &keys[1..] {
            graph.remove(*key).await.unwrap();
        }
    }
    let key = PlanKey { tenant, plan: PlanId::new() };
    graph.load(key, &small).await.unwrap();
    let closure = async |round: usize| assert!(graph.closure(key, &name(19, round % 50), LEVELS).await.unwrap().len() > 100);
    measure(table, format!("closure in 1,000 tasks, {store}"), 200, goal(median(10)), closure).await;
    let run = RunId::new();
    let last_version = std::cell::Cell::new(0);
    let update = async |round: usize| {
        let version = last_version.get() + 1;
        last_version.set(version);
        let (key_of_unit, state) = (name(round % 20, round % 50), UnitState::Running);
        let update =
            UnitUpdate { key: key_of_unit, run, version, state, attempts: 1, agent: Some("generator".to_owned()), duration_ms: None };
        assert_eq!(graph.update_units(key, &[update]).await.unwrap(), 1);
    };
    measure(table, format!("update of one unit, {store}"), 500, goal(p95(5)), update).await;
    let query = async |round: usize| assert_eq!(graph.dependencies(key, &name(10, round % 50)).await.unwrap().len(), EDGES_EACH);
    measure(table, format!("dependencies of one task, {store}"), 500, goal(p95(10)), query).await;
    for plan in graph.plans(tenant).await.unwrap() {
        graph.remove(PlanKey { tenant, plan }).await.unwrap();
    }
}

/// Without a goal there is no server that would have to become warm.
async fn measure(table: &mut Table, what: String, count: usize, goal: Option<Goal>, work: impl AsyncFn(usize)) {
    let Some(goal) = goal else {
        return table.measure(what, count, "", |round| work(round)).await;
    };
    let mut times = Vec::with_capacity(count);
    for round in 0..WARM_UP + count {
        let time = timed(work(round)).await;
        if round >= WARM_UP {
            times.push(time);
        }
    }
    add(table, what, times, Some(goal));
}

fn add(table: &mut Table, what: String, mut times: Vec<Duration>, goal: Option<Goal>) {
    times.sort_unstable();
    let verdict = |goal: Goal| {
        let measured = times[(times.len() * goal.percent / 100).min(times.len() - 1)];
        let holds = if measured <= goal.at_most { "holds" } else { "does not hold" };
        format!("goal: p{} at most {} ms; {holds}", goal.percent, goal.at_most.as_millis())
    };
    let remark = goal.map(verdict).unwrap_or_default();
    table.add(what, times, remark);
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let started = Instant::now();
    work.await;
    started.elapsed()
}

fn name(layer: usize, place: usize) -> String {
    format!("layer{layer:03}/task{place:03}")
}

/// The same plan for the same size.
fn layered(depth: usize, width: usize) -> PlanGraph {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut graph = PlanGraph::default();
    for layer in 0..depth {
        for place in 0..width {
            let key = name(layer, place);
            if layer > 0 {
                let earlier = rng.choose_multiple(0..width, EDGES_EACH);
                graph.edges.extend(earlier.into_iter().map(|place| Edge { task: key.clone(), depends_on: name(layer - 1, place) }));
            }
            let (title, task_type) = (format!("Task {place} of layer {layer}"), "generic".to_owned());
            graph.nodes.push(PlanNode { key, role: Role::Unit, effort: 1, title, task_type, parent: None, skills: Vec::new() });
        }
    }
    graph
}
