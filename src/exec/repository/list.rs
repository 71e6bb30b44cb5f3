//! The work trees that are on disk, those that are held ready included. Called by `cli` and `pool`; removes none that somebody holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::home::{Listed, discard, look};
use super::place::WORKTREES;
use super::worktree::blocking;
use super::{Repository, RepositoryError};

/// More work trees are not listed: every unit of the largest plan with its former attempts.
const LISTED_MAX: usize = 50_000;

/// The work trees of every run of that data directory, the oldest first.
pub async fn all_worktrees(data_dir: &Path) -> Result<Vec<Listed>, RepositoryError> {
    let root = data_dir.join(WORKTREES);
    blocking(move || {
        let mut listed = Vec::new();
        for run in directories(&root)? {
            below(&run, &mut listed)?;
        }
        Ok(oldest_first(listed))
    })
    .await
}

/// Removes a work tree of that data directory that nobody holds; false when somebody does.
pub async fn discard_worktree(data_dir: &Path, listed: &Listed) -> Result<bool, RepositoryError> {
    let Some(home) = listed.path.parent().filter(|home| home.starts_with(data_dir.join(WORKTREES))).map(Path::to_owned) else {
        return Ok(false);
    };
    blocking(move || discard(&home)).await
}

fn below(run: &Path, listed: &mut Vec<Listed>) -> Result<(), RepositoryError> {
    for unit in directories(run)? {
        for home in directories(&unit)? {
            listed.extend(look(&home)?);
            if listed.len() > LISTED_MAX {
                return Err(RepositoryError::TooMuch { what: "the number of work trees", limit: LISTED_MAX.to_string() });
            }
        }
    }
    Ok(())
}

fn oldest_first(mut listed: Vec<Listed>) -> Vec<Listed> {
    listed.sort_by(|a, b| (b.age, &a.unit, a.token).cmp(&(a.age, &b.unit, b.token)));
    listed
}

impl Repository {
    /// The run's work trees, the oldest first.
    pub async fn worktrees(&self) -> Result<Vec<Listed>, RepositoryError> {
        let root = self.site.worktrees();
        let list = move || {
            let mut listed = Vec::new();
            below(&root, &mut listed)?;
            Ok(oldest_first(listed))
        };
        blocking(list).await
    }

    /// Removes a work tree that nobody holds; false when somebody does.
    pub async fn discard(&self, listed: &Listed) -> Result<bool, RepositoryError> {
        discard_worktree(&self.site.data_dir, listed).await
    }
}

pub(super) fn directories(dir: &Path) -> Result<Vec<PathBuf>, RepositoryError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(RepositoryError::io("list", dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RepositoryError::io("list", dir))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
