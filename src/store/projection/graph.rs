//! Plans and how their units stand, in a graph store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use super::relay::{self, Rebuilt, Target, TargetError};
use super::verify::{Compared, Items};
use crate::model::{OrganizationId, PlanId, RunId};
use crate::store::graph::{Graph, GraphError, PlanContents, PlanGraph, PlanKey, UnitUpdate};
use crate::store::postgres::outbox::OutboxRow;
use crate::store::postgres::projected::{self, ProjectedUnit};
use crate::store::postgres::{Postgres, plans};

pub(super) const NAME: &str = "graph";
pub(super) const AGGREGATES: &[&str] = &["plan", "run", "unit"];
/// How long a comparison waits for what has not arrived yet before it looks a second time.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);

/// How long a question that has begun may take.
const QUESTIONS_END_WITHIN: Duration = Duration::from_secs(2);

/// The graph store as a target.
#[derive(Clone)]
pub(super) struct Plans {
    pub(super) postgres: Postgres,
    pub(super) graph: Graph,
}

/// A plan among those of all organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(PlanKey);

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "plan {} of organization {}", self.0.plan, self.0.tenant)
    }
}

/// What one organization's changes are about.
#[derive(Default)]
struct Touched {
    plans: BTreeSet<PlanId>,
    runs: BTreeSet<RunId>,
    units: BTreeSet<Uuid>,
}

impl Target for Plans {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aggregates(&self) -> &'static [&'static str] {
        AGGREGATES
    }

    async fn take_in(&self, changes: &[OutboxRow]) -> Result<(), TargetError> {
        let mut touched: BTreeMap<OrganizationId, Touched> = BTreeMap::new();
        for change in changes {
            let touched = touched.entry(change.organization).or_default();
            let id = change.aggregate_id;
            let _new = match change.aggregate.as_str() {
                "plan" => touched.plans.insert(PlanId(id)),
                "run" => touched.runs.insert(RunId(id)),
                "unit" => touched.units.insert(id),
                other => return Err(TargetError::Refused(format!("{other} is nothing that a graph has"))),
            };
        }
        for (tenant, touched) in touched {
            self.bring(tenant, touched).await?;
        }
        Ok(())
    }

    async fn rebuild(&self) -> Result<Rebuilt, TargetError> {
        let next = self.graph.begin_generation().await.map_err(away)?;
        let mut rebuilt = Rebuilt::default();
        for plan in self.among_facts().await? {
            let Some(graph) = self.fact(plan).await? else { continue };
            self.graph.load_into(next, plan, &graph).await.map_err(away)?;
            self.graph.update_units_into(next, plan, &self.units(plan).await?).await.map_err(away)?;
            rebuilt.aggregates += 1;
            rebuilt.items += graph.nodes.len() + graph.edges.len();
        }
        self.graph.switch(next).await.map_err(away)?;
        // A question that began before sees the former generation to its end.
        tokio::time::sleep(QUESTIONS_END_WITHIN).await;
        // The former one, and what rebuilds left that did not come to their end.
        for outdated in self.graph.generations_beside().await.map_err(away)? {
            self.graph.drop_generation(outdated).await.map_err(away)?;
        }
        Ok(rebuilt)
    }
}

impl Plans {
    async fn bring(&self, tenant: OrganizationId, touched: Touched) -> Result<(), TargetError> {
        for plan in touched.plans {
            let plan = PlanKey { tenant, plan };
            match self.fact(plan).await? {
                Some(graph) => self.load(plan, &graph).await?,
                None => self.graph.remove(plan).await.map_err(away)?,
            }
        }
        let mut tx = self.postgres.tenant(tenant).await?;
        let ids: Vec<Uuid> = touched.units.into_iter().collect();
        let mut units = projected::units(&mut tx, &ids).await?;
        for run in touched.runs {
            units.extend(projected::units_of_run(&mut tx, run).await?);
        }
        tx.commit().await?;
        let mut of_plan: BTreeMap<PlanId, Vec<UnitUpdate>> = BTreeMap::new();
        for unit in units {
            of_plan.entry(unit.plan).or_default().push(update(unit));
        }
        for (plan, updates) in of_plan {
            self.tell(PlanKey { tenant, plan }, &updates).await?;
        }
        Ok(())
    }

    /// Tells how units stand; a plan that the store does not have comes there first.
    async fn tell(&self, plan: PlanKey, updates: &[UnitUpdate]) -> Result<(), TargetError> {
        match self.graph.update_units(plan, updates).await {
            Err(GraphError::UnknownPlan(_)) => {}
            told => return told.map(drop).map_err(away),
        }
        let Some(graph) = self.fact(plan).await? else { return Ok(()) };
        self.load(plan, &graph).await?;
        self.graph.update_units(plan, updates).await.map(drop).map_err(away)
    }

