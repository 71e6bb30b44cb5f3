//! What the tests of this module share.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    Authorship, Change, ChangeLimits, CommitId, Git, MergeOutcome, Merged, Merges, Repository, RepositoryError, Site, TakenBack, Worktree,
};

/// A data directory with a run's own repository.
pub(super) struct Fixture {
    pub(super) dir: TempDir,
    pub(super) repository: Repository,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let git = Git::find(None).await.unwrap();
        let repository = Repository::open_or_create(&git, &site(dir.path()), 1_700_000_000).await.unwrap();
        Self { dir, repository }
    }

    /// A work tree of a unit on top of the branch.
    pub(super) async fn worktree(&self, unit: &str) -> Worktree {
        let head = self.repository.head().await.unwrap();
        self.repository.worktree(unit, 1, &head).await.unwrap()
    }

    /// What `edit` changes in an empty work tree.
    pub(super) async fn change(&self, edit: impl FnOnce(&Path)) -> Result<Change, RepositoryError> {
        let worktree = self.worktree("unit/edited").await;
        edit(&worktree.path());
        worktree.diff(&ChangeLimits::default()).await
    }
}

pub(super) fn site(data_dir: &Path) -> Site {
    Site { data_dir: data_dir.to_owned(), run: "0190-r1".to_owned(), slug: "bookstore".to_owned() }
}

pub(super) fn by(unit: &str, token: i64) -> Authorship {
    Authorship { unit: unit.to_owned(), token, agent: "command/test".to_owned(), title: format!("Do {unit}"), at: 1_700_000_100 }
}

/// A commit of what `edit` changes in a work tree that starts at `base`.
pub(super) async fn work(repository: &Repository, unit: &str, token: i64, base: &CommitId, edit: impl FnOnce(&Path)) -> CommitId {
    let worktree = repository.worktree(unit, token, base).await.unwrap();
    edit(&worktree.path());
    let change = worktree.diff(&ChangeLimits::default()).await.unwrap();
    let commit = repository.commit(&change, &by(unit, token)).await.unwrap();
    worktree.remove().await.unwrap();
    commit
}

pub(super) async fn queue(repository: &Repository) -> Merges<'_> {
    repository.merges(Duration::from_mins(1), &CancellationToken::new()).await.unwrap()
}

pub(super) async fn go_on() -> Result<bool, Infallible> {
    Ok(true)
}

pub(super) async fn merge(repository: &Repository, commit: &CommitId) -> MergeOutcome {
    queue(repository).await.merge(commit, |_| go_on()).await.unwrap()
}

pub(super) async fn take_back(repository: &Repository, unit: &str) -> TakenBack {
    queue(repository).await.take_back(unit, 1_700_000_200, go_on).await.unwrap()
}

/// Does a unit's work on top of the branch, and merges it.
pub(super) async fn land(repository: &Repository, unit: &str, token: i64, edit: impl FnOnce(&Path)) -> Merged {
    let head = repository.head().await.unwrap();
    let commit = work(repository, unit, token, &head, edit).await;
    match merge(repository, &commit).await {
        MergeOutcome::Merged(merged) => *merged,
        other => panic!("{unit} is not merged: {other:?}"),
    }
}

pub(super) fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let target = root.join(path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::write(target, content).unwrap();
}

/// The regular files of a commit.
pub(super) async fn files(repository: &Repository, commit: &CommitId) -> BTreeMap<String, String> {
    let files = repository.tree(commit).await.unwrap();
    files.tree.iter().map(|(path, file)| (path.to_owned(), String::from_utf8_lossy(&file.content).into_owned())).collect()
}

/// Runs the git program as a person would, in a directory, and gives what it prints.
pub(super) fn person(dir: &Path, arguments: &[&str]) -> String {
    let mut git = std::process::Command::new("git");
    git.current_dir(dir).args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", dir);
    git.env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "A Person").env(format!("GIT_{who}_EMAIL"), "person@localhost");
    }
    let answer = git.output().unwrap();
    assert!(answer.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8_lossy(&answer.stdout).trim_end().to_owned()
}

/// Every file below a directory with its content, links as where they lead.
pub(super) fn snapshot(root: &Path, skipped: &dyn Fn(&Path) -> bool) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if skipped(path.strip_prefix(root).unwrap()) {
                continue;
            }
            let data = fs::symlink_metadata(&path).unwrap();
            if data.is_dir() {
                open.push(path);
            } else if data.is_symlink() {
                found.insert(path.clone(), fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes());
            } else {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}
