//! The work tree of one attempt at one unit: written from a commit, given to an agent, read back, then kept or removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::checkout::{Placed, Stamp, check_out};
use super::lock::Lock;
use super::objects::Objects;
use super::{Change, ChangeLimits, CommitId, LeftOut, Repository, RepositoryError};
use crate::exec::Tree;
use crate::exec::tree::write_file;

/// So many former work trees of a unit are kept, to be looked at; older ones go when a new one is made.
const KEPT_MAX: usize = 3;
/// A directory that is removed by somebody else between its making and its locking is made again; once for each rival.
const LOCK_TRIES: u32 = 8;
/// The directory's parts: what is known of it, who holds it, and the tree that the agent may change.
const ABOUT: &str = "about.json";
const LOCK_FILE: &str = "lock";
const TREE: &str = "tree";

/// A work tree that this process holds. Dropped without [`Worktree::keep`] or [`Worktree::remove`] it stays as a leftover.
#[derive(Debug)]
pub struct Worktree {
    objects: Objects,
    home: PathBuf,
    about: About,
    placed: Arc<BTreeMap<String, Placed>>,
    sealed: Stamp,
    absent: Vec<LeftOut>,
    /// Held until this is dropped.
    _lock: Lock,
}

/// What is remembered beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) unit: String,
    pub(super) token: i64,
    pub(super) branch: String,
    pub(super) base: CommitId,
    /// Seconds since 1970.
    made_at: u64,
    kept: bool,
}

/// In what state a work tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A process works in it.
    Active,
    /// It was kept to be looked at.
    Kept,
    /// The process that worked in it is gone.
    Left,
}

/// A work tree on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The unit's key.
    pub unit: String,
    /// The attempt's fencing token.
    pub token: i64,
    /// The run's branch.
    pub branch: String,
    /// The commit that it was written from.
    pub base: CommitId,
    /// The directory that the agent saw.
    pub path: PathBuf,
    /// Since when it is there.
    pub age: Duration,
    /// In what state.
    pub state: State,
}

impl Repository {
    /// A fresh work tree for an attempt at a unit, with the files of `base`.
    ///
    /// Every token has a directory of its own, so an attempt that was fenced off cannot disturb the one after it. What a dead process left
    /// of this very attempt is replaced.
    ///
    /// # Errors
    /// `Locked`, while another process works on the same attempt.
    pub async fn worktree(&self, unit: &str, token: i64, base: &CommitId) -> Result<Worktree, RepositoryError> {
        let entries = self.objects.entries(base.as_str()).await?;
        let unit_dir = self.site.worktrees().join(&hex::encode(Sha256::digest(unit))[..32]);
        let about = About { unit: unit.to_owned(), token, branch: self.branch(), base: base.clone(), made_at: now_secs(), kept: false };
        let home = unit_dir.join(token.to_string());
        let prepare = {
            let (home, about) = (home.clone(), about.clone());
            move || {
                let lock = hold(&home)?;
                prune(&unit_dir, token);
                let tree = home.join(TREE);
                remove_tree(&tree)?;
                fs::create_dir(&tree).map_err(RepositoryError::io("create", &tree))?;
                write_about(&home, &about)?;
                Ok(lock)
            }
        };
        let lock = blocking(prepare).await?;
        let (placed, absent) = check_out(&self.objects, &entries, &home.join(TREE)).await?;
        let seal = home.join("sealed");
        let sealed = blocking(move || {
            fs::write(&seal, "").map_err(RepositoryError::io("write", &seal))?;
            Stamp::of(&seal).map_err(RepositoryError::io("look at", &seal))
        });
        let sealed = sealed.await?;
        Ok(Worktree { objects: self.objects.clone(), home, about, placed: Arc::new(placed), sealed, absent, _lock: lock })
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
        &self.absent
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
        Change::read(&self.objects, self.path(), &self.about.base, Arc::clone(&self.placed), self.sealed, limits).await
    }

    /// Lets it stay, to be looked at.
    pub async fn keep(mut self) -> Result<PathBuf, RepositoryError> {
        self.about.kept = true;
        let (home, about) = (self.home.clone(), self.about.clone());
        blocking(move || write_about(&home, &about)).await?;
        Ok(self.path())
    }

