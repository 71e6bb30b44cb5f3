//! The branch of a run: every unit's result is a commit on it before the unit is settled, so that whoever works in a tree starts from
//! the work of what the unit depends on.
//!
//! There is one where somebody may be sent who works in a tree, or where the run grows in the user's repository. Called by `attempt` and `told`; what may be merged they have decided.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::attempt::{self, Attempt};
use super::paths;
use super::unit::Shared;
use crate::engine::{Claim, EngineError, ErrorClass, UnitResult};
use crate::exec::repository::{
    Authorship, Change, ChangeKind, CommitId, Conflict, MergeOutcome, Merges, Repository, RepositoryError, Side, TakenBack, Worktree,
};
use crate::exec::tree::{Tree, TreeFile};
use crate::generate::Prior;
use crate::model::{Artifact, CheckResult, Plan, Task, UnitState, Verdict};
use crate::pipeline::{PipelineError, Run};
use crate::store::postgres::{artifacts, assignments, attempts};

/// How long a result waits for its turn to be merged: a merge takes a moment, and a process that died holds no lock.
const TURN_WITHIN: Duration = Duration::from_mins(5);
/// What is said of checks that held before the merge; whoever tries again finds the others' work in the tree.
const AFTER_MERGE: &str = "merged with what others have done since";

/// The repository of a run, and what is done with its branch.
pub(super) struct Branch {
    repository: Repository,
    /// True when the repository is the user's.
    users: bool,
}

/// What became of a result.
pub(super) enum Landing {
    /// It is on the branch.
    Merged {
        /// Files that were there before, with other contents: the user's.
        replaced: Vec<String>,
    },
    /// Somebody else of this run has changed these files since the run began, and they were made without knowing that.
    Theirs(Vec<String>),
    /// It contradicts what others have merged since.
    Conflict(Box<Conflict>),
    /// It can be merged with what others have merged since, but what comes out does not pass the unit's checks, of which these are the
    /// results.
    Broken(Vec<CheckResult>),
    /// Earlier work of the unit cannot be taken back, because later work builds on it.
    BuiltOn(Vec<String>),
    /// The claim was lost meanwhile; nothing changed.
    Lost,
}

/// A unit in somebody's hands.
#[derive(Clone, Copy)]
pub(super) struct Author<'a> {
    pub(super) unit: &'a Task,
    pub(super) claim: &'a Claim,
    pub(super) agent: &'a str,
}

impl Branch {
    /// The run's branch; none where nobody works in a tree.
    pub(super) async fn open(run: &Run) -> Result<Option<Self>, PipelineError> {
        let users = run.submission.options.repository.is_some();
        Ok(run.repository().await?.map(|repository| Self { repository: repository.clone(), users }))
    }

    /// The commit that the work of agents begins with, where that is the user's.
    pub(super) fn users_start(&self) -> Option<String> {
        self.users.then(|| self.repository.start().to_string())
    }

    /// The user's files in the folders that units declare: they are carried on from.
    pub(super) async fn prior(&self, plan: &Plan) -> Result<Prior, PipelineError> {
        let folders: Vec<&str> = plan.units().flat_map(|unit| &unit.files).map(String::as_str).filter(|path| path.ends_with('/')).collect();
        let wanted = |path: &str| folders.iter().any(|folder| path.starts_with(folder));
        let files = self.repository.files_of(self.repository.start(), wanted).await?;
        Ok(Prior { files: files.tree.iter().map(|(path, file)| (path.to_owned(), file.content.clone())).collect() })
    }

    /// A tree for a try at the unit, with everything that was merged so far but the unit's own earlier work; or why there is none.
    pub(super) async fn worktree(
        &self,
        shared: &Shared,
        author: &Author<'_>,
        stop: &CancellationToken,
    ) -> Result<Result<Worktree, Landing>, PipelineError> {
        let merges = self.turn(stop).await?;
        if let Some(hindrance) = clear(&merges, shared, author).await? {
            return Ok(Err(hindrance));
        }
        let head = self.repository.head().await?;
        Ok(Ok(self.repository.worktree(&author.unit.key, author.claim.token, &head).await?))
    }

    /// Merges what was changed in a tree; `checked` are the files that have passed the unit's checks.
    pub(super) async fn land(
        &self,
        shared: &Shared,
        author: &Author<'_>,
        (change, checked): (&Change, &Tree),
        stop: &CancellationToken,
    ) -> Result<Landing, PipelineError> {
        let commit = self.repository.commit(change, &authorship(author)).await?;
        let merges = self.turn(stop).await?;
        merge(&merges, shared, author, (&commit, checked), stop).await
    }

