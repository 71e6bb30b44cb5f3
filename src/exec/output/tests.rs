use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::exec::tree::TreeFile;

/// Everything below a directory but our own folder: content and mode by path.
type Disk = BTreeMap<String, (Vec<u8>, u32)>;

fn disk(root: &Path) -> Disk {
    let mut disk = Disk::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path == META {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                disk.insert(path, (fs::read(entry.path()).unwrap_or_default(), entry.metadata().unwrap().permissions().mode() & 0o777));
            }
        }
    }
    disk
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new();
    for (path, content) in files {
        tree.insert(path, *content, path.contains(".sh")).unwrap();
    }
    tree
}

fn options(edits: Edits) -> DeployOptions {
    DeployOptions { edits, label: "run".to_owned() }
}

fn deploy(out: &Path, files: &[(&str, &str)], edits: Edits) -> Deployed {
    Output::open(out).unwrap().deploy(&tree(files), &options(edits), || Ok(())).unwrap()
}

fn contents(out: &Path) -> Vec<(String, String)> {
    disk(out).into_iter().map(|(path, (content, _))| (path, String::from_utf8(content).unwrap())).collect()
}

fn check(out: &Path, files: &[(&str, &str)]) {
    let expected: Vec<_> = files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
    assert_eq!(contents(out), expected);
}

fn conflict(path: &str, reason: ConflictReason) -> Conflict {
    Conflict { path: path.to_owned(), reason }
}

