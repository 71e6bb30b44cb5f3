//! States of the branch in a directory of their own, for checks of the whole: as they are, or as they would be without somebody's work. Called by
//! `pipeline`; moves no branch.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::commit::take_back_message;
use super::home::{About, remove_tree};
use super::objects::Merging;
use super::pool::Pool;
use super::worktree::{Laid, blocking};
use super::{CommitId, Landed, LeftOut, Repository, RepositoryError};

/// What stands in place of a unit's key beside a tree that such a state was in.
const WHOLE: &str = "the whole";

/// A commit that is never on a branch has a time, too.
const NO_TIME: i64 = 0;

/// A commit's files, or those that a commit would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(String);

impl From<&CommitId> for Snapshot {
    fn from(commit: &CommitId) -> Self {
        Self(commit.to_string())
    }
}

/// A state in its directory. Dropped without [`Exported::retire`] it stays there.
#[derive(Debug)]
pub struct Exported {
    pool: Pool,
    tree: PathBuf,
    about: About,
    laid: Laid,
}

impl Exported {
    /// What of it cannot be there, with the reason.
    pub fn absent(&self) -> &[LeftOut] {
        &self.laid.absent
    }

    /// Removes it, and holds those of its files ready for others that nobody can have touched, where there is room. No process may live
    /// that has it open.
    pub async fn retire(self) -> Result<(), RepositoryError> {
        let retire = move || {
            self.pool.put(&self.tree, &self.laid, self.about);
            remove_tree(&self.tree)
        };
        blocking(retire).await
    }
}

/// Removes a directory with everything in it, whatever a command has made of its permissions.
pub async fn discard_export(dir: &Path) -> Result<(), RepositoryError> {
    let dir = dir.to_owned();
    blocking(move || remove_tree(&dir)).await
}

impl Repository {
    /// Makes the directory exactly those files, out of a work tree that is held ready where there is one. When it was finished is written beside it.
    pub async fn export(&self, snapshot: &Snapshot, dir: &Path) -> Result<Exported, RepositoryError> {
        let entries = self.objects.entries(&snapshot.0).await?;
        discard_export(dir).await?;
        let tree = dir.to_owned();
        let laid = self.lay(entries, tree.clone(), tree.with_extension("sealed")).await?;
        let base = CommitId::parse(&snapshot.0).unwrap_or_else(|| self.start().clone());
        let about = About::now(WHOLE, 0, self.branch(), &base);
        Ok(Exported { pool: self.pool.clone(), tree, about, laid })
    }

    /// The branch as it would be without that work; none where later work builds on it. No branch moves.
    pub async fn without(&self, head: &CommitId, landed: &Landed) -> Result<Option<Snapshot>, RepositoryError> {
        let before = format!("{}^", landed.commit);
        let tree = self.objects.call(&["rev-parse", "--verify", &format!("{before}^{{tree}}")]).text().await?;
        let message = take_back_message(&landed.unit, &self.site.run, &landed.commit);
        let undo = self.objects.record(&tree, &[landed.commit.as_str()], &message, NO_TIME).await?;
        match self.objects.merge(head.as_str(), undo.as_str()).await? {
            Merging::Clean(tree) => Ok(Some(Snapshot(tree))),
            Merging::Conflict(_) => Ok(None),
        }
    }

    /// What a commit did to which paths, as one hash: equal for equal changes, whatever they were made on.
    pub async fn fingerprint(&self, commit: &CommitId) -> Result<String, RepositoryError> {
        let mut digest = Sha256::new();
        for difference in self.objects.differences(&format!("{commit}^"), commit.as_str()).await? {
            let now = difference.now.map_or_else(String::new, |(mode, content)| format!("{mode:?} {content}"));
            digest.update(format!("{}\0{now}\0", difference.path));
        }
        Ok(hex::encode(digest.finalize()))
    }

    /// The work that was merged between two commits of the branch, the first excluded, and not taken back until the second; the oldest first.
    pub async fn standing_between(&self, from: &CommitId, to: &CommitId) -> Result<Vec<Landed>, RepositoryError> {
        let all = self.changes_between(from, to).await?;
        let undone: Vec<&CommitId> = all.iter().filter_map(Landed::reverts).collect();
        Ok(all.iter().filter(|landed| landed.token().is_some() && !undone.contains(&&landed.commit)).cloned().collect())
    }
}
