//! A run under way takes up a newer plan: every unit keeps its place and, where nothing about it changed, its state.
//!
//! The caller has locked the run (`settle::lock_runs`).

use uuid::Uuid;

use super::reopen::{self, ReopenedUnit};
use super::{StoreError, TenantTx, settle, units};
use crate::model::{AgentKind, Plan, PlanId, RunId, Task};

/// What became of the units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replanned {
    /// Keys of units that were being worked on and are not any more: their outcome will come late.
    pub fenced: Vec<String>,
    /// Units that are done again, and those behind them.
    pub reopened: Vec<ReopenedUnit>,
}

/// Gives the run that plan, which is stored; `order` is the place of each task in the order of dispatch. Finished units of `redo` are done
/// again, and so are those that wait for something new.
pub async fn replan(
    tx: &mut TenantTx,
    run: RunId,
    (id, plan): (PlanId, &Plan),
    order: &[i32],
    kind: impl Fn(&Task) -> Option<AgentKind>,
    redo: &[String],
    reason: &str,
) -> Result<Replanned, StoreError> {
    let organization = tx.organization().0;
    let set = "update runs set plan_id = $3 where organization_id = $1 and id = $2";
    sqlx::query(set).bind(organization).bind(run.0).bind(id.0).execute(&mut **tx).await?;
    // What exists stays as it is; what is new is made.
    units::load(tx, run, plan, order, kind).await?;
    let unblock = "update run_tasks set state = 'pending' where organization_id = $1 and run_id = $2 and state = 'blocked'";
    sqlx::query(unblock).bind(organization).bind(run.0).execute(&mut **tx).await?;
    close_gates(tx, run).await?;
    let places: Vec<i32> = (0_i32..).take(order.len()).collect();
    let recount = sqlx::query_as(include_str!("recount.sql")).bind(organization).bind(run.0).bind(places).bind(order);
    let fenced: Vec<(i32, Uuid, i64, String)> = recount.fetch_all(&mut **tx).await?;
    let (ids, tokens): (Vec<Uuid>, Vec<i64>) = fenced.iter().map(|unit| (unit.1, unit.2)).unzip();
    reopen::record(tx, run, &ids, &tokens, "reopened", reason).await?;
    let early = "select key from run_tasks where organization_id = $1 and run_id = $2 and not gate and pending > 0 \
                 and state in ('succeeded', 'cached', 'failed')";
    let early: Vec<String> = sqlx::query_scalar(early).bind(organization).bind(run.0).fetch_all(&mut **tx).await?;
    let reopened = reopen::reopen(tx, run, &[redo, &early].concat(), reason).await?;
    let open = units::open_gates(tx, run).await?;
    settle::advance(tx, open.into_iter().map(|ordinal| (run.0, ordinal)).collect()).await?;
    reopen::block_behind_failures(tx, run).await?;
    Ok(Replanned { fenced: fenced.into_iter().map(|unit| unit.3).collect(), reopened })
}

/// Gates that have passed and wait for something new wait again; one at a time, for the counters of what is behind them are counted from it.
async fn close_gates(tx: &mut TenantTx, run: RunId) -> Result<(), StoreError> {
    let update = "update run_tasks t set state = 'pending' from runs where runs.organization_id = $1 and runs.id = $2 \
                  and t.organization_id = $1 and t.run_id = $2 and t.gate and t.state = 'succeeded' and exists ( \
                      select from task_dependencies edge join run_tasks parent on parent.organization_id = $1 and parent.run_id = $2 \
                      and parent.ordinal = edge.depends_on where edge.organization_id = $1 and edge.plan_id = runs.plan_id \
                      and edge.task = t.ordinal and parent.state not in ('succeeded', 'cached'))";
    while sqlx::query(update).bind(tx.organization().0).bind(run.0).execute(&mut **tx).await?.rows_affected() > 0 {}
    Ok(())
}
