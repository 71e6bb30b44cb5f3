//! What lies before and behind a node.

use super::Graph;

/// Which way to look along the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What a node needs.
    Dependencies,
    /// What needs it: the impact of a change.
    Dependents,
}

impl Graph {
    /// Every node within `levels` edges of `start`, which is not among them, with its distance; nearest first, then in
    /// the order given. `usize::MAX` levels give the whole closure.
    pub fn reach(&self, start: usize, direction: Direction, levels: usize) -> Vec<(usize, usize)> {
        let mut seen = vec![false; self.len()];
        seen[start] = true;
        let mut found = Vec::new();
        let mut frontier = vec![start];
        let mut distance = 0;
        while !frontier.is_empty() && distance < levels {
            distance += 1;
            let mut next = Vec::new();
            for &node in &frontier {
                for &neighbour in self.neighbours(node, direction) {
                    if !seen[neighbour] {
                        seen[neighbour] = true;
                        next.push(neighbour);
                    }
                }
            }
            next.sort_unstable();
            found.extend(next.iter().map(|&node| (node, distance)));
            frontier = next;
        }
        found
    }

    /// True when `later` cannot start before `earlier` is done.
    pub fn ordered(&self, earlier: usize, later: usize) -> bool {
        let mut seen = vec![false; self.len()];
        let mut open = vec![later];
        while let Some(node) = open.pop() {
            for &dependency in self.dependencies(node) {
                if dependency == earlier {
                    return true;
                }
                if !seen[dependency] {
                    seen[dependency] = true;
                    open.push(dependency);
                }
            }
        }
        false
    }

    fn neighbours(&self, node: usize, direction: Direction) -> &[usize] {
        match direction {
            Direction::Dependencies => self.dependencies(node),
            Direction::Dependents => self.dependents(node),
        }
    }
}
