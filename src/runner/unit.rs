//! One unit, from claim to settlement: within what time and budget it is tried (`attempt`), and what is told when that has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use super::POLL_EVERY;
use super::asked;
use super::attempt::{self, Attempt, Seams};
use super::branch::Branch;
use super::gathering::Sources;
use super::inputs::Inputs;
use super::listening::{self, Ear};
use super::meter::RunMeter;
use super::told;
use crate::engine::{Claim, ClaimedUnit, ErrorClass, Reserved, Settled, Settlement, UnitResult};
use crate::generate::Prior;
use crate::model::budget::Amount;
use crate::model::{EventKind, Plan, PlanId, SpecDocument, SpendId, Task, UnitState};
use crate::pipeline::toolchain::Toolchain;
use crate::pipeline::{PipelineError, Run, planning};

/// An attempt that gets less time than that is not begun.
const ALLOWANCE_MIN: Duration = Duration::from_secs(1);

/// What is left of a unit's time when its agent has used its own: for the checks, and for the merge.
const JUDGED_WITHIN: Duration = Duration::from_mins(5);

/// What all units of a run share.
pub struct Shared {
    /// The run.
    pub run: Run,
    /// The specification.
    pub document: Arc<SpecDocument>,
    /// Which version of the plan.
    pub plan_id: PlanId,
    /// The plan.
    pub plan: Arc<Plan>,
    /// What goes into each unit.
    pub inputs: Inputs,
    /// Files of the last delivery.
    pub prior: Arc<Prior>,
    /// The target's tools.
    pub tools: Option<Toolchain>,
    /// True when a budget limits the time of its attempts.
    pub timed: bool,
    /// Where results are merged, when somebody works in a tree.
    pub(super) branch: Option<Arc<Branch>>,
}

impl Shared {
    /// The same with the plan that the run has by now.
    pub(super) async fn replanned(&self) -> Result<Self, PipelineError> {
        let (plan_id, plan) = planning::current(&self.run).await?;
        let start = self.branch.as_ref().and_then(|branch| branch.users_start());
        let inputs = Inputs::new(&plan, planning::fragments(&self.run, &self.document)?).starting_at(start);
        Ok(Self {
            run: self.run.clone(),
            document: Arc::clone(&self.document),
            plan_id,
            plan: Arc::new(plan),
            inputs,
            prior: Arc::clone(&self.prior),
            tools: self.tools.clone(),
            timed: self.timed,
            branch: self.branch.clone(),
        })
    }

    /// What the contexts of its units are gathered from.
    pub(super) fn sources(&self) -> Sources<'_> {
        Sources {
            organization: self.run.organization,
            run: self.run.id,
            postgres: &self.run.postgres,
            cache: &self.run.cache,
            memory: &self.run.memory,
            pack: self.run.pack_for(&self.document).map(AsRef::as_ref),
            document: &self.document,
            plan: &self.plan,
            inputs: &self.inputs,
        }
    }
}

/// Performs a claimed unit and settles it. Errors are the database's; everything else is a settlement.
pub async fn perform(shared: &Shared, claimed: ClaimedUnit, stop: &CancellationToken) -> Result<(), PipelineError> {
    let Claim { token, attempt, .. } = claimed.claim;
    let span = tracing::info_span!("attempt", token, attempt, agent = Empty, outcome = Empty);
    try_once(shared, claimed, stop).instrument(span).await
}

async fn try_once(shared: &Shared, claimed: ClaimedUnit, stop: &CancellationToken) -> Result<(), PipelineError> {
    let started = Instant::now();
    let unit = &shared.plan.tasks[claimed.claim.ordinal];
    tell(shared, unit, UnitState::Running, None, None, None).await;
    let time = match allowance(shared, &claimed.claim, stop).await? {
        Ok(time) => time,
        Err(attempt) => return settle(shared, unit, claimed, attempt, started).await,
    };
    let timeout = time.limit;
    let begun = Instant::now();
    let meter = Arc::new(RunMeter::new(shared.run.engine.clone(), shared.run.organization, claimed.claim, stop.clone()));
    let (ear, heard) = Ear::new();
    let recorder = shared.run.commands.of_unit(&unit.key, claimed.claim.token);
    let seams = Seams { meter: Arc::clone(&meter), listener: Arc::new(ear), recorder };
    let attempt = tokio::select! {
        attempt = tokio::time::timeout(timeout, attempt::attempt(shared, unit, &claimed.claim, &seams, stop)) => attempt.ok(),
        never = listening::pass_on(shared, unit, &claimed.claim, heard) => match never {},
        () = stop.cancelled() => Some(Ok(Attempt::of(UnitResult::Released { reason: "the worker was asked to stop".to_owned() }))),
    };
    meter.close().await;
    let attempt = if let Some(attempt) = attempt {
        attempt?
    } else {
        told::took_too_long(shared, &claimed.claim).await?;
        Attempt::failed(ErrorClass::Timeout, &format!("the unit took longer than {} s", timeout.as_secs()))
    };
    if let Some(id) = time.spend {
        let amount = Amount { time_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), ..Amount::default() };
        shared.run.engine.spend(shared.run.organization, id, amount).await?;
    }
    settle(shared, unit, claimed, attempt, started).await
}

