//! One try at a claimed unit: who performs it, an earlier result of the same input, performing, checking, keeping the files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::POLL_EVERY;
use super::asked::Asked;
use super::branch::{Author, Landing};
use super::choosing::{self, Chosen};
use super::contexts::{self, Patterns};
use super::meter::RunMeter;
use super::paths;
use super::standards;
use super::told;
use super::unit::Shared;
use crate::agents::listener::Nobody;
use crate::agents::{Assignment, Briefing, Listener, Meter, Work};
use crate::engine::{Claim, ErrorClass, UnitResult};
use crate::exec::Recorder;
use crate::exec::tree::{Tree, TreeFile, check_path};
use crate::exec::workspace::Workspace;
use crate::failpoint;
use crate::generate::{GeneratedFile, Prior};
use crate::learning::campaign;
use crate::model::{Artifact, CheckResult, EventKind, Task, Verdict};
use crate::pipeline::{PipelineError, waves};
use crate::store::postgres::{StoreError, artifacts, units};

/// The largest file that an agent may deliver.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// For how long files that were made are offered to a database that is away: they are paid for.
const STORE_WITHIN: Duration = Duration::from_secs(30);
/// Characters of a failure that are kept.
const ERROR_CHARS_MAX: usize = 2_000;

/// An attempt before it is settled.
pub(super) struct Attempt {
    pub(super) result: UnitResult,
    pub(super) agent: String,
    pub(super) input_hash: Option<String>,
    pub(super) checks: Vec<CheckResult>,
    pub(super) log: String,
    /// True when it waits for an answer.
    pub(super) asks: bool,
}

impl Attempt {
    pub(super) fn of(result: UnitResult) -> Self {
        Self { result, agent: String::new(), input_hash: None, checks: Vec::new(), log: String::new(), asks: false }
    }

    pub(super) fn failed(class: ErrorClass, error: &impl ToString) -> Self {
        Self::of(UnitResult::Failed { class, error: crate::exec::capture::shorten(&error.to_string(), ERROR_CHARS_MAX) })
    }
}

/// Whom an agent speaks to while it works.
pub(super) struct Seams {
    /// Counts what it uses.
    pub(super) meter: Arc<RunMeter>,
    /// Hears what it tells.
    pub(super) listener: Arc<dyn Listener>,
    /// Writes down which commands it has run.
    pub(super) recorder: Recorder,
}

