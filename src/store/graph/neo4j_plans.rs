//! How plans come into the graph server and leave it: chunk by chunk, invisible until they are complete; and generations of them.

use std::collections::HashMap;

use neo4rs::BoltType;

use super::neo4j::{CHUNK_DEADLINE, Neo4j, Parameters, QUERY_DEADLINE};
use super::plan::{PlanGraph, PlanNode, name_of};
use super::statements::{self, Statement};
use super::{GraphError, PlanKey};
use crate::dag::Graph as Dag;
use crate::model::{OrganizationId, PlanId};

/// Rows that one statement writes or takes away: a transaction of more costs the server more memory than it saves time.
const CHUNK_ROWS: usize = 5_000;
/// How often a load begins again because the generation changed meanwhile.
const SWITCHES_MAX: usize = 3;
/// Chunks after which taking away is given up: more than any plan has.
const CHUNKS_MAX: usize = 10_000;

type Rows = Vec<BoltType>;

impl Neo4j {
    /// Loads a plan into a generation, none for the active one. One writer per plan in this process; several processes that load the
    /// same plan come to the same end.
    pub(super) async fn load(&self, generation: Option<u32>, plan: PlanKey, graph: &PlanGraph, dag: &Dag) -> Result<(), GraphError> {
        let _writer = self.writer(plan).await?;
        for _ in 0..SWITCHES_MAX {
            let into = match generation {
                Some(generation) => generation,
                None => self.active_generation().await?,
            };
            self.load_into(into, plan, graph, dag).await?;
            if generation.is_some() || self.active_generation().await? == into {
                return Ok(());
            }
        }
        Err(GraphError::Unavailable(format!("the generation changed {SWITCHES_MAX} times while a plan was loaded")))
    }

    async fn load_into(&self, generation: u32, plan: PlanKey, graph: &PlanGraph, dag: &Dag) -> Result<(), GraphError> {
        let content = graph.content();
        let mut scope = scope(generation, plan);
        scope.push(("content", content.into()));
        let begin = with(&scope, vec![("nodes", integer(dag.len())), ("edges", integer(graph.edges.len()))]);
        let begun = self.ask(statements::LOAD_BEGIN, begin, CHUNK_DEADLINE).await?;
        if begun.get("complete")? {
            return Ok(());
        }
        self.write(statements::LOAD_TASKS, &scope, task_rows(graph, dag)).await?;
        self.write(statements::LOAD_EDGES, &scope, edge_rows(graph)).await?;
        self.write(statements::LOAD_PARENTS, &scope, parent_rows(graph)).await?;
        self.write(statements::LOAD_SKILLS, &scope, skill_rows(graph)).await?;
        self.write(statements::LOAD_WAVES, &scope, wave_rows(dag)).await?;
        if begun.get("stale")? {
            self.take_away(statements::LOAD_PRUNE_EDGES, &scope).await?;
            self.take_away(statements::LOAD_PRUNE_NODES, &scope).await?;
        }
        let ended = self.ask(statements::LOAD_END, scope, CHUNK_DEADLINE).await?;
        if ended.count("total")? == 1 {
            return Ok(());
        }
        Err(GraphError::Unavailable("another process loads something else under the name of this plan".to_owned()))
    }

    /// Takes a plan out of the active generation; one that is not there is passed over.
    pub(super) async fn remove(&self, plan: PlanKey) -> Result<(), GraphError> {
        let _writer = self.writer(plan).await?;
        let generation = self.active_generation().await?;
        self.remove_scope(scope(generation, plan)).await
    }

    async fn remove_scope(&self, scope: Parameters) -> Result<(), GraphError> {
        self.ask(statements::REMOVE_BEGIN, scope.clone(), CHUNK_DEADLINE).await?;
        self.take_away(statements::REMOVE_NODES, &scope).await?;
        self.ask(statements::REMOVE_END, scope, CHUNK_DEADLINE).await?;
        Ok(())
    }