    /// Merges files that were made elsewhere, in place of the unit's earlier work. Where others of this run have changed one of them, theirs
    /// would be lost: then nothing is merged.
    pub(super) async fn land_files(
        &self,
        shared: &Shared,
        author: &Author<'_>,
        files: &[Artifact],
        stop: &CancellationToken,
    ) -> Result<Landing, PipelineError> {
        let tree = stored(shared, files).await?;
        let merges = self.turn(stop).await?;
        if let Some(hindrance) = clear(&merges, shared, author).await? {
            return Ok(hindrance);
        }
        let head = self.repository.head().await?;
        let change = self.repository.change_to(&head, &tree).await?;
        if change.is_empty() {
            return Ok(Landing::Merged { replaced: Vec::new() });
        }
        let touched = self.repository.touched(&head).await?;
        // What the unit declares no other unit may have changed, unless the plan has changed since: then it is the unit's now.
        let theirs = change.paths().filter(|path| touched.contains(*path) && !paths::declares(author.unit, path));
        let theirs: Vec<String> = theirs.map(str::to_owned).collect();
        if !theirs.is_empty() {
            return Ok(Landing::Theirs(theirs));
        }
        let replaced = change.files.iter().filter(|file| file.kind == ChangeKind::Modified).map(|file| file.path.clone()).collect();
        let commit = self.repository.commit(&change, &authorship(author)).await?;
        match merge(&merges, shared, author, (&commit, &tree), stop).await? {
            Landing::Merged { .. } => Ok(Landing::Merged { replaced }),
            other => Ok(other),
        }
    }

    /// The paths that somebody's work of this run has changed, as a work tree has it.
    pub(super) async fn touched(&self, worktree: &Worktree) -> Result<BTreeSet<String>, PipelineError> {
        Ok(self.repository.touched(worktree.base()).await?)
    }

    /// What an earlier try with the same input has merged before its process died: it was paid for, and needs only to be settled.
    pub(super) async fn merged_before(
        &self,
        shared: &Shared,
        unit: &Task,
        input_hash: &str,
        stop: &CancellationToken,
    ) -> Result<Option<Tree>, PipelineError> {
        let merges = self.turn(stop).await?;
        let Some(landed) = merges.find_merged(&unit.key, None).await? else { return Ok(None) };
        let mut tx = shared.run.tx().await?;
        let rows = assignments::list(&mut tx, shared.run.id, Some(&unit.key)).await?;
        let attempts = attempts::list(&mut tx, shared.run.id, Some(&unit.key)).await?;
        tx.commit().await?;
        let same_input = rows.iter().any(|row| Some(row.token) == landed.token() && row.input_hash == input_hash);
        // It was settled, and reopened since.
        let settled = attempts.iter().any(|attempt| Some(attempt.token) == landed.token() && attempt.outcome == "succeeded");
        if same_input && !settled { Ok(Some(merges.brought(&landed.commit).await?.tree)) } else { Ok(None) }
    }

    /// Where a person finds it.
    pub(super) fn in_words(&self) -> String {
        format!("{} of {}", self.repository.branch(), self.repository.git_dir().display())
    }

    async fn turn(&self, stop: &CancellationToken) -> Result<Merges<'_>, PipelineError> {
        match self.repository.merges(TURN_WITHIN, stop).await {
            Err(RepositoryError::Cancelled { .. }) => Err(PipelineError::Stopped),
            turn => Ok(turn?),
        }
    }
}

impl Landing {
    /// What the try came to, unless it is on the branch.
    pub(super) fn attempt(self, checks: Vec<CheckResult>) -> Option<Attempt> {
        match self {
            Self::Merged { .. } => None,
            Self::Theirs(paths) => {
                let error = format!("other units have changed {} since", paths.join(", "));
                Some(Attempt { checks, ..Attempt::failed(ErrorClass::Unfit, &error) })
            }
            Self::Lost => Some(Attempt::of(UnitResult::Released { reason: "the claim was lost before its work was merged".to_owned() })),
            Self::BuiltOn(units) => {
                let error = format!("its earlier work cannot be taken back: {} built on it", units.join(", "));
                Some(Attempt { checks, ..Attempt::failed(ErrorClass::Permanent, &error) })
            }
            Self::Conflict(conflict) => {
                let error = format!("it conflicts with {} in {}", conflict.ours.units.join(", "), conflict.paths.join(", "));
                let mut checks = checks;
                checks.push(evidence(&conflict));
                Some(Attempt { checks, ..Attempt::failed(ErrorClass::Unfit, &error) })
            }
            Self::Broken(mut after) => {
                let failure = attempt::failure(&after).unwrap_or_default();
                for check in after.iter_mut().filter(|check| check.verdict == Verdict::Failed) {
                    check.detail = format!("{AFTER_MERGE}: {}", check.detail);
                }
                Some(Attempt { checks: after, ..Attempt::failed(ErrorClass::Unfit, &format!("{AFTER_MERGE}, {failure}")) })
            }
        }
    }
}

/// Both sides of a conflict, for whoever tries again.
fn evidence(conflict: &Conflict) -> CheckResult {
    let side = |what: &str, side: &Side| format!("{what} by {}:\n{}", side.units.join(", "), side.diff.text);
    let detail = [side("On the branch,", &conflict.ours), side("To be merged,", &conflict.theirs)].join("\n");
    let command = "git merge".to_owned();
    CheckResult { name: "merge".to_owned(), subject: None, verdict: Verdict::Failed, command, detail, duration_ms: 0 }
}

