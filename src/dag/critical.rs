//! The critical path: which chain of work decides when everything is done, and how late the rest may be.

use super::Graph;

/// When each node can and must start if nobody waits for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Earliest start by node.
    pub earliest: Vec<u64>,
    /// Latest start by node that does not delay the end.
    pub latest: Vec<u64>,
    /// Effort from the start of a node to the end of the longest chain behind it, itself included: its urgency.
    pub tail: Vec<u64>,
    /// Effort of the longest chain.
    pub length: u64,
    /// One longest chain, first to last, gates included; of equal ones the one that was given first.
    pub path: Vec<usize>,
}

impl Timing {
    /// By how much a node may be late without delaying the end.
    pub fn slack(&self, node: usize) -> u64 {
        self.latest[node] - self.earliest[node]
    }
}

impl Graph {
    /// The critical path by effort (Kelley and Walker 1959).
    pub fn timing(&self) -> Timing {
        let mut earliest = vec![0_u64; self.len()];
        for &node in self.order() {
            let end = earliest[node].saturating_add(self.node(node).effort);
            for &dependent in self.dependents(node) {
                earliest[dependent] = earliest[dependent].max(end);
            }
        }
        let mut tail = vec![0_u64; self.len()];
        for &node in self.order().iter().rev() {
            let behind = self.dependents(node).iter().map(|&dependent| tail[dependent]).max().unwrap_or(0);
            tail[node] = behind.saturating_add(self.node(node).effort);
        }
        let length = tail.iter().copied().max().unwrap_or(0);
        let latest = tail.iter().map(|tail| length - tail).collect();
        let path = self.longest_chain(&tail);
        Timing { earliest, latest, tail, length, path }
    }

    /// From the first source with the longest tail, always on to the first dependent that carries it.
    fn longest_chain(&self, tail: &[u64]) -> Vec<usize> {
        let mut path = Vec::new();
        let sources = (0..self.len()).filter(|&node| self.dependencies(node).is_empty());
        let mut here = first_longest(sources, tail);
        while let Some(node) = here {
            path.push(node);
            here = first_longest(self.dependents(node).iter().copied(), tail);
        }
        path
    }
}

fn first_longest(nodes: impl Iterator<Item = usize>, tail: &[u64]) -> Option<usize> {
    nodes.min_by_key(|&node| (std::cmp::Reverse(tail[node]), node))
}
