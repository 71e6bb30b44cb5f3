//! A unit in the hands of somebody who reads: what is told, what is written down before and after, and when what comes back is taken.
//!
//! The order is part of the trial of patterns: who is sent and the arm are drawn and written down first, then the context is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::asked;
use super::attempt::{self, Attempt, Seams};
use super::before::Before;
use super::branch::Author;
use super::choosing::Chosen;
use super::contexts::{self, Patterns};
use super::enrolling::{self, Sending};
use super::in_place::{self, Taken};
use super::paths::{self, Others};
use super::unit::Shared;
use crate::agents::{Account, AgentError, Briefing, Delivered, Meter, Work};
use crate::engine::{Claim, ErrorClass, UnitResult};
use crate::exec::repository::{Scope, Widening, Worktree};
use crate::exec::tree::Tree;
use crate::failpoint;
use crate::generate::Prior;
use crate::learning::trial::HoldoutShare;
use crate::model::{Artifact, Question, Task};
use crate::pipeline::PipelineError;
use crate::store::postgres::assignments::{self, Ended};

/// A claimed unit and what goes into it.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) unit: &'a Task,
    pub(super) claim: &'a Claim,
    pub(super) input_hash: &'a str,
    pub(super) built: &'a BTreeMap<String, Vec<Artifact>>,
    pub(super) answered: &'a [Question],
}