    /// A generation that nothing uses yet.
    pub(super) async fn begin_generation(&self) -> Result<u32, GraphError> {
        self.generation(statements::BEGIN_GENERATION, Vec::new()).await
    }

    /// The generation that queries see.
    pub(super) async fn active_generation(&self) -> Result<u32, GraphError> {
        self.generation(statements::ACTIVE_GENERATION, Vec::new()).await
    }

    /// From now on queries see that one.
    pub(super) async fn switch(&self, generation: u32) -> Result<(), GraphError> {
        self.generation(statements::SWITCH_GENERATION, vec![("generation", i64::from(generation).into())]).await?;
        Ok(())
    }

    /// The generations of this installation beside the one that queries see.
    pub(super) async fn beside(&self) -> Result<Vec<u32>, GraphError> {
        let numbers: Vec<i64> = self.ask(statements::BESIDE, Vec::new(), QUERY_DEADLINE).await?.list("generations", "total")?;
        let number = |number: i64| u32::try_from(number).map_err(|_| GraphError::Unavailable(format!("there is no generation {number}")));
        numbers.into_iter().map(number).collect()
    }

    /// Takes away every plan of a generation, in chunks.
    pub(super) async fn drop_generation(&self, generation: u32) -> Result<(), GraphError> {
        for _ in 0..CHUNKS_MAX {
            let parameters = vec![("generation", i64::from(generation).into()), ("limit", integer(CHUNK_ROWS))];
            let answer = self.ask(statements::PLANS_OF_GENERATION, parameters, CHUNK_DEADLINE).await?;
            let (tenants, plans): (Vec<String>, Vec<String>) = (answer.list("tenants", "total")?, answer.list("plans", "total")?);
            if plans.is_empty() {
                self.generation(statements::FORGET_GENERATION, vec![("generation", i64::from(generation).into())]).await?;
                return Ok(());
            }
            for (tenant, plan) in tenants.into_iter().zip(plans) {
                let scope = vec![("tenant", tenant.into()), ("generation", i64::from(generation).into()), ("plan", plan.into())];
                self.remove_scope(scope).await?;
            }
        }
        Err(GraphError::Unavailable(format!("generation {generation} is filled as fast as it is emptied")))
    }

    /// The plans of a tenant that are completely loaded, sorted.
    pub(super) async fn plans(&self, tenant: OrganizationId) -> Result<Vec<PlanId>, GraphError> {
        let parameters = vec![("tenant", tenant.to_string().into())];
        let answer = self.ask(statements::PLANS, parameters, CHUNK_DEADLINE).await?;
        let texts: Vec<String> = answer.list("plans", "total")?;
        let mut plans = Vec::with_capacity(texts.len());
        for text in texts {
            let id = text.parse().map_err(|error| GraphError::Unavailable(format!("{text} is not the id of a plan: {error}")))?;
            plans.push(PlanId(id));
        }
        plans.sort_unstable();
        Ok(plans)
    }

    /// Writes dependencies that no plan may have, past every check.
    #[cfg(test)]
    pub(super) async fn force_edges(&self, plan: PlanKey, edges: &[crate::dag::Edge]) -> Result<(), GraphError> {
        let mut scope = scope(self.active_generation().await?, plan);
        scope.push(("content", "forced".into()));
        let forced = PlanGraph { nodes: Vec::new(), edges: edges.to_vec() };
        self.write(statements::LOAD_EDGES, &scope, edge_rows(&forced)).await
    }

    async fn generation(&self, statement: Statement, parameters: Parameters) -> Result<u32, GraphError> {
        let number = self.ask(statement, parameters, QUERY_DEADLINE).await?.count("generation")?;
        u32::try_from(number).map_err(|_| GraphError::Unavailable(format!("there is no generation {number}")))
    }

