//! Work trees that are held ready: to create files is slow, so what one agent left untouched is the next one's.
//!
//! Each is a directory `DATA_DIR/worktrees/<run>/prepared/<id>`, locked as a work tree is, whose tree has fresh directories and the files that
//! were proven untouched (`carry`). Called by `worktree` and `export` with their trees, and by `runner` when its work on a run ends. Nothing here
//! fails: whatever goes wrong with a tree, it is removed, and one is written from the commit. Never waits for another process's trees, nor touches
//! them while it lives.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::carry::{carry, leave_only};
use super::checkout::{Placed, Stamp, seal};
use super::home::{About, SEALED, TREE, discard, hold, remove_home, write_about};
use super::list::directories;
use super::lock::Lock;
use super::objects::Entry;
use super::worktree::{Laid, blocking};
use super::{Repository, RepositoryError};

/// The trees that one process holds ready for a run.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    dir: PathBuf,
    /// One for each tree that may be there.
    places: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    ready: Vec<Ready>,
    /// False when nobody is expected to want a tree any more.
    open: bool,
    /// True when what dead processes left was removed.
    cleared: bool,
}

/// A tree that holds nothing but these files.
#[derive(Debug)]
struct Ready {
    home: PathBuf,
    files: BTreeMap<String, Placed>,
    sealed: Stamp,
    /// Both held until it is taken or removed.
    _lock: Lock,
    _place: OwnedSemaphorePermit,
}

impl Repository {
    /// With room for so many work trees that are held ready; without, there is none.
    #[must_use]
    pub fn holding_ready(mut self, trees_max: usize) -> Self {
        self.pool = Pool::new(self.site.prepared(), trees_max);
        self
    }

    /// Removes the work trees that are held ready: the work on the run has ended here.
    pub async fn hold_none_ready(&self) -> Result<(), RepositoryError> {
        let pool = self.pool.clone();
        blocking(move || pool.empty()).await
    }
}

impl Pool {
    pub(super) fn new(dir: PathBuf, trees_max: usize) -> Self {
        Self { dir, places: Arc::new(Semaphore::new(trees_max.min(Semaphore::MAX_PERMITS))), state: Arc::default() }
    }

    /// Puts one in that place, with those of the wanted files that it has, and no others; none when none is ready.
    pub(super) fn take(&self, wanted: &[Entry], to: &Path) -> Option<BTreeMap<String, Placed>> {
        let ready = {
            let mut state = self.state();
            state.open = true;
            if !state.cleared {
                state.cleared = true;
                self.clear();
            }
            // The newest is the nearest to what is wanted.
            state.ready.pop()?
        };
        let Ready { home, files, sealed, _lock, _place } = ready;
        let entries = wanted.iter().filter_map(|entry| Some((entry.path.as_deref()?, entry)));
        let entries: HashMap<&str, &Entry> = entries.collect();
        let same =
            |path: &str, file: &Placed| entries.get(path).is_some_and(|entry| entry.mode == file.mode && entry.content == file.content);
        let tree = home.join(TREE);
        let taken = leave_only(&tree, files, sealed, same).and_then(|files| fs::rename(&tree, to).map(|()| files));
        note("a tree that was held ready is not used", remove_home(&home));
        note("a tree that was held ready is not used", taken)
    }

    /// Takes what nobody can have touched out of a tree, and holds it ready, where there is room. What is left of the tree is of no use.
    pub(super) fn put(&self, tree: &Path, laid: &Laid, about: About) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let home = self.dir.join(Uuid::now_v7().simple().to_string());
        match prepared(&home, tree, laid, about, place) {
            Ok(ready) => {
                let mut state = self.state();
                if state.open {
                    state.ready.push(ready);
                    return;
                }
            }
            error => {
                note("a tree is not held ready", error);
            }
        }
        note("a tree that is not held ready stays", remove_home(&home));
    }

    fn empty(&self) -> Result<(), RepositoryError> {
        let ready = {
            let mut state = self.state();
            state.open = false;
            std::mem::take(&mut state.ready)
        };
        // Each is tried, whatever becomes of the others.
        let removed: Vec<_> = ready.iter().map(|ready| remove_home(&ready.home)).collect();
        removed.into_iter().collect()
    }

    /// Removes what dead processes left.
    fn clear(&self) {
        for home in note("what dead processes left is not found", directories(&self.dir)).unwrap_or_default() {
            note("what a dead process left stays", discard(&home));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepared(home: &Path, tree: &Path, laid: &Laid, about: About, place: OwnedSemaphorePermit) -> Result<Ready, RepositoryError> {
    let lock = hold(home)?;
    write_about(home, &about.prepared())?;
    let to = home.join(TREE);
    fs::create_dir(&to).map_err(RepositoryError::io("create", &to))?;
    let files = carry(tree, &laid.placed, laid.sealed, &to).map_err(RepositoryError::io("carry over", tree))?;
    let sealed = seal(&home.join(SEALED), &files)?;
    Ok(Ready { home: home.to_owned(), files, sealed, _lock: lock, _place: place })
}

/// What failed is done without.
fn note<T, E: std::error::Error>(what: &'static str, outcome: Result<T, E>) -> Option<T> {
    outcome.inspect_err(|error| tracing::debug!(%error, "{what}")).ok()
}