/// Tries a claimed unit once: chooses who performs it, looks for an earlier result of the same input, has it performed and checked.
pub(super) async fn attempt(
    shared: &Shared,
    unit: &Task,
    claim: &Claim,
    seams: &Seams,
    stop: &CancellationToken,
) -> Result<Attempt, PipelineError> {
    let prior = prior_of(unit, &shared.prior);
    let built = shared.sources().built(unit).await?;
    let standards = standards::of_unit(unit, shared.run.pack_for(&shared.document).map(AsRef::as_ref));
    let chosen = match choosing::choose(shared, unit, claim, &standards).await? {
        Assignment::Agent { agent, reason, choice } => Chosen { agent, reason, choice },
        Assignment::Nobody(reason) => return Ok(Attempt::of(UnitResult::Unable { reason: reason.to_owned() })),
        Assignment::Waits(waiting) => {
            let asked = Asked::of(shared, unit).await?;
            let asks = asked.holds(unit);
            let (held, reason) = (asks.is_some(), asks.unwrap_or_else(|| format!("{}; {}", waiting.reason, waiting.configure)));
            let input_hash = shared.inputs.hash(unit, None, &prior, &built, &asked.answered, &standards);
            let given = told::Given { unit, claim, input_hash: &input_hash, built: &built, answered: &asked.answered };
            return Ok(Attempt { asks: held, ..wait(shared, &given, reason).await? });
        }
    };
    tracing::debug!(unit = %unit.key, agent = chosen.agent.name(), reason = chosen.reason, "assigned");
    let asked = Asked::for_agent(shared, unit, chosen.agent.as_ref()).await?;
    let input_hash = shared.inputs.hash(unit, Some(chosen.agent.as_ref()), &prior, &built, &asked.answered, &standards);
    let given = told::Given { unit, claim, input_hash: &input_hash, built: &built, answered: &asked.answered };
    if let Some(reason) = asked.holds(unit) {
        return Ok(Attempt { asks: true, ..wait(shared, &given, reason).await? });
    }
    let name = chosen.agent.name().to_owned();
    let mut tx = shared.run.tx().await?;
    let earlier = units::find_success(&mut tx, shared.run.submission.spec, &unit.key, &input_hash).await?;
    drop(tx);
    if shared.branch.is_some()
        && let Some(error) = waves::exhausted(&shared.run, &unit.key, &name).await?
    {
        return Ok(Attempt { agent: name, input_hash: Some(input_hash), ..Attempt::failed(ErrorClass::Permanent, &error) });
    }
    let author = Author { unit, claim, agent: &name };
    if let Some((attempt, artifacts)) = earlier
        && paths::may_reuse(shared, unit, &artifacts).await?
    {
        let reused = Attempt { agent: name.clone(), ..Attempt::of(UnitResult::Cached { attempt }) };
        let landed = land(shared, &author, reused, &artifacts, stop).await?;
        // What others have changed meanwhile must be built upon, so that it is done anew.
        if !matches!(landed.result, UnitResult::Failed { class: ErrorClass::Unfit, .. }) {
            return Ok(Attempt { agent: name, input_hash: Some(input_hash), ..landed });
        }
    }
    let attempt = if chosen.agent.deterministic() {
        generate(shared, (unit, claim), &chosen, prior, seams, stop).await?
    } else {
        told::perform(shared, &given, &chosen, prior, seams, stop).await?
    };
    let attempt = if chosen.agent.works_in_a_tree() { attempt } else { land(shared, &author, attempt, &[], stop).await? };
    Ok(Attempt { agent: name, input_hash: Some(input_hash), ..attempt })
}

/// Has the unit wait. Whoever takes it up later is told what is known now.
async fn wait(shared: &Shared, given: &told::Given<'_>, reason: String) -> Result<Attempt, PipelineError> {
    let told::Given { unit, claim, input_hash, built, answered } = *given;
    let mut tx = shared.run.tx().await?;
    let campaign = campaign::current(&mut tx).await?;
    tx.commit().await?;
    contexts::prepare(shared, unit, claim, input_hash, built, answered, Patterns::of(&campaign)).await?;
    Ok(Attempt::of(UnitResult::Waiting { reason }))
}

/// Brings the files of a success onto the run's branch, where there is one.
async fn land(
    shared: &Shared,
    author: &Author<'_>,
    attempt: Attempt,
    reused: &[Artifact],
    stop: &CancellationToken,
) -> Result<Attempt, PipelineError> {
    let files = match &attempt.result {
        UnitResult::Succeeded { artifacts } => artifacts.as_slice(),
        UnitResult::Cached { .. } => reused,
        _ => return Ok(attempt),
    };
    let Some(branch) = &shared.branch else { return Ok(attempt) };
    let landing = branch.land_files(shared, author, files, stop).await?;
    let mut log = attempt.log.clone();
    if let Landing::Merged { replaced } = &landing {
        log.extend(replaced.iter().map(|path| format!("on the branch it takes the place of the repository's {path}\n")));
        if !replaced.is_empty() {
            let message = format!("{}: on the branch, {} of the repository gave way", author.unit.key, replaced.join(", "));
            shared.run.events.send(EventKind::Warning { message }).await;
        }
    }
    Ok(landing.attempt(attempt.checks.clone()).unwrap_or(Attempt { log, ..attempt }))
}

