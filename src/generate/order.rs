//! Small graphs of names: strongly connected components, so that nothing ever waits for itself.

use std::collections::BTreeSet;

/// The component of each node, numbered so that a node's successors lie in components of lower or equal number.
///
/// `edges[n]` are the nodes that `n` points to (Tarjan 1972, without recursion).
pub(super) fn components(edges: &[BTreeSet<usize>]) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let count = edges.len();
    let (mut index, mut low, mut component) = (vec![UNSEEN; count], vec![0; count], vec![UNSEEN; count]);
    let (mut stack, mut next_index, mut next_component) = (Vec::new(), 0, 0);
    for root in 0..count {
        if index[root] != UNSEEN {
            continue;
        }
        let mut work = vec![(root, edges[root].iter())];
        (index[root], low[root]) = (next_index, next_index);
        next_index += 1;
        stack.push(root);
        while let Some((node, successors)) = work.last_mut() {
            let node = *node;
            if let Some(&successor) = successors.next() {
                if index[successor] == UNSEEN {
                    (index[successor], low[successor]) = (next_index, next_index);
                    next_index += 1;
                    stack.push(successor);
                    work.push((successor, edges[successor].iter()));
                } else if component[successor] == UNSEEN {
                    low[node] = low[node].min(index[successor]);
                }
                continue;
            }
            work.pop();
            if let Some((parent, _)) = work.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
            if low[node] == index[node] {
                while let Some(member) = stack.pop() {
                    component[member] = next_component;
                    if member == node {
                        break;
                    }
                }
                next_component += 1;
            }
        }
    }
    component
}

/// The nodes in an order where successors come first; inside a cycle and among equals by number.
pub(super) fn successors_first(edges: &[BTreeSet<usize>]) -> Vec<usize> {
    let component = components(edges);
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by_key(|&node| (component[node], node));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[&[usize]]) -> Vec<BTreeSet<usize>> {
        edges.iter().map(|to| to.iter().copied().collect()).collect()
    }

    #[test]
    fn a_cycle_is_one_component() {
        let found = components(&graph(&[&[1], &[2], &[0], &[0]]));
        assert_eq!((found[0], found[1], found[2]), (found[0], found[0], found[0]));
        assert!(found[3] > found[0]);
    }

    #[test]
    fn successors_come_first() {
        assert_eq!(successors_first(&graph(&[&[1, 2], &[], &[1]])), vec![1, 2, 0]);
    }

    #[test]
    fn independent_nodes_keep_their_order() {
        assert_eq!(successors_first(&graph(&[&[], &[], &[]])), vec![0, 1, 2]);
    }

    #[test]
    fn a_chain_of_many_nodes_needs_no_stack() {
        let edges: Vec<BTreeSet<usize>> = (0..20_000).map(|n| if n == 0 { BTreeSet::new() } else { BTreeSet::from([n - 1]) }).collect();
        assert_eq!(successors_first(&edges).len(), 20_000);
    }
}
