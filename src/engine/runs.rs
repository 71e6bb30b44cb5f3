//! What a person can do to a run, and how it looks from outside.

use std::collections::BTreeMap;

use super::acts::{approve, cancel, pause, reject, reopen, reset, resume, retry, wake};
use super::rank::{order, ranks};
use super::{Engine, EngineError, ReopenedUnit, RunRow, UnitRow};
use crate::model::{Actor, AgentKind, OrganizationId, Plan, PlanId, RunId, RunState, SpecId, Task, UnitId, UnitState, WorkerId};
use crate::store::postgres::{TenantTx, budgets, leases, plans, runs, settle, units};

/// A run and its units at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSnapshot {
    /// The run.
    pub run: RunRow,
    /// How many units stand in each state; gates are not counted, states without a unit are left out.
    pub counts: BTreeMap<UnitState, usize>,
    /// Every unit, in plan order, gates left out.
    pub units: Vec<UnitRow>,
    /// Who drives it, while that one shows that it lives.
    pub driver: Option<WorkerId>,
    /// True when it is running and no unit was settled for too long.
    pub stuck: bool,
}

/// Nodes of a plan from which on it matters that the database knows the size of its tables.
const ANALYZED_FROM: usize = 200;

impl Engine {
    /// Stores the plan and makes the run's units from it; `kind` says which kind of agent is to perform a task. Safe to repeat: the same
    /// plan is stored once, and units that exist stay.
    pub async fn load_plan(
        &self,
        organization: OrganizationId,
        run: RunId,
        plan: &Plan,
        kind: impl Fn(&Task) -> Option<AgentKind>,
    ) -> Result<PlanId, EngineError> {
        let ranks = ranks(plan);
        let mut tx = self.store.tenant(organization).await?;
        let row = runs::find(&mut tx, run).await?.ok_or(EngineError::NoSuchRun { run })?;
        let id = plans::store(&mut tx, row.spec, row.spec_version, plan, &ranks).await?;
        settle::lock_runs(&mut tx, &[run]).await?;
        if let Some(loaded) = runs::set_plan(&mut tx, run, id).await? {
            tx.commit().await?;
            return Ok(loaded);
        }
        units::load(&mut tx, run, plan, &order(plan, &ranks, self.options.strategy), kind).await?;
        budgets::set(&mut tx, run, &self.options.budgets).await?;
        let open = units::open_gates(&mut tx, run).await?;
        settle::advance(&mut tx, open.into_iter().map(|ordinal| (run.0, ordinal)).collect()).await?;
        tx.commit().await?;
        if plan.tasks.len() >= ANALYZED_FROM
            && let Err(error) = self.store.analyze_plans().await
        {
            tracing::debug!(%error, "the tables were not looked at; the run is only slower");
        }
        self.changed();
        Ok(id)
    }

    /// Stores the plan of a specification's version before any run of it, within a transaction that the caller commits. A run that makes
    /// the same plan finds it.
    pub async fn store_plan_in(&self, tx: &mut TenantTx, spec: SpecId, version: u32, plan: &Plan) -> Result<PlanId, EngineError> {
        Ok(plans::store(tx, spec, version, plan, &ranks(plan)).await?)
    }

    /// The run with all its units, read at one moment.
    pub async fn snapshot(&self, organization: OrganizationId, run: RunId) -> Result<RunSnapshot, EngineError> {
        let mut tx = self.store.tenant(organization).await?;
        let row = runs::find(&mut tx, run).await?.ok_or(EngineError::NoSuchRun { run })?;
        let lease = leases::find(&mut tx, run).await?.ok_or(EngineError::NoSuchRun { run })?;
        let units: Vec<UnitRow> = units::list(&mut tx, run).await?.into_iter().filter(|unit| !unit.gate).collect();
        tx.commit().await?;
        let mut counts = BTreeMap::new();
        for unit in &units {
            *counts.entry(unit.state).or_default() += 1;
        }
        let stuck = row.state == RunState::Running && lease.idle > self.options.stuck_after;
        Ok(RunSnapshot { run: row, counts, units, driver: lease.owner.filter(|_| !lease.expired), stuck })
    }

    /// Stops the run until it is resumed: nothing more is claimed, its driver loses the lease, running units may still be settled.
    pub async fn pause(&self, actor: &Actor, run: RunId, reason: &str) -> Result<RunState, EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        let state = pause(&mut tx, actor, run, reason).await?;
        tx.commit().await?;
        Ok(state)
    }

    /// Calls the run off for good, with every unfinished unit. Returns the units that were running: their workers lose their tokens.
    pub async fn cancel(&self, actor: &Actor, run: RunId, reason: &str) -> Result<Vec<UnitId>, EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        let fenced = cancel(&mut tx, actor, run, reason).await?;
        tx.commit().await?;
        self.changed();
        Ok(fenced)
    }

    /// Lets a paused, partial or failed run go on; [`Engine::drive`] takes it then. A running one whose driver is gone needs only `drive`.
    pub async fn resume(&self, actor: &Actor, run: RunId) -> Result<RunState, EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        let state = resume(&mut tx, actor, run).await?;
        tx.commit().await?;
        self.changed();
        Ok(state)
    }

    /// Opens finished units again, and resets everything behind them; see [`ReopenedUnit`]. At least one of the keys must be that of a
    /// succeeded, cached or failed unit.
    pub async fn reopen(&self, actor: &Actor, run: RunId, keys: &[String], reason: &str) -> Result<Vec<ReopenedUnit>, EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        let reopened = reopen(&mut tx, actor, run, keys, reason).await?;
        tx.commit().await?;
        self.changed();
        Ok(reopened)
    }

    /// Lets waiting units be tried again, because something can do them now. Returns how many.
    pub async fn wake(&self, actor: &Actor, run: RunId, keys: &[String]) -> Result<u64, EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        let woken = wake(&mut tx, actor, run, keys).await?;
        tx.commit().await?;
        self.changed();
        Ok(woken)
    }

    /// Lets units be tried once more; see [`retry`]. Returns how many.
    pub async fn retry(&self, actor: &Actor, run: RunId, keys: &[String], reason: &str) -> Result<u64, EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        let tried = retry(&mut tx, actor, run, keys, reason).await?;
        tx.commit().await?;
        self.changed();
        Ok(tried)
    }

    /// Settles a waiting unit on a person's behalf: done, or failed.
    pub async fn decide(&self, actor: &Actor, run: RunId, key: &str, approved: bool, note: &str) -> Result<(), EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        if approved {
            approve(&mut tx, actor, run, key, note).await?;
        } else {
            reject(&mut tx, actor, run, key, note).await?;
        }
        tx.commit().await?;
        self.changed();
        Ok(())
    }

    /// Takes a running run from all who work on it; see [`reset`]. Returns how many units were given back.
    pub async fn reset(&self, actor: &Actor, run: RunId, reason: &str) -> Result<usize, EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        let units = reset(&mut tx, actor, run, reason).await?;
        tx.commit().await?;
        self.changed();
        Ok(units)
    }
}