/// Has the generator perform it.
async fn generate(
    shared: &Shared,
    (unit, claim): (&Task, &Claim),
    chosen: &Chosen,
    prior: Prior,
    seams: &Seams,
    stop: &CancellationToken,
) -> Result<Attempt, PipelineError> {
    let work = Work {
        unit: unit.clone(),
        document: Arc::clone(&shared.document),
        prior: Arc::new(prior),
        briefing: Briefing::default(),
        worktree: None,
        meter: Arc::clone(&seams.meter) as Arc<dyn Meter>,
        listener: Arc::new(Nobody),
        recorder: seams.recorder.clone(),
    };
    failpoint::hit("unit.working");
    let files = match chosen.agent.perform(work).await {
        Ok(delivered) => delivered.files,
        Err(error) => return Ok(Attempt::failed(error.class(), &error)),
    };
    let tree = match accept(unit, &files, &BTreeSet::new()) {
        Ok(tree) => tree,
        Err(refusal) => return Ok(Attempt::failed(ErrorClass::Permanent, &refusal)),
    };
    let (checks, ran) = check(shared, (unit, claim), &tree, stop).await?;
    let log = format!("{}{ran}", written(chosen.agent.name(), &tree));
    if let Some(error) = failure(&checks) {
        return Ok(Attempt { checks, log, ..Attempt::failed(ErrorClass::Permanent, &error) });
    }
    stop_unless(&checks, stop)?;
    store(shared, &tree).await?;
    failpoint::hit("unit.after_effect");
    Ok(Attempt { checks, log, ..Attempt::of(UnitResult::Succeeded { artifacts: tree.artifacts() }) })
}

/// The first check that failed, in words.
pub(super) fn failure(checks: &[CheckResult]) -> Option<String> {
    let failed = checks.iter().find(|check| check.verdict == Verdict::Failed)?;
    Some(format!("{} failed: {}", failed.name, failed.detail))
}

/// The files as a tree, when they are what the unit declared: nothing else, nothing missing, nothing outside. A unit that declares none
/// chooses its paths itself. What lies `beyond` may be there as well.
pub(super) fn accept(unit: &Task, files: &[GeneratedFile], beyond: &BTreeSet<String>) -> Result<Tree, String> {
    let mut tree = Tree::new();
    for file in files {
        check_path(&file.path).map_err(|error| error.to_string())?;
        let declared = unit.files.is_empty()
            || beyond.contains(&file.path)
            || unit.files.iter().any(|path| *path == file.path || (path.ends_with('/') && file.path.starts_with(path.as_str())));
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
pub(super) fn written(agent: &str, tree: &Tree) -> String {
    let line = |(path, file): (&str, &TreeFile)| format!("{agent} wrote {path} ({} bytes)\n", file.content.len());
    tree.iter().map(line).collect()
}

/// Runs the checks of a unit over its files; returns what they found, and a log of what ran.
pub(super) async fn check(
    shared: &Shared,
    (unit, claim): (&Task, &Claim),
    tree: &Tree,
    stop: &CancellationToken,
) -> Result<(Vec<CheckResult>, String), PipelineError> {
    let Some(tools) = &shared.tools else { return Ok(Default::default()) };
    let scratch = format!("{}/units/{}", shared.run.id, hex::encode(&Sha256::digest(&unit.key)[..8]));
    let workspace = Workspace::open(&shared.run.config.data_dir, &scratch)?;
    workspace.replace(tree)?;
    let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_owned()).collect();
    let checked = tools.check_unit(workspace.path(), &paths, &shared.run.commands.of_unit(&unit.key, claim.token), stop).await?;
    workspace.remove()?;
    Ok(checked)
}

/// The same, and the standards that whoever reads was told of.
pub(super) async fn check_whole(
    shared: &Shared,
    (unit, claim): (&Task, &Claim),
    tree: &Tree,
    stop: &CancellationToken,
) -> Result<(Vec<CheckResult>, String), PipelineError> {
    let (mut checks, ran) = check(shared, (unit, claim), tree, stop).await?;
    checks.extend(standards::check(shared, unit, tree).await?);
    Ok((checks, ran))
}

/// Nothing that was called off counts as found.
pub(super) fn stop_unless(checks: &[CheckResult], stop: &CancellationToken) -> Result<(), PipelineError> {
    let unfinished = checks.iter().any(|check| check.verdict == Verdict::Skipped);
    if unfinished || stop.is_cancelled() { Err(PipelineError::Stopped) } else { Ok(()) }
}

/// Keeps the contents of the files, patiently: they are paid for.
pub(super) async fn store(shared: &Shared, tree: &Tree) -> Result<(), StoreError> {
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
