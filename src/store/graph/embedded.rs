//! Graphs in this process, over `dag`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{GraphError, PlanKey, Reached};
use crate::dag::{Direction, Edge, Graph as Dag, Node};

/// Plans that are held at once; beyond that the one loaded first is let go, and its caller loads it again.
pub(super) const PLANS_MAX: usize = 64;

type Plans = VecDeque<(PlanKey, Arc<Dag>)>;

/// The loaded plans, oldest first; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Embedded {
    plans: Arc<Mutex<Plans>>,
}

impl Embedded {
    pub(super) fn load(&self, plan: PlanKey, nodes: Vec<Node>, edges: &[Edge]) -> Result<(), GraphError> {
        let dag = Dag::build(nodes, edges).map_err(GraphError::Defects)?;
        let mut plans = self.plans();
        plans.retain(|(key, _)| *key != plan);
        if plans.len() == PLANS_MAX {
            plans.pop_front();
        }
        plans.push_back((plan, Arc::new(dag)));
        Ok(())
    }

    pub(super) fn waves(&self, plan: PlanKey) -> Result<Vec<Vec<String>>, GraphError> {
        let dag = self.dag(plan)?;
        let names = |wave: Vec<usize>| wave.into_iter().map(|node| dag.key(node).to_owned()).collect();
        Ok(dag.waves().into_iter().map(names).collect())
    }

    pub(super) fn closure(&self, plan: PlanKey, key: &str, levels: usize) -> Result<Vec<Reached>, GraphError> {
        self.reach(plan, key, Direction::Dependencies, levels)
    }

    pub(super) fn impact(&self, plan: PlanKey, key: &str, levels: usize) -> Result<Vec<Reached>, GraphError> {
        self.reach(plan, key, Direction::Dependents, levels)
    }

    pub(super) fn remove(&self, plan: PlanKey) {
        self.plans().retain(|(key, _)| *key != plan);
    }

    fn reach(&self, plan: PlanKey, key: &str, direction: Direction, levels: usize) -> Result<Vec<Reached>, GraphError> {
        let dag = self.dag(plan)?;
        let start = dag.find(key).ok_or_else(|| GraphError::UnknownNode(key.to_owned()))?;
        let named = |(node, distance)| Reached { key: dag.key(node).to_owned(), distance };
        Ok(dag.reach(start, direction, levels).into_iter().map(named).collect())
    }

    fn dag(&self, plan: PlanKey) -> Result<Arc<Dag>, GraphError> {
        let plans = self.plans();
        let found = plans.iter().find(|(key, _)| *key == plan).map(|(_, dag)| Arc::clone(dag));
        found.ok_or(GraphError::UnknownPlan(plan.plan))
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrganizationId, PlanId};

    #[test]
    fn the_plan_loaded_first_is_let_go_at_the_limit() {
        let graph = Embedded::default();
        let tenant = OrganizationId::new();
        let plans: Vec<PlanKey> = (0..=PLANS_MAX).map(|_| PlanKey { tenant, plan: PlanId::new() }).collect();
        for plan in &plans {
            graph.load(*plan, Vec::new(), &[]).unwrap();
        }
        assert_eq!(graph.waves(plans[0]), Err(GraphError::UnknownPlan(plans[0].plan)));
        assert_eq!(graph.waves(plans[1]), Ok(Vec::new()));
    }
}
