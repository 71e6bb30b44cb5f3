//! The phases of a run, one file each. [`advance`] is the pipeline; everything else here serves it.
//!
//! Called by `runner`, again and again until the run is finished: what is recorded in the journal is not done twice, so
//! any call may be the first one after a crash. The phases claim no unit and hold no worker: while units are open,
//! [`advance`] returns [`Step::Parked`].

pub mod again;
pub mod analyze;
pub mod atomize;
pub mod branch;
pub mod change;
pub mod commands;
pub mod compliance;
pub mod deploy;
pub mod error;
pub mod events;
pub mod execute;
pub mod executed;
pub mod hand_in;
pub mod health;
pub mod intake;
pub mod journal;
pub mod junit;
pub mod learn;
pub mod plan;
pub mod planning;
pub mod probe;
pub mod questions;
pub mod repair;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sent;
pub mod service;
mod standards;
pub mod toolchain;
pub mod validate;
pub mod waves;

pub use commands::Commands;
pub use error::PipelineError;
pub use events::Events;
pub use run::Run;

use crate::model::{Plan, PlanId, RunEvent, RunState, SpecDocument};

/// How often execute and validate may be repeated after a repair.
pub const REPAIR_ROUNDS_MAX: u32 = 3;

/// Where a run stands after [`advance`].
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Units are open; call again when they are settled.
    Parked(Box<Parked>),
    /// The run has ended so.
    Finished(RunState),
}

/// What a worker needs to perform the open units.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// The specification.
    pub document: SpecDocument,
    /// Which version of the plan.
    pub plan_id: PlanId,
    /// The plan.
    pub plan: Plan,
}

/// Takes the run as far as it can go without its open units.
pub async fn advance(run: &Run) -> Result<Step, PipelineError> {
    let document = planning::ingest(run).await?;
    let analysis = planning::analyze(run, &document).await?;
    let draft = planning::plan(run, &document, &analysis).await?;
    let units = planning::atomize(run, draft).await?;
    planning::schedule(run, units).await?;
    branch::phase(run).await?;
    // Somebody may have changed it since.
    let (plan_id, plan) = planning::current(run).await?;

    let mut round = 1;
    let validation = loop {
        if !execute::phase(run, &document, &plan, round).await? {
            return Ok(Step::Parked(Box::new(Parked { document, plan_id, plan })));
        }
        let validation = validate::phase(run, &document, &plan, round).await?;
        if validation.acceptable() || round > REPAIR_ROUNDS_MAX || !repair::phase(run, &plan, &validation, round).await? {
            break validation;
        }
        round += 1;
    };
    if !validation.acceptable() {
        return finish(run, RunEvent::Fail, validation.verdict()).await;
    }

    let delivery = deploy::phase(run).await?;
    let health = health::phase(run, &document, &delivery).await?;
    learn::phase(run, &document, &plan, &validation, &health).await?;
    if !health.healthy {
        return finish(run, RunEvent::Fail, health.verdict()).await;
    }
    let event = if validation.complete() { RunEvent::Succeed } else { RunEvent::FinishPartial };
    finish(run, event, validation.verdict()).await
}

async fn finish(run: &Run, event: RunEvent, reason: String) -> Result<Step, PipelineError> {
    Ok(Step::Finished(run.engine.finish(&run.guard, event, &reason).await?))
}
