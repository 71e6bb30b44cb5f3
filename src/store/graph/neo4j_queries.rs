//! What the graph server is asked about plans, and what it is told of their units.

use std::collections::{BTreeMap, HashMap, HashSet};

use neo4rs::BoltType;

use super::neo4j::{Answer, CHUNK_DEADLINE, Neo4j, Parameters, QUERY_DEADLINE, UPDATE_DEADLINE};
use super::neo4j_plans::{integer, row};
use super::plan::{AgentLoad, Counts, PlanContents, TaskContents, UnitUpdate};
use super::statements::{self, Statement};
use super::{GraphError, PlanKey, Reached};
use crate::dag::{Defect, Direction, Edge, Graph as Dag, Node};
use crate::model::unit_state::UnitState;
use crate::model::{OrganizationId, RunId};

/// Levels that the first try at waves looks for: more than plans have, and cheap where a plan has fewer nodes than that.
const DEPTH_FIRST: usize = 4_096;
/// Levels that one statement of a closure covers; its text says so.
const LEVELS_AT_ONCE: usize = 10;
/// Updates that take no longer than a question.
const UPDATES_FEW: usize = 50;
/// Updates that one statement writes.
const UPDATES_MAX: usize = 1_000;

/// A node of an answer, to be put in order.
type Placed = (i64, String);

impl Neo4j {
    /// Unit keys by wave. A plan with a cycle is refused, the cycle named.
    pub(super) async fn waves(&self, plan: PlanKey) -> Result<Vec<Vec<String>>, GraphError> {
        self.waves_from(plan, DEPTH_FIRST).await
    }

    /// The same; looks for so many levels first, and for twice as many each time that they do not suffice.
    pub(super) async fn waves_from(&self, plan: PlanKey, mut depth: usize) -> Result<Vec<Vec<String>>, GraphError> {
        loop {
            let parameters = with(plan, [("depth_max", integer(depth))]);
            let answer = self.ask(statements::WAVES, parameters, QUERY_DEADLINE).await?.known(plan)?;
            if answer.count("levelled")? == answer.count("total")? {
                return by_wave(&answer);
            }
            if answer.count("deepest")? < depth {
                return Err(GraphError::Defects(vec![Defect::Cycle(self.unpeeled_cycle(plan).await?)]));
            }
            depth *= 2;
        }
    }

    /// One cycle of the plan, none when it has none: peels it, and looks at what is left.
    pub(super) async fn cycle(&self, plan: PlanKey) -> Result<Option<Vec<String>>, GraphError> {
        match self.waves(plan).await {
            Ok(_) => Ok(None),
            Err(GraphError::Defects(defects)) => {
                Ok(defects.into_iter().find_map(|defect| if let Defect::Cycle(cycle) = defect { Some(cycle) } else { None }))
            }
            Err(error) => Err(error),
        }
    }

    /// Names one cycle among the nodes that could not be peeled.
    async fn unpeeled_cycle(&self, plan: PlanKey) -> Result<Vec<String>, GraphError> {
        let answer = self.ask(statements::UNPEELED, with(plan, []), QUERY_DEADLINE).await?.known(plan)?;
        let nodes = placed(&answer, "total")?.into_iter().map(|(_, key)| Node { key, weight: 1, effort: 1 }).collect();
        let (tasks, depends_on): (Vec<String>, Vec<String>) = (answer.list("tasks", "edges")?, answer.list("depends_on", "edges")?);
        let edges: Vec<Edge> = tasks.into_iter().zip(depends_on).map(|(task, depends_on)| Edge { task, depends_on }).collect();
        let defects = Dag::build(nodes, &edges).err().unwrap_or_default();
        let cycle = defects.into_iter().find_map(|defect| match defect {
            Defect::Cycle(cycle) => Some(cycle),
            Defect::SelfDependency(key) => Some(vec![key]),
            _ => None,
        });
        cycle.ok_or_else(|| GraphError::Unavailable("nodes were left over, but there is no cycle among them".to_owned()))
    }

    /// What a node reaches within so many levels, nearest first, then in plan order.
    pub(super) async fn reach(&self, plan: PlanKey, key: &str, direction: Direction, levels: usize) -> Result<Vec<Reached>, GraphError> {
        let mut seen = HashSet::from([key.to_owned()]);
        let mut frontier = vec![key.to_owned()];
        let mut reached = Vec::new();
        while !frontier.is_empty() && reached.last().map_or(0, |last: &Reached| last.distance) < levels {
            let parameters = with(plan, [("keys", frontier.clone().into())]);
            let answer = self.ask(walk(direction), parameters, QUERY_DEADLINE).await?.known(plan)?.found(key)?;
            let from = reached.last().map_or(0, |last| last.distance);
            let until = levels.min(from.saturating_add(LEVELS_AT_ONCE));
            frontier = spread(&neighbours(&answer)?, frontier, from..until, &mut seen, &mut reached);
        }
        Ok(reached)
    }

