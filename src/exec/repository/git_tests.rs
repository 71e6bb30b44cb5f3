//! The door to git: what it is called with, and what becomes of a git that misbehaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Git, RepositoryError};

/// A stand-in for git that says it is that version and otherwise does what the script says.
fn standin(dir: &TempDir, version: &str, script: &str) -> PathBuf {
    let path = dir.path().join("git");
    let text = format!("#!/bin/sh\ncase \"$*\" in *--version*) echo 'git version {version}'; exit;; esac\n{script}\n");
    // Written under another name: a file that is open for writing anywhere cannot be executed.
    fs::write(dir.path().join("new"), text).unwrap();
    fs::set_permissions(dir.path().join("new"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(dir.path().join("new"), &path).unwrap();
    path
}

#[tokio::test]
async fn git_is_found_and_an_old_or_missing_one_says_so() {
    assert!(Git::find(None).await.unwrap().version() >= (2, 38));
    let dir = TempDir::new().unwrap();
    let missing = Git::find(Some(&dir.path().join("none"))).await.unwrap_err();
    assert!(matches!(missing, RepositoryError::NoGit { .. }) && missing.hint().contains("install git"), "{missing}");
    let old = Git::find(Some(&standin(&dir, "2.29.1 (Apple Git-1)", ""))).await.unwrap_err();
    assert_eq!(old.to_string(), "git 2.29.1 (Apple Git-1) is too old: 2.38 or later is needed");
    let strange = Git::find(Some(&standin(&dir, "unknown", ""))).await.unwrap_err();
    assert!(matches!(strange, RepositoryError::Unreadable { .. }), "{strange}");
    assert_eq!(Git::find(Some(&standin(&dir, "3.0", ""))).await.unwrap().version(), (3, 0));
}

#[tokio::test]
async fn git_sees_nothing_of_the_environment() {
    let dir = TempDir::new().unwrap();
    let git = Git::find(Some(&standin(&dir, "2.39.5", "env"))).await.unwrap();
    let said = git.call(None, &["status"]).text().await.unwrap();
    let mut names: Vec<&str> = said.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.retain(|name| !name.starts_with("GIT_") && !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH"]);
    assert!(said.contains("GIT_CONFIG_NOSYSTEM=1") && said.contains("GIT_CONFIG_GLOBAL=/dev/null"));
}

#[tokio::test]
async fn a_git_that_hangs_is_ended_with_what_it_started() {
    let dir = TempDir::new().unwrap();
    let pid = dir.path().join("pid");
    let git = Git::find(Some(&standin(&dir, "2.39.5", &format!("sleep 1000 & echo $! > {}; wait", pid.display())))).await.unwrap();
    let error = git.call(None, &["gc"]).deadline(Duration::from_millis(500)).text().await.unwrap_err();
    assert!(matches!(&error, RepositoryError::TimedOut { action, .. } if action == "gc") && error.is_transient(), "{error}");
    let stat = format!("/proc/{}/stat", fs::read_to_string(&pid).unwrap().trim());
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "its child is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_git_that_talks_too_much_is_cut_off() {
    let dir = TempDir::new().unwrap();
    let script = "head -c 300000 /dev/zero | tr '\\0' e >&2; head -c 3000000 /dev/zero | tr '\\0' o; echo end >&2";
    let git = Git::find(Some(&standin(&dir, "2.39.5", script))).await.unwrap();
    let error = git.call(None, &["log"]).output_bytes_max(1000).bytes().await.unwrap_err();
    assert!(matches!(error, RepositoryError::TooMuch { .. }), "{error}");
    let cut = git.call(None, &["log"]).output_bytes_max(1000).cut().await.unwrap();
    assert_eq!((cut.cut, cut.stdout.len()), (true, 1000));
    let whole = git.call(None, &["log"]).bytes().await.unwrap();
    assert_eq!(whole.len(), 3_000_000, "a flood of complaints does not stop it");
}

#[tokio::test]
async fn a_git_that_fails_is_quoted() {
    let dir = TempDir::new().unwrap();
    let git = Git::find(Some(&standin(&dir, "2.39.5", "echo 'fatal: no\nspace' >&2; exit 128"))).await.unwrap();
    let error = git.call(None, &["write-tree"]).input(vec![b'x'; 1 << 20]).text().await.unwrap_err();
    assert_eq!(error.to_string(), "git write-tree failed with code 128: fatal: no space");
}
