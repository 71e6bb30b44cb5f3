//! A graph and its validation.

use std::collections::HashMap;

use thiserror::Error;

/// A node as it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique in the graph.
    pub key: String,
    /// What it adds to the wave of its dependents: 1 for a unit, 0 for a gate.
    pub weight: u32,
    /// How much work it is, in any one unit of measure.
    pub effort: u64,
}

/// An edge as it is given: `task` starts after `depends_on` is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The later node's key.
    pub task: String,
    /// The earlier node's key.
    pub depends_on: String,
}

/// Why nodes and edges are not a directed acyclic graph.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Defect {
    /// Two nodes share a name.
    #[error("two nodes are called {0}")]
    DuplicateNode(String),
    /// The same edge twice.
    #[error("{task} states twice that it depends on {depends_on}")]
    DuplicateEdge {
        /// The later node's key.
        task: String,
        /// The earlier node's key.
        depends_on: String,
    },
    /// An end of an edge is not a node.
    #[error("{task} depends on {depends_on}, but there is no {missing}")]
    Dangling {
        /// The later node's key.
        task: String,
        /// The earlier node's key.
        depends_on: String,
        /// Which of the two is missing.
        missing: String,
    },
    /// A node depends on itself.
    #[error("{0} depends on itself")]
    SelfDependency(String),
    /// Each node depends on the one after it, the last one on the first.
    #[error("dependencies form a cycle: {}", closed(.0))]
    Cycle(Vec<String>),
}

fn closed(cycle: &[String]) -> String {
    cycle.iter().chain(cycle.first()).map(String::as_str).collect::<Vec<_>>().join(" -> ")
}

/// A directed acyclic graph. Nodes are named by their index in the order in which they were given.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) index: HashMap<String, usize>,
    pub(super) dependencies: Adjacency,
    pub(super) dependents: Adjacency,
    pub(super) order: Vec<usize>,
}

impl Graph {
    /// Validates nodes and edges. Every duplicate, dangling and self dependency is reported, and one cycle by name.
    /// Whatever effort a gate is given, it counts as none.
    pub fn build(mut nodes: Vec<Node>, edges: &[Edge]) -> Result<Self, Vec<Defect>> {
        for gate in nodes.iter_mut().filter(|node| node.weight == 0) {
            gate.effort = 0;
        }
        let (index, mut defects) = index_of(&nodes);
        let pairs = resolve(&index, edges, &mut defects);
        let dependencies = Adjacency::new(nodes.len(), pairs.iter().copied());
        let dependents = Adjacency::new(nodes.len(), pairs.iter().map(|&(task, depends_on)| (depends_on, task)));
        let order = peel(&dependencies, &dependents, nodes.len());
        if order.len() < nodes.len() {
            let cycle = one_cycle(&dependencies, &order, nodes.len());
            defects.push(Defect::Cycle(cycle.into_iter().map(|node| nodes[node].key.clone()).collect()));
        }
        if !defects.is_empty() {
            return Err(defects);
        }
        Ok(Self { nodes, index, dependencies, dependents, order })
    }

    /// How many nodes there are, gates included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True when there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node of that index.
    pub fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// The name of a node.
    pub fn key(&self, node: usize) -> &str {
        &self.nodes[node].key
    }

    /// The index of a name.
    pub fn find(&self, key: &str) -> Option<usize> {
        self.index.get(key).copied()
    }

    /// What a node directly depends on, in ascending order.
    pub fn dependencies(&self, node: usize) -> &[usize] {
        self.dependencies.of(node)
    }

    /// What directly depends on a node, in ascending order.
    pub fn dependents(&self, node: usize) -> &[usize] {
        self.dependents.of(node)
    }

    /// Every node after all that it depends on; by level, then in the order given (Kahn 1962).
    pub fn order(&self) -> &[usize] {
        &self.order
    }
}

/// The neighbours of every node, in one flat list.
#[derive(Debug, Clone)]
pub(super) struct Adjacency {
    starts: Vec<usize>,
    targets: Vec<usize>,
}

