//! Waves and levels.

use super::Graph;

impl Graph {
    /// The wave of every node, from 0: the greatest weight on any chain of dependencies before it. A gate has the
    /// wave of the units that may start behind it, and adds none.
    pub fn wave_numbers(&self) -> Vec<u32> {
        self.depths(|node| self.nodes[node].weight)
    }

    /// The level of every node, from 0: the number of nodes, gates included, on the longest chain before it.
    pub fn levels(&self) -> Vec<u32> {
        self.depths(|_| 1)
    }

    /// The units by wave, each wave in the order given; gates appear in none.
    pub fn waves(&self) -> Vec<Vec<usize>> {
        let numbers = self.wave_numbers();
        let mut waves: Vec<Vec<usize>> = Vec::new();
        for (node, &number) in numbers.iter().enumerate() {
            if self.nodes[node].weight == 0 {
                continue;
            }
            let number = number as usize;
            if waves.len() <= number {
                waves.resize_with(number + 1, Vec::new);
            }
            waves[number].push(node);
        }
        waves
    }

    fn depths(&self, weight: impl Fn(usize) -> u32) -> Vec<u32> {
        let mut depths = vec![0_u32; self.len()];
        for &node in &self.order {
            let behind = depths[node].saturating_add(weight(node));
            for &dependent in self.dependents(node) {
                depths[dependent] = depths[dependent].max(behind);
            }
        }
        depths
    }
}
