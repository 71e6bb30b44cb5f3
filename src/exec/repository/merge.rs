//! The merge queue: one merge at a time, across processes, onto the run's branch.
//!
//! A merge makes a commit first and moves the branch last, from where it was seen to be: whoever dies in between has changed nothing, and
//! whoever comes too late (a person who committed meanwhile, a git that outlived its specwave) changes nothing either. What was merged is
//! told by the branch itself, so a merge that was repeated after a crash is found and not done twice.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::commit::{key, take_back_message};
use super::lock::Lock;
use super::objects::{DiffText, Difference, Files, Merging};
use super::{CommitId, Landed, Landing, Repository, RepositoryError};

/// How often one looks whether the lock is free: a merge takes some tens of milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// While the lock is held only a foreign hand moves the branch, and not again and again.
const TRIES_MAX: u32 = 5;
/// Of each side of a conflict so much is shown: an agent is to read it.
const SIDE_BYTES_MAX: usize = 32 << 10;
/// More conflicting paths are not told apart.
const CONFLICT_PATHS_MAX: usize = 100;

type Reason = Box<dyn std::error::Error + Send + Sync>;

/// The right to merge into the run's branch; held by one at a time.
#[derive(Debug)]
pub struct Merges<'r> {
    repository: &'r Repository,
    _lock: Lock,
}

/// A unit's work on the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The newest commit of the branch.
    pub head: CommitId,
    /// The commit that brought the work: the one that was handed in, or its like on top of what others had merged meanwhile.
    pub commit: CommitId,
    /// True when it was there before.
    pub already: bool,
    /// The files that it added or changed, as they are after the merge.
    pub changed: Files,
    /// The files that it removed.
    pub removed: Vec<String>,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Keys of the units that changed the paths.
    pub units: Vec<String>,
    /// What they changed there.
    pub diff: DiffText,
}

/// Two changes that cannot both be had. Nothing was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Where; the first 100.
    pub paths: Vec<String>,
    /// What is on the branch.
    pub ours: Side,
    /// What was to be merged.
    pub theirs: Side,
}

/// What became of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeOutcome {
    /// It is on the branch.
    Merged(Box<Merged>),
    /// It contradicts what is on the branch.
    Conflict(Box<Conflict>),
    /// The caller's check said no; nothing moved.
    Stopped,
}

/// What became of taking a unit's work back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenBack {
    /// It is undone.
    Taken {
        /// The newest commit of the branch.
        head: CommitId,
        /// The commits that were undone, the newest first.
        reverted: Vec<CommitId>,
    },
    /// There was none.
    Nothing,
    /// Later work builds on it: that must be taken back before.
    Conflict(Box<Conflict>),
    /// The caller's check said no; nothing moved.
    Stopped,
}

impl Repository {
    /// Waits for its turn to merge.
    ///
    /// # Errors
    /// `Locked` after `wait`, `Cancelled` when called off.
    pub async fn merges(&self, wait: Duration, cancel: &CancellationToken) -> Result<Merges<'_>, RepositoryError> {
        let (path, began) = (self.site.lock(), Instant::now());
        let mut file = Lock::open(&path)?;
        loop {
            match Lock::try_take(file, &path)? {
                Ok(lock) => return Ok(Merges { repository: self, _lock: lock }),
                Err(busy) => file = busy,
            }
            if began.elapsed() >= wait {
                return Err(RepositoryError::Locked { path, waited: wait });
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = cancel.cancelled() => return Err(RepositoryError::Cancelled { path }),
            }
        }
    }
}

