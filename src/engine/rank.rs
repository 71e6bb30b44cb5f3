//! Dispatch order. By default the unit that begins the longest chain goes first (critical-path list scheduling, Hu 1961).

use std::collections::BTreeMap;

use crate::model::{Plan, Role, Strategy, Task};

/// The step between two priorities, and what ranks are cut off at within one.
const PRIORITY_STEP: i32 = 100_000_000;
/// Priorities go from 1, the most urgent, to 5.
const PRIORITIES: u8 = 5;

/// Each task's place in the order of dispatch: the largest goes first, and of equal ones the one that has been ready for longer.
pub(super) fn order(plan: &Plan, ranks: &[i32], strategy: Strategy) -> Vec<i32> {
    let urgency = |task: &Task| i32::from(PRIORITIES.saturating_sub(task.priority));
    let place = |(task, rank): (&Task, &i32)| match strategy {
        Strategy::CriticalPath => rank.saturating_mul(i32::from(PRIORITIES)).saturating_add(urgency(task)),
        Strategy::Priority => urgency(task) * PRIORITY_STEP + (*rank).min(PRIORITY_STEP - 1),
        Strategy::Fifo => 0,
        Strategy::ShortestFirst => -weight(task),
    };
    plan.tasks.iter().zip(ranks).map(place).collect()
}

/// For each task of the plan, the effort of the longest chain that begins with it; 0 for what is not executed. Linear in nodes and edges.
///
/// A cycle, which a valid plan does not have, leaves its members at their own effort.
pub(super) fn ranks(plan: &Plan) -> Vec<i32> {
    let places: BTreeMap<&str, usize> = plan.tasks.iter().enumerate().map(|(place, task)| (task.key.as_str(), place)).collect();
    let edges =
        plan.dependencies.iter().filter_map(|edge| Some((*places.get(edge.depends_on.as_str())?, *places.get(edge.task.as_str())?)));
    let mut earlier: Vec<Vec<usize>> = vec![Vec::new(); plan.tasks.len()];
    let mut open_children: Vec<usize> = vec![0; plan.tasks.len()];
    for (before, after) in edges {
        earlier[after].push(before);
        open_children[before] += 1;
    }
    let mut ranks: Vec<i32> = plan.tasks.iter().map(weight).collect();
    let mut behind: Vec<i32> = vec![0; plan.tasks.len()];
    let mut last: Vec<usize> = (0..plan.tasks.len()).filter(|place| open_children[*place] == 0).collect();
    while let Some(place) = last.pop() {
        ranks[place] = ranks[place].saturating_add(behind[place]);
        for before in earlier[place].clone() {
            behind[before] = behind[before].max(ranks[place]);
            open_children[before] -= 1;
            if open_children[before] == 0 {
                last.push(before);
            }
        }
    }
    ranks
}

fn weight(task: &Task) -> i32 {
    match task.role {
        Role::Unit => i32::try_from(task.effort.amount.max(1)).unwrap_or(i32::MAX),
        Role::Container | Role::Step | Role::Gate | Role::Removed => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::plan;
    use super::*;

    #[test]
    fn the_rank_is_the_effort_of_the_longest_chain_from_there() {
        let check = |units: &[(&str, u32)], edges: &[(&str, &str)], expect: &[i32]| assert_eq!(ranks(&plan(units, edges)), expect);
        check(&[("a", 1), ("b", 2), ("c", 4)], &[], &[1, 2, 4]);
        check(&[("a", 1), ("b", 2), ("c", 4), ("d", 8)], &[("b", "a"), ("c", "a"), ("d", "b"), ("d", "c")], &[13, 10, 12, 8]);
        check(&[("a", 1), ("b", 0), ("c", 1)], &[("b", "a"), ("c", "b")], &[2, 1, 1]);
    }

    #[test]
    fn each_strategy_has_an_order_of_its_own() {
        let mut plan = plan(&[("a", 1), ("b", 8), ("c", 2), ("d", 2)], &[("d", "a")]);
        plan.tasks[2].priority = 1;
        let check = |strategy, expect: &[&str]| {
            let order = order(&plan, &ranks(&plan), strategy);
            let mut places: Vec<usize> = (0..4).collect();
            places.sort_by_key(|place| std::cmp::Reverse(order[*place]));
            assert_eq!(places.iter().map(|place| plan.tasks[*place].key.as_str()).collect::<Vec<_>>(), expect, "{strategy:?}");
        };
        check(Strategy::CriticalPath, &["b", "a", "c", "d"]);
        check(Strategy::Priority, &["c", "b", "a", "d"]);
        check(Strategy::ShortestFirst, &["a", "c", "d", "b"]);
        check(Strategy::Fifo, &["a", "b", "c", "d"]);
    }
}
