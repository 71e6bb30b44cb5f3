//! The output directory: where a checked tree is delivered, beside files that are not ours.
//!
//! Everything we need stands in `OUT/.specwave/`. A new or empty directory appears by one rename. Otherwise new contents are
//! staged, a journal says what changes from which state to which, and then one rename per file follows; a delivery that was
//! interrupted after its journal was written is rolled forward by whoever opens the directory next, and one that was
//! interrupted before has changed nothing. Files that are foreign, or that somebody edited since we wrote them, are never
//! touched unless told so. What was replaced or removed is kept for one [`Output::undo`], which restores it exactly.
//!
//! A lock of the operating system is held on the directory as long as the [`Output`] lives. Nothing here follows links
//! below the directory. All calls block: use `spawn_blocking`.

mod apply;
mod error;
mod fresh;
mod lock;
mod manifest;
mod plan;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tree::Tree;
use apply::Journal;
pub use error::OutputError;
use lock::Lock;
pub use manifest::Manifest;
use manifest::{JOURNAL, META, UNDO};

/// What becomes of files that are foreign or edited and stand in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edits {
    /// They stay, and are listed as conflicts.
    Keep,
    /// They are replaced (and kept for undo).
    Overwrite,
}

/// How a tree is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployOptions {
    /// What becomes of foreign and edited files.
    pub edits: Edits,
    /// Whose tree it is, for example the run's id; kept in the manifest.
    pub label: String,
}

/// What a delivery, an undo or a recovery did. Paths are sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The hash of the delivered tree as it is on disk now; equal to the tree's own when nothing was in the way.
    pub tree_hash: String,
    /// Files that were written.
    pub written: Vec<String>,
    /// Owned files that were removed.
    pub removed: Vec<String>,
    /// Files that we wrote once, that the new tree has no more, and that stay because somebody edited them.
    pub kept: Vec<String>,
    /// Files that should have been written or restored, and were not.
    pub conflicts: Vec<Conflict>,
}

/// What a delivery would do. Paths are sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Files that are not there yet.
    pub added: Vec<String>,
    /// Files with other content or another mode.
    pub changed: Vec<String>,
    /// Owned files that vanish.
    pub removed: Vec<String>,
    /// Files that are as they should be.
    pub unchanged: Vec<String>,
    /// As in [`Deployed`].
    pub kept: Vec<String>,
    /// As in [`Deployed`].
    pub conflicts: Vec<Conflict>,
}

/// A file that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Its path.
    pub path: String,
    /// Why it is not touched.
    pub reason: ConflictReason,
}

/// Why a file is not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictReason {
    /// We did not write it.
    Foreign,
    /// Somebody changed it since we wrote it.
    Edited,
    /// It, or something on the way to it, is a link, a directory or a device; not touched even when told to overwrite.
    Blocked,
}

/// An output directory, locked.
#[derive(Debug)]
pub struct Output {
    root: PathBuf,
    lock: Lock,
    fuse: Fuse,
}

