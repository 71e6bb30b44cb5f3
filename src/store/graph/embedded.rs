//! Graphs in this process, over `dag`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::plan::{AgentLoad, Counts, PlanContents, PlanGraph, UnitUpdate};
use super::{GraphError, PlanKey, Reached};
use crate::dag::{Direction, Graph as Dag};
use crate::model::unit_state::UnitState;
use crate::model::{OrganizationId, PlanId};

/// Plans that are held at once; beyond that the one loaded first is let go, and its caller loads it again.
pub(super) const PLANS_MAX: usize = 64;

/// The loaded plans; clones share them.
#[derive(Debug, Clone)]
pub struct Embedded {
    plans_max: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The generation that queries see.
    active: u32,
    /// The last one that was handed out.
    last: u32,
    /// Those that exist beside the active one.
    beside: BTreeSet<u32>,
    /// Oldest first.
    plans: VecDeque<Held>,
}

#[derive(Debug, Clone)]
struct Held {
    generation: u32,
    key: PlanKey,
    graph: Arc<PlanGraph>,
    dag: Arc<Dag>,
    units: Arc<HashMap<String, UnitUpdate>>,
}

impl Default for Embedded {
    fn default() -> Self {
        Self::with_room_for(PLANS_MAX)
    }
}

impl Embedded {
    /// Holds at most so many plans.
    pub(super) fn with_room_for(plans_max: usize) -> Self {
        let state = State { active: 1, last: 1, beside: BTreeSet::new(), plans: VecDeque::new() };
        Self { plans_max, state: Arc::new(Mutex::new(state)) }
    }

    /// Loads into a generation; none for the active one.
    pub(super) fn load(&self, generation: Option<u32>, plan: PlanKey, graph: &PlanGraph) -> Result<(), GraphError> {
        let dag = Arc::new(graph.dag().map_err(GraphError::Defects)?);
        let mut state = self.state();
        let generation = generation.unwrap_or(state.active);
        let former = state.plans.iter().position(|held| held.key == plan && held.generation == generation);
        let mut units = former.and_then(|at| state.plans.remove(at)).map(|held| held.units).unwrap_or_default();
        Arc::make_mut(&mut units).retain(|key, _| graph.nodes.iter().any(|node| node.key == *key));
        if self.plans_max == 0 {
            return Ok(());
        }
        if state.plans.len() == self.plans_max {
            state.plans.pop_front();
        }
        state.plans.push_back(Held { generation, key: plan, graph: Arc::new(graph.clone()), dag, units });
        Ok(())
    }

    pub(super) fn begin_generation(&self) -> u32 {
        let mut state = self.state();
        state.last += 1;
        let last = state.last;
        state.beside.insert(last);
        last
    }

    pub(super) fn active_generation(&self) -> u32 {
        self.state().active
    }

    pub(super) fn switch(&self, generation: u32) {
        let mut state = self.state();
        let former = std::mem::replace(&mut state.active, generation);
        state.beside.insert(former);
        state.beside.remove(&generation);
    }

    pub(super) fn beside(&self) -> Vec<u32> {
        self.state().beside.iter().copied().collect()
    }

    pub(super) fn drop_generation(&self, generation: u32) {
        let mut state = self.state();
        state.plans.retain(|held| held.generation != generation);
        state.beside.remove(&generation);
    }

    pub(super) fn waves(&self, plan: PlanKey) -> Result<Vec<Vec<String>>, GraphError> {
        let dag = self.held(plan)?.dag;
        let names = |wave: Vec<usize>| wave.into_iter().map(|node| dag.key(node).to_owned()).collect();
        Ok(dag.waves().into_iter().map(names).collect())
    }

    pub(super) fn reach(&self, plan: PlanKey, key: &str, direction: Direction, levels: usize) -> Result<Vec<Reached>, GraphError> {
        let dag = self.held(plan)?.dag;
        let start = dag.find(key).ok_or_else(|| GraphError::UnknownNode(key.to_owned()))?;
        let named = |(node, distance)| Reached { key: dag.key(node).to_owned(), distance };
        Ok(dag.reach(start, direction, levels).into_iter().map(named).collect())
    }

