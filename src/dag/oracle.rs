//! Property tests: every answer of the graph against a slow and obvious one, on random graphs.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Defect, Direction, Edge, Graph, Node};

/// A random graph as plain data: weights and efforts by node, and pairs (task, depends_on).
#[derive(Debug, Clone)]
struct Sample {
    weights: Vec<u32>,
    efforts: Vec<u64>,
    pairs: BTreeSet<(usize, usize)>,
}

impl Sample {
    fn build(&self) -> Result<Graph, Vec<Defect>> {
        let nodes = self.weights.iter().zip(&self.efforts).enumerate();
        let nodes = nodes.map(|(at, (&weight, &effort))| Node { key: format!("n{at}"), weight, effort }).collect();
        let edges: Vec<Edge> = self.pairs.iter().map(|(a, b)| Edge { task: format!("n{a}"), depends_on: format!("n{b}") }).collect();
        Graph::build(nodes, &edges)
    }

    fn len(&self) -> usize {
        self.weights.len()
    }

    fn effort(&self, node: usize) -> u64 {
        if self.weights[node] == 0 { 0 } else { self.efforts[node] }
    }

    /// `closure[a][b]`: a needs b, directly or not (Warshall).
    fn closure(&self) -> Vec<Vec<bool>> {
        let mut closure = vec![vec![false; self.len()]; self.len()];
        for &(a, b) in &self.pairs {
            closure[a][b] = true;
        }
        for through in 0..self.len() {
            for a in 0..self.len() {
                for b in 0..self.len() {
                    closure[a][b] |= closure[a][through] && closure[through][b];
                }
            }
        }
        closure
    }

    /// The greatest sum of `cost` over the nodes of any chain that ends before each node, by relaxing until nothing moves.
    fn longest_before(&self, cost: impl Fn(usize) -> u64) -> Vec<u64> {
        let mut before = vec![0; self.len()];
        for _ in 0..=self.len() {
            for &(later, earlier) in &self.pairs {
                before[later] = before[later].max(before[earlier] + cost(earlier));
            }
        }
        before
    }
}

/// Edges by shape: a chain, diamonds, dense layers, sparse noise, or nothing at all; always from a later to an earlier node.
fn shape(nodes: usize, shape: usize, noise: &[(usize, usize)]) -> BTreeSet<(usize, usize)> {
    let mut pairs = BTreeSet::new();
    match shape {
        0 => pairs.extend((1..nodes).map(|node| (node, node - 1))),
        1 => {
            for top in (0..nodes.saturating_sub(3)).step_by(3) {
                pairs.extend([(top + 1, top), (top + 2, top), (top + 3, top + 1), (top + 3, top + 2)]);
            }
        }
        2 => {
            let width = 4;
            for node in width..nodes {
                let layer = node / width;
                pairs.extend(((layer - 1) * width..layer * width).map(|earlier| (node, earlier)));
            }
        }
        _ => {}
    }
    let noise = noise.iter().map(|&(a, b)| (a % nodes.max(1), b % nodes.max(1)));
    pairs.extend(noise.filter(|(a, b)| a != b).map(|(a, b)| (a.max(b), a.min(b))));
    pairs
}

/// Random acyclic graphs whose nodes are given in an order that says nothing about the edges.
fn acyclic() -> impl Strategy<Value = Sample> {
    (0_usize..24, 0_usize..4, prop::collection::vec((0_usize..64, 0_usize..64), 0..20))
        .prop_flat_map(|(nodes, kind, noise)| {
            let weights = prop::collection::vec(prop::sample::select(vec![1, 1, 1, 0]), nodes);
            let efforts = prop::collection::vec(0_u64..9, nodes);
            let names = Just((0..nodes).collect::<Vec<_>>()).prop_shuffle();
            (weights, efforts, names, Just(shape(nodes, kind, &noise)))
        })
        .prop_map(|(weights, efforts, names, pairs)| {
            let pairs = pairs.into_iter().map(|(a, b)| (names[a], names[b])).collect();
            Sample { weights, efforts, pairs }
        })
}

/// Random graphs, most of them with cycles.
fn any_graph() -> impl Strategy<Value = Sample> {
    (acyclic(), prop::collection::vec((0_usize..64, 0_usize..64), 0..4)).prop_map(|(mut sample, extra)| {
        if sample.len() > 0 {
            let wrapped = extra.iter().map(|&(a, b)| (a % sample.weights.len(), b % sample.weights.len()));
            sample.pairs.extend(wrapped.filter(|(a, b)| a != b).collect::<Vec<_>>());
        }
        sample
    })
}

fn paths() -> impl Strategy<Value = Vec<Vec<String>>> {
    let path = prop::sample::select(vec!["a", "b", "src/", "src/x", "src/y", "src/deep/", "src/deep/z", "srcs", "./a"]);
    prop::collection::vec(prop::collection::vec(path.prop_map(str::to_owned), 0..3), 24)
}