    /// Removes it.
    pub async fn remove(self) -> Result<(), RepositoryError> {
        let home = self.home.clone();
        blocking(move || remove_home(&home)).await
    }
}

/// The state of a directory that is there: locked, kept or left.
pub(super) fn look(home: &Path) -> Result<Option<Listed>, RepositoryError> {
    let path = home.join(ABOUT);
    let about: About = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| RepositoryError::io("understand", &path)(error.into()))?,
        // It is being made or removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RepositoryError::io("read", &path)(error)),
    };
    let state = match try_hold(home) {
        Ok(None) => State::Active,
        _ if about.kept => State::Kept,
        _ => State::Left,
    };
    let age = Duration::from_secs(now_secs().saturating_sub(about.made_at));
    let About { unit, token, branch, base, .. } = about;
    Ok(Some(Listed { unit, token, branch, base, path: home.join(TREE), age, state }))
}

/// Removes a work tree unless somebody works in it; false when somebody does.
pub(super) fn discard(home: &Path) -> Result<bool, RepositoryError> {
    let Some(_lock) = try_hold(home)? else { return Ok(false) };
    remove_home(home)?;
    Ok(true)
}

/// Runs what blocks beside the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RepositoryError> + Send + 'static,
) -> Result<T, RepositoryError> {
    spawn_blocking(work).await.map_err(|error| RepositoryError::lost(&error))?
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn hold(home: &Path) -> Result<Lock, RepositoryError> {
    for _ in 0..LOCK_TRIES {
        fs::create_dir_all(home).map_err(RepositoryError::io("create", home))?;
        let Some(lock) = try_hold(home)? else { break };
        let there = fs::metadata(home.join(LOCK_FILE)).map(|there| there.ino()).ok();
        if there.is_some() && there == lock.file().metadata().map(|held| held.ino()).ok() {
            return Ok(lock);
        }
    }
    Err(RepositoryError::Locked { path: home.to_owned(), waited: Duration::ZERO })
}

/// None while somebody else holds it.
fn try_hold(home: &Path) -> Result<Option<Lock>, RepositoryError> {
    let path = home.join(LOCK_FILE);
    Ok(Lock::try_take(Lock::open(&path)?, &path)?.ok())
}

fn write_about(home: &Path, about: &About) -> Result<(), RepositoryError> {
    let path = home.join(ABOUT);
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(home)?;
        serde_json::to_writer(&mut file, about)?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(RepositoryError::io("write", &path))
}

/// Former attempts beyond the newest few go, unless somebody works in them. What cannot be removed stays: it is in nobody's way.
fn prune(unit_dir: &Path, token: i64) {
    let entries = fs::read_dir(unit_dir).into_iter().flatten().flatten();
    let mut former: Vec<i64> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|other| *other < token).collect();
    former.sort_unstable();
    let excess = former.len().saturating_sub(KEPT_MAX);
    for old in &former[..excess] {
        let _ = discard(&unit_dir.join(old.to_string()));
    }
}

/// What is known of it goes first: without that it is no work tree any more, only something to be made anew.
fn remove_home(home: &Path) -> Result<(), RepositoryError> {
    match fs::remove_file(home.join(ABOUT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(RepositoryError::io("remove", home)(error)),
        _ => {}
    }
    remove_tree(home)?;
    // The unit's and the run's directories go with the last one in them, and only then.
    for above in home.ancestors().skip(1).take(2) {
        if fs::remove_dir(above).is_err() {
            break;
        }
    }
    Ok(())
}

/// Removes a directory of which an agent may have taken its owner's rights; links are removed, not followed.
pub(super) fn remove_tree(dir: &Path) -> Result<(), RepositoryError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(dir).and_then(|()| fs::remove_dir_all(dir)).map_err(RepositoryError::io("remove", dir))
        }
        removed => removed.map_err(RepositoryError::io("remove", dir)),
    }
}

fn open_up(dir: &Path) -> io::Result<()> {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(())
}
