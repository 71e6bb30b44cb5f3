//! The directory of one work tree: what is known of it, who holds it, and the tree itself. Called by `worktree`, `pool` and `list`; knows nothing
//! of what is in a tree, and removes none that somebody holds. Blocks.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::lock::Lock;
use super::{CommitId, RepositoryError};

/// So many former work trees of a unit are kept, to be looked at; older ones go when a new one is made.
const KEPT_MAX: usize = 3;
/// A directory that is removed by somebody else between its making and its locking is made again; once for each rival.
const LOCK_TRIES: u32 = 8;
/// The directory's parts: what is known of it, who holds it, the tree that the agent may change, and when that was finished.
const ABOUT: &str = "about.json";
const LOCK_FILE: &str = "lock";
pub(super) const TREE: &str = "tree";
pub(super) const SEALED: &str = "sealed";

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
    #[serde(default)]
    prepared: bool,
}

impl About {
    /// Of a work tree that is made now.
    pub(super) fn now(unit: &str, token: i64, branch: String, base: &CommitId) -> Self {
        Self { unit: unit.to_owned(), token, branch, base: base.clone(), made_at: now_secs(), kept: false, prepared: false }
    }

    /// Of one that is to be looked at.
    pub(super) fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// Of what is left of it for others, from now on.
    pub(super) fn prepared(self) -> Self {
        Self { made_at: now_secs(), prepared: true, ..self }
    }
}

/// In what state a work tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A process works in it.
    Active,
    /// A process holds it ready for its next agent.
    Prepared,
    /// It was kept to be looked at.
    Kept,
    /// The process that worked in it, or held it ready, is gone.
    Left,
}

/// A work tree on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The unit's key; of one that is held ready, that of the unit that was done in it last, or `the whole`.
    pub unit: String,
    /// The attempt's fencing token.
    pub token: i64,
    /// The run's branch.
    pub branch: String,
    /// The commit that it was written from, or the tree, where there was none.
    pub base: CommitId,
    /// The directory that the agent saw.
    pub path: PathBuf,
    /// Since when it is there.
    pub age: Duration,
    /// In what state.
    pub state: State,
}

/// The state of a directory that is there.
pub(super) fn look(home: &Path) -> Result<Option<Listed>, RepositoryError> {
    let path = home.join(ABOUT);
    let about: About = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| RepositoryError::io("understand", &path)(error.into()))?,
        // It is being made or removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RepositoryError::io("read", &path)(error)),
    };
    let state = match try_hold(home) {
        Ok(None) if about.prepared => State::Prepared,
        Ok(None) => State::Active,
        _ if about.kept => State::Kept,
        _ => State::Left,
    };
    let age = Duration::from_secs(now_secs().saturating_sub(about.made_at));
    let About { unit, token, branch, base, .. } = about;
    Ok(Some(Listed { unit, token, branch, base, path: home.join(TREE), age, state }))
}

/// Removes a work tree unless somebody holds it; false when somebody does.
pub(super) fn discard(home: &Path) -> Result<bool, RepositoryError> {
    let Some(_lock) = try_hold(home)? else { return Ok(false) };
    remove_home(home)?;
    Ok(true)
}

/// Makes the directory when it is missing, and holds it.
pub(super) fn hold(home: &Path) -> Result<Lock, RepositoryError> {
    for _ in 0..LOCK_TRIES {
        let held = match fs::create_dir_all(home) {
            Ok(()) => try_hold(home),
            Err(error) => Err(RepositoryError::io("create", home)(error)),
        };
        let lock = match held {
            Ok(Some(lock)) => lock,
            Ok(None) => break,
            // Whoever left the last one in it removed a directory above meanwhile.
            Err(RepositoryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
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

pub(super) fn write_about(home: &Path, about: &About) -> Result<(), RepositoryError> {
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
pub(super) fn prune(unit_dir: &Path, token: i64) {
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
pub(super) fn remove_home(home: &Path) -> Result<(), RepositoryError> {
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

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
