//! A unit in the hands of somebody who reads: what is told, what is written down before and after, and when what comes back is taken.
//!
//! The order is part of the trial of patterns: who is sent and the arm are drawn and written down first, then the context is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::attempt::{self, Attempt};
use super::before::Before;
use super::branch::Author;
use super::choosing::Chosen;
use super::contexts::{self, Patterns};
use super::in_place;
use super::meter::RunMeter;
use super::standards;
use super::unit::Shared;
use crate::agents::{Account, Briefing, Delivered, Meter, Work};
use crate::engine::{Claim, UnitResult};
use crate::exec::repository::Worktree;
use crate::exec::tree::Tree;
use crate::failpoint;
use crate::generate::Prior;
use crate::learning::trial::{Arm, Enrolment, HoldoutShare, UnitSize};
use crate::model::{AgentKind, Artifact, Task};
use crate::pipeline::PipelineError;
use crate::store::postgres::assignments::{self, Ended, NewAssignment};
use crate::store::postgres::{artifacts, settle, unit_paths};

/// The number of the trial; another one begins a new campaign.
const TRIAL: u64 = 1;

/// A claimed unit and what goes into it.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) unit: &'a Task,
    pub(super) claim: &'a Claim,
    pub(super) input_hash: &'a str,
    pub(super) built: &'a BTreeMap<String, Vec<Artifact>>,
}

/// Has it performed by an agent that is told a context, checks what comes back, and writes down what it used.
pub(super) async fn perform(
    shared: &Shared,
    given: &Given<'_>,
    chosen: &Chosen,
    prior: Prior,
    meter: &Arc<RunMeter>,
    stop: &CancellationToken,
) -> Result<Attempt, PipelineError> {
    let Given { unit, claim, input_hash, built } = *given;
    let patterns = enrol(shared, given, chosen).await?;
    let context = contexts::prepare(shared, unit, claim, input_hash, built, patterns).await?;
    let before = Before::of(shared, given).await?;
    let others = paths_of_others(shared, unit).await?;
    let hand = Hand { shared, given, before: &before, others: &others, chosen, stop };
    let tree = match hand.tree().await? {
        Ok(tree) => tree,
        Err(attempt) => return Ok(attempt),
    };
    let work = Work {
        unit: unit.clone(),
        document: Arc::clone(&shared.document),
        prior: Arc::new(prior),
        briefing: Briefing {
            context: context.text,
            target: target(shared),
            taken: others.keys().cloned().collect(),
            repair: before.repair(shared).await?,
        },
        worktree: tree.as_ref().map(Worktree::path),
        meter: Arc::clone(meter) as Arc<dyn Meter>,
    };
    failpoint::hit("unit.working");
    let attempt = match chosen.agent.perform(work).await {
        Ok(delivered) => hand.judge(delivered, tree.as_ref()).await?,
        Err(error) => {
            let (class, message) = (error.class(), error.to_string());
            write_down(shared, claim, &error.account(), &Tree::new(), false).await?;
            Attempt::failed(class, &message)
        }
    };
    failpoint::hit("unit.after_effect");
    let Some(tree) = tree else { return Ok(attempt) };
    if matches!(attempt.result, UnitResult::Succeeded { .. }) {
        tree.remove().await?;
        return Ok(attempt);
    }
    let kept = tree.keep().await?;
    Ok(Attempt { log: format!("{}its tree is kept at {}\n", attempt.log, kept.display()), ..attempt })
}

/// What the judgement of one try depends on.
struct Hand<'a> {
    shared: &'a Shared,
    given: &'a Given<'a>,
    before: &'a Before,
    others: &'a BTreeMap<String, String>,
    chosen: &'a Chosen,
    stop: &'a CancellationToken,
}

