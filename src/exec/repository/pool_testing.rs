//! What the tests of trees that are held ready share.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::llistxattr;

use super::checkout::{Placed, Stamp};
use super::testing::{Fixture, work, write};
use super::{ChangeLimits, CommitId, Repository, State, Worktree};

/// A repository that holds trees ready, and one that makes every tree anew.
pub(super) struct Stage {
    pub(super) fixture: Fixture,
    pub(super) pooled: Repository,
    pub(super) token: i64,
}

impl Stage {
    pub(super) async fn new(trees_max: usize) -> Self {
        let fixture = Fixture::new().await;
        let pooled = fixture.repository.clone().holding_ready(trees_max);
        Self { fixture, pooled, token: 0 }
    }

    pub(super) async fn commit(&mut self, base: &CommitId, edit: impl FnOnce(&Path)) -> CommitId {
        self.token += 1;
        work(&self.fixture.repository, "unit/committed", self.token, base, edit).await
    }

    pub(super) async fn tree(&mut self, base: &CommitId) -> Worktree {
        self.token += 1;
        self.pooled.worktree("unit/pooled", self.token, base).await.unwrap()
    }

    pub(super) async fn ready(&self) -> usize {
        self.pooled.worktrees().await.unwrap().iter().filter(|listed| listed.state == State::Prepared).count()
    }

    /// A tree of `base` in which `edit` was done is retired; the next one, of `then`, is as a new one.
    pub(super) async fn check(&mut self, what: &str, base: &CommitId, then: &CommitId, edit: impl FnOnce(&Path)) {
        let former = self.tree(base).await;
        edit(&former.path());
        former.retire().await.unwrap();
        assert_eq!(self.ready().await, 1, "{what}: it is held ready");
        let tree = self.tree(then).await;
        assert_eq!(self.ready().await, 0, "{what}: it is used");
        self.same(what, then, &tree).await;
        tree.remove().await.unwrap();
    }

    pub(super) async fn same(&mut self, what: &str, base: &CommitId, tree: &Worktree) {
        self.token += 1;
        let new = self.fixture.repository.worktree("unit/new", self.token, base).await.unwrap();
        assert_eq!(shape(&tree.path()), shape(&new.path()), "{what}");
        assert_eq!((tree.absent(), tree.base()), (new.absent(), new.base()), "{what}");
        let placed = |tree: &Worktree| {
            let file = |(path, file): (&String, &Placed)| (path.clone(), file.mode, file.content.clone());
            tree.laid.placed.iter().map(file).collect::<Vec<_>>()
        };
        assert_eq!(placed(tree), placed(&new), "{what}");
        for (path, file) in &*tree.laid.placed {
            let now = Stamp::of(&tree.path().join(path)).ok();
            assert_eq!(file.stamp, now, "{what}: {path}");
            assert!(file.stamp.is_none_or(|stamp| stamp.untouched(stamp, tree.laid.sealed)), "{what}: {path} can be told untouched");
        }
        let change = tree.diff(&ChangeLimits::default()).await.unwrap();
        assert!(change.is_empty() && change.left_out.is_empty(), "{what}: {change:?}");
        // And what is done in it is seen, as everywhere.
        write(&tree.path(), "added", "x");
        assert_eq!(tree.diff(&ChangeLimits::default()).await.unwrap().paths().collect::<Vec<_>>(), ["added"], "{what}");
        new.remove().await.unwrap();
    }
}

/// Everything below a directory, and itself: kind, rights, names, attributes, contents.
pub(super) fn shape(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let data = fs::symlink_metadata(&path).unwrap();
        let mut attributes = [0; 1024];
        let attributes_bytes = llistxattr(&path, &mut attributes).unwrap_or_default();
        let mut said = format!("{:o} {}:{} {attributes_bytes}", data.mode(), data.uid(), data.gid());
        if data.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if data.is_symlink() {
            said = format!("{said} {} -> {}", data.nlink(), fs::read_link(&path).unwrap().display());
        } else {
            said = format!("{said} {} {:?}", data.nlink(), fs::read(&path).unwrap());
        }
        found.insert(path.strip_prefix(root).unwrap().to_owned(), said);
    }
    found
}

/// What tells that a file was not written anew.
pub(super) fn written(root: &Path, path: &str) -> (u64, i64, i64) {
    let data = fs::symlink_metadata(root.join(path)).unwrap();
    (data.ino(), data.mtime(), data.mtime_nsec())
}

pub(super) fn mode(root: &Path, path: &str, mode: u32) {
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
}

pub(super) const FILES: [&str; 9] =
    ["kept", "edited", "removed", "mode", "becomes_folder", "folder/becomes_file", "linked", "a/b/c/deep", "a/b/x"];

pub(super) fn first(root: &Path) {
    for path in FILES {
        write(root, path, format!("{path}\n"));
    }
    write(root, ".gitignore", "*.log\n__pycache__/\n");
    write(root, "run.sh", "#!/bin/sh\n");
    mode(root, "run.sh", 0o755);
    symlink("kept", root.join("link")).unwrap();
    symlink("nowhere", root.join("a/dangling")).unwrap();
}

pub(super) fn second(root: &Path) {
    for path in ["removed", "becomes_folder", "folder/becomes_file", "linked", "link", "a/b/c/deep"] {
        fs::remove_file(root.join(path)).unwrap();
    }
    fs::remove_dir(root.join("folder")).unwrap();
    write(root, "edited", "EDITED\n");
    mode(root, "mode", 0o755);
    mode(root, "run.sh", 0o644);
    write(root, "becomes_folder/inner", "inner\n");
    write(root, "folder", "file\n");
    symlink("kept", root.join("linked")).unwrap();
    symlink("edited", root.join("link")).unwrap();
    write(root, "new/one", "new\n");
}