    /// Direct neighbours, in plan order.
    pub(super) async fn neighbours(&self, plan: PlanKey, key: &str, direction: Direction) -> Result<Vec<String>, GraphError> {
        self.keys_beside(neighbour(direction), plan, key).await
    }

    /// The other units of a unit's wave, in plan order.
    pub(super) async fn wave_siblings(&self, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        self.keys_beside(statements::WAVE_SIBLINGS, plan, key).await
    }

    async fn keys_beside(&self, statement: Statement, plan: PlanKey, key: &str) -> Result<Vec<String>, GraphError> {
        let answer = self.ask(statement, with(plan, [("key", key.into())]), QUERY_DEADLINE).await?.known(plan)?.found(key)?;
        Ok(placed(&answer, "total")?.into_iter().map(|(_, key)| key).collect())
    }

    /// Writes how units stand in a generation, none for the active one; how many of the updates were newer than what was known.
    pub(super) async fn update_units(&self, generation: Option<u32>, plan: PlanKey, updates: &[UnitUpdate]) -> Result<usize, GraphError> {
        let mut newest: BTreeMap<&str, &UnitUpdate> = BTreeMap::new();
        for update in updates {
            let known = newest.entry(&update.key).or_insert(update);
            if known.order() < update.order() {
                *known = update;
            }
        }
        let rows: Vec<BoltType> = newest.into_values().map(update_row).collect();
        let mut applied = 0;
        for chunk in rows.chunks(UPDATES_MAX) {
            let parameters = with(plan, [("rows", chunk.to_vec().into()), ("generation", generation.map(i64::from).into())]);
            let within = if chunk.len() <= UPDATES_FEW { UPDATE_DEADLINE } else { CHUNK_DEADLINE };
            applied += self.ask(statements::UPDATE_UNITS, parameters, within).await?.known(plan)?.count("applied")?;
        }
        Ok(applied)
    }

    /// What each agent of a tenant has to do, by name.
    pub(super) async fn agent_workload(&self, tenant: OrganizationId) -> Result<Vec<AgentLoad>, GraphError> {
        let answer = self.ask(statements::AGENT_WORKLOAD, vec![("tenant", tenant.to_string().into())], QUERY_DEADLINE).await?;
        let agents: Vec<String> = answer.list("agents", "total")?;
        let (assigned, running): (Vec<usize>, Vec<usize>) = (answer.list("assigned", "total")?, answer.list("running", "total")?);
        let numbers = assigned.into_iter().zip(running);
        let load = |(agent, (assigned, running))| AgentLoad { agent, assigned, running };
        let mut loads: Vec<AgentLoad> = agents.into_iter().zip(numbers).map(load).collect();
        loads.sort_unstable_by(|left, right| left.agent.cmp(&right.agent));
        Ok(loads)
    }

    /// How much of a plan is there.
    pub(super) async fn counts(&self, plan: PlanKey) -> Result<Counts, GraphError> {
        let answer = self.ask(statements::COUNTS, with(plan, []), QUERY_DEADLINE).await?.known(plan)?;
        Ok(Counts { nodes: answer.count("tasks")?, edges: answer.count("edges")? })
    }

    /// Everything of a plan that is compared with the facts.
    pub(super) async fn contents(&self, plan: PlanKey) -> Result<PlanContents, GraphError> {
        let answer = self.ask(statements::CONTENTS, with(plan, []), CHUNK_DEADLINE).await?.known(plan)?;
        let mut tasks = BTreeMap::new();
        for (key, held) in answer.list::<TaskRow>("task_rows", "tasks")?.into_iter().map(TaskRow::split) {
            tasks.insert(key, held?);
        }
        Ok(PlanContents {
            tasks,
            edges: answer.list("edge_rows", "edges")?.into_iter().collect(),
            parents: answer.list("parent_rows", "parents")?.into_iter().collect(),
            skills: answer.list("skill_rows", "skills")?.into_iter().collect(),
        })
    }
}

/// key, role, weight, wave, state, run, version.
#[derive(serde::Deserialize)]
struct TaskRow(String, String, Option<u32>, Option<u32>, Option<UnitState>, Option<String>, Option<u64>);