impl Hand<'_> {
    fn author(&self) -> Author<'_> {
        Author { unit: self.given.unit, claim: self.given.claim, agent: self.chosen.agent.name() }
    }

    /// The tree to work in, for whoever works in one, with the files of the try before; or what the try came to without one.
    async fn tree(&self) -> Result<Result<Option<Worktree>, Attempt>, PipelineError> {
        let Some(branch) = self.shared.branch.as_ref().filter(|_| self.chosen.agent.works_in_a_tree()) else { return Ok(Ok(None)) };
        let Given { unit, input_hash, .. } = *self.given;
        if let Some(tree) = branch.merged_before(self.shared, unit, input_hash, self.stop).await? {
            return Ok(Err(self.settle_only(&tree).await?));
        }
        let tree = match branch.worktree(self.shared, &self.author(), self.stop).await? {
            Ok(tree) => tree,
            Err(hindrance) => return Ok(Err(hindrance.attempt(Vec::new()).expect("what hinders is not merged"))),
        };
        if let Some(ended) = self.before.failed.as_ref().and_then(|row| row.ended.as_ref()) {
            in_place::put_before(self.shared, &tree, &ended.files, self.others).await?;
        }
        Ok(Ok(Some(tree)))
    }

    /// A success whose process died between the merge and its settlement: nobody is asked again.
    async fn settle_only(&self, tree: &Tree) -> Result<Attempt, PipelineError> {
        let Given { unit, claim, .. } = *self.given;
        let (checks, ran) = attempt::check(self.shared, unit, tree, self.stop).await?;
        attempt::stop_unless(&checks, self.stop)?;
        attempt::store(self.shared, tree).await?;
        write_down(self.shared, claim, &Account::default(), tree, true).await?;
        let log = format!("its work was merged before, by a try that was not settled\n{ran}");
        Ok(Attempt { checks, log, ..Attempt::of(UnitResult::Succeeded { artifacts: tree.artifacts() }) })
    }

    /// Checks what came back, and takes it or says what is wrong with it.
    async fn judge(&self, delivered: Delivered, worktree: Option<&Worktree>) -> Result<Attempt, PipelineError> {
        let Given { unit, claim, .. } = *self.given;
        let shared = self.shared;
        let (change, files, left_out) = match worktree {
            None => (None, Ok(delivered.files), String::new()),
            Some(worktree) => match in_place::take(self.chosen.agent.as_ref(), worktree, unit, self.others).await? {
                Ok(taken) => (Some(taken.change), Ok(taken.files), taken.log),
                Err(refusal) => (None, Err(refusal), String::new()),
            },
        };
        let accepted = files.and_then(|files| attempt::accept(unit, &files));
        let tree = match accepted.and_then(|tree| belongs_to_nobody_else(&tree, self.others).map(|()| tree)) {
            Ok(tree) => tree,
            Err(refusal) => {
                write_down(shared, claim, &delivered.account, &Tree::new(), false).await?;
                return Ok(Attempt::failed(self.before.class(&BTreeMap::new(), &refusal), &refusal));
            }
        };
        let (mut checks, ran) = attempt::check(shared, unit, &tree, self.stop).await?;
        checks.extend(standards::check(shared, unit, &tree).await?);
        let mut log = format!("{}{left_out}{ran}", attempt::written(self.chosen.agent.name(), &tree));
        if attempt::failure(&checks).is_none() {
            attempt::stop_unless(&checks, self.stop)?;
        }
        attempt::store(shared, &tree).await?;
        let failure = match attempt::failure(&checks) {
            Some(failure) => Some(failure),
            None => own(shared, unit, &tree).await?.err(),
        };
        let mut refused = failure.map(|error| {
            let class = self.before.class(&hashes(&tree), &error);
            Attempt { checks: checks.clone(), ..Attempt::failed(class, &error) }
        });
        if let (None, Some(change), Some(branch)) = (&refused, &change, &shared.branch) {
            refused = branch.land(shared, &self.author(), change, self.stop).await?.attempt(checks.clone());
            if refused.is_none() {
                log = format!("{log}merged into {}\n", branch.in_words());
            }
        }
        write_down(shared, claim, &delivered.account, &tree, refused.is_none()).await?;
        if let Some(refused) = refused {
            return Ok(Attempt { log, ..refused });
        }
        Ok(Attempt { checks, log, ..Attempt::of(UnitResult::Succeeded { artifacts: tree.artifacts() }) })
    }
}

