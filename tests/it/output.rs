//! The output directory on disks that will not take it.

use std::path::{Path, PathBuf};

use specwave::exec::Tree;
use specwave::exec::output::{DeployOptions, Edits, Output, OutputError};
use tempfile::TempDir;

fn options() -> DeployOptions {
    DeployOptions { edits: Edits::Keep, label: "run".to_owned() }
}

fn tree(size_bytes: usize) -> Tree {
    let mut tree = Tree::new();
    tree.insert("a", "small", false).unwrap();
    tree.insert("b", vec![b'x'; size_bytes], false).unwrap();
    tree
}

fn deploy(out: &Path, size_bytes: usize) -> Result<(), OutputError> {
    Output::open(out)?.deploy(&tree(size_bytes), &options(), || Ok(())).map(|_| ())
}

/// Runs one of these tests again in a process that may not write files over 512 bytes, which is what a full disk looks like
/// to a writer, for every user and on every file system.
fn in_a_small_place(test: &str, out: &Path) -> bool {
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$@\"";
    let binary = std::env::current_exe().unwrap();
    let mut again = std::process::Command::new("sh");
    again.args(["-c", script, "sh"]).arg(binary).args([test, "--exact", "--nocapture"]).env("SPECWAVE_TEST_OUT", out);
    again.output().unwrap().status.success()
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    if let Some(out) = std::env::var_os("SPECWAVE_TEST_OUT") {
        let error = deploy(Path::new(&out), 100_000).unwrap_err();
        assert!(matches!(error, OutputError::NoSpace { .. }) && error.hint().starts_with("free some space"), "{error}");
        return;
    }
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out");
    assert!(in_a_small_place("output::a_full_disk_leaves_nothing_half_written", &out));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "neither the directory nor a sibling");

    deploy(&out, 10).unwrap();
    assert!(in_a_small_place("output::a_full_disk_leaves_nothing_half_written", &out));
    assert_eq!(std::fs::read(out.join("b")).unwrap().len(), 10);
    let mut names: Vec<_> = std::fs::read_dir(out.join(".specwave")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".gitignore", "manifest.json", "undo"]);
    deploy(&out, 100_000).unwrap();
    assert_eq!(std::fs::read(out.join("b")).unwrap().len(), 100_000);
}

#[test]
fn a_place_that_may_not_be_written_to_is_named() {
    // Nobody may make directories there, not even root.
    let error = Output::open(&PathBuf::from("/sys/specwave-out")).unwrap_err();
    assert!(matches!(error, OutputError::ReadOnly { .. }), "{error}");
    assert_eq!(error.hint(), "make the directory writable, or name another one with --out");
}
