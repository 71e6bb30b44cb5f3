//! The work tree of one attempt at one unit: written from a commit, or completed from one that is held ready (`pool`), given to an agent, read
//! back, then kept, retired or removed. Called by `runner`; never looks into what an agent left but to read it back.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::checkout::{Placed, Stamp, check_out, seal};
use super::home::{About, SEALED, TREE, hold, prune, remove_home, remove_tree, write_about};
use super::lock::Lock;
use super::objects::{Entry, Objects};
use super::pool::Pool;
use super::{Change, ChangeLimits, CommitId, LeftOut, Repository, RepositoryError};
use crate::exec::Tree;
use crate::exec::tree::write_file;

/// A work tree that this process holds. Dropped without [`Worktree::keep`], [`Worktree::retire`] or [`Worktree::remove`] it stays as a
/// leftover.
#[derive(Debug)]
pub struct Worktree {
    objects: Objects,
    pool: Pool,
    home: PathBuf,
    about: About,
    pub(super) laid: Laid,
    /// Held until this is dropped.
    _lock: Lock,
}

/// The files of a commit in a directory.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) placed: Arc<BTreeMap<String, Placed>>,
    pub(super) sealed: Stamp,
    pub(super) absent: Vec<LeftOut>,
}

impl Repository {
    /// A work tree for an attempt at a unit, with the files of `base` and nothing else.
    ///
    /// Every token has a directory of its own, so an attempt that was fenced off cannot disturb the one after it. What a dead process left
    /// of this very attempt is replaced.
    ///
    /// # Errors
    /// `Locked`, while another process works on the same attempt.
    pub async fn worktree(&self, unit: &str, token: i64, base: &CommitId) -> Result<Worktree, RepositoryError> {
        let entries = self.objects.entries(base.as_str()).await?;
        let unit_dir = self.site.worktrees().join(&hex::encode(Sha256::digest(unit))[..32]);
        let about = About::now(unit, token, self.branch(), base);
        let home = unit_dir.join(token.to_string());
        let prepare = {
            let (home, about) = (home.clone(), about.clone());
            move || {
                let lock = hold(&home)?;
                prune(&unit_dir, token);
                remove_tree(&home.join(TREE))?;
                write_about(&home, &about)?;
                Ok(lock)
            }
        };
        let lock = blocking(prepare).await?;
        let laid = self.lay(entries, home.join(TREE), home.join(SEALED)).await?;
        Ok(Worktree { objects: self.objects.clone(), pool: self.pool.clone(), home, about, laid, _lock: lock })
    }

    /// Makes a directory, which is not there yet, of exactly those files, out of one that is held ready where there is one.
    pub(super) async fn lay(&self, entries: Vec<Entry>, tree: PathBuf, sealed: PathBuf) -> Result<Laid, RepositoryError> {
        let take = {
            let (pool, tree) = (self.pool.clone(), tree.clone());
            move || {
                let there = pool.take(&entries, &tree);
                if there.is_none() {
                    fs::create_dir_all(&tree).map_err(RepositoryError::io("create", &tree))?;
                }
                Ok((entries, there))
            }
        };
        let (entries, there) = blocking(take).await?;
        let laid = match (check_out(&self.objects, &entries, &tree, there.as_ref()).await, there) {
            (Err(error), Some(_)) => {
                tracing::debug!(%error, "a tree that was held ready cannot be completed; made anew");
                let tree_again = tree.clone();
                let empty = move || {
                    remove_tree(&tree_again)?;
                    fs::create_dir_all(&tree_again).map_err(RepositoryError::io("create", &tree_again))
                };
                blocking(empty).await?;
                check_out(&self.objects, &entries, &tree, None).await
            }
            (laid, _) => laid,
        };
        let (placed, absent) = laid?;
        let (placed, sealed) = blocking(move || Ok((seal(&sealed, &placed)?, placed))).await.map(|(sealed, placed)| (placed, sealed))?;
        Ok(Laid { placed: Arc::new(placed), sealed, absent })
    }
}

impl Worktree {
    /// The directory that the agent may change.
    pub fn path(&self) -> PathBuf {
        self.home.join(TREE)
    }

    /// The commit that it was written from.
    pub fn base(&self) -> &CommitId {
        &self.about.base
    }

    /// Files of the commit that are not there, with the reason: submodules, names that are not safe, files of more than 64 MiB. They
    /// count as unchanged.
    pub fn absent(&self) -> &[LeftOut] {
        &self.laid.absent
    }

    /// Adds files to it, as if whoever works in it had written them.
    pub async fn put(&self, files: Tree) -> Result<(), RepositoryError> {
        let root = self.path();
        let write = move || {
            for (path, file) in files.iter() {
                write_file(&root, path, file).map_err(RepositoryError::io("write", &root.join(path)))?;
            }
            Ok(())
        };
        blocking(write).await
    }

    /// What was changed in it since it was made. No process may be writing to it any more.
    pub async fn diff(&self, limits: &ChangeLimits) -> Result<Change, RepositoryError> {
        Change::read(&self.objects, self.path(), &self.about.base, Arc::clone(&self.laid.placed), self.laid.sealed, limits).await
    }

    /// Lets it stay, to be looked at.
    pub async fn keep(mut self) -> Result<PathBuf, RepositoryError> {
        self.about = self.about.kept();
        let (home, about) = (self.home.clone(), self.about.clone());
        blocking(move || write_about(&home, &about)).await?;
        Ok(self.path())
    }

    /// Removes it, and holds those of its files ready for others that nobody can have touched, where there is room. No process may live
    /// that has it open.
    pub async fn retire(self) -> Result<(), RepositoryError> {
        let retire = move || {
            self.pool.put(&self.path(), &self.laid, self.about.clone());
            remove_home(&self.home)
        };
        blocking(retire).await
    }

    /// Removes it.
    pub async fn remove(self) -> Result<(), RepositoryError> {
        let home = self.home.clone();
        blocking(move || remove_home(&home)).await
    }
}

/// Runs what blocks beside the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RepositoryError> + Send + 'static,
) -> Result<T, RepositoryError> {
    spawn_blocking(work).await.map_err(|error| RepositoryError::lost(&error))?
}