/// Draws the arm and writes down who is sent and why, before anything is told.
async fn enrol(shared: &Shared, given: &Given<'_>, chosen: &Chosen) -> Result<Patterns, PipelineError> {
    let Given { unit, claim, input_hash, .. } = *given;
    let run = &shared.run;
    let name = format!("{}/{}", run.submission.spec, unit.key);
    let agent = chosen.agent.name();
    let enrolment = Enrolment { organization: run.organization, unit: &name, input_hash, stratum: agent, seed: TRIAL };
    // Persons are not told what was learned, so that they are no part of the trial.
    let share = HoldoutShare::new(run.config.agents.holdout_share).ok().filter(|_| chosen.agent.kind() != AgentKind::Manual);
    let arm = share.map(|share| (enrolment.arm(share), share.get()));
    let choice = chosen.choice.as_ref().map(serde_json::to_value).transpose();
    let new = NewAssignment {
        spec: run.submission.spec,
        key: &unit.key,
        input_hash,
        agent,
        reason: &chosen.reason,
        choice: choice.map_err(|error| PipelineError::Plan(format!("a choice cannot be written down: {error}")))?,
        task_type: unit.task_type,
        unit_size: UnitSize::of(unit.effort).as_str(),
        arm: arm.map(|(arm, share)| (arm.as_str(), share)),
    };
    let mut tx = run.tx().await?;
    assignments::record(&mut tx, claim, &new).await?;
    tx.commit().await?;
    Ok(if arm.is_some_and(|(arm, _)| arm == Arm::HeldOut) { Patterns::HeldOut } else { Patterns::Shown })
}

async fn write_down(shared: &Shared, claim: &Claim, account: &Account, tree: &Tree, passed: bool) -> Result<(), PipelineError> {
    let said: Vec<_> = account.transcript.entries.iter().map(|entry| json!({ "kind": entry.kind, "text": entry.text })).collect();
    let ended = Ended {
        passed,
        calls: account.calls,
        unreported: account.unreported,
        input_tokens: account.usage.input,
        cached_tokens: account.usage.cached_input,
        written_tokens: account.usage.cache_write,
        output_tokens: account.usage.output,
        cost_micros: account.cost_micros,
        transcript: json!({ "entries": said, "left_out_bytes": account.transcript.left_out_bytes }),
        files: hashes(tree),
    };
    let mut tx = shared.run.tx().await?;
    assignments::end(&mut tx, claim, &ended).await?;
    tx.commit().await?;
    Ok(())
}

/// A try that was cut off at its time did not pass. What it used is in the budget's books.
pub(super) async fn took_too_long(shared: &Shared, claim: &Claim) -> Result<(), PipelineError> {
    write_down(shared, claim, &Account::default(), &Tree::new(), false).await
}

fn hashes(tree: &Tree) -> BTreeMap<String, String> {
    tree.iter().map(|(path, file)| (path.to_owned(), file.stamp().sha256)).collect()
}

/// Language and framework in words; nothing where the specification leaves them open.
fn target(shared: &Shared) -> String {
    let stack = shared.document.tech_stack.iter().map(|choice| format!("{}: {}", choice.topic, choice.choice));
    let stack: Vec<String> = stack.collect();
    match shared.run.pack_for(&shared.document) {
        Some(pack) => format!("{}, {}", pack.language(), pack.framework()),
        None => stack.join(", "),
    }
}

