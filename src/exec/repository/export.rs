//! States of the branch in a directory of their own, for checks of the whole: as they are, or as they would be without somebody's work.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::checkout::check_out;
use super::commit::take_back_message;
use super::objects::Merging;
use super::worktree::{blocking, remove_tree};
use super::{CommitId, Landed, LeftOut, Repository, RepositoryError};

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

/// Removes a directory with everything in it, whatever a command has made of its permissions.
pub async fn discard_export(dir: &Path) -> Result<(), RepositoryError> {
    let dir = dir.to_owned();
    blocking(move || remove_tree(&dir)).await
}

impl Repository {
    /// Makes the directory exactly those files; gives what of them cannot be there, with the reason.
    pub async fn export(&self, snapshot: &Snapshot, dir: &Path) -> Result<Vec<LeftOut>, RepositoryError> {
        let entries = self.objects.entries(&snapshot.0).await?;
        let empty = dir.to_owned();
        blocking(move || {
            remove_tree(&empty)?;
            fs::create_dir_all(&empty).map_err(RepositoryError::io("create", &empty))
        })
        .await?;
        Ok(check_out(&self.objects, &entries, dir).await?.1)
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
