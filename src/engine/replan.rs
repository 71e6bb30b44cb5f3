//! A newer plan for a run under way, in one transaction: states carry over, counters are counted anew, what changed is fenced.

use serde_json::json;

use super::rank::{order, ranks};
use super::{Engine, EngineError};
use crate::model::{Actor, AgentKind, Plan, PlanId, RunId, RunState, Task};
use crate::store::postgres::replan::{self, Replanned};
use crate::store::postgres::{TenantTx, audit, plans, runs, settle};

impl Engine {
    /// Stores the newer plan and moves the run to it; see [`Replanned`]. Every task of the present plan must keep its place, which makes the
    /// place of a unit good for a whole run: what is no longer wanted has the role `removed`, what is new comes last.
    ///
    /// `redo` names finished units to do again. `kind` says which kind of agent is to perform a new task.
    pub async fn replan_in(
        &self,
        tx: &mut TenantTx,
        actor: &Actor,
        run: RunId,
        plan: &Plan,
        kind: impl Fn(&Task) -> Option<AgentKind>,
        (redo, reason): (&[String], &str),
    ) -> Result<(PlanId, Replanned), EngineError> {
        settle::lock_runs(tx, &[run]).await?;
        let row = runs::find(tx, run).await?.ok_or(EngineError::NoSuchRun { run })?;
        if matches!(row.state, RunState::Succeeded | RunState::Cancelled | RunState::Superseded) {
            return Err(EngineError::wrong_state(run, row.state, "changed"));
        }
        let Some(before) = row.plan else { return Err(EngineError::wrong_state(run, row.state, "changed before it is planned")) };
        let old = plans::load(tx, before).await?.ok_or(EngineError::NoSuchRun { run })?;
        let moved = old.tasks.iter().zip(&plan.tasks).find(|(old, new)| old.key != new.key);
        if moved.is_some() || plan.tasks.len() < old.tasks.len() {
            let key = moved.map_or_else(|| "the last task".to_owned(), |(old, _)| old.key.clone());
            return Err(EngineError::Moved { run, key });
        }
        let ranks = ranks(plan);
        let id = plans::store(tx, row.spec, row.spec_version, plan, &ranks).await?;
        let order = order(plan, &ranks, self.options.strategy);
        let replanned = replan::replan(tx, run, (id, plan), &order, kind, redo, reason).await?;
        let after =
            json!({ "plan": id, "before": before, "fenced": replanned.fenced, "reopened": replanned.reopened.len(), "reason": reason });
        audit::record(tx, &actor.name, "run.replan", &run.to_string(), None, Some(&after)).await?;
        Ok((id, replanned))
    }
}