    /// Loads the server alone: the stand-by of each process holds what that process works on.
    async fn load(&self, plan: PlanKey, graph: &PlanGraph) -> Result<(), TargetError> {
        self.graph.load_served(plan, graph).await.map_err(away)
    }

    async fn among_facts(&self) -> Result<BTreeSet<PlanKey>, TargetError> {
        let mut all = BTreeSet::new();
        for tenant in self.organizations().await? {
            let mut tx = self.postgres.tenant(tenant).await?;
            all.extend(projected::plans(&mut tx).await?.into_iter().map(|plan| PlanKey { tenant, plan }));
            tx.commit().await?;
        }
        Ok(all)
    }

    async fn organizations(&self) -> Result<Vec<OrganizationId>, TargetError> {
        let mut tx = self.postgres.system().await?;
        let organizations = projected::organizations(&mut tx).await?;
        tx.commit().await?;
        Ok(organizations)
    }

    /// The plan as the tables have it.
    async fn fact(&self, plan: PlanKey) -> Result<Option<PlanGraph>, TargetError> {
        let mut tx = self.postgres.tenant(plan.tenant).await?;
        let stored = plans::load(&mut tx, plan.plan).await?;
        tx.commit().await?;
        Ok(stored.as_ref().map(PlanGraph::of))
    }

    /// How its units stand in its newest run.
    async fn units(&self, plan: PlanKey) -> Result<Vec<UnitUpdate>, TargetError> {
        let mut tx = self.postgres.tenant(plan.tenant).await?;
        let units = match projected::newest_run(&mut tx, plan.plan).await? {
            Some(run) => projected::units_of_run(&mut tx, run).await?,
            None => Vec::new(),
        };
        tx.commit().await?;
        Ok(units.into_iter().map(update).collect())
    }
}

impl Compared for Plans {
    type Id = Id;

    async fn aggregates_known(&self) -> Result<BTreeSet<Id>, TargetError> {
        let mut all: BTreeSet<Id> = self.among_facts().await?.into_iter().map(Id).collect();
        for tenant in self.organizations().await? {
            let held = self.graph.plans(tenant).await.map_err(away)?;
            all.extend(held.into_iter().map(|plan| Id(PlanKey { tenant, plan })));
        }
        Ok(all)
    }

    async fn wanted(&self, id: &Id) -> Result<Option<Items>, TargetError> {
        let Some(graph) = self.fact(id.0).await? else { return Ok(None) };
        let mut contents = PlanContents::expected(&graph).map_err(|defects| away(GraphError::Defects(defects)))?;
        for unit in self.units(id.0).await? {
            if let Some(task) = contents.tasks.get_mut(&unit.key) {
                task.unit = Some((unit.state, unit.run, unit.version));
            }
        }
        Ok(Some(items(&contents)))
    }

    async fn held(&self, id: &Id) -> Result<Option<Items>, TargetError> {
        match self.graph.contents(id.0).await {
            Ok(contents) => Ok(Some(items(&contents))),
            Err(GraphError::UnknownPlan(_)) => Ok(None),
            Err(error) => Err(away(error)),
        }
    }

    async fn settle(&self) -> Result<(), TargetError> {
        relay::catch_up(&self.postgres, self, SETTLE_WITHIN).await.map(drop)
    }

    /// What is complete by its own account is not written again, so it goes first.
    async fn mend(&self, id: &Id) -> Result<(), TargetError> {
        self.graph.remove(id.0).await.map_err(away)?;
        let Some(graph) = self.fact(id.0).await? else { return Ok(()) };
        self.load(id.0, &graph).await?;
        self.tell(id.0, &self.units(id.0).await?).await
    }
}

/// Item by item, named as a person would. The version of a unit is left out: becoming ready counts, and is not announced.
fn items(contents: &PlanContents) -> Items {
    let mut items = Items::default();
    for (key, task) in &contents.tasks {
        let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let unit = task.unit.map_or_else(|| "no run".to_owned(), |(state, run, _)| format!("{} in run {run}", state.as_str()));
        let content = format!("{}, weight {}, wave {}, {unit}", task.role, number(task.weight), number(task.wave));
        items.add(format!("task {key}"), content);
    }
    let pairs = [("depends on", &contents.edges), ("is below", &contents.parents), ("needs skill", &contents.skills)];
    for (verb, pairs) in pairs {
        for (one, other) in pairs {
            items.add(format!("{one} {verb} {other}"), "");
        }
    }
    items
}

fn update(unit: ProjectedUnit) -> UnitUpdate {
    UnitUpdate {
        key: unit.key,
        run: unit.run,
        version: unit.version.cast_unsigned(),
        state: unit.state,
        attempts: unit.attempts,
        agent: unit.agent,
        duration_ms: unit.duration_ms.map(i64::cast_unsigned),
    }
}

fn away(error: GraphError) -> TargetError {
    if error.is_outage() { TargetError::away(NAME, error) } else { TargetError::Refused(error.to_string()) }
}
