//! Units that may run at the same time and write the same file.

use std::collections::BTreeMap;

use super::{Direction, Graph};

/// Two units that are not ordered and write to one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The unit that comes first in [`Graph::order`].
    pub earlier: usize,
    /// The other one.
    pub later: usize,
    /// The file or folder that both write.
    pub path: String,
}

impl Graph {
    /// File conflicts among the nodes. `files[node]` lists what it writes; a trailing `/` declares a folder, and a
    /// folder holds everything below it. Of k units that write one path only neighbours in [`Graph::order`] are
    /// reported, at most k-1 pairs: an edge from the earlier to the later one of each pair orders all of them, and no
    /// set of such edges closes a cycle. O(V+E) for each path that several units write.
    pub fn conflicts(&self, files: &[Vec<String>]) -> Vec<Conflict> {
        let rank = self.ranks();
        let owners = owners_by_path(files, &rank);
        let mut found = Vec::new();
        for (path, nodes) in &owners {
            for pair in nodes.windows(2) {
                if !self.ordered(pair[0], pair[1]) {
                    found.push(Conflict { earlier: pair[0], later: pair[1], path: path.clone() });
                }
            }
        }
        for (folder, nodes) in &owners {
            let inside = below(&owners, folder);
            if inside.is_empty() {
                continue;
            }
            for &holder in nodes {
                self.conflicts_with_folder(holder, &inside, &rank, &mut found);
            }
        }
        found.sort();
        found.dedup_by(|second, first| (first.earlier, first.later) == (second.earlier, second.later));
        found
    }

    fn ranks(&self) -> Vec<usize> {
        let mut rank = vec![0; self.len()];
        for (position, &node) in self.order().iter().enumerate() {
            rank[node] = position;
        }
        rank
    }

    fn conflicts_with_folder(&self, holder: usize, inside: &[(&String, usize)], rank: &[usize], found: &mut Vec<Conflict>) {
        let mut ordered = vec![false; self.len()];
        ordered[holder] = true;
        for direction in [Direction::Dependencies, Direction::Dependents] {
            for (node, _) in self.reach(holder, direction, usize::MAX) {
                ordered[node] = true;
            }
        }
        for &(path, node) in inside.iter().filter(|(_, node)| !ordered[*node]) {
            let (earlier, later) = if rank[holder] < rank[node] { (holder, node) } else { (node, holder) };
            found.push(Conflict { earlier, later, path: path.clone() });
        }
    }
}

/// The nodes that write each path, without its trailing `/`, in topological order.
fn owners_by_path(files: &[Vec<String>], rank: &[usize]) -> BTreeMap<String, Vec<usize>> {
    let mut owners: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (node, paths) in files.iter().enumerate() {
        for path in paths {
            let path = path.trim_start_matches("./").trim_end_matches('/');
            owners.entry(path.to_owned()).or_default().push(node);
        }
    }
    for nodes in owners.values_mut() {
        nodes.sort_by_key(|&node| rank[node]);
        nodes.dedup();
    }
    owners
}

fn below<'a>(owners: &'a BTreeMap<String, Vec<usize>>, folder: &str) -> Vec<(&'a String, usize)> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    owners
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
        .filter(|(path, _)| path.as_str() != folder)
        .flat_map(|(path, nodes)| nodes.iter().map(move |&node| (path, node)))
        .collect()
}
