//! Work trees: written, read back, kept, removed, found again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::testing::{Fixture, by, files, land, write};
use super::{Change, ChangeKind, ChangeLimits, Mode, RepositoryError, State};

type Shown = (String, ChangeKind, Option<(Mode, String)>);

/// Path, kind, mode and content of each changed file.
fn shown(change: &Change) -> Vec<Shown> {
    let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
    change
        .files
        .iter()
        .map(|file| (file.path.clone(), file.kind, file.now.as_ref().map(|(mode, content)| (*mode, text(content)))))
        .collect()
}

#[tokio::test]
async fn an_untouched_work_tree_has_no_change() {
    let fixture = Fixture::new().await;
    land(&fixture.repository, "unit/a", 1, |root| {
        write(root, "windows.txt", "a\r\nb\r\n");
        write(root, ".gitattributes", "* text=auto eol=lf\n*.txt ident filter=none working-tree-encoding=UTF-16\n");
        write(root, "id.txt", "$Id$");
        write(root, "run.sh", "#!/bin/sh\n");
        fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("run.sh", root.join("start")).unwrap();
    })
    .await;
    let worktree = fixture.worktree("unit/b").await;
    assert_eq!(fs::read(worktree.path().join("windows.txt")).unwrap(), b"a\r\nb\r\n");
    assert_eq!(fs::read_link(worktree.path().join("start")).unwrap().to_str(), Some("run.sh"));
    assert_eq!(fs::metadata(worktree.path().join("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    let change = worktree.diff(&ChangeLimits::default()).await.unwrap();
    assert!(change.is_empty() && change.left_out.is_empty() && change.diff.text.is_empty(), "{change:?}");
    let unchanged = fixture.repository.commit(&change, &by("unit/b", 1)).await.unwrap_err();
    assert!(matches!(unchanged, RepositoryError::Unchanged { .. }), "{unchanged}");
}

#[tokio::test]
async fn every_kind_of_change_is_seen() {
    let fixture = Fixture::new().await;
    land(&fixture.repository, "unit/a", 1, |root| {
        for path in ["kept", "edited", "removed", "mode", "becomes_folder", "folder/becomes_file", "linked"] {
            write(root, path, format!("{path}\n"));
        }
    })
    .await;
    let worktree = fixture.worktree("unit/b").await;
    let root = worktree.path();
    // The same length and the same time of modification: only the kernel's own time of change tells.
    let before = fs::metadata(root.join("edited")).unwrap().modified().unwrap();
    write(&root, "edited", "EDITED\n");
    fs::File::options().write(true).open(root.join("edited")).unwrap().set_modified(before).unwrap();
    fs::set_permissions(root.join("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["removed", "becomes_folder", "folder/becomes_file", "linked"] {
        fs::remove_file(root.join(path)).unwrap();
    }
    fs::remove_dir(root.join("folder")).unwrap();
    write(&root, "becomes_folder/inner", "inner\n");
    write(&root, "folder", "file\n");
    symlink("kept", root.join("linked")).unwrap();
    write(&root, "added", "added\n");
    let change = worktree.diff(&ChangeLimits::default()).await.unwrap();
    let file = |content: &str| Some((Mode::File, content.to_owned()));
    let expected = [
        ("added", ChangeKind::Added, file("added\n")),
        ("becomes_folder", ChangeKind::Removed, None),
        ("becomes_folder/inner", ChangeKind::Added, file("inner\n")),
        ("edited", ChangeKind::Modified, file("EDITED\n")),
        ("folder", ChangeKind::Added, file("file\n")),
        ("folder/becomes_file", ChangeKind::Removed, None),
        ("linked", ChangeKind::Modified, Some((Mode::Link, "kept".to_owned()))),
        ("mode", ChangeKind::Modified, Some((Mode::Executable, "mode\n".to_owned()))),
        ("removed", ChangeKind::Removed, None),
    ];
    assert_eq!(shown(&change), expected.map(|(path, kind, now)| (path.to_owned(), kind, now)));
    assert!(change.diff.text.contains("-edited\n+EDITED\n") && !change.diff.cut, "{}", change.diff.text);
    let commit = fixture.repository.commit(&change, &by("unit/b", 1)).await.unwrap();
    let after = files(&fixture.repository, &commit).await;
    let paths: Vec<&str> = after.keys().map(String::as_str).collect();
    assert_eq!(paths, ["added", "becomes_folder/inner", "edited", "folder", "kept", "mode"]);
    let again = fixture.repository.commit(&change, &by("unit/b", 1)).await.unwrap();
    assert_eq!(commit, again, "equal work makes equal commits");
}

#[tokio::test]
async fn what_is_ignored_or_left_behind_is_no_change_unless_it_was_committed() {
    let fixture = Fixture::new().await;
    land(&fixture.repository, "unit/a", 1, |root| write(root, "target/committed", "1")).await;
    let worktree = fixture.worktree("unit/b").await;
    let root = worktree.path();
    write(&root, ".gitignore", "target/\n*.log\n!keep.log\n/only_top\n");
    write(&root, "sub/.gitignore", "!sub.log\n");
    for path in [
        "target/new",
        "target/committed",
        "a.log",
        "keep.log",
        "only_top",
        "sub/only_top",
        "sub/sub.log",
        "__pycache__/x",
        ".env",
        "sub/node_modules/x",
    ] {
        write(&root, path, "2");
    }
    let change = worktree.diff(&ChangeLimits::default()).await.unwrap();
    assert_eq!(
        change.paths().collect::<Vec<_>>(),
        [".gitignore", "keep.log", "sub/.gitignore", "sub/only_top", "sub/sub.log", "target/committed"]
    );
    let left: Vec<&str> = change.left_out.iter().map(|left| left.path.as_str()).collect();
    assert_eq!(left, [".env", "__pycache__", "a.log", "only_top", "sub/node_modules", "target/new"]);
}

#[tokio::test]
async fn limits_are_reached_and_named() {
    let fixture = Fixture::new().await;
    let worktree = fixture.worktree("unit/a").await;
    for at in 0..4 {
        write(&worktree.path(), &format!("f{at}"), "0123456789");
    }
    let limits = ChangeLimits::default();
    let too_much = async |limits: ChangeLimits| match worktree.diff(&limits).await {
        Err(RepositoryError::TooMuch { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(too_much(ChangeLimits { files: 3, ..limits }).await, "the number of files that a unit changed");
    assert_eq!(too_much(ChangeLimits { bytes: 39, ..limits }).await, "the size of what a unit changed");
    assert_eq!(too_much(ChangeLimits { entries: 3, ..limits }).await, "the number of files in a work tree");
    let small = worktree.diff(&ChangeLimits { file_bytes: 9, ..limits }).await.unwrap();
    assert_eq!((small.files.len(), small.left_out.len()), (0, 4));
    assert_eq!(small.left_out[0].why, "it is larger than a file may be");
    let cut = worktree.diff(&ChangeLimits { diff_bytes: 50, ..limits }).await.unwrap();
    assert!(cut.diff.cut && cut.diff.text.len() <= 50 && cut.files.len() == 4);
    let whole = worktree.diff(&ChangeLimits { files: 4, bytes: 40, entries: 4, file_bytes: 10, ..limits }).await.unwrap();
    assert_eq!((whole.files.len(), whole.tree().len()), (4, 4));
}

#[tokio::test]
async fn an_attempt_has_a_directory_of_its_own_and_cannot_be_opened_twice() {
    let fixture = Fixture::new().await;
    let head = fixture.repository.head().await.unwrap();
    let first = fixture.repository.worktree("unit/a", 1, &head).await.unwrap();
    let busy = fixture.repository.worktree("unit/a", 1, &head).await.unwrap_err();
    assert!(matches!(busy, RepositoryError::Locked { .. }) && busy.is_transient(), "{busy}");
    let second = fixture.repository.worktree("unit/a", 2, &head).await.unwrap();
    assert_ne!(first.path(), second.path());
    assert!(first.path().starts_with(fixture.dir.path().join("worktrees/0190-r1")));
    write(&first.path(), "x", "late");
    assert!(second.diff(&ChangeLimits::default()).await.unwrap().is_empty(), "a fenced attempt disturbs nobody");
}

#[tokio::test]
async fn work_trees_are_listed_kept_and_discarded() {
    let fixture = Fixture::new().await;
    let head = fixture.repository.head().await.unwrap();
    let open = async |unit: &str| fixture.repository.worktree(unit, 1, &head).await.unwrap();
    let (active, kept, left, gone) = (open("active").await, open("kept").await, open("left").await, open("gone").await);
    write(&kept.path(), "evidence", "x");
    let kept_at = kept.keep().await.unwrap();
    drop(left);
    gone.remove().await.unwrap();
    let mut listed = fixture.repository.worktrees().await.unwrap();
    listed.sort_by(|a, b| a.unit.cmp(&b.unit));
    let states: Vec<(&str, State)> = listed.iter().map(|listed| (listed.unit.as_str(), listed.state)).collect();
    assert_eq!(states, [("active", State::Active), ("kept", State::Kept), ("left", State::Left)]);
    assert_eq!((&listed[1].path, listed[1].branch.as_str(), &listed[1].base), (&kept_at, "specwave/bookstore/0190-r1", &head));
    assert!(listed[0].age.as_secs() < 60 && kept_at.join("evidence").exists());
    assert!(!fixture.repository.discard(&listed[0]).await.unwrap(), "nobody's work is thrown away under their hands");
    assert!(fixture.repository.discard(&listed[1]).await.unwrap() && !kept_at.exists());
    drop(active);
    assert_eq!(fixture.repository.worktrees().await.unwrap().len(), 2);
}

#[tokio::test]
async fn only_the_newest_former_attempts_are_kept() {
    let fixture = Fixture::new().await;
    let head = fixture.repository.head().await.unwrap();
    for token in 1..=9 {
        fixture.repository.worktree("unit/a", token, &head).await.unwrap().keep().await.unwrap();
    }
    let mut tokens: Vec<i64> = fixture.repository.worktrees().await.unwrap().iter().map(|listed| listed.token).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [6, 7, 8, 9]);
}