impl Adjacency {
    fn new(nodes: usize, pairs: impl Iterator<Item = (usize, usize)> + Clone) -> Self {
        let mut starts = vec![0; nodes + 1];
        for (from, _) in pairs.clone() {
            starts[from + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut free = starts.clone();
        let mut targets = vec![0; starts[nodes]];
        for (from, to) in pairs {
            targets[free[from]] = to;
            free[from] += 1;
        }
        for node in 0..nodes {
            targets[starts[node]..starts[node + 1]].sort_unstable();
        }
        Self { starts, targets }
    }

    pub(super) fn of(&self, node: usize) -> &[usize] {
        &self.targets[self.starts[node]..self.starts[node + 1]]
    }
}

fn index_of(nodes: &[Node]) -> (HashMap<String, usize>, Vec<Defect>) {
    let mut index = HashMap::with_capacity(nodes.len());
    let mut defects = Vec::new();
    for (position, node) in nodes.iter().enumerate() {
        if index.contains_key(&node.key) {
            defects.push(Defect::DuplicateNode(node.key.clone()));
        } else {
            index.insert(node.key.clone(), position);
        }
    }
    (index, defects)
}

fn resolve(index: &HashMap<String, usize>, edges: &[Edge], defects: &mut Vec<Defect>) -> Vec<(usize, usize)> {
    let mut pairs = Vec::with_capacity(edges.len());
    for Edge { task, depends_on } in edges {
        match (index.get(task), index.get(depends_on)) {
            (Some(later), Some(earlier)) if later == earlier => defects.push(Defect::SelfDependency(task.clone())),
            (Some(&later), Some(&earlier)) => pairs.push((later, earlier)),
            (later, _) => {
                let missing = if later.is_none() { task } else { depends_on };
                defects.push(Defect::Dangling { task: task.clone(), depends_on: depends_on.clone(), missing: missing.clone() });
            }
        }
    }
    report_repeats(index, &pairs, defects);
    pairs
}

fn report_repeats(index: &HashMap<String, usize>, pairs: &[(usize, usize)], defects: &mut Vec<Defect>) {
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable();
    let mut repeated: Vec<_> = sorted.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect();
    if repeated.is_empty() {
        return;
    }
    repeated.dedup();
    let mut names = vec![""; index.len()];
    let top = index.values().max().map_or(0, |last| last + 1);
    names.resize(top, "");
    for (key, &position) in index {
        names[position] = key;
    }
    let edge = |&(task, depends_on): &(usize, usize)| Defect::DuplicateEdge {
        task: names[task].to_owned(),
        depends_on: names[depends_on].to_owned(),
    };
    defects.extend(repeated.iter().map(edge));
}

/// Takes away one frontier of nodes without open dependencies after the other. What is left over lies on or behind a cycle.
fn peel(dependencies: &Adjacency, dependents: &Adjacency, nodes: usize) -> Vec<usize> {
    let mut open: Vec<usize> = (0..nodes).map(|node| dependencies.of(node).len()).collect();
    let mut order = Vec::with_capacity(nodes);
    let mut frontier: Vec<usize> = (0..nodes).filter(|&node| open[node] == 0).collect();
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for &done in &frontier {
            for &dependent in dependents.of(done) {
                open[dependent] -= 1;
                if open[dependent] == 0 {
                    next.push(dependent);
                }
            }
        }
        next.sort_unstable();
        order.append(&mut frontier);
        frontier = next;
    }
    order
}

/// Walks along dependencies that are never done; it must come back to where it was. Starts at the cycle's first node.
fn one_cycle(dependencies: &Adjacency, order: &[usize], nodes: usize) -> Vec<usize> {
    let mut done = vec![false; nodes];
    for &node in order {
        done[node] = true;
    }
    let mut seen_at = vec![None; nodes];
    let mut walk = Vec::new();
    let mut here = (0..nodes).find(|&node| !done[node]).expect("the caller found nodes that were not peeled");
    while seen_at[here].is_none() {
        seen_at[here] = Some(walk.len());
        walk.push(here);
        let open = dependencies.of(here).iter().copied().find(|&node| !done[node]);
        here = open.expect("a node that was not peeled has a dependency that was not peeled");
    }
    let mut cycle = walk.split_off(seen_at[here].expect("the loop ended because it was seen"));
    let first = cycle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
    cycle.rotate_left(first);
    cycle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(nodes: &[&str], edges: &[(&str, &str)], expect: &[&str]) {
        let nodes = nodes.iter().map(|key| Node { key: (*key).to_owned(), weight: 1, effort: 1 }).collect();
        let edges: Vec<Edge> = edges.iter().map(|(task, on)| Edge { task: (*task).to_owned(), depends_on: (*on).to_owned() }).collect();
        let found: Vec<String> = match Graph::build(nodes, &edges) {
            Ok(graph) => graph.order().iter().map(|&node| graph.key(node).to_owned()).collect(),
            Err(defects) => defects.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn orders_by_level_then_as_given() {
        check(&[], &[], &[]);
        check(&["c", "b", "a"], &[], &["c", "b", "a"]);
        check(&["d", "c", "b", "a"], &[("d", "c"), ("d", "b"), ("c", "a"), ("b", "a")], &["a", "c", "b", "d"]);
    }

    #[test]
    fn names_every_defect() {
        check(&["a", "a"], &[], &["two nodes are called a"]);
        check(&["a"], &[("a", "a")], &["a depends on itself"]);
        check(&["a"], &[("a", "x"), ("y", "a")], &["a depends on x, but there is no x", "y depends on a, but there is no y"]);
        check(&["a", "b"], &[("a", "b"), ("a", "b"), ("a", "b")], &["a states twice that it depends on b"]);
        check(&["a", "a", "b"], &[("a", "b"), ("a", "b")], &["two nodes are called a", "a states twice that it depends on b"]);
    }

    #[test]
    fn names_one_cycle_and_not_what_hangs_behind_it() {
        let expect = "dependencies form a cycle: a -> b -> c -> a";
        check(&["z", "a", "b", "c", "free"], &[("z", "a"), ("a", "b"), ("b", "c"), ("c", "a")], &[expect]);
        check(&["z", "b", "c", "a"], &[("z", "c"), ("a", "b"), ("b", "c"), ("c", "a")], &["dependencies form a cycle: b -> c -> a -> b"]);
    }
}
