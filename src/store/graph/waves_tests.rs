//! The server's waves against those of this process, on graphs of random shape; and the server's own detection of cycles.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;
use tokio::task::JoinSet;

use super::server::Server;
use super::testing::{key, node, server};
use super::*;
use crate::dag::Edge;
use crate::model::Role;

/// Graphs that are compared; every seventh or so gets a cycle.
const GRAPHS: u64 = 360;
/// Graphs under way at once.
const WORKERS: u64 = 6;

/// Nodes and edges of one of the shapes that lose nodes when waves are computed wrongly. A later node depends on earlier ones only.
fn random(rng: &mut Rng) -> PlanGraph {
    let (nodes, edges) = match rng.u8(0..5) {
        0 => chain(rng.usize(1..40)),
        1 => diamonds(rng.usize(1..12)),
        2 => layers(rng),
        3 => sparse(rng, 0),
        _ => sparse(rng, 2),
    };
    let gate = rng.usize(2..6);
    let role = |at: usize| if at % gate == 1 { Role::Gate } else { Role::Unit };
    // Keys in another order than the plan's, which is what everything is sorted by.
    let name = |at: usize| format!("{:03}-{at}", (at * 37) % 101);
    let edge = |(task, depends_on): (usize, usize)| Edge { task: name(task), depends_on: name(depends_on) };
    PlanGraph { nodes: (0..nodes).map(|at| node(&name(at), role(at))).collect(), edges: edges.into_iter().map(edge).collect() }
}

type Shape = (usize, BTreeSet<(usize, usize)>);

fn chain(length: usize) -> Shape {
    (length, (1..length).map(|at| (at, at - 1)).collect())
}

fn diamonds(count: usize) -> Shape {
    let tips = (0..count).flat_map(|at| [(3 * at + 1, 3 * at), (3 * at + 2, 3 * at), (3 * at + 3, 3 * at + 1), (3 * at + 3, 3 * at + 2)]);
    (3 * count + 1, tips.collect())
}

fn layers(rng: &mut Rng) -> Shape {
    let (depth, width) = (rng.usize(2..7), rng.usize(1..9));
    let between =
        |layer: usize| (0..width).flat_map(move |to| (0..width).map(move |from| (layer * width + to, (layer - 1) * width + from)));
    (depth * width, (1..depth).flat_map(between).collect())
}

/// Nodes with up to three dependencies anywhere before them, in up to so many more parts than one that know nothing of each other.
fn sparse(rng: &mut Rng, more_parts: usize) -> Shape {
    let (nodes, parts) = (rng.usize(1..60), 1 + more_parts);
    let mut edges = BTreeSet::new();
    for task in parts..nodes {
        for _ in 0..rng.usize(0..4) {
            let earlier = rng.usize(0..task);
            edges.insert((task, earlier - (earlier % parts) + (task % parts)));
        }
    }
    edges.retain(|(task, earlier)| earlier < task);
    (nodes, edges)
}

/// One dependency more, from an early node on a later one that needs it: a cycle.
fn closing(rng: &mut Rng, graph: &PlanGraph) -> Option<Edge> {
    let dag = graph.dag().unwrap();
    let later: Vec<usize> = (0..dag.len()).filter(|&at| !dag.dependencies(at).is_empty()).collect();
    let end = later.get(rng.usize(0..later.len().max(1)))?;
    let reach = dag.reach(*end, Direction::Dependencies, usize::MAX);
    let (start, _) = reach[rng.usize(0..reach.len())];
    Some(Edge { task: dag.key(start).to_owned(), depends_on: dag.key(*end).to_owned() })
}

/// What became of one graph: equal waves, and its cycle where it got one.
async fn compare(server: &Server, seed: u64) -> usize {
    let rng = &mut Rng::with_seed(seed);
    let (plan, mut graph) = (key(), random(rng));
    let dag = graph.dag().unwrap();
    let ours: Vec<Vec<String>> = dag.waves().iter().map(|wave| wave.iter().map(|&at| dag.key(at).to_owned()).collect()).collect();
    server.load(plan, &graph).await.unwrap();
    assert_eq!(server.waves(plan).await.unwrap(), ours, "seed {seed}");
    let closing = seed.is_multiple_of(7).then(|| closing(rng, &graph)).flatten();
    let Some(edge) = closing else { return 0 };
    server.neo4j.force_edges(plan, std::slice::from_ref(&edge)).await.unwrap();
    graph.edges.push(edge);
    let defects = graph.dag().unwrap_err();
    assert_eq!(server.waves(plan).await, Err(GraphError::Defects(defects.clone())), "seed {seed}");
    let cycle = server.cycle(plan).await.unwrap();
    assert_eq!(defects, [Defect::Cycle(cycle.unwrap())], "seed {seed}");
    1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waves_of_the_server_are_those_of_this_process() {
    let Some((_, server)) = server().await else { return };
    let server = Arc::new(server);
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let server = Arc::clone(&server);
        workers.spawn(async move {
            let mut cycles = 0;
            for seed in (worker..GRAPHS).step_by(usize::try_from(WORKERS).unwrap()) {
                cycles += compare(&server, seed).await;
            }
            cycles
        });
    }
    let cycles: usize = workers.join_all().await.into_iter().sum();
    eprintln!("{GRAPHS} graphs equal, {cycles} cycles named");
    assert!(cycles > 30, "{cycles} cycles");
    assert_eq!(server.breaker.outages(), [], "no call failed on the way");
}

/// A chain longer than the first guess at its depth.
#[tokio::test]
async fn a_chain_deeper_than_the_first_guess_is_peeled_to_its_end() {
    let Some((_, server)) = server().await else { return };
    let (plan, length) = (key(), 300);
    let keys: Vec<String> = (0..length).map(|at| format!("{at:04}")).collect();
    let edges = (1..length).map(|at| Edge { task: keys[at].clone(), depends_on: keys[at - 1].clone() });
    let graph = PlanGraph { nodes: keys.iter().map(|key| node(key, Role::Unit)).collect(), edges: edges.collect() };
    server.load(plan, &graph).await.unwrap();
    let waves = server.neo4j.waves_from(plan, 100).await.unwrap();
    assert_eq!(waves.into_iter().flatten().collect::<Vec<_>>(), keys);
}
