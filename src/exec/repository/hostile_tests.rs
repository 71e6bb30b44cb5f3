//! Work trees that are meant to harm: nothing in them is executed, followed or waited for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use super::testing::{Fixture, by, files, merge, write};
use super::{Change, MergeOutcome, Mode, RepositoryError};

fn paths(change: &Change) -> Vec<&str> {
    change.paths().collect()
}

fn left_out(change: &Change) -> Vec<(&str, &str)> {
    change.left_out.iter().map(|left| (left.path.as_str(), left.why.as_str())).collect()
}

/// A `.git` directory of which everything would run `touch pwned`.
fn trap(root: &Path, pwned: &Path) {
    let script = format!("touch {}", pwned.display());
    let config = format!(
        "[core]\n\tfsmonitor = {script}\n\thooksPath = hooks\n\tsshCommand = {script}\n\tpager = {script}\n[filter \"evil\"]\n\tclean = {script}\n\tsmudge = {script}\n\
         [diff]\n\texternal = {script}\n[diff \"evil\"]\n\ttextconv = {script}\n\tcommand = {script}\n[merge \"evil\"]\n\tdriver = {script}\n[gpg]\n\tprogram = {script}\n[commit]\n\tgpgSign = true\n"
    );
    write(root, ".git/config", config);
    write(root, ".git/HEAD", "ref: refs/heads/main\n");
    for hook in ["pre-commit", "post-commit", "post-checkout", "reference-transaction", "post-index-change", "post-merge"] {
        write(root, &format!(".git/hooks/{hook}"), format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(root.join(format!(".git/hooks/{hook}")), fs::Permissions::from_mode(0o755)).unwrap();
    }
    write(root, ".gitattributes", "* filter=evil diff=evil merge=evil text eol=crlf ident\n");
    write(root, "bait.txt", "$Id$\r\nbait\n");
}

#[tokio::test]
async fn nothing_that_an_agent_leaves_for_git_is_executed() {
    let fixture = Fixture::new().await;
    let pwned = fixture.dir.path().join("pwned");
    let mut commits = Vec::new();
    for unit in ["unit/a", "unit/b"] {
        let start = fixture.repository.start().clone();
        let worktree = fixture.repository.worktree(unit, 1, &start).await.unwrap();
        trap(&worktree.path(), &pwned);
        write(&worktree.path(), unit, unit);
        let change = worktree.diff(&super::ChangeLimits::default()).await.unwrap();
        assert_eq!(paths(&change), [".gitattributes", "bait.txt", unit]);
        assert_eq!(left_out(&change), [(".git", "it is git's own")]);
        commits.push(fixture.repository.commit(&change, &by(unit, 1)).await.unwrap());
        worktree.remove().await.unwrap();
    }
    for commit in &commits {
        assert!(matches!(merge(&fixture.repository, commit).await, MergeOutcome::Merged(_)));
    }
    let head = fixture.repository.head().await.unwrap();
    assert_eq!(files(&fixture.repository, &head).await["bait.txt"], "$Id$\r\nbait\n", "contents go in and out unconverted");
    assert!(!pwned.exists());
}

#[tokio::test]
async fn a_git_file_that_points_elsewhere_is_not_followed() {
    let fixture = Fixture::new().await;
    let elsewhere = fixture.dir.path().join("elsewhere");
    trap(&elsewhere, &fixture.dir.path().join("pwned"));
    let change = fixture.change(|root| {
        write(root, ".git", format!("gitdir: {}\n", elsewhere.join(".git").display()));
        write(root, "a", "a");
    });
    let change = change.await.unwrap();
    assert_eq!((paths(&change), left_out(&change)), (vec!["a"], vec![(".git", "it is git's own")]));
    assert!(!fixture.dir.path().join("pwned").exists());
}

#[tokio::test]
async fn links_are_never_followed_and_those_that_lead_out_are_refused() {
    let fixture = Fixture::new().await;
    let secret = fixture.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), "s3cret").unwrap();
    let change = fixture.change(|root| {
        symlink("/etc/passwd", root.join("passwd")).unwrap();
        symlink(&secret, root.join("folder")).unwrap();
        symlink("../../../../secret/key", root.join("up")).unwrap();
        symlink("real", root.join("inside")).unwrap();
        symlink(".", root.join("circle")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        write(root, "real", "x");
        symlink("/etc/passwd", root.join(".gitignore")).unwrap();
    });
    let change = change.await.unwrap();
    let out = "it is a link that leads out of the tree";
    assert_eq!(left_out(&change), [(".gitignore", out), ("folder", out), ("passwd", out), ("up", out)]);
    let found: Vec<_> = change.files.iter().map(|file| (file.path.as_str(), file.now.as_ref().unwrap().0)).collect();
    assert_eq!(found, [("circle", Mode::Link), ("dangling", Mode::Link), ("inside", Mode::Link), ("real", Mode::File)]);
    assert!(!change.diff.text.contains("s3cret") && !change.diff.text.contains("root:"));
}

#[tokio::test]
async fn a_directory_that_became_a_link_takes_its_files_away() {
    let fixture = Fixture::new().await;
    super::testing::land(&fixture.repository, "unit/a", 1, |root| write(root, "etc/passwd", "ours")).await;
    let worktree = fixture.worktree("unit/b").await;
    fs::remove_dir_all(worktree.path().join("etc")).unwrap();
    symlink("/etc", worktree.path().join("etc")).unwrap();
    let change = worktree.diff(&super::ChangeLimits::default()).await.unwrap();
    assert_eq!(left_out(&change), [("etc", "it is a link that leads out of the tree")]);
    assert!(change.is_empty(), "what is below a place that was not looked into counts as unchanged");
}