/// Takes earlier work of the unit back that was merged: it was reopened, or its input has changed.
async fn clear(merges: &Merges<'_>, shared: &Shared, author: &Author<'_>) -> Result<Option<Landing>, PipelineError> {
    let taken = match merges.take_back(&author.unit.key, now(), || holds(shared, author.claim)).await? {
        TakenBack::Conflict(_) => {
            // What was done on top of it and is open again goes with it: it is done anew as well.
            let mut units = open_behind(shared, &author.unit.key).await?;
            units.push(author.unit.key.clone());
            merges.take_back_all(&units, now(), || holds(shared, author.claim)).await?
        }
        taken => taken,
    };
    match taken {
        TakenBack::Taken { .. } | TakenBack::Nothing => Ok(None),
        TakenBack::Conflict(conflict) => Ok(Some(Landing::BuiltOn(conflict.ours.units))),
        TakenBack::Stopped => Ok(Some(Landing::Lost)),
    }
}

/// The units that wait for others and build on that one, as far as the plan tells.
async fn open_behind(shared: &Shared, unit: &str) -> Result<Vec<String>, PipelineError> {
    let pending = shared.run.units().await?.into_iter().filter(|row| row.state == UnitState::Pending).map(|row| row.key);
    let mut behind: BTreeSet<String> = BTreeSet::from([unit.to_owned()]);
    let mut open: Vec<String> = pending.collect();
    loop {
        let (found, rest): (Vec<String>, Vec<String>) =
            open.into_iter().partition(|key| shared.inputs.dependencies(key).iter().any(|dependency| behind.contains(dependency)));
        if found.is_empty() {
            behind.remove(unit);
            return Ok(behind.into_iter().collect());
        }
        behind.extend(found);
        open = rest;
    }
}

/// Merges a commit whose files have passed the unit's checks. Where the merge changes one of them they are checked as they will be, under the
/// lock, before the branch moves: two changes that fit line by line need not fit together.
async fn merge(
    merges: &Merges<'_>,
    shared: &Shared,
    author: &Author<'_>,
    (commit, checked): (&CommitId, &Tree),
    stop: &CancellationToken,
) -> Result<Landing, PipelineError> {
    let refused: Mutex<Option<Vec<CheckResult>>> = Mutex::new(None);
    let recheck = |replaced: Option<CommitId>| {
        let refused = &refused;
        async move {
            if let Some(replaced) = replaced {
                let merged = merges.brought(&replaced).await?.tree;
                let as_checked = |(path, file): (&str, &TreeFile)| checked.get(path).is_some_and(|before| before.content == file.content);
                if !merged.iter().all(as_checked) {
                    let checks = attempt::check_whole(shared, (author.unit, author.claim), &merged, stop).await?.0;
                    if attempt::failure(&checks).is_some() {
                        *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(checks);
                        return Ok(false);
                    }
                    attempt::stop_unless(&checks, stop)?;
                }
            }
            Ok::<_, PipelineError>(holds(shared, author.claim).await?)
        }
    };
    let outcome = match merges.merge(commit, recheck).await {
        Err(RepositoryError::Recheck { .. }) if stop.is_cancelled() => return Err(PipelineError::Stopped),
        outcome => outcome?,
    };
    Ok(match (outcome, refused.into_inner().unwrap_or_else(PoisonError::into_inner)) {
        (MergeOutcome::Merged(_), _) => Landing::Merged { replaced: Vec::new() },
        (MergeOutcome::Conflict(conflict), _) => Landing::Conflict(conflict),
        (MergeOutcome::Stopped, Some(checks)) => Landing::Broken(checks),
        (MergeOutcome::Stopped, None) => Landing::Lost,
    })
}

/// True while the claim holds; asked under the lock, right before the branch moves.
async fn holds(shared: &Shared, claim: &Claim) -> Result<bool, EngineError> {
    Ok(shared.run.engine.heartbeat(shared.run.organization, std::slice::from_ref(claim)).await?.is_empty())
}

fn authorship(author: &Author<'_>) -> Authorship {
    let Author { unit, claim, agent } = author;
    Authorship { unit: unit.key.clone(), token: claim.token, agent: (*agent).to_owned(), title: unit.title.clone(), at: now() }
}

/// The files with their contents.
async fn stored(shared: &Shared, files: &[Artifact]) -> Result<Tree, PipelineError> {
    let mut tree = Tree::new();
    let mut tx = shared.run.tx().await?;
    for file in files {
        let lost = || PipelineError::Plan(format!("the content of {} is not stored", file.path));
        let content = artifacts::blob(&mut tx, &file.sha256).await?.ok_or_else(lost)?;
        tree.insert(&file.path, content, file.executable).map_err(|error| PipelineError::Plan(error.to_string()))?;
    }
    tx.commit().await?;
    Ok(tree)
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
