//! The work tree of a run, `DATA_DIR/runs/<run>/tree`: artifacts are assembled, checked and started there before they are
//! delivered. It is scratch: everything in it can be made again from the stored artifacts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tree::{Tree, write_file};

/// What commands leave in a work tree and what never belongs to a delivered project.
pub const LEFTOVERS: [&str; 10] =
    [".git", ".venv", ".env", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".coverage", "node_modules", ".specwave"];

/// The work tree of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    run: PathBuf,
    tree: PathBuf,
}

/// Why a workspace cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct WorkspaceError {
    /// What was tried.
    pub action: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl WorkspaceError {
    /// True when the same call may succeed once somebody has made room.
    pub fn is_transient(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem)
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space, or move the data directory with SPECWAVE_DATA_DIR"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "choose a writable data directory with SPECWAVE_DATA_DIR"
            }
            _ => "run again; the work tree is made anew from the stored artifacts",
        }
    }
}

impl Workspace {
    /// Opens the work tree of a run, and makes it when it is missing. `run` is the run's id.
    pub fn open(data_dir: &Path, run: &str) -> Result<Self, WorkspaceError> {
        let run = data_dir.join("runs").join(run);
        let tree = run.join("tree");
        fs::create_dir_all(&tree).map_err(|source| WorkspaceError { action: "create the work tree", path: tree.clone(), source })?;
        Ok(Self { run, tree })
    }

    /// Where the tree is.
    pub fn path(&self) -> &Path {
        &self.tree
    }

    /// Adds files, or replaces those of the same path; others stay.
    pub fn write(&self, files: &Tree) -> Result<(), WorkspaceError> {
        for (path, file) in files.iter() {
            let failed = |source| WorkspaceError { action: "write", path: self.tree.join(path), source };
            write_file(&self.tree, path, file).map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the tree exactly these files.
    pub fn replace(&self, files: &Tree) -> Result<(), WorkspaceError> {
        let failed = |source| WorkspaceError { action: "empty the work tree", path: self.tree.clone(), source };
        fs::remove_dir_all(&self.tree).map_err(failed)?;
        fs::create_dir_all(&self.tree).map_err(failed)?;
        self.write(files)
    }

    /// Reads the tree back, without links and without [`LEFTOVERS`].
    pub fn read(&self) -> Result<Tree, WorkspaceError> {
        Tree::read(&self.tree, &LEFTOVERS).map_err(|source| WorkspaceError { action: "read", path: self.tree.clone(), source })
    }

    /// Removes everything that the run keeps on disk.
    pub fn remove(self) -> Result<(), WorkspaceError> {
        fs::remove_dir_all(&self.run).map_err(|source| WorkspaceError { action: "remove", path: self.run.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, content) in files {
            tree.insert(path, *content, path.contains(".sh")).unwrap();
        }
        tree
    }

    #[test]
    fn what_is_written_is_read_back() {
        let data = tempfile::TempDir::new().unwrap();
        let workspace = Workspace::open(data.path(), "r1").unwrap();
        let (first, second) = (tree(&[("a/b.py", "1"), ("start.sh", "2")]), tree(&[("c", "3")]));
        workspace.write(&first).unwrap();
        assert_eq!(workspace.read().unwrap(), first);
        workspace.write(&second).unwrap();
        assert_eq!(workspace.read().unwrap().len(), 3);
        workspace.replace(&second).unwrap();
        fs::create_dir(workspace.path().join("__pycache__")).unwrap();
        fs::write(workspace.path().join("__pycache__/c.pyc"), "x").unwrap();
        assert_eq!(workspace.read().unwrap().hash(), second.hash());
        workspace.remove().unwrap();
        assert!(!data.path().join("runs/r1").exists());
    }
}