/// Has it performed by an agent that is told a context, checks what comes back, and writes down what it used.
pub(super) async fn perform(
    shared: &Shared,
    given: &Given<'_>,
    chosen: &Chosen,
    prior: Prior,
    seams: &Seams,
    stop: &CancellationToken,
) -> Result<Attempt, PipelineError> {
    let Given { unit, claim, input_hash, built, answered } = *given;
    let patterns = enrol(shared, given, chosen).await?;
    let context = contexts::prepare(shared, unit, claim, input_hash, built, answered, patterns).await?;
    let before = Before::of(shared, given).await?;
    let others = Others::of(shared, unit).await?;
    let widening = if chosen.agent.works_in_a_tree() { paths::widening(shared) } else { Widening::Refused };
    let hand = Hand { shared, given, before: &before, others: &others, widening, chosen, stop };
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
            taken: others.files(widening).into_keys().collect(),
            widened: widening == Widening::Allowed,
            repair: before.repair(shared).await?,
        },
        worktree: tree.as_ref().map(Worktree::path),
        meter: Arc::clone(&seams.meter) as Arc<dyn Meter>,
        listener: Arc::clone(&seams.listener),
        recorder: seams.recorder.clone(),
    };
    failpoint::hit("unit.working");
    let performed = match (chosen.agent.perform(work).await, &tree) {
        (Ok(delivered), Some(tree)) => in_place::or_asks(delivered, tree, &before.files()).await?,
        (performed, _) => performed,
    };
    let attempt = match performed {
        Ok(delivered) => hand.judge(delivered, tree.as_ref()).await?,
        Err(error) => hand.came_to_nothing(error).await?,
    };
    failpoint::hit("unit.after_effect");
    let Some(tree) = tree else { return Ok(attempt) };
    if matches!(attempt.result, UnitResult::Succeeded { .. }) {
        let left = if chosen.agent.lives_on() { tree.remove().await } else { tree.retire().await };
        left?;
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
    others: &'a Others,
    widening: Widening,
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
            // What others have changed since is built upon, and not put back to what it was then.
            let mut theirs = branch.touched(&tree).await?;
            theirs.extend(self.others.files(Widening::Refused).into_keys());
            in_place::put_before(self.shared, &tree, &ended.files, &theirs).await?;
        }
        Ok(Ok(Some(tree)))
    }

    /// A success whose process died between the merge and its settlement: nobody is asked again.
    async fn settle_only(&self, tree: &Tree) -> Result<Attempt, PipelineError> {
        let Given { unit, claim, .. } = *self.given;
        let (mut checks, ran) = attempt::check(self.shared, (unit, claim), tree, self.stop).await?;
        attempt::stop_unless(&checks, self.stop)?;
        let owner = |path: &str| self.others.owner(path);
        let scope = Scope::check(tree.iter().map(|(path, _)| path), &unit.files, &owner, self.widening);
        checks.extend(in_place::reported(&scope.widened));
        attempt::store(self.shared, tree).await?;
        write_down(self.shared, claim, &Account::default(), tree, Some(true)).await?;
        let log = format!("its work was merged before, by a try that was not settled\n{ran}");
        Ok(Attempt { checks, log, ..Attempt::of(UnitResult::Succeeded { artifacts: tree.artifacts() }) })
    }

    /// What a try without files came to: a question that a person is to answer, or a failure.
    async fn came_to_nothing(&self, error: AgentError) -> Result<Attempt, PipelineError> {
        let Given { unit, claim, .. } = *self.given;
        let (class, message) = (error.class(), error.to_string());
        let waits = match error.question() {
            Some(question) => asked::note(self.shared, unit, self.chosen.agent.name(), question).await?,
            None => None,
        };
        // What is nobody's fault says nothing of whoever was sent.
        let passed = (waits.is_none() && !matches!(class, ErrorClass::Transient | ErrorClass::Cancelled)).then_some(false);
        write_down(self.shared, claim, &error.account(), &Tree::new(), passed).await?;
        let Some(reason) = waits else { return Ok(Attempt::failed(class, &message)) };
        Ok(Attempt { asks: true, ..Attempt::of(UnitResult::Waiting { reason }) })
    }

    /// Checks what came back, and takes it or says what is wrong with it.
    async fn judge(&self, delivered: Delivered, worktree: Option<&Worktree>) -> Result<Attempt, PipelineError> {
        let Given { unit, claim, .. } = *self.given;
        let shared = self.shared;
        let taken = match worktree {
            None => Ok(Taken { files: delivered.files, ..Taken::default() }),
            Some(worktree) => in_place::take(self.chosen.agent.as_ref(), worktree, unit, self.others, self.widening).await?,
        };
        let accepted = taken.and_then(|taken| {
            let tree = attempt::accept(unit, &taken.files, &taken.beyond())?;
            paths::belongs_to_nobody_else(&tree, &self.others.files(self.widening))?;
            Ok((tree, taken))
        });
        let (tree, taken) = match accepted {
            Ok(tree) => tree,
            Err(refusal) => {
                write_down(shared, claim, &delivered.account, &Tree::new(), Some(false)).await?;
                return Ok(Attempt::failed(self.before.class(&BTreeMap::new(), &refusal), &refusal));
            }
        };
        let (mut checks, ran) = attempt::check_whole(shared, (unit, claim), &tree, self.stop).await?;
        checks.extend(in_place::reported(&taken.widened));
        let mut log = format!("{}{}{ran}", attempt::written(self.chosen.agent.name(), &tree), taken.log);
        if attempt::failure(&checks).is_none() {
            attempt::stop_unless(&checks, self.stop)?;
        }
        attempt::store(shared, &tree).await?;
        let failure = match attempt::failure(&checks) {
            Some(failure) => Some(failure),
            None => paths::own(shared, unit, &tree, self.widening).await?.err(),
        };
        let mut refused = failure.map(|error| {
            let class = self.before.class(&hashes(&tree), &error);
            Attempt { checks: checks.clone(), ..Attempt::failed(class, &error) }
        });
        if let (None, Some(change), Some(branch)) = (&refused, &taken.change, &shared.branch) {
            refused = branch.land(shared, &self.author(), (change, &tree), self.stop).await?.attempt(checks.clone());
            if refused.is_none() {
                log = format!("{log}merged into {}\n", branch.in_words());
            }
        }
        write_down(shared, claim, &delivered.account, &tree, Some(refused.is_none())).await?;
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
    let sending = Sending {
        spec: run.submission.spec,
        unit,
        claim,
        input_hash,
        agent: chosen.agent.as_ref(),
        reason: &chosen.reason,
        choice: chosen.choice.as_ref(),
        holdout_share: HoldoutShare::new(run.config.agents.holdout_share).ok(),
    };
    let mut tx = run.tx().await?;
    let patterns = enrolling::enrol(&mut tx, &sending).await?;
    tx.commit().await?;
    Ok(patterns)
}

async fn write_down(shared: &Shared, claim: &Claim, account: &Account, tree: &Tree, passed: Option<bool>) -> Result<(), PipelineError> {
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
    write_down(shared, claim, &Account::default(), &Tree::new(), Some(false)).await
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
