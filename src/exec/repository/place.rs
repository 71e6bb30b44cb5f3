//! Where the things of a run stand on disk, and how its branch is called.

use std::path::PathBuf;

use super::RepositoryError;

/// The folder of the data directory in which all work trees are.
pub(super) const WORKTREES: &str = "worktrees";
/// The folder in which repositories are, one for each run, with what is known of those that are the user's.
const REPOSITORIES: &str = "repositories";

/// The folder among those of units in which the work trees are that are held ready; theirs are named by hashes.
const PREPARED: &str = "prepared";

/// Longest slug and longest run id: a branch's name is a file's name, and both are in it.
const NAME_CHARS_MAX: usize = 64;

/// Which run, and where its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The run's id.
    pub run: String,
    /// The specification's slug.
    pub slug: String,
}

impl Site {
    /// Fails when run or slug cannot be part of a path and of a branch's name.
    pub(super) fn check(&self) -> Result<(), RepositoryError> {
        for name in [&self.run, &self.slug] {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            if name.is_empty() || name.len() > NAME_CHARS_MAX || !plain || name.starts_with('-') {
                return Err(RepositoryError::Name { name: name.chars().take(NAME_CHARS_MAX).collect() });
            }
        }
        Ok(())
    }

    /// The run's branch, as a full reference.
    pub(super) fn branch(&self) -> String {
        format!("refs/heads/specwave/{}/{}", self.slug, self.run)
    }

    /// Everything of the run but its work trees.
    pub(super) fn run_dir(&self) -> PathBuf {
        self.data_dir.join(REPOSITORIES).join(&self.run)
    }

    /// The repository of a run that has none of the user's.
    pub(super) fn repository(&self) -> PathBuf {
        self.run_dir().join("repository")
    }

    /// Which repository it is and where the run's branch starts.
    pub(super) fn origin(&self) -> PathBuf {
        self.run_dir().join("origin.json")
    }

    /// Whoever merges holds a lock on it.
    pub(super) fn lock(&self) -> PathBuf {
        self.run_dir().join("merge.lock")
    }

    /// The run's work trees.
    pub(super) fn worktrees(&self) -> PathBuf {
        self.data_dir.join(WORKTREES).join(&self.run)
    }

    /// Those that are held ready.
    pub(super) fn prepared(&self) -> PathBuf {
        self.worktrees().join(PREPARED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        let check = |run: &str, slug: &str| Site { data_dir: "/d".into(), run: run.into(), slug: slug.into() }.check().is_ok();
        assert!(check("0190-ab", "book_store"));
        for wrong in ["", "..", "a/b", "-x", "a b", "ä", "a.lock", &"x".repeat(65)] {
            assert!(!check(wrong, "s") && !check("r", wrong), "{wrong}");
        }
    }
}