/// How long an attempt may take, and where what it takes is written down.
struct Allowance {
    limit: Duration,
    spend: Option<SpendId>,
}

/// Sets time aside where a budget limits it; an attempt that gets none has ended.
async fn allowance(shared: &Shared, claim: &Claim, stop: &CancellationToken) -> Result<Result<Allowance, Attempt>, PipelineError> {
    // Who is sent is not known yet; whoever works in a tree watches over its own time, and needs more of it than others.
    let patience = shared.branch.as_ref().and_then(|_| shared.run.roster.patience()).map(|patience| patience + JUDGED_WITHIN);
    let limit = shared.run.config.unit_timeout.max(patience.unwrap_or_default());
    if !shared.timed {
        return Ok(Ok(Allowance { limit, spend: None }));
    }
    let millis = |time: Duration| Amount { time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX), ..Amount::default() };
    let engine = &shared.run.engine;
    loop {
        match engine.reserve(shared.run.organization, claim, "time", millis(limit), millis(ALLOWANCE_MIN.min(limit))).await? {
            Reserved::Granted { id, amount } => {
                return Ok(Ok(Allowance { limit: Duration::from_millis(amount.time_ms), spend: Some(id) }));
            }
            Reserved::Exhausted { short } => return Ok(Err(Attempt::failed(ErrorClass::Budget, &short))),
            Reserved::Lost => return Ok(Err(Attempt::of(UnitResult::Released { reason: "the claim was lost".to_owned() }))),
            Reserved::Later { .. } => {}
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_EVERY) => {}
            () = stop.cancelled() => {
                return Ok(Err(Attempt::of(UnitResult::Released { reason: "the worker was asked to stop".to_owned() })));
            }
        }
    }
}

async fn settle(shared: &Shared, unit: &Task, claimed: ClaimedUnit, attempt: Attempt, started: Instant) -> Result<(), PipelineError> {
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let reason = reason(&attempt.result);
    let agent = Some(attempt.agent.clone()).filter(|agent| !agent.is_empty());
    tracing::Span::current().record("agent", attempt.agent.as_str());
    let asks = attempt.asks;
    let settlement = Settlement {
        claim: claimed.claim,
        result: attempt.result,
        agent: attempt.agent,
        input_hash: attempt.input_hash,
        checks: attempt.checks,
        log: attempt.log,
    };
    match shared.run.engine.settle(shared.run.organization, settlement).await? {
        Settled::Now(state) => {
            tracing::Span::current().record("outcome", state.as_str());
            tracing::debug!(duration_ms, "settled");
            tell(shared, unit, state, agent, Some(duration_ms), reason).await;
            if asks && state == UnitState::Waiting {
                asked::offer_if_answered(shared, unit).await?;
            }
        }
        Settled::Late => {
            let message = format!("{}: the result came after its lease was lost and changed nothing", unit.key);
            shared.run.events.send(EventKind::Warning { message }).await;
        }
    }
    Ok(())
}

fn reason(result: &UnitResult) -> Option<String> {
    match result {
        UnitResult::Failed { error, .. } => Some(error.clone()),
        UnitResult::Waiting { reason } | UnitResult::Unable { reason } | UnitResult::Released { reason } => Some(reason.clone()),
        UnitResult::Succeeded { .. } => None,
        UnitResult::Cached { .. } => Some("same input as an earlier success".to_owned()),
    }
}

async fn tell(shared: &Shared, unit: &Task, state: UnitState, agent: Option<String>, duration_ms: Option<u64>, reason: Option<String>) {
    shared.run.events.send(EventKind::Unit { key: unit.key.clone(), state, agent, duration_ms, reason }).await;
}