impl Output {
    /// Locks the directory, makes it when it is missing (and removes it again when nothing was delivered), and rolls a
    /// delivery forward that was interrupted.
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        Self::open_with(path, Fuse::default())
    }

    fn open_with(path: &Path, fuse: Fuse) -> Result<Self, OutputError> {
        let (root, lock) = lock::acquire(path)?;
        let mut output = Self { root, lock, fuse };
        output.recover()?;
        Ok(output)
    }

    /// The directory, links resolved.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// What was delivered last; none when nothing was.
    pub fn manifest(&self) -> Result<Option<Manifest>, OutputError> {
        Manifest::read(&self.root)
    }

    /// What delivering the tree would do.
    pub fn diff(&self, tree: &Tree, edits: Edits) -> Result<Difference, OutputError> {
        let manifest = self.manifest()?.unwrap_or_default();
        Ok(plan::plan(&self.root, tree, &manifest, edits)?.difference)
    }

    /// Delivers the tree. `recheck` is called right before the point of no return, and its error stops everything: that is
    /// where a fencing token is compared.
    ///
    /// On any error before that point nothing has changed; after it, the next [`Output::open`] completes the delivery.
    pub fn deploy(
        &mut self,
        tree: &Tree,
        options: &DeployOptions,
        recheck: impl Fn() -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<Deployed, OutputError> {
        self.lock.keep(&self.root)?;
        self.recover()?;
        plan::refuse_protected(tree)?;
        let recheck = || recheck().map_err(|source| OutputError::Superseded { path: self.root.clone(), source });
        // None when the parent is not ours to write to; then, and where something is mounted, the journal does it.
        let empty = lock::is_empty(&self.root)?;
        let staged = if empty { fresh::prepare(&self.root, tree, options)? } else { None };
        if let Some(staged) = staged {
            recheck().inspect_err(|_| staged.discard())?;
            self.fuse.step()?;
            if let Some(lock) = staged.commit(&self.root)? {
                self.lock = lock;
                return Ok(fresh::deployed(tree));
            }
        }
        self.deploy_journaled(tree, options, recheck)
    }

    fn deploy_journaled(
        &self,
        tree: &Tree,
        options: &DeployOptions,
        recheck: impl Fn() -> Result<(), OutputError>,
    ) -> Result<Deployed, OutputError> {
        let previous = self.manifest()?;
        let plan = plan::plan(&self.root, tree, &previous.clone().unwrap_or_default(), options.edits)?;
        let journal = Journal::of_deploy(plan, options);
        let staged = apply::stage_deploy(&self.root, tree, &journal, previous);
        staged.and_then(|()| recheck()).inspect_err(|_| apply::discard(&self.root))?;
        self.carry_out(&journal)
    }

    fn carry_out(&self, journal: &Journal) -> Result<Deployed, OutputError> {
        self.fuse.step()?;
        apply::commit(&self.root, journal).inspect_err(|_| apply::abandon(&self.root))?;
        apply::roll_forward(&self.root, journal, &self.fuse)
    }

    /// Brings the tree back that was there before the last delivery, exactly; there is one step of undo. Files that somebody
    /// edited after the delivery are conflicts, unless told to overwrite them.
    pub fn undo(&mut self, edits: Edits) -> Result<Deployed, OutputError> {
        self.lock.keep(&self.root)?;
        self.recover()?;
        let journal = Journal::of_undo(&self.root, edits)?;
        apply::stage_undo(&self.root, &journal).inspect_err(|_| apply::discard(&self.root))?;
        self.carry_out(&journal)
    }

    /// True when there is something to undo.
    pub fn undoable(&self) -> bool {
        self.root.join(META).join(UNDO).is_dir()
    }

    /// Completes a delivery or an undo that was interrupted, and clears away what one left that had not begun. Tells what
    /// it completed, if anything.
    pub fn recover(&mut self) -> Result<Option<Deployed>, OutputError> {
        fresh::clear(&self.root);
        let path = self.root.join(META).join(JOURNAL);
        let Some(journal) = manifest::read_json::<Journal>(&path)? else {
            apply::discard(&self.root);
            return Ok(None);
        };
        apply::roll_forward(&self.root, &journal, &self.fuse).map(Some)
    }
}

/// What was delivered into a directory last: its manifest, and the files that we own, as they are on disk now. Takes no lock.
pub fn delivered(path: &Path) -> Result<Option<(Manifest, Tree)>, OutputError> {
    let Some(manifest) = Manifest::read(path)? else { return Ok(None) };
    let mut tree = Tree::new();
    for (name, stamp) in &manifest.files {
        let Ok(target) = super::tree::locate(path, name) else { continue };
        if fs::symlink_metadata(&target).is_ok_and(|entry| entry.is_file()) {
            let content = fs::read(&target).map_err(|source| OutputError::io(&target, source))?;
            tree.insert(name, content, stamp.executable)?;
        }
    }
    Ok(Some((manifest, tree)))
}

/// Where tests interrupt: the n-th step fails, and from then on everything is as after a crash.
#[derive(Debug, Default)]
struct Fuse {
    #[cfg(test)]
    steps_left: std::cell::Cell<Option<u32>>,
}

impl Fuse {
    /// Called before everything that changes the directory after staging.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the test version uses both")]
    fn step(&self) -> Result<(), OutputError> {
        crate::failpoint::hit("deploy.between_renames");
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> Result<(), OutputError> {
        match self.steps_left.get() {
            None => Ok(()),
            Some(0) => Err(OutputError::Interrupted),
            Some(left) => {
                self.steps_left.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