/// Who owns each path that is not the unit's to write: other units by the plan, by what they chose, and by what they left behind.
async fn paths_of_others(shared: &Shared, unit: &Task) -> Result<BTreeMap<String, String>, PipelineError> {
    let run = &shared.run;
    let mut others = BTreeMap::new();
    for other in shared.plan.units().filter(|other| other.key != unit.key) {
        others.extend(other.files.iter().filter(|path| !path.ends_with('/')).map(|path| (path.clone(), other.key.clone())));
    }
    let mut tx = run.tx().await?;
    let left = artifacts::of_run(&mut tx, run.id).await?.into_iter().map(|(key, artifact)| (artifact.path, key));
    let chosen = unit_paths::list(&mut tx, run.id).await?;
    tx.commit().await?;
    others.extend(left.chain(chosen).filter(|(_, key)| *key != unit.key));
    Ok(others)
}

/// Refuses files at paths that belong to others, or that would be a folder of theirs, or below a file of theirs.
fn belongs_to_nobody_else(tree: &Tree, others: &BTreeMap<String, String>) -> Result<(), String> {
    let below: BTreeSet<&str> = others.keys().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect();
    for (path, _) in tree.iter() {
        if let Some(owner) = others.get(path) {
            return Err(format!("{path} belongs to {owner}; write other files, and build on that one"));
        }
        if below.contains(path) {
            return Err(format!("{path} is a folder in which other units have files"));
        }
        let above = path.match_indices('/').map(|(at, _)| &path[..at]).find_map(|folder| others.get_key_value(folder));
        if let Some((file, owner)) = above {
            return Err(format!("{path} lies below {file}, which is a file of {owner}"));
        }
    }
    Ok(())
}

/// Makes the paths of the tree the unit's own; of two units that chose the same one at the same time, the second is refused. Where the
/// plan declares the files there is nothing to choose.
async fn own(shared: &Shared, unit: &Task, tree: &Tree) -> Result<Result<(), String>, PipelineError> {
    if !unit.files.is_empty() {
        return Ok(Ok(()));
    }
    let run = &shared.run;
    let mut tx = run.tx().await?;
    settle::lock_runs(&mut tx, &[run.id]).await?;
    let chosen = unit_paths::list(&mut tx, run.id).await?;
    let others: BTreeMap<String, String> = chosen.into_iter().filter(|(_, key)| *key != unit.key).collect();
    if let Err(refusal) = belongs_to_nobody_else(tree, &others) {
        return Ok(Err(refusal));
    }
    let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
    unit_paths::replace(&mut tx, run.id, &unit.key, &paths).await?;
    tx.commit().await?;
    Ok(Ok(()))
}

/// True when an earlier success may be taken over: the paths that it chose then are its own now.
pub(super) async fn may_reuse(shared: &Shared, unit: &Task, artifacts: &[Artifact]) -> Result<bool, PipelineError> {
    if !unit.files.is_empty() {
        return Ok(true);
    }
    let mut tree = Tree::new();
    let sound = artifacts.iter().all(|artifact| tree.insert(&artifact.path, Vec::new(), artifact.executable).is_ok());
    if !sound || belongs_to_nobody_else(&tree, &paths_of_others(shared, unit).await?).is_err() {
        return Ok(false);
    }
    Ok(own(shared, unit, &tree).await?.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_others_are_refused_and_so_are_folders_and_files_that_would_be_both() {
        let others = BTreeMap::from([("src/app.py".to_owned(), "a".to_owned()), ("README".to_owned(), "b".to_owned())]);
        let check = |path: &str, expected: &str| {
            let mut tree = Tree::new();
            tree.insert(path, "", false).unwrap();
            let found = belongs_to_nobody_else(&tree, &others).err().unwrap_or_default();
            assert_eq!(found, expected, "{path}");
        };
        check("src/other.py", "");
        check("src/app.py", "src/app.py belongs to a; write other files, and build on that one");
        check("src", "src is a folder in which other units have files");
        check("README/x", "README/x lies below README, which is a file of b");
    }
}