fn put(out: &Path, path: &str, content: &str) {
    let path = out.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn out() -> (TempDir, PathBuf) {
    // In memory where there is such a place: waiting for a disk a hundred thousand times proves nothing.
    let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let out = dir.path().join("deep").join("out");
    (dir, out)
}

#[test]
fn a_new_directory_appears_whole_and_can_be_undone() {
    let (dir, out) = out();
    let files = [("a/b.py", "1"), ("start.sh", "2")];
    let deployed = deploy(&out, &files, Edits::Keep);
    assert_eq!((deployed.tree_hash, deployed.written), (tree(&files).hash(), vec!["a/b.py".to_owned(), "start.sh".to_owned()]));
    check(&out, &files);
    assert_eq!(disk(&out)["start.sh"].1, 0o755);
    assert_eq!(delivered(&out).unwrap().unwrap().1, tree(&files));
    assert_eq!(fs::read_dir(dir.path().join("deep")).unwrap().count(), 1, "no sibling is left");

    let undone = Output::open(&out).unwrap().undo(Edits::Keep).unwrap();
    assert_eq!(undone.removed.len(), 2);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    assert!(matches!(Output::open(&out).unwrap().undo(Edits::Keep), Err(OutputError::NothingToUndo { .. })));
}

#[test]
fn a_second_delivery_changes_only_what_is_ours() {
    let (_dir, out) = out();
    deploy(&out, &[("a", "1"), ("b", "1"), ("dir/c", "1"), ("edited", "1"), ("edited-gone", "1")], Edits::Keep);
    for (path, content) in [(".env", "KEY=1"), (".git/HEAD", "ref"), (".venv/bin/python", "x"), ("app.db", "rows"), ("foreign", "mine")] {
        put(&out, path, content);
    }
    put(&out, "edited", "by hand");
    put(&out, "edited-gone", "by hand");
    let before = disk(&out);
    let next = [("a", "2"), ("b", "1"), ("edited", "2"), ("foreign", "2"), ("new/d", "2")];
    let difference = Output::open(&out).unwrap().diff(&tree(&next), Edits::Keep).unwrap();
    let deployed = deploy(&out, &next, Edits::Keep);
    assert_eq!(deployed.written, ["a", "new/d"]);
    assert_eq!(deployed.removed, ["dir/c"]);
    assert_eq!(deployed.kept, ["edited-gone"]);
    assert_eq!(deployed.conflicts, [conflict("edited", ConflictReason::Edited), conflict("foreign", ConflictReason::Foreign)]);
    assert_eq!((difference.changed, difference.added, difference.unchanged), (vec!["a".into()], vec!["new/d".into()], vec!["b".into()]));
    assert_eq!((difference.removed, difference.kept, difference.conflicts), (deployed.removed, deployed.kept, deployed.conflicts));
    let after = disk(&out);
    for path in [".env", ".git/HEAD", ".venv/bin/python", "app.db", "foreign", "edited", "edited-gone", "b"] {
        assert_eq!(after.get(path), before.get(path), "{path}");
    }
    assert!(!out.join("dir").exists(), "a directory that became empty goes with its last file");

    Output::open(&out).unwrap().undo(Edits::Keep).unwrap();
    assert_eq!(disk(&out), before);
}

#[test]
fn told_to_overwrite_it_does_and_undo_brings_the_edits_back() {
    let (_dir, out) = out();
    deploy(&out, &[("a", "1")], Edits::Keep);
    put(&out, "a", "edited");
    put(&out, "foreign", "mine");
    fs::set_permissions(out.join("foreign"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = disk(&out);
    let deployed = deploy(&out, &[("a", "2"), ("foreign", "2")], Edits::Overwrite);
    assert_eq!((deployed.conflicts.len(), deployed.written.len()), (0, 2));
    check(&out, &[("a", "2"), ("foreign", "2")]);
    Output::open(&out).unwrap().undo(Edits::Keep).unwrap();
    assert_eq!(disk(&out), before);
}

#[test]
fn an_edit_after_the_delivery_survives_its_undo() {
    let (_dir, out) = out();
    deploy(&out, &[("a", "1"), ("b", "1")], Edits::Keep);
    deploy(&out, &[("a", "2"), ("b", "2")], Edits::Keep);
    put(&out, "a", "edited");
    let undone = Output::open(&out).unwrap().undo(Edits::Keep).unwrap();
    assert_eq!((undone.conflicts, undone.written), (vec![conflict("a", ConflictReason::Edited)], vec!["b".to_owned()]));
    check(&out, &[("a", "edited"), ("b", "1")]);
}

#[test]
fn a_delivery_that_changes_nothing_leaves_the_last_one_to_be_undone() {
    let (_dir, out) = out();
    deploy(&out, &[("a", "1")], Edits::Keep);
    deploy(&out, &[("a", "2")], Edits::Keep);
    let same = deploy(&out, &[("a", "2")], Edits::Keep);
    assert_eq!(same, Deployed { tree_hash: tree(&[("a", "2")]).hash(), ..Deployed::default() });
    Output::open(&out).unwrap().undo(Edits::Keep).unwrap();
    check(&out, &[("a", "1")]);
}

#[test]
fn links_and_directories_in_the_way_are_never_touched() {
    let (dir, out) = out();
    let outside = dir.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(out.join("dir")).unwrap();
    symlink(&outside, out.join("link")).unwrap();
    symlink(outside.join("file"), out.join("file")).unwrap();
    let deployed = deploy(&out, &[("dir", "1"), ("file", "1"), ("fine", "1"), ("link/a", "1")], Edits::Overwrite);
    let blocked = ["dir", "file", "link/a"].map(|path| conflict(path, ConflictReason::Blocked));
    assert_eq!((deployed.conflicts, deployed.written), (blocked.to_vec(), vec!["fine".to_owned()]));
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn what_belongs_to_others_is_never_delivered() {
    let (_dir, out) = out();
    for path in [".git/config", ".env", ".venv/x", ".specwave/manifest.json", "app.db", "data/app.sqlite3", "sub/.git/x"] {
        let error = Output::open(&out).unwrap().deploy(&tree(&[(path, "")]), &options(Edits::Overwrite), || Ok(())).unwrap_err();
        assert!(matches!(error, OutputError::Protected { .. }), "{path}: {error}");
    }
    assert!(!out.exists(), "a directory made for a delivery that failed goes again");
    deploy(&out, &[(".env.example", ""), (".gitignore", ""), ("a.dbx", "")], Edits::Keep);
}

#[test]
fn a_failed_recheck_leaves_everything_as_it_was() {
    let (_dir, out) = out();
    let refuse = || Err("token 3 is not current".into());
    let error = Output::open(&out).unwrap().deploy(&tree(&[("a", "1")]), &options(Edits::Keep), refuse).unwrap_err();
    assert_eq!(error.to_string(), format!("the delivery into {} was stopped: token 3 is not current", out.display()));
    assert!(!out.exists() && !out.with_file_name(".out.specwave-new").exists());
    put(&out, "foreign", "mine");
    let refuse = || Err("token 3 is not current".into());
    Output::open(&out).unwrap().deploy(&tree(&[("a", "1")]), &options(Edits::Keep), refuse).unwrap_err();
    check(&out, &[("foreign", "mine")]);
    assert!(!out.join(META).exists());
}

#[test]
fn two_at_once_exclude_each_other() {
    let (_dir, out) = out();
    let mut first = Output::open(&out).unwrap();
    assert!(matches!(Output::open(&out), Err(OutputError::Locked { .. })));
    first.deploy(&tree(&[("a", "1")]), &options(Edits::Keep), || Ok(())).unwrap();
    assert!(matches!(Output::open(&out), Err(OutputError::Locked { .. })), "the lock goes along with the rename");
    drop(first);
    Output::open(&out).unwrap();
}

#[test]
fn a_directory_that_was_removed_meanwhile_is_made_again() {
    let (_dir, out) = out();
    let mut output = Output::open(&out).unwrap();
    fs::remove_dir(&out).unwrap();
    output.deploy(&tree(&[("a", "1")]), &options(Edits::Keep), || Ok(())).unwrap();
    check(&out, &[("a", "1")]);
}

#[test]
fn what_is_no_directory_is_named() {
    let (dir, _) = out();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = Output::open(&path).unwrap_err();
        assert!(matches!(error, OutputError::NotADirectory { .. }), "{error}");
        assert_eq!(error.hint(), "name a directory with --out");
    }
    symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
    assert!(matches!(Output::open(&dir.path().join("dangling")), Err(OutputError::NotADirectory { .. })));
}

#[test]
fn notes_that_cannot_be_read_are_an_error() {
    let (_dir, out) = out();
    deploy(&out, &[("a", "1")], Edits::Keep);
    put(&out, ".specwave/manifest.json", "{");
    let error = Output::open(&out).unwrap().deploy(&tree(&[("a", "2")]), &options(Edits::Keep), || Ok(())).unwrap_err();
    assert!(matches!(error, OutputError::Corrupt { .. }), "{error}");
    check(&out, &[("a", "1")]);
}

/// Delivers with a crash before the n-th step, and again while recovering, until no step is left to crash before. Whatever the
/// point, opening the directory afterwards finds all of the old state or all of the new one.
fn crash_everywhere(prepare: impl Fn(&Path), act: impl Fn(&mut Output) -> Result<Deployed, OutputError>) {
    let (_dir, whole) = out();
    prepare(&whole);
    let before = disk(&whole);
    act(&mut Output::open(&whole).unwrap()).unwrap();
    let after = disk(&whole);
    assert_ne!(before, after);
    for steps in 0.. {
        let (_dir, crashed) = out();
        prepare(&crashed);
        let mut output = Output::open(&crashed).unwrap();
        output.fuse.steps_left.set(Some(steps));
        let result = act(&mut output);
        drop(output);
        if result.is_ok() {
            assert!(steps > 4, "there were steps to crash before");
            assert_eq!(disk(&crashed), after);
            return;
        }
        for again in 0.. {
            let fuse = Fuse::default();
            fuse.steps_left.set(Some(again));
            if Output::open_with(&crashed, fuse).is_ok() {
                break;
            }
        }
        let found = disk(&crashed);
        assert!(found == after || (steps == 0 && found == before), "crashed before step {steps}: {:?}", found.keys());
        assert_eq!(fs::read_dir(crashed.parent().unwrap()).unwrap().count(), 1);
    }
}

#[test]
fn a_crash_between_any_two_steps_is_rolled_forward() {
    let first = [("a", "1"), ("b", "1"), ("gone/c", "1"), ("same", "1")];
    let second = [("a", "2"), ("b", "2"), ("new/d", "2"), ("same", "1")];
    let prepared = |out: &Path| {
        deploy(out, &first, Edits::Keep);
        put(out, "foreign", "mine");
    };
    crash_everywhere(prepared, |output| output.deploy(&tree(&second), &options(Edits::Keep), || Ok(())));
    let delivered_twice = |out: &Path| {
        prepared(out);
        deploy(out, &second, Edits::Keep);
    };
    crash_everywhere(delivered_twice, |output| output.undo(Edits::Keep));
}

#[test]
fn a_crash_before_the_one_rename_leaves_an_empty_directory() {
    let (_dir, out) = out();
    fs::create_dir_all(&out).unwrap();
    let mut output = Output::open(&out).unwrap();
    output.fuse.steps_left.set(Some(0));
    output.deploy(&tree(&[("a", "1")]), &options(Edits::Keep), || Ok(())).unwrap_err();
    drop(output);
    check(&out, &[]);
    deploy(&out, &[("a", "1")], Edits::Keep);
    check(&out, &[("a", "1")]);
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
}

const PATHS: [&str; 6] = ["a", "b", "dir/c", "dir/d", "dir/sub/e", "x.sh"];

#[derive(Debug, Clone)]
enum Event {
    Deploy { files: Vec<(usize, u8)>, edits: Edits, crash: Option<u32> },
    Undo { crash: Option<u32> },
    Write(usize, u8),
    Remove(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let crash = || prop::option::of(0..20_u32);
    let edits = prop_oneof![3 => Just(Edits::Keep), 1 => Just(Edits::Overwrite)];
    prop_oneof![
        4 => (prop::collection::vec((0..PATHS.len(), 0..3_u8), 0..6), edits, crash())
            .prop_map(|(files, edits, crash)| Event::Deploy { files, edits, crash }),
        2 => crash().prop_map(|crash| Event::Undo { crash }),
        3 => (0..PATHS.len(), 0..4_u8).prop_map(|(path, content)| Event::Write(path, content)),
        1 => (0..PATHS.len()).prop_map(Event::Remove),
    ]
}

/// Does it, crashes if told so, recovers. The result is none when it never began.
fn perform(out: &Path, crash: Option<u32>, act: impl Fn(&mut Output) -> Result<Deployed, OutputError>) -> Option<Deployed> {
    let mut output = Output::open(out).unwrap();
    output.fuse.steps_left.set(crash);
    match act(&mut output) {
        Ok(deployed) => Some(deployed),
        Err(OutputError::NothingToUndo { .. }) => None,
        Err(OutputError::Interrupted) => {
            output.fuse.steps_left.set(None);
            let recovered = output.recover().unwrap();
            drop(output);
            Output::open(out).unwrap();
            recovered
        }
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever people do in between: with `Keep` no byte of theirs changes, a delivery without conflicts leaves exactly its
    /// tree and their files, an undo brings back what was there, and a crash makes no difference.
    #[test]
    fn nothing_of_others_is_ever_lost(events in prop::collection::vec(event(), 1..12)) {
        let (_dir, out) = out();
        fs::create_dir_all(&out).unwrap();
        // What people wrote last, and what was on disk before the last delivery.
        let mut theirs = BTreeSet::new();
        let mut undo_to: Option<(Disk, BTreeSet<&str>)> = None;
        let mut written_since = false;
        for event in events {
            let before = disk(&out);
            match event {
                Event::Write(path, content) => {
                    put(&out, PATHS[path], &format!("theirs {content}"));
                    theirs.insert(PATHS[path]);
                    written_since = true;
                }
                Event::Remove(path) => {
                    let _ = fs::remove_file(out.join(PATHS[path]));
                    theirs.remove(PATHS[path]);
                    if let Some((_, theirs)) = &mut undo_to {
                        theirs.remove(PATHS[path]);
                    }
                    written_since = true;
                }
                Event::Undo { crash } => {
                    let undone = perform(&out, crash, |output| output.undo(Edits::Keep));
                    match undone {
                        Some(undone) => {
                            let Some((expected, theirs_then)) = undo_to.take() else { continue };
                            prop_assert!(written_since || (undone.conflicts.is_empty() && disk(&out) == expected));
                            theirs.extend(theirs_then);
                        }
                        // It was done, and only the last note was missing.
                        None if disk(&out) != before => {
                            prop_assert!(crash.is_some());
                            theirs.extend(undo_to.take().unwrap().1);
                        }
                        // There was nothing to undo, or it never began, or it had nothing to do.
                        None => {}
                    }
                }
                Event::Deploy { files, edits, crash } => {
                    let mut tree = Tree::new();
                    for (path, content) in &files {
                        tree.insert(PATHS[*path], format!("ours {content}"), PATHS[*path].contains(".sh")).unwrap();
                    }
                    let deployed = perform(&out, crash, |output| output.deploy(&tree, &options(edits), || Ok(())));
                    let (after, theirs_before) = (disk(&out), theirs.clone());
                    if edits == Edits::Overwrite && after != before {
                        theirs.retain(|path| tree.get(path).is_none());
                    }
                    for path in &theirs {
                        prop_assert_eq!(after.get(*path), before.get(*path), "{} is theirs", path);
                    }
                    let Some(deployed) = deployed else {
                        // Either nothing happened, or only the last note was missing.
                        let as_told = |(path, file): (&str, &TreeFile)| theirs.contains(path) || after.get(path).is_some_and(|(content, _)| *content == file.content);
                        prop_assert!(after == before || tree.iter().all(as_told));
                        if after != before { (undo_to, written_since) = (Some((before, theirs_before)), false); }
                        continue;
                    };
                    if deployed.conflicts.is_empty() {
                        prop_assert_eq!(&deployed.tree_hash, &tree.hash());
                        for (path, file) in tree.iter() {
                            prop_assert_eq!(&after[path].0, &file.content);
                        }
                    }
                    let extra = after.keys().filter(|path| tree.get(path).is_none());
                    prop_assert!(extra.clone().all(|path| before.contains_key(path)));
                    if after != before { (undo_to, written_since) = (Some((before, theirs_before)), false); }
                }
            }
        }
    }
}