    pub(super) fn wave_siblings(&self, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        let dag = self.held(plan)?.dag;
        dag.find(key).ok_or_else(|| GraphError::UnknownNode(key.to_owned()))?;
        let waves = PlanGraph::waves(&dag);
        let Some(own) = waves.get(key) else { return Ok(Vec::new()) };
        let siblings = (0..dag.len()).map(|node| dag.key(node)).filter(|other| *other != key && waves.get(other) == Some(own));
        Ok(siblings.map(str::to_owned).collect())
    }

    /// How many of the updates were newer than what was known; in a generation, none for the active one.
    pub(super) fn update_units(&self, generation: Option<u32>, plan: PlanKey, updates: &[UnitUpdate]) -> Result<usize, GraphError> {
        let mut state = self.state();
        let generation = generation.unwrap_or(state.active);
        let held = state.plans.iter_mut().find(|held| held.key == plan && held.generation == generation);
        let held = held.ok_or(GraphError::UnknownPlan(plan.plan))?;
        let mut applied = 0;
        for update in updates {
            if held.dag.find(&update.key).is_none() {
                continue;
            }
            let former = held.units.get(&update.key);
            if former.is_some_and(|former| former.order() >= update.order()) {
                continue;
            }
            let known = former.filter(|former| former.run == update.run).and_then(|former| former.agent.clone());
            let agent = update.agent.clone().or(known);
            Arc::make_mut(&mut held.units).insert(update.key.clone(), UnitUpdate { agent, ..update.clone() });
            applied += 1;
        }
        Ok(applied)
    }

    pub(super) fn agent_workload(&self, tenant: OrganizationId) -> Vec<AgentLoad> {
        let state = self.state();
        let mut loads: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for held in state.plans.iter().filter(|held| held.key.tenant == tenant && held.generation == state.active) {
            for unit in held.units.values() {
                let Some(agent) = &unit.agent else { continue };
                let load = loads.entry(agent).or_default();
                load.0 += 1;
                load.1 += usize::from(unit.state == UnitState::Running);
            }
        }
        loads.into_iter().map(|(agent, (assigned, running))| AgentLoad { agent: agent.to_owned(), assigned, running }).collect()
    }

    pub(super) fn counts(&self, plan: PlanKey) -> Result<Counts, GraphError> {
        let graph = self.held(plan)?.graph;
        Ok(Counts { nodes: graph.nodes.len(), edges: graph.edges.len() })
    }

    pub(super) fn contents(&self, plan: PlanKey) -> Result<PlanContents, GraphError> {
        let held = self.held(plan)?;
        let mut contents = PlanContents::expected(&held.graph).map_err(GraphError::Defects)?;
        for (key, unit) in held.units.iter() {
            if let Some(task) = contents.tasks.get_mut(key) {
                task.unit = Some((unit.state, unit.run, unit.version));
            }
        }
        Ok(contents)
    }

    pub(super) fn plans(&self, tenant: OrganizationId) -> Vec<PlanId> {
        let state = self.state();
        let own = state.plans.iter().filter(|held| held.key.tenant == tenant && held.generation == state.active);
        let mut plans: Vec<PlanId> = own.map(|held| held.key.plan).collect();
        plans.sort_unstable();
        plans
    }

    pub(super) fn remove(&self, plan: PlanKey) {
        let mut state = self.state();
        let active = state.active;
        state.plans.retain(|held| held.key != plan || held.generation != active);
    }

    fn held(&self, plan: PlanKey) -> Result<Held, GraphError> {
        let state = self.state();
        let found = state.plans.iter().find(|held| held.key == plan && held.generation == state.active);
        found.cloned().ok_or(GraphError::UnknownPlan(plan.plan))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_loaded_first_is_let_go_at_the_limit() {
        let graph = Embedded::default();
        let tenant = OrganizationId::new();
        let plans: Vec<PlanKey> = (0..=PLANS_MAX).map(|_| PlanKey { tenant, plan: PlanId::new() }).collect();
        for plan in &plans {
            graph.load(None, *plan, &PlanGraph::default()).unwrap();
        }
        assert_eq!(graph.waves(plans[0]), Err(GraphError::UnknownPlan(plans[0].plan)));
        assert_eq!(graph.waves(plans[1]), Ok(Vec::new()));
    }
}