impl Merges<'_> {
    /// The newest work of a unit that is on the branch and was not taken back; with a token, only that of this attempt or later ones.
    pub async fn find_merged(&self, unit: &str, since_token: Option<i64>) -> Result<Option<Landed>, RepositoryError> {
        let head = self.repository.head().await?;
        let standing = self.repository.standing(unit, &head).await?;
        Ok(standing.into_iter().find(|landed| since_token.is_none_or(|since| landed.token() >= Some(since))))
    }

    /// The files that a commit of a unit's work added or changed, as they were then.
    pub async fn brought(&self, commit: &CommitId) -> Result<Files, RepositoryError> {
        let head = self.repository.head().await?;
        Ok(self.merged(head, commit.clone(), true).await?.changed)
    }

    /// Merges a commit that [`Repository::commit`] made. `recheck` is asked right before the branch moves whether that may still be done;
    /// it is where the caller looks at its fencing token. Where others have merged since the work began it is told the commit that takes
    /// the place of the one handed in: its files may be no longer what the caller has checked ([`Merges::brought`]). A commit of an attempt
    /// that is on the branch already changes nothing.
    pub async fn merge<F, Fut, E>(&self, commit: &CommitId, mut recheck: F) -> Result<MergeOutcome, RepositoryError>
    where
        F: FnMut(Option<CommitId>) -> Fut,
        Fut: Future<Output = Result<bool, E>>,
        E: Into<Reason>,
    {
        let handed_in = self.describe(commit).await?;
        for _ in 0..TRIES_MAX {
            let head = self.repository.head().await?;
            if let Some(landed) = self.same_attempt(&handed_in.landed, &head).await? {
                return Ok(MergeOutcome::Merged(Box::new(self.merged(head, landed.commit, true).await?)));
            }
            let landed = if handed_in.parent == head {
                commit.clone()
            } else {
                match self.repository.objects.merge(head.as_str(), commit.as_str()).await? {
                    Merging::Conflict(paths) => {
                        let theirs = (&handed_in.parent, commit, handed_in.landed.unit.as_str());
                        return Ok(MergeOutcome::Conflict(Box::new(self.conflict(paths, &head, theirs).await?)));
                    }
                    Merging::Clean(tree) => {
                        self.repository.objects.record(&tree, &[head.as_str()], &handed_in.message, handed_in.at).await?
                    }
                }
            };
            let replaced = (landed != *commit).then(|| landed.clone());
            if !recheck(replaced).await.map_err(|source| RepositoryError::Recheck { source: source.into() })? {
                return Ok(MergeOutcome::Stopped);
            }
            if self.repository.move_branch(Some(&head), &landed).await? {
                return Ok(MergeOutcome::Merged(Box::new(self.merged(landed.clone(), landed, false).await?)));
            }
        }
        Err(RepositoryError::Moving { branch: self.repository.branch() })
    }

    /// Undoes all of a unit's work that is on the branch, by commits of their own, in one step of the branch. For a unit that is reopened.
    pub async fn take_back<F, Fut, E>(&self, unit: &str, at: i64, recheck: F) -> Result<TakenBack, RepositoryError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<bool, E>>,
        E: Into<Reason>,
    {
        self.take_back_all(&[unit.to_owned()], at, recheck).await
    }

    /// The same for several units, whose work may be built on each other: the newest is undone first.
    pub async fn take_back_all<F, Fut, E>(&self, units: &[String], at: i64, mut recheck: F) -> Result<TakenBack, RepositoryError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<bool, E>>,
        E: Into<Reason>,
    {
        let repository = self.repository;
        for _ in 0..TRIES_MAX {
            let before = repository.head().await?;
            let standing = repository.standing_of(units, &before).await?;
            if standing.is_empty() {
                return Ok(TakenBack::Nothing);
            }
            let mut head = before.clone();
            for landed in &standing {
                let parent = format!("{}^", landed.commit);
                // A commit on top of the work that goes back to what was before it: merged, it undoes just that work.
                let message = take_back_message(&landed.unit, &repository.site.run, &landed.commit);
                let tree = repository.objects.call(&["rev-parse", "--verify", &format!("{parent}^{{tree}}")]).text().await?;
                let undo = repository.objects.record(&tree, &[landed.commit.as_str()], &message, at).await?;
                match repository.objects.merge(head.as_str(), undo.as_str()).await? {
                    Merging::Clean(tree) => head = repository.objects.record(&tree, &[head.as_str()], &message, at).await?,
                    Merging::Conflict(paths) => {
                        let conflict = self.conflict(paths, &before, (&landed.commit, &undo, &landed.unit)).await?;
                        return Ok(TakenBack::Conflict(Box::new(conflict)));
                    }
                }
            }
            if !recheck().await.map_err(|source| RepositoryError::Recheck { source: source.into() })? {
                return Ok(TakenBack::Stopped);
            }
            if repository.move_branch(Some(&before), &head).await? {
                return Ok(TakenBack::Taken { head, reverted: standing.into_iter().map(|landed| landed.commit).collect() });
            }
        }
        Err(RepositoryError::Moving { branch: repository.branch() })
    }

    async fn same_attempt(&self, wanted: &Landed, head: &CommitId) -> Result<Option<Landed>, RepositoryError> {
        let standing = self.repository.standing(&wanted.unit, head).await?;
        Ok(standing.into_iter().find(|landed| landed.token() == wanted.token()))
    }

    async fn merged(&self, head: CommitId, commit: CommitId, already: bool) -> Result<Merged, RepositoryError> {
        let objects = &self.repository.objects;
        let differences = objects.differences(&format!("{commit}^"), commit.as_str()).await?;
        let (gone, there): (Vec<Difference>, Vec<Difference>) = differences.into_iter().partition(|difference| difference.now.is_none());
        let mut entries = objects.entries(commit.as_str()).await?;
        let wanted: std::collections::BTreeSet<&str> = there.iter().map(|difference| difference.path.as_str()).collect();
        entries.retain(|entry| entry.path.as_deref().is_some_and(|path| wanted.contains(path)));
        let changed = objects.files(&entries).await?;
        Ok(Merged { head, commit, already, changed, removed: gone.into_iter().map(|difference| difference.path).collect() })
    }

    /// What both sides did to the paths since they parted.
    async fn conflict(
        &self,
        mut paths: Vec<String>,
        head: &CommitId,
        (parted, theirs, unit): (&CommitId, &CommitId, &str),
    ) -> Result<Conflict, RepositoryError> {
        paths.truncate(CONFLICT_PATHS_MAX);
        let objects = &self.repository.objects;
        let mut units: Vec<String> = self.repository.landed(parted, head, &paths).await?.into_iter().map(|landed| landed.unit).collect();
        units.sort();
        units.dedup();
        let ours = Side { units, diff: objects.diff(parted.as_str(), head.as_str(), &paths, SIDE_BYTES_MAX).await? };
        let diff = objects.diff(parted.as_str(), theirs.as_str(), &paths, SIDE_BYTES_MAX).await?;
        Ok(Conflict { paths, ours, theirs: Side { units: vec![unit.to_owned()], diff } })
    }

    /// What a commit says of itself.
    async fn describe(&self, commit: &CommitId) -> Result<HandedIn, RepositoryError> {
        let objects = &self.repository.objects;
        let unreadable = |reason: &str| RepositoryError::unreadable("log", format!("{commit}: {reason}"));
        let said = objects.call(&["log", "-1", "--format=%P%x1f%at%x1f%B", commit.as_str()]).text().await?;
        let [parent, at, message] = said.splitn(3, '\u{1f}').collect::<Vec<_>>()[..] else {
            return Err(unreadable("it has no description"));
        };
        let parent = CommitId::parse(parent).ok_or_else(|| unreadable("it has not exactly one parent"))?;
        let landed = self.repository.landed(&parent, commit, &[]).await?.pop();
        let landed = landed.filter(|landed| landed.token().is_some()).ok_or_else(|| unreadable("it is no unit's work of this run"))?;
        let at = at.parse().map_err(|_| unreadable("its date is no number"))?;
        Ok(HandedIn { parent, landed, at, message: format!("{}\n", message.trim_end()) })
    }
}

/// A commit that is to be merged.
struct HandedIn {
    parent: CommitId,
    landed: Landed,
    at: i64,
    message: String,
}

impl Landed {
    /// True for work of that unit, whose key a trailer holds as one line.
    pub fn is_of(&self, unit: &str) -> bool {
        self.unit == key(unit)
    }

    /// Who did the work; nobody who took some back.
    pub fn agent(&self) -> &str {
        match &self.landing {
            Landing::Merged { agent, .. } => agent,
            Landing::TakenBack { .. } => "",
        }
    }

    /// The commit that it undoes.
    pub fn reverts(&self) -> Option<&CommitId> {
        match &self.landing {
            Landing::TakenBack { reverts } => Some(reverts),
            Landing::Merged { .. } => None,
        }
    }

    /// The fencing token of the attempt that it is; none when it takes work back.
    pub fn token(&self) -> Option<i64> {
        match self.landing {
            Landing::Merged { token, .. } => Some(token),
            Landing::TakenBack { .. } => None,
        }
    }
}