    /// Writes rows in chunks; every one of them must be written.
    async fn write(&self, statement: Statement, scope: &Parameters, mut rows: Rows) -> Result<(), GraphError> {
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(CHUNK_ROWS));
            let expected = rows.len();
            let parameters = with(scope, vec![("rows", rows.into())]);
            let written = self.ask(statement, parameters, CHUNK_DEADLINE).await?.count("total")?;
            if written != expected {
                return Err(GraphError::Unavailable(format!("{} wrote {written} of {expected} rows", statement.name)));
            }
            rows = rest;
        }
        Ok(())
    }

    async fn take_away(&self, statement: Statement, scope: &Parameters) -> Result<(), GraphError> {
        for _ in 0..CHUNKS_MAX {
            let parameters = with(scope, vec![("limit", integer(CHUNK_ROWS))]);
            if self.ask(statement, parameters, CHUNK_DEADLINE).await?.count("total")? == 0 {
                return Ok(());
            }
        }
        Err(GraphError::Unavailable(format!("{} does not come to an end", statement.name)))
    }
}

/// The parameters that name a plan in a generation.
fn scope(generation: u32, plan: PlanKey) -> Parameters {
    vec![("tenant", plan.tenant.to_string().into()), ("generation", i64::from(generation).into()), ("plan", plan.plan.to_string().into())]
}

fn with(scope: &Parameters, more: Parameters) -> Parameters {
    scope.iter().cloned().chain(more).collect()
}

/// A number as the server counts.
pub(super) fn integer(number: usize) -> BoltType {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// A map of a statement's `rows`.
pub(super) fn row(columns: impl IntoIterator<Item = (&'static str, BoltType)>) -> BoltType {
    columns.into_iter().collect::<HashMap<_, _>>().into()
}

/// Sorted by key, as everything is that writers of the same plan may lock at the same time.
fn task_rows(graph: &PlanGraph, dag: &Dag) -> Rows {
    let waves = PlanGraph::waves(dag);
    let mut nodes: Vec<(usize, &PlanNode)> = graph.nodes.iter().enumerate().collect();
    nodes.sort_unstable_by(|left, right| left.1.key.cmp(&right.1.key));
    let line = |(ordinal, node): (usize, &PlanNode)| {
        row([
            ("key", node.key.as_str().into()),
            ("ordinal", integer(ordinal)),
            ("role", name_of(&node.role).into()),
            ("weight", node.weight().map(i64::from).into()),
            ("effort", i64::from(node.effort).into()),
            ("title", node.title.as_str().into()),
            ("type", node.task_type.as_str().into()),
            ("wave", waves.get(node.key.as_str()).copied().map(i64::from).into()),
        ])
    };
    nodes.into_iter().map(line).collect()
}

fn edge_rows(graph: &PlanGraph) -> Rows {
    pairs("depends_on", graph.edges.iter().map(|edge| (edge.task.as_str(), edge.depends_on.as_str())).collect())
}

fn parent_rows(graph: &PlanGraph) -> Rows {
    pairs("parent", graph.nodes.iter().filter_map(|node| Some((node.key.as_str(), node.parent.as_deref()?))).collect())
}

fn skill_rows(graph: &PlanGraph) -> Rows {
    let skills =
        |node: &'_ PlanNode| -> Vec<(String, String)> { node.skills.iter().map(|skill| (node.key.clone(), skill.clone())).collect() };
    let all: Vec<(String, String)> = graph.nodes.iter().flat_map(skills).collect();
    pairs("skill", all.iter().map(|(task, skill)| (task.as_str(), skill.as_str())).collect())
}

fn wave_rows(dag: &Dag) -> Rows {
    let line = |(task, wave): (&str, u32)| row([("task", task.into()), ("wave", i64::from(wave).into())]);
    PlanGraph::waves(dag).into_iter().map(line).collect()
}

fn pairs(second: &'static str, mut pairs: Vec<(&str, &str)>) -> Rows {
    pairs.sort_unstable();
    pairs.into_iter().map(|(task, other)| row([("task", task.into()), (second, other.into())])).collect()
}