proptest! {
    #[test]
    fn a_graph_is_refused_exactly_when_a_node_needs_itself(sample in any_graph()) {
        let closure = sample.closure();
        let cyclic = (0..sample.len()).any(|node| closure[node][node]);
        match sample.build() {
            Ok(graph) => {
                prop_assert!(!cyclic);
                prop_assert_eq!(graph.order().len(), sample.len());
            }
            Err(defects) => {
                prop_assert!(cyclic);
                let [Defect::Cycle(names)] = defects.as_slice() else { return Err(TestCaseError::fail(format!("{defects:?}"))) };
                let cycle: Vec<usize> = names.iter().map(|name| name[1..].parse().unwrap()).collect();
                prop_assert_eq!(cycle.iter().collect::<BTreeSet<_>>().len(), cycle.len());
                for (at, &node) in cycle.iter().enumerate() {
                    prop_assert!(sample.pairs.contains(&(node, cycle[(at + 1) % cycle.len()])));
                }
            }
        }
    }

    #[test]
    fn order_waves_and_levels_follow_from_the_longest_chain_before_a_node(sample in acyclic()) {
        let graph = sample.build().unwrap();
        let mut place = vec![0; sample.len()];
        for (at, &node) in graph.order().iter().enumerate() {
            place[node] = at;
        }
        for &(later, earlier) in &sample.pairs {
            prop_assert!(place[earlier] < place[later]);
        }
        let numbers: Vec<u64> = graph.wave_numbers().into_iter().map(u64::from).collect();
        prop_assert_eq!(&numbers, &sample.longest_before(|node| u64::from(sample.weights[node])));
        let levels: Vec<u64> = graph.levels().into_iter().map(u64::from).collect();
        prop_assert_eq!(levels, sample.longest_before(|_| 1));
        let mut expect = vec![Vec::new(); graph.waves().len()];
        for node in (0..sample.len()).filter(|&node| sample.weights[node] > 0) {
            expect[usize::try_from(numbers[node]).unwrap()].push(node);
        }
        prop_assert!(expect.iter().all(|wave| !wave.is_empty()));
        prop_assert_eq!(graph.waves(), expect);
    }

    #[test]
    fn reach_is_the_closure(sample in acyclic(), start in 0_usize..64, levels in 0_usize..30) {
        let graph = sample.build().unwrap();
        if sample.len() == 0 {
            return Ok(());
        }
        let start = start % sample.len();
        let closure = sample.closure();
        for (direction, holds) in [
            (Direction::Dependencies, Box::new(|node: usize| closure[start][node]) as Box<dyn Fn(usize) -> bool>),
            (Direction::Dependents, Box::new(|node: usize| closure[node][start])),
        ] {
            let all = graph.reach(start, direction, usize::MAX);
            let found: BTreeSet<usize> = all.iter().map(|(node, _)| *node).collect();
            prop_assert_eq!(found.len(), all.len());
            prop_assert_eq!(found, (0..sample.len()).filter(|&node| holds(node)).collect::<BTreeSet<_>>());
            let near: Vec<_> = all.iter().copied().filter(|&(_, distance)| distance <= levels).collect();
            prop_assert_eq!(graph.reach(start, direction, levels), near);
        }
        for (other, &before) in closure[start].iter().enumerate() {
            prop_assert_eq!(graph.ordered(other, start), before);
        }
    }

    #[test]
    fn the_critical_path_is_a_longest_chain_and_slack_is_what_is_left(sample in acyclic()) {
        let graph = sample.build().unwrap();
        let timing = graph.timing();
        let before = sample.longest_before(|node| sample.effort(node));
        prop_assert_eq!(&timing.earliest, &before);
        let length = (0..sample.len()).map(|node| before[node] + sample.effort(node)).max().unwrap_or(0);
        prop_assert_eq!(timing.length, length);
        prop_assert_eq!(timing.path.iter().map(|&node| sample.effort(node)).sum::<u64>(), length);
        prop_assert_eq!(timing.path.is_empty(), sample.len() == 0);
        for pair in timing.path.windows(2) {
            prop_assert!(sample.pairs.contains(&(pair[1], pair[0])));
        }
        for node in 0..sample.len() {
            let mut delayed = sample.clone();
            delayed.weights[node] = 1;
            delayed.efforts[node] = sample.effort(node) + timing.slack(node);
            let delay = |sample: &Sample| {
                let before = sample.longest_before(|node| sample.effort(node));
                (0..sample.len()).map(|node| before[node] + sample.effort(node)).max().unwrap_or(0)
            };
            prop_assert_eq!(delay(&delayed), length);
            delayed.efforts[node] += 1;
            prop_assert_eq!(delay(&delayed), length + 1);
        }
    }

    #[test]
    fn a_simulated_schedule_is_possible_and_within_its_bounds(sample in acyclic(), workers in 1_usize..6) {
        let graph = sample.build().unwrap();
        let bounds = graph.bounds(workers);
        let end = |starts: &[u64], node: usize| starts[node] + sample.effort(node);
        let queue = graph.simulate(workers);
        for &(later, earlier) in &sample.pairs {
            prop_assert!(end(&queue.starts, earlier) <= queue.starts[later]);
        }
        let barriers = graph.simulate_barriers(workers);
        for schedule in [&queue, &barriers] {
            let units: Vec<usize> = (0..sample.len()).filter(|&node| sample.effort(node) > 0).collect();
            for &node in &units {
                let start = schedule.starts[node];
                let beside = units.iter().filter(|&&other| schedule.starts[other] <= start && start < end(&schedule.starts, other));
                prop_assert!(beside.count() <= workers);
            }
            prop_assert_eq!(units.iter().map(|&node| end(&schedule.starts, node)).max().unwrap_or(0), schedule.makespan);
            prop_assert!(schedule.makespan >= bounds.makespan_min);
        }
        // Graham 1969: no list schedule is longer than total / workers + (1 - 1 / workers) * critical.
        let many = workers as u64;
        prop_assert!(queue.makespan * many <= bounds.total + (many - 1) * bounds.critical);
        prop_assert_eq!(graph.simulate(1).makespan, bounds.total);
        prop_assert_eq!(graph.simulate(graph.useful_workers()).makespan, bounds.critical);
    }

    #[test]
    fn edges_between_conflicts_order_all_who_write_one_place(sample in acyclic(), files in paths()) {
        let graph = sample.build().unwrap();
        let files = &files[..sample.len()];
        let closure = sample.closure();
        let conflicts = graph.conflicts(files);
        for conflict in &conflicts {
            prop_assert!(overlap(&files[conflict.earlier], &files[conflict.later]));
            prop_assert!(!closure[conflict.earlier][conflict.later] && !closure[conflict.later][conflict.earlier]);
        }
        let mut serial = sample.clone();
        serial.pairs.extend(conflicts.iter().map(|conflict| (conflict.later, conflict.earlier)));
        prop_assert!(serial.build().is_ok());
        let closure = serial.closure();
        for a in 0..sample.len() {
            for b in 0..a {
                prop_assert!(!overlap(&files[a], &files[b]) || closure[a][b] || closure[b][a]);
            }
        }
    }
}

