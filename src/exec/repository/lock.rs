//! A lock of the operating system on a file: it ends with the process that holds it, however that ends.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::RepositoryError;

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Opens the file, and makes it when it is missing.
    pub(super) fn open(path: &Path) -> Result<File, RepositoryError> {
        File::options().create(true).truncate(false).write(true).open(path).map_err(RepositoryError::io("open", path))
    }

    /// Locks an opened file; gives it back while somebody else holds it.
    pub(super) fn try_take(file: File, path: &Path) -> Result<Result<Self, File>, RepositoryError> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Ok(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Err(file)),
            Err(error) => Err(RepositoryError::io("lock", path)(error.into())),
        }
    }

    /// The file that is locked.
    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started at this moment shares it until it executes its program.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}
