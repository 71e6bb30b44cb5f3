//! One unit, from claim to settlement: choose the agent, look for an earlier result, perform, check, store the files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use super::POLL_EVERY;
use super::contexts;
use super::gathering::Sources;
use super::inputs::Inputs;
use crate::agents::{Agent, Assignment, Work, assign};
use crate::engine::{Claim, ClaimedUnit, ErrorClass, Reserved, Settled, Settlement, UnitResult};
use crate::exec::tree::{Tree, TreeFile, check_path};
use crate::exec::workspace::Workspace;
use crate::failpoint;
use crate::generate::{GeneratedFile, Prior};
use crate::model::budget::Amount;
use crate::model::{CheckResult, Escalation, EventKind, Plan, PlanId, SpecDocument, SpendId, Task, UnitState, Verdict};
use crate::pipeline::toolchain::Toolchain;
use crate::pipeline::{PipelineError, Run, planning};
use crate::store::postgres::{StoreError, artifacts, units};

/// The largest file that an agent may deliver.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An attempt that gets less time than that is not begun.
const ALLOWANCE_MIN: Duration = Duration::from_secs(1);
/// For how long files that were made are offered to a database that is away: they are paid for.
const STORE_WITHIN: Duration = Duration::from_secs(30);
/// Characters of a failure that are kept.
const ERROR_CHARS_MAX: usize = 2_000;

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
}

impl Shared {
    /// The same with the plan that the run has by now.
    pub(super) async fn replanned(&self) -> Result<Self, PipelineError> {
        let (plan_id, plan) = planning::current(&self.run).await?;
        let inputs = Inputs::new(&plan, planning::fragments(&self.run, &self.document)?);
        Ok(Self {
            run: self.run.clone(),
            document: Arc::clone(&self.document),
            plan_id,
            plan: Arc::new(plan),
            inputs,
            prior: Arc::clone(&self.prior),
            tools: self.tools.clone(),
            timed: self.timed,
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
            pack: self.run.pack.as_deref(),
            document: &self.document,
            plan: &self.plan,
            inputs: &self.inputs,
        }
    }
}

/// An attempt before it is settled.
struct Attempt {
    result: UnitResult,
    agent: String,
    input_hash: Option<String>,
    checks: Vec<CheckResult>,
    log: String,
}

impl Attempt {
    fn of(result: UnitResult) -> Self {
        Self { result, agent: String::new(), input_hash: None, checks: Vec::new(), log: String::new() }
    }

    fn failed(class: ErrorClass, error: &impl ToString) -> Self {
        Self::of(UnitResult::Failed { class, error: crate::exec::capture::shorten(&error.to_string(), ERROR_CHARS_MAX) })
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
    let attempt = tokio::select! {
        attempt = tokio::time::timeout(timeout, attempt(shared, unit, &claimed.claim, stop)) => match attempt {
            Ok(attempt) => attempt?,
            Err(_) => Attempt::failed(ErrorClass::Timeout, &format!("the unit took longer than {} s", timeout.as_secs())),
        },
        () = stop.cancelled() => Attempt::of(UnitResult::Released { reason: "the worker was asked to stop".to_owned() }),
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
    let limit = shared.run.config.unit_timeout;
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
        }
        Settled::Late => {
            let message = format!("{}: the result came after its lease was lost and changed nothing", unit.key);
            shared.run.events.send(EventKind::Warning { message }).await;
        }
    }
    Ok(())
}

async fn attempt(shared: &Shared, unit: &Task, claim: &Claim, stop: &CancellationToken) -> Result<Attempt, PipelineError> {
    if let Some(nobody) = nobody(claim.escalation) {
        return Ok(Attempt::of(UnitResult::Unable { reason: nobody.to_owned() }));
    }
    let prior = prior_of(unit, &shared.prior);
    let built = shared.sources().built(unit).await?;
    let agent = match assign(unit, shared.run.generator.as_ref()) {
        Assignment::Waits(waiting) => {
            // Whoever takes it up later is told what is known now.
            let input_hash = shared.inputs.hash(unit, None, &prior, &built);
            contexts::prepare(shared, unit, claim, &input_hash, &built).await?;
            return Ok(Attempt::of(UnitResult::Waiting { reason: format!("{}; {}", waiting.reason, waiting.configure) }));
        }
        Assignment::Agent { agent, reason } => {
            tracing::debug!(unit = %unit.key, agent = agent.name(), reason, "assigned");
            agent
        }
    };
    let input_hash = shared.inputs.hash(unit, Some(agent.as_ref()), &prior, &built);
    let named = |attempt: Attempt| Attempt { agent: agent.name().to_owned(), input_hash: Some(input_hash.clone()), ..attempt };
    let mut tx = shared.run.tx().await?;
    let earlier = units::find_success(&mut tx, shared.run.submission.spec, &unit.key, &input_hash).await?;
    drop(tx);
    if let Some((attempt, _)) = earlier {
        return Ok(named(Attempt::of(UnitResult::Cached { attempt })));
    }
    Ok(named(generate(shared, unit, &agent, prior, stop).await?))
}

/// Why nobody is there for that step of the escalation. The generator gives equal files for equal work, so it is no second agent.
fn nobody(step: Escalation) -> Option<&'static str> {
    match step {
        Escalation::Assigned => None,
        Escalation::AnotherAgent => Some("no other agent is configured"),
        Escalation::DebuggingAgent => Some("no debugging agent is configured"),
        Escalation::Person => Some("it is for a person to decide"),
    }
}