#[tokio::test]
async fn a_nested_repository_is_a_folder_like_any_other() {
    let fixture = Fixture::new().await;
    let pwned = fixture.dir.path().join("pwned");
    let change = fixture.change(|root| trap(&root.join("sub"), &pwned)).await.unwrap();
    assert_eq!((paths(&change), left_out(&change)), (vec!["sub/.gitattributes", "sub/bait.txt"], vec![("sub/.git", "it is git's own")]));
    assert!(!pwned.exists());
}

#[tokio::test]
async fn strange_names_are_taken_or_named() {
    let fixture = Fixture::new().await;
    let change = fixture.change(|root| {
        for name in ["-x", "--help", "a b", "ä/ö 日本.txt", "*", ":!x", "'\"", "$(touch pwned)"] {
            write(root, name, name);
        }
        write(root, "line\nend", "");
        write(root, "back\\slash", "");
        fs::write(root.join(OsStr::from_bytes(b"latin-\xe4")), "").unwrap();
    });
    let change = change.await.unwrap();
    let expected = ["$(touch pwned)", "'\"", "*", "--help", "-x", ":!x", "a b", "ä/ö 日本.txt"];
    assert_eq!(paths(&change), expected);
    assert_eq!(change.left_out.len(), 3, "{:?}", change.left_out);
    let commit = fixture.repository.commit(&change, &by("unit/a", 1)).await.unwrap();
    let after = files(&fixture.repository, &commit).await;
    assert!(expected.iter().all(|name| after[*name] == *name), "{after:?}");
}

#[tokio::test]
async fn names_that_other_systems_take_for_gits_own_are_not_committed() {
    let fixture = Fixture::new().await;
    let names = [".GIT", ".g\u{200c}it", ".git.", ".git ", ".git:x", "GIT~1"];
    let change =
        fixture.change(|root| names.iter().for_each(|name| write(root, &format!("{name}/hooks/post-checkout"), "x"))).await.unwrap();
    assert_eq!((change.files.len(), change.left_out.len()), (0, names.len()));
    // And what git itself would not take is no silent loss.
    let objects = &fixture.repository.objects;
    let content = objects.store(&[b"x"]).await.unwrap().remove(0);
    let start = fixture.repository.start().as_str();
    let error = objects.tree_with(start, &[(".git/config", Some((Mode::File, &content)))]).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Failed { .. }) && error.to_string().contains("update-index"), "{error}");
}

#[tokio::test]
async fn vast_files_and_pipes_cost_no_time() {
    let fixture = Fixture::new().await;
    let change = fixture.change(|root| {
        fs::File::create(root.join("vast")).unwrap().set_len(1 << 40).unwrap();
        for pipe in ["pipe", ".gitignore"] {
            let path = root.join(pipe);
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        }
        write(root, "a", "a");
    });
    let change = tokio::time::timeout(Duration::from_secs(20), change).await.expect("nothing is waited for").unwrap();
    assert_eq!(paths(&change), ["a"]);
    let neither = "it is neither a file nor a directory";
    assert_eq!(left_out(&change), [(".gitignore", neither), ("pipe", neither), ("vast", "it is larger than a file may be")]);
}

#[tokio::test]
async fn rights_that_were_taken_away_hide_nothing() {
    let fixture = Fixture::new().await;
    let worktree = fixture.worktree("unit/a").await;
    let root = worktree.path();
    write(&root, "closed/inner/file", "x");
    fs::set_permissions(root.join("closed/inner/file"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let change = worktree.diff(&super::ChangeLimits::default()).await.unwrap();
    assert_eq!(paths(&change), ["closed/inner/file"]);
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    worktree.remove().await.unwrap();
    assert!(!root.exists());
}

#[tokio::test]
async fn ten_thousand_files_are_taken_and_one_more_is_not() {
    let fixture = Fixture::new().await;
    let worktree = fixture.worktree("unit/a").await;
    for at in 0..10_000 {
        write(&worktree.path(), &format!("d{}/f{at}", at % 100), at.to_string());
    }
    let change = worktree.diff(&super::ChangeLimits::default()).await.unwrap();
    assert_eq!(change.files.len(), 10_000);
    let commit = fixture.repository.commit(&change, &by("unit/a", 1)).await.unwrap();
    let MergeOutcome::Merged(merged) = merge(&fixture.repository, &commit).await else { panic!("it is merged") };
    assert_eq!(merged.changed.tree.len(), 10_000);
    let again = fixture.worktree("unit/b").await;
    assert!(again.diff(&super::ChangeLimits::default()).await.unwrap().is_empty());
    write(&worktree.path(), "one more", "");
    assert!(matches!(worktree.diff(&super::ChangeLimits::default()).await, Err(RepositoryError::TooMuch { .. })));
}

#[tokio::test]
async fn endless_depth_is_refused() {
    let fixture = Fixture::new().await;
    let error = fixture.change(|root| fs::create_dir_all(root.join("d/".repeat(70))).unwrap()).await.unwrap_err();
    assert!(matches!(error, RepositoryError::TooMuch { what: "the depth of a work tree", .. }), "{error}");
}