fn overlap(one: &[String], other: &[String]) -> bool {
    let inside = |a: &str, b: &str| format!("{b}/").starts_with(&format!("{a}/"));
    let bare = |path: &String| path.trim_start_matches("./").trim_end_matches('/').to_owned();
    one.iter().map(bare).any(|a| other.iter().map(bare).any(|b| inside(&a, &b) || inside(&b, &a)))
}

#[test]
fn gates_add_no_wave_and_cost_n_plus_m_edges() {
    let units = ["a1", "a2", "b1", "b2"].map(|key| Node { key: key.to_owned(), weight: 1, effort: 1 });
    let gate = Node { key: "gate".to_owned(), weight: 0, effort: 5 };
    let edge = |task: &str, depends_on: &str| Edge { task: task.to_owned(), depends_on: depends_on.to_owned() };
    let edges = [edge("gate", "a1"), edge("gate", "a2"), edge("b1", "gate"), edge("b2", "gate")];
    let graph = Graph::build(units.into_iter().chain([gate]).collect(), &edges).unwrap();
    assert_eq!(graph.waves(), [vec![0, 1], vec![2, 3]]);
    assert_eq!(graph.levels(), [0, 0, 2, 2, 1]);
    assert_eq!(graph.timing().length, 2);
    assert_eq!(graph.simulate_barriers(2).makespan, 2);
    assert_eq!(graph.useful_workers(), 2);
}

#[test]
fn a_hundred_thousand_nodes_need_neither_recursion_nor_patience() {
    let count = 100_000;
    let nodes = (0..count).map(|at| Node { key: format!("n{at}"), weight: 1, effort: 1 }).collect();
    let edges: Vec<Edge> = (1..count).map(|at| Edge { task: format!("n{at}"), depends_on: format!("n{}", at - 1) }).collect();
    let graph = Graph::build(nodes, &edges).unwrap();
    assert_eq!(graph.waves().len(), count);
    assert_eq!(graph.timing().path.len(), count);
    assert_eq!(graph.simulate(5).makespan, count as u64);
    assert!(
        graph.conflicts(&vec![vec!["one".to_owned()]; 2].into_iter().chain(vec![Vec::new(); count - 2]).collect::<Vec<_>>()).is_empty()
    );

    let nodes = (0..count).map(|at| Node { key: format!("n{at}"), weight: 1, effort: 1 }).collect();
    let mut cycle = edges;
    cycle.push(Edge { task: "n0".to_owned(), depends_on: format!("n{}", count - 1) });
    let Err(defects) = Graph::build(nodes, &cycle) else { panic!("a ring was taken for a graph") };
    assert!(matches!(&defects[..], [Defect::Cycle(names)] if names.len() == count));
}
