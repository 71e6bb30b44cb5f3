//! What a number of workers could make of a graph: simulated schedules and the bounds that none can beat.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Graph;

/// A simulated schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// When each node starts.
    pub starts: Vec<u64>,
    /// When the last node ends.
    pub makespan: u64,
}

/// What no schedule can beat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Effort of all nodes: what one worker needs.
    pub total: u64,
    /// Effort of the longest chain: what any number of workers needs.
    pub critical: u64,
    /// The least time that this many workers need: the longest chain or an even share of the total.
    pub makespan_min: u64,
    /// The greatest speed-up over one worker that this many can reach; 1 for an empty graph.
    pub speed_up_max: f64,
}

impl Graph {
    /// Ready-queue dispatch: whenever a worker is free it takes the ready node with the longest chain behind it
    /// (list scheduling, Graham 1969). Gates take neither time nor a worker. O((V+E) log V).
    pub fn simulate(&self, workers: usize) -> Schedule {
        let tail = self.timing().tail;
        let mut open: Vec<usize> = (0..self.len()).map(|node| self.dependencies(node).len()).collect();
        let ready = (0..self.len()).filter(|&node| open[node] == 0).map(|node| (tail[node], Reverse(node))).collect();
        let mut floor = Floor { now: 0, free: workers.max(1), ready, running: BinaryHeap::new(), starts: vec![0; self.len()] };
        while let Some(done) = floor.advance(self) {
            for &dependent in self.dependents(done) {
                open[dependent] -= 1;
                if open[dependent] == 0 {
                    floor.ready.push((tail[dependent], Reverse(dependent)));
                }
            }
        }
        Schedule { starts: floor.starts, makespan: floor.now }
    }

    /// Strict waves: a wave starts when the wave before it has ended. Within a wave the longest unit starts first.
    pub fn simulate_barriers(&self, workers: usize) -> Schedule {
        let mut starts = vec![0; self.len()];
        let mut wave_start = 0;
        for mut wave in self.waves() {
            wave.sort_by_key(|&node| (Reverse(self.node(node).effort), node));
            let mut free: BinaryHeap<Reverse<u64>> = (0..workers.clamp(1, wave.len())).map(|_| Reverse(wave_start)).collect();
            let mut wave_end = wave_start;
            for node in wave {
                let Reverse(start) = free.pop().expect("there is at least one worker");
                let end = start + self.node(node).effort;
                starts[node] = start;
                wave_end = wave_end.max(end);
                free.push(Reverse(end));
            }
            wave_start = wave_end;
        }
        Schedule { starts, makespan: wave_start }
    }

    /// What no schedule with this many workers can beat.
    pub fn bounds(&self, workers: usize) -> Bounds {
        let total: u64 = self.nodes.iter().map(|node| node.effort).sum();
        let critical = self.timing().length;
        let makespan_min = critical.max(total.div_ceil(workers.max(1) as u64));
        let speed_up_max = if makespan_min == 0 { 1.0 } else { ratio(total, makespan_min) };
        Bounds { total, critical, makespan_min, speed_up_max }
    }

    /// A number of workers with which the simulated schedule is as short as the longest chain, so that more cannot
    /// help. Found by bisection between the even share and the widest moment of the unbounded schedule.
    pub fn useful_workers(&self) -> usize {
        let bounds = self.bounds(1);
        if bounds.critical == 0 {
            return self.waves().iter().map(Vec::len).max().unwrap_or(0);
        }
        let mut enough = self.widest_moment();
        let mut least = usize::try_from(bounds.total.div_ceil(bounds.critical)).unwrap_or(enough).clamp(1, enough);
        while least < enough {
            let middle = usize::midpoint(least, enough);
            if self.simulate(middle).makespan == bounds.critical {
                enough = middle;
            } else {
                least = middle + 1;
            }
        }
        enough
    }

    /// The greatest number of nodes that run at one time when every node starts as early as it can; at least 1.
    fn widest_moment(&self) -> usize {
        let earliest = self.timing().earliest;
        let mut changes: Vec<(u64, i64)> = Vec::with_capacity(2 * self.len());
        for (node, &start) in earliest.iter().enumerate().filter(|(node, _)| self.node(*node).effort > 0) {
            changes.push((start, 1));
            changes.push((start + self.node(node).effort, -1));
        }
        changes.sort_unstable();
        let mut now = 0;
        let mut most = 1;
        for (_, change) in changes {
            now += change;
            most = most.max(now);
        }
        usize::try_from(most).unwrap_or(usize::MAX)
    }
}

/// The state of a simulation between two events.
struct Floor {
    now: u64,
    free: usize,
    ready: BinaryHeap<(u64, Reverse<usize>)>,
    running: BinaryHeap<Reverse<(u64, usize)>>,
    starts: Vec<u64>,
}

impl Floor {
    /// Starts what can start, then goes to the next end of a node. None when nothing is left.
    fn advance(&mut self, graph: &Graph) -> Option<usize> {
        while let Some(&(_, Reverse(node))) = self.ready.peek() {
            let takes_worker = graph.node(node).weight > 0;
            if takes_worker && self.free == 0 {
                break;
            }
            self.ready.pop();
            self.starts[node] = self.now;
            if !takes_worker {
                return Some(node);
            }
            self.free -= 1;
            self.running.push(Reverse((self.now + graph.node(node).effort, node)));
        }
        let Reverse((end, node)) = self.running.pop()?;
        self.now = end;
        self.free += 1;
        Some(node)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of efforts, shown with one decimal")]
fn ratio(total: u64, part: u64) -> f64 {
    total as f64 / part as f64
}