impl TaskRow {
    fn split(self) -> (String, Result<TaskContents, GraphError>) {
        let Self(key, role, weight, wave, state, run, version) = self;
        let unit = match (state, run.as_deref().map(str::parse), version) {
            (Some(state), Some(Ok(run)), Some(version)) => Ok(Some((state, RunId(run), version))),
            (None, None, None) => Ok(None),
            _ => Err(GraphError::Unavailable(format!("the state of {key} is incomplete"))),
        };
        (key, unit.map(|unit| TaskContents { role, weight, wave, unit }))
    }
}

/// The statement that walks into that direction.
pub(super) fn walk(direction: Direction) -> Statement {
    match direction {
        Direction::Dependencies => statements::CLOSURE,
        Direction::Dependents => statements::IMPACT,
    }
}

/// The statement that looks one step into that direction.
pub(super) fn neighbour(direction: Direction) -> Statement {
    match direction {
        Direction::Dependencies => statements::DEPENDENCIES,
        Direction::Dependents => statements::DEPENDENTS,
    }
}

fn with<const N: usize>(plan: PlanKey, more: [(&'static str, BoltType); N]) -> Parameters {
    let scope = [("tenant", plan.tenant.to_string().into()), ("plan", plan.plan.to_string().into())];
    scope.into_iter().chain(more).collect()
}

fn update_row(update: &UnitUpdate) -> BoltType {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    row([
        ("key", update.key.as_str().into()),
        ("run", update.run.to_string().into()),
        ("version", number(update.version).into()),
        ("state", update.state.as_str().into()),
        ("attempts", i64::from(update.attempts).into()),
        ("agent", update.agent.as_deref().into()),
        ("duration_ms", update.duration_ms.map(number).into()),
    ])
}

/// `keys` in the order of `ordinals`.
fn placed(answer: &Answer, length: &str) -> Result<Vec<Placed>, GraphError> {
    let (keys, ordinals): (Vec<String>, Vec<i64>) = (answer.list("keys", length)?, answer.list("ordinals", length)?);
    let mut placed: Vec<Placed> = ordinals.into_iter().zip(keys).collect();
    placed.sort_unstable();
    Ok(placed)
}

fn by_wave(answer: &Answer) -> Result<Vec<Vec<String>>, GraphError> {
    let keys: Vec<String> = answer.list("keys", "levelled")?;
    let ordinals: Vec<i64> = answer.list("ordinals", "levelled")?;
    let weights: Vec<i64> = answer.list("weights", "levelled")?;
    let numbers: Vec<usize> = answer.list("waves", "levelled")?;
    let mut units: Vec<(i64, usize, String)> = Vec::with_capacity(keys.len());
    for (((key, ordinal), weight), wave) in keys.into_iter().zip(ordinals).zip(weights).zip(numbers) {
        if weight > 0 {
            units.push((ordinal, wave, key));
        }
    }
    units.sort_unstable();
    let mut waves: Vec<Vec<String>> = vec![Vec::new(); units.iter().map(|unit| unit.1 + 1).max().unwrap_or(0)];
    for (_, wave, key) in units {
        waves[wave].push(key);
    }
    Ok(waves)
}

/// From each node to its neighbours.
fn neighbours(answer: &Answer) -> Result<HashMap<String, Vec<Placed>>, GraphError> {
    let (nears, fars): (Vec<String>, Vec<String>) = (answer.list("nears", "total")?, answer.list("fars", "total")?);
    let ordinals: Vec<i64> = answer.list("ordinals", "total")?;
    let mut neighbours: HashMap<String, Vec<Placed>> = HashMap::new();
    for ((near, far), ordinal) in nears.into_iter().zip(fars).zip(ordinals) {
        neighbours.entry(near).or_default().push((ordinal, far));
    }
    Ok(neighbours)
}

/// Walks on from a frontier, level by level; returns the last one, empty when there is nothing behind it.
fn spread(
    neighbours: &HashMap<String, Vec<Placed>>,
    mut frontier: Vec<String>,
    levels: std::ops::Range<usize>,
    seen: &mut HashSet<String>,
    reached: &mut Vec<Reached>,
) -> Vec<String> {
    for level in levels {
        let mut next: Vec<Placed> = Vec::new();
        for (ordinal, far) in frontier.iter().filter_map(|near| neighbours.get(near)).flatten() {
            if seen.insert(far.clone()) {
                next.push((*ordinal, far.clone()));
            }
        }
        next.sort_unstable();
        reached.extend(next.iter().map(|(_, key)| Reached { key: key.clone(), distance: level + 1 }));
        frontier = next.into_iter().map(|(_, key)| key).collect();
    }
    frontier
}
