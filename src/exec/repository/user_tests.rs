//! A repository that belongs to the user: nothing of it is changed but objects and the run's branch being added.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::testing::{files, land, person, site, snapshot, take_back, work, write};
use super::{ChangeLimits, Git, Repository, RepositoryError, TakenBack};

struct User {
    dir: TempDir,
    data: TempDir,
    git: Git,
}

impl User {
    /// A repository with one commit.
    async fn new(init: &[&str]) -> Self {
        let (dir, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        person(dir.path(), &[&["init", "--quiet", "--initial-branch=main"], init].concat());
        write(dir.path(), "README.md", "theirs\n");
        write(dir.path(), "windows.bat", "a\r\nb\r\n");
        write(dir.path(), ".gitattributes", "*.bat text eol=crlf\n");
        symlink("/etc/hosts", dir.path().join("hosts")).unwrap();
        person(dir.path(), &["add", "--all"]);
        person(dir.path(), &["commit", "--quiet", "--message=first"]);
        Self { dir, data, git: Git::find(None).await.unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn open(&self, base: Option<&str>) -> Result<Repository, RepositoryError> {
        Repository::of_user(&self.git, &site(self.data.path()), self.path(), base).await
    }

    async fn refused(&self) -> String {
        let error = self.open(None).await.unwrap_err();
        assert!(!error.hint().is_empty());
        error.to_string()
    }
}

#[tokio::test]
async fn a_run_leaves_everything_of_the_user_as_it_was() {
    let user = User::new(&[]).await;
    let pwned = user.data.path().join("pwned");
    let script = format!("#!/bin/sh\ntouch {}\n", pwned.display());
    for hook in ["reference-transaction", "post-commit", "pre-commit", "post-checkout", "post-index-change"] {
        write(user.path(), &format!(".git/hooks/{hook}"), &script);
        fs::set_permissions(user.path().join(format!(".git/hooks/{hook}")), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (name, value) in
        [("core.fsmonitor", "touch pwned"), ("commit.gpgSign", "true"), ("core.autocrlf", "true"), ("trailer.separators", "=")]
    {
        person(user.path(), &["config", name, value]);
    }
    write(user.path(), "README.md", "dirty\n");
    write(user.path(), "staged", "x");
    person(user.path(), &["-c", "core.fsmonitor=false", "add", "staged"]);
    let _ = fs::remove_file(&pwned);
    let ours = |path: &Path| path.starts_with(".git/objects") || path.starts_with(".git/refs/heads/specwave");
    let before = snapshot(user.path(), &ours);

    let repository = user.open(None).await.unwrap();
    let merged = land(&repository, "unit/a", 1, |root| write(root, "a", "1\n")).await;
    let base = work(&repository, "unit/b", 1, repository.start(), |root| write(root, "README.md", "ours\n")).await;
    let outcome = super::testing::merge(&repository, &base).await;
    assert!(matches!(outcome, super::MergeOutcome::Merged(_)), "{outcome:?}");
    assert!(matches!(take_back(&repository, "unit/b").await, TakenBack::Taken { .. }));
    repository.worktree("unit/kept", 1, &merged.head).await.unwrap().keep().await.unwrap();

    assert!(snapshot(user.path(), &ours) == before, "only objects and the run's branch were added");
    assert!(!pwned.exists());
    let head = repository.head().await.unwrap();
    assert_eq!(files(&repository, &head).await["README.md"], "theirs\n");
    assert_eq!(person(user.path(), &["-c", "core.fsmonitor=false", "rev-parse", "specwave/bookstore/0190-r1"]), head.to_string());
    person(user.path(), &["fsck", "--strict"]);
}

#[tokio::test]
async fn contents_are_written_as_they_are_and_links_are_not_followed() {
    let user = User::new(&[]).await;
    let repository = user.open(None).await.unwrap();
    let worktree = repository.worktree("unit/a", 1, repository.start()).await.unwrap();
    let stored = person(user.path(), &["rev-parse", "HEAD:windows.bat"]);
    assert_eq!(person(user.path(), &["hash-object", "--no-filters", worktree.path().join("windows.bat").to_str().unwrap()]), stored);
    assert_eq!(fs::read_link(worktree.path().join("hosts")).unwrap().to_str(), Some("/etc/hosts"));
    let change = worktree.diff(&ChangeLimits::default()).await.unwrap();
    assert!(change.is_empty() && change.left_out.is_empty(), "{change:?}");
}

#[tokio::test]
async fn the_branch_starts_where_the_user_is_or_wants_and_stays_there() {
    let user = User::new(&[]).await;
    let first = person(user.path(), &["rev-parse", "HEAD"]);
    person(user.path(), &["tag", "v1"]);
    write(user.path(), "second", "2");
    person(user.path(), &["add", "second"]);
    person(user.path(), &["commit", "--quiet", "--message=second"]);
    let inside = user.path().join("folder");
    fs::create_dir(&inside).unwrap();
    let second = person(user.path(), &["rev-parse", "HEAD"]);
    let repository = Repository::of_user(&user.git, &site(user.data.path()), &inside, None).await.unwrap();
    assert_eq!(repository.start().as_str(), second);
    land(&repository, "unit/a", 1, |root| write(root, "a", "1")).await;
    person(user.path(), &["checkout", "--quiet", "--detach", &first]);
    let again = user.open(Some("v1")).await.unwrap();
    assert_eq!((again.start().as_str(), again.head().await.unwrap()), (second.as_str(), repository.head().await.unwrap()));

    let other = super::Site { run: "0190-r2".to_owned(), ..site(user.data.path()) };
    let named = Repository::of_user(&user.git, &other, user.path(), Some("v1")).await.unwrap();
    assert_eq!((named.start().as_str(), named.branch()), (first.as_str(), "specwave/bookstore/0190-r2".to_owned()));
    let third = super::Site { run: "0190-r3".to_owned(), ..site(user.data.path()) };
    for wrong in ["nowhere", "--help", "v1\nv2", "HEAD:README.md"] {
        let error = Repository::of_user(&user.git, &third, user.path(), Some(wrong)).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Unknown { .. }), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn linked_work_trees_shallow_clones_and_other_hashes_will_do() {
    let user = User::new(&[]).await;
    let elsewhere = TempDir::new().unwrap();
    let linked = elsewhere.path().join("linked");
    person(user.path(), &["worktree", "add", "--quiet", "-b", "side", linked.to_str().unwrap()]);
    write(&linked, "side", "1");
    person(&linked, &["add", "side"]);
    person(&linked, &["commit", "--quiet", "--message=side"]);
    let repository = Repository::of_user(&user.git, &site(user.data.path()), &linked, None).await.unwrap();
    assert_eq!(repository.start().as_str(), person(&linked, &["rev-parse", "HEAD"]));
    assert_eq!(repository.git_dir(), user.path().join(".git").canonicalize().unwrap());

    let shallow = elsewhere.path().join("shallow");
    let source = format!("file://{}", linked.display());
    person(elsewhere.path(), &["clone", "--quiet", "--depth=1", &source, shallow.to_str().unwrap()]);
    let data = TempDir::new().unwrap();
    let repository = Repository::of_user(&user.git, &site(data.path()), &shallow, None).await.unwrap();
    land(&repository, "unit/a", 1, |root| write(root, "a", "1")).await;

    let modern = User::new(&["--object-format=sha256"]).await;
    let repository = modern.open(None).await.unwrap();
    let start = repository.start().clone();
    let (a, b) = (
        work(&repository, "unit/a", 1, &start, |root| write(root, "a", "1")).await,
        work(&repository, "unit/b", 1, &start, |root| fs::remove_file(root.join("windows.bat")).unwrap()).await,
    );
    for commit in [a, b] {
        assert!(matches!(super::testing::merge(&repository, &commit).await, super::MergeOutcome::Merged(_)));
    }
    let head = repository.head().await.unwrap();
    assert_eq!((head.as_str().len(), files(&repository, &head).await.len()), (64, 3));
}

#[tokio::test]
async fn a_submodule_stays_as_it_is() {
    let user = User::new(&[]).await;
    let inner = person(user.path(), &["rev-parse", "HEAD"]);
    person(user.path(), &["update-index", "--add", "--cacheinfo", &format!("160000,{inner},sub")]);
    person(user.path(), &["commit", "--quiet", "--message=sub"]);
    let repository = user.open(None).await.unwrap();
    let worktree = repository.worktree("unit/a", 1, repository.start()).await.unwrap();
    assert_eq!(worktree.absent().iter().map(|absent| absent.path.as_str()).collect::<Vec<_>>(), ["sub"]);
    assert!(worktree.diff(&ChangeLimits::default()).await.unwrap().is_empty());
    let head = land(&repository, "unit/b", 1, |root| write(root, "b", "1")).await.head;
    assert!(person(user.path(), &["ls-tree", head.as_str(), "sub"]).starts_with("160000 commit"));
}

#[tokio::test]
async fn what_cannot_be_used_says_why() {
    let user = User::new(&[]).await;
    person(user.path(), &["branch", "specwave"]);
    assert!(user.refused().await.contains("a branch whose name the run's branches start with"));
    person(user.path(), &["branch", "-D", "specwave"]);
    person(user.path(), &["branch", "specwave/bookstore/0190-r1"]);
    assert!(user.refused().await.contains("the data directory knows nothing of that"));
    person(user.path(), &["branch", "-D", "specwave/bookstore/0190-r1"]);
    person(user.path(), &["config", "remote.origin.promisor", "true"]);
    assert!(user.refused().await.contains("partial clone"));
    person(user.path(), &["config", "--unset", "remote.origin.promisor"]);
    user.open(None).await.unwrap();
    let other = User::new(&[]).await;
    let elsewhere = Repository::of_user(&user.git, &site(user.data.path()), other.path(), None).await.unwrap_err();
    assert!(elsewhere.to_string().contains("the run 0190-r1 belongs to"), "{elsewhere}");

    let empty = TempDir::new().unwrap();
    let data = TempDir::new().unwrap();
    let none = Repository::of_user(&user.git, &site(data.path()), empty.path(), None).await.unwrap_err();
    assert!(matches!(none, RepositoryError::NotARepository { .. }) && none.hint().contains("git init"), "{none}");
    person(empty.path(), &["init", "--quiet"]);
    let unborn = Repository::of_user(&user.git, &site(data.path()), empty.path(), None).await.unwrap_err();
    assert!(unborn.to_string().contains("no commit yet"), "{unborn}");
}
