//! The lock on an output directory: on the directory itself, so that an empty one stays empty.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::OutputError;

/// An exclusive lock on a directory, until dropped or until this process ends.
#[derive(Debug)]
pub(super) struct Lock {
    dir: fs::File,
    /// Where it is, when this lock made it: it goes again when nothing was delivered.
    made: Option<PathBuf>,
}

/// Locks a directory and makes it when it is missing.
pub(super) fn acquire(path: &Path) -> Result<(PathBuf, Lock), OutputError> {
    // A directory that is replaced between opening and locking is tried again; that happens once per rival, so a few times do.
    for _ in 0..16 {
        let made = make(path)?;
        let root = path.canonicalize().map_err(|source| OutputError::io(path, source))?;
        let dir = match fs::File::open(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(|source| OutputError::io(&root, source))?,
        };
        if let Some(mut lock) = take(dir, &root)? {
            lock.made = made.then(|| root.clone());
            return Ok((root, lock));
        }
    }
    Err(OutputError::Locked { path: path.to_owned() })
}

/// Locks an opened directory; none when the path leads to another one by now.
pub(super) fn take(dir: fs::File, path: &Path) -> Result<Option<Lock>, OutputError> {
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(OutputError::Locked { path: path.to_owned() }),
        Err(error) => return Err(OutputError::io(path, error.into())),
    }
    let lock = Lock { dir, made: None };
    Ok(lock.leads_to(path).then_some(lock))
}

/// True when it has no entry at all.
pub(super) fn is_empty(dir: &Path) -> Result<bool, OutputError> {
    let mut entries = fs::read_dir(dir).map_err(|source| OutputError::io(dir, source))?;
    Ok(entries.next().is_none())
}

/// Makes the directory, if need be; true when it did.
fn make(path: &Path) -> Result<bool, OutputError> {
    match fs::metadata(path) {
        Ok(entry) if entry.is_dir() => return Ok(false),
        Ok(_) => return Err(OutputError::NotADirectory { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OutputError::io(path, error)),
    }
    fs::create_dir_all(path).map_err(|source| match source.kind() {
        // A dangling link.
        io::ErrorKind::AlreadyExists => OutputError::NotADirectory { path: path.to_owned() },
        _ => OutputError::io(path, source),
    })?;
    Ok(true)
}

impl Lock {
    /// Renews the lock when somebody removed the directory meanwhile.
    ///
    /// # Errors
    /// `Locked`, when somebody put another directory in its place and uses it.
    pub(super) fn keep(&mut self, root: &Path) -> Result<(), OutputError> {
        if !self.leads_to(root) {
            *self = acquire(root)?.1;
        }
        Ok(())
    }

    fn leads_to(&self, path: &Path) -> bool {
        let (Ok(held), Ok(there)) = (self.dir.metadata(), fs::metadata(path)) else { return false };
        (held.dev(), held.ino()) == (there.dev(), there.ino())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = self.made.take().filter(|path| self.leads_to(path)) {
            // Fails, as it should, when something was put there.
            let _ = fs::remove_dir(path);
        }
        // Closing it is not enough: a process that is being started at this moment shares it until it executes its program.
        let _ = flock(&self.dir, FlockOperation::Unlock);
    }
}