async fn generate(
    shared: &Shared,
    unit: &Task,
    agent: &Arc<dyn Agent>,
    prior: Prior,
    stop: &CancellationToken,
) -> Result<Attempt, PipelineError> {
    let work = Work { unit: unit.clone(), document: Arc::clone(&shared.document), prior: Arc::new(prior) };
    failpoint::hit("unit.working");
    let files = match agent.perform(work).await {
        Ok(files) => files,
        Err(error) => return Ok(Attempt::failed(ErrorClass::Permanent, &error)),
    };
    let tree = match accept(unit, &files) {
        Ok(tree) => tree,
        Err(refusal) => return Ok(Attempt::failed(ErrorClass::Permanent, &refusal)),
    };
    let (checks, ran) = check(shared, unit, &tree, stop).await?;
    let log = format!("{}{ran}", written(agent.as_ref(), &tree));
    if let Some(failed) = checks.iter().find(|check| check.verdict == Verdict::Failed) {
        let error = format!("{} failed: {}", failed.name, failed.detail);
        return Ok(Attempt { checks, log, ..Attempt::failed(ErrorClass::Permanent, &error) });
    }
    stop_unless(&checks, stop)?;
    store(shared, &tree).await?;
    failpoint::hit("unit.after_effect");
    Ok(Attempt { checks, log, ..Attempt::of(UnitResult::Succeeded { artifacts: tree.artifacts() }) })
}

/// The files as a tree, when they are what the unit declared: nothing else, nothing missing, nothing outside.
fn accept(unit: &Task, files: &[GeneratedFile]) -> Result<Tree, String> {
    let mut tree = Tree::new();
    for file in files {
        check_path(&file.path).map_err(|error| error.to_string())?;
        let declared = unit.files.iter().any(|path| *path == file.path || (path.ends_with('/') && file.path.starts_with(path.as_str())));
        if !declared {
            return Err(format!("the agent wrote {}, which the unit does not declare", file.path));
        }
        if file.content.len() > FILE_BYTES_MAX {
            return Err(format!("{} has {} bytes, more than {FILE_BYTES_MAX}", file.path, file.content.len()));
        }
        tree.insert(&file.path, file.content.clone(), file.executable).map_err(|error| error.to_string())?;
    }
    let missing = unit.files.iter().find(|path| !path.ends_with('/') && tree.get(path).is_none());
    missing.map_or(Ok(tree), |path| Err(format!("the agent did not write {path}")))
}

/// What the agent delivered, one line a file.
fn written(agent: &dyn Agent, tree: &Tree) -> String {
    let line = |(path, file): (&str, &TreeFile)| format!("{} wrote {path} ({} bytes)\n", agent.name(), file.content.len());
    tree.iter().map(line).collect()
}

/// Runs the checks of a unit over its files; returns what they found, and a log of what ran.
async fn check(shared: &Shared, unit: &Task, tree: &Tree, stop: &CancellationToken) -> Result<(Vec<CheckResult>, String), PipelineError> {
    let Some(tools) = &shared.tools else { return Ok(Default::default()) };
    let scratch = format!("{}/units/{}", shared.run.id, hex::encode(&Sha256::digest(&unit.key)[..8]));
    let workspace = Workspace::open(&shared.run.config.data_dir, &scratch)?;
    workspace.replace(tree)?;
    let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_owned()).collect();
    let checked = tools.check_unit(workspace.path(), &paths, stop).await?;
    workspace.remove()?;
    Ok(checked)
}

fn stop_unless(checks: &[CheckResult], stop: &CancellationToken) -> Result<(), PipelineError> {
    let unfinished = checks.iter().any(|check| check.verdict == Verdict::Skipped);
    if unfinished || stop.is_cancelled() { Err(PipelineError::Stopped) } else { Ok(()) }
}

async fn store(shared: &Shared, tree: &Tree) -> Result<(), StoreError> {
    let named: Vec<(String, &[u8])> = tree.iter().map(|(_, file)| (file.stamp().sha256, file.content.as_slice())).collect();
    let blobs: Vec<(&str, &[u8])> = named.iter().map(|(sha256, content)| (sha256.as_str(), *content)).collect();
    let begun = Instant::now();
    loop {
        let stored = async {
            let mut tx = shared.run.tx().await?;
            artifacts::store_blobs(&mut tx, &blobs).await?;
            tx.commit().await
        };
        match stored.await {
            Err(error) if error.is_transient() && begun.elapsed() < STORE_WITHIN => {
                tracing::warn!(%error, "the files of a unit could not be stored, trying again");
            }
            other => return other,
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The delivered files that the unit carries on from: those in a folder that it declares, and its own beside them.
fn prior_of(unit: &Task, prior: &Prior) -> Prior {
    if !unit.files.iter().any(|path| path.ends_with('/')) {
        return Prior::default();
    }
    let own =
        |path: &str| unit.files.iter().any(|declared| declared == path || (declared.ends_with('/') && path.starts_with(declared.as_str())));
    Prior { files: prior.files.iter().filter(|(path, _)| own(path)).map(|(path, content)| (path.clone(), content.clone())).collect() }
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
