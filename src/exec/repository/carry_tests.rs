//! Trees that are made of what others left: equal to new ones, whatever was done in those, and not written anew where nothing was.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, XattrFlags, mknodat, setxattr};

use super::home::remove_tree;
use super::pool_testing::{Stage, first, mode, second, written};
use super::testing::write;

#[tokio::test]
async fn only_what_differs_between_two_commits_is_written() {
    let mut stage = Stage::new(1).await;
    let start = stage.pooled.start().clone();
    let one = stage.commit(&start, first).await;
    let two = stage.commit(&one, second).await;
    for (what, from, to) in [("there", &one, &two), ("back", &two, &one), ("the same", &one, &one), ("to nothing", &one, &start)] {
        stage.check(what, from, to, |_| {}).await;
    }
    let former = stage.tree(&one).await;
    let all = ["kept", "a/b/x", "a/dangling", ".gitignore", "removed", "a/b/c/deep", "run.sh"];
    let before: BTreeMap<&str, _> = all.map(|path| (path, written(&former.path(), path))).into();
    former.retire().await.unwrap();
    let tree = stage.tree(&two).await;
    for path in ["kept", "a/b/x", "a/dangling", ".gitignore"] {
        assert_eq!(written(&tree.path(), path), before[path], "{path} is the very same file");
    }
    assert_ne!(written(&tree.path(), "run.sh"), before["run.sh"], "another mode is another file");
    // And once more, after a unit's work: its own file is written, nobody else's.
    write(&tree.path(), "a/b/x", "mine\n");
    tree.retire().await.unwrap();
    let tree = stage.tree(&two).await;
    assert_eq!(written(&tree.path(), "kept"), before["kept"]);
    assert_ne!(written(&tree.path(), "a/b/x"), before["a/b/x"]);
    stage.same("after work", &two, &tree).await;
}

type Edit = Box<dyn Fn(&Path)>;

/// What an agent may leave behind, each in a tree of [`first`].
fn messes(outside: &Path) -> Vec<(&'static str, Edit)> {
    let mut all = additions();
    all.extend(replacements(outside));
    all
}

/// What it may leave beside the files of the commit, and do to folders.
fn additions() -> Vec<(&'static str, Edit)> {
    vec![
        (
            "ignored and new files",
            Box::new(|root| {
                for path in [
                    "x.log",
                    "__pycache__/m.pyc",
                    "a/__pycache__/m.pyc",
                    "node_modules/m/x",
                    ".git/config",
                    "a/b/new",
                    ".env",
                    "a/b/.hidden",
                ] {
                    write(root, path, "left");
                }
            }),
        ),
        (
            "folders without rights",
            Box::new(|root| {
                write(root, "closed/inner/x", "x");
                write(root, "a/b/c/closed/x", "x");
                for path in ["closed/inner", "closed", "a/b/c/closed"] {
                    mode(root, path, 0o000);
                }
            }),
        ),
        ("a folder of the commit without rights", Box::new(|root| mode(root, "a/b", 0o000))),
        ("a folder that is open to all", Box::new(|root| ["a", "a/b", ""].iter().for_each(|path| mode(root, path, 0o2777)))),
        ("a file without rights", Box::new(|root| mode(root, "kept", 0o000))),
        ("empty folders", Box::new(|root| fs::create_dir_all(root.join("a/b/empty/empty")).unwrap())),
        (
            "names that are no text",
            Box::new(|root| {
                fs::write(root.join(OsStr::from_bytes(b"latin-\xe4")), "").unwrap();
                write(root, "line\nend", "");
            }),
        ),
    ]
}

/// What it may do to files of the commit, and put in their places.
fn replacements(outside: &Path) -> Vec<(&'static str, Edit)> {
    let (to_folder, to_file) = (outside.to_owned(), outside.join("name"));
    let restored = |root: &Path, path: &str, between: &str| {
        let (content, time) = (fs::read(root.join(path)).unwrap(), fs::metadata(root.join(path)).unwrap().modified().unwrap());
        write(root, path, between);
        if between.len() != content.len() {
            write(root, path, content);
        }
        fs::File::options().write(true).open(root.join(path)).unwrap().set_modified(time).unwrap();
    };
    vec![
        (
            "pipes and sockets",
            Box::new(|root| {
                UnixListener::bind(root.join("a/s")).unwrap();
                fs::remove_file(root.join("kept")).unwrap();
                mknodat(CWD, root.join("kept"), FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
            }),
        ),
        (
            "a folder that became a link out of the tree",
            Box::new(move |root| {
                fs::remove_dir_all(root.join("a")).unwrap();
                symlink(&to_folder, root.join("a")).unwrap();
            }),
        ),
        (
            "a folder that became a link to itself",
            Box::new(|root| {
                fs::rename(root.join("a"), root.join("moved")).unwrap();
                symlink("moved", root.join("a")).unwrap();
            }),
        ),
        (
            "other links",
            Box::new(|root| {
                fs::remove_file(root.join("link")).unwrap();
                symlink("/etc/passwd", root.join("link")).unwrap();
                fs::rename(root.join("kept"), root.join("real")).unwrap();
                symlink("real", root.join("kept")).unwrap();
            }),
        ),
        (
            "a second name outside of the tree",
            Box::new(move |root| {
                let _ = fs::remove_file(&to_file);
                fs::hard_link(root.join("kept"), &to_file).unwrap();
            }),
        ),
        ("a second name in the tree", Box::new(|root| fs::hard_link(root.join("kept"), root.join("again")).unwrap())),
        (
            "files that changed their places",
            Box::new(|root| {
                fs::rename(root.join("kept"), root.join("x")).unwrap();
                fs::rename(root.join("edited"), root.join("kept")).unwrap();
                fs::rename(root.join("x"), root.join("edited")).unwrap();
            }),
        ),
        ("an edit of the same length and time", Box::new(move |root| restored(root, "kept", "KEPT\n"))),
        ("an edit that was undone", Box::new(move |root| restored(root, "kept", "longer than before\n"))),
        (
            "attributes",
            Box::new(|root| {
                for path in ["", "a", "a/b/x"] {
                    // Some file systems have none.
                    let _ = setxattr(root.join(path), "user.left", b"x", XattrFlags::empty());
                }
            }),
        ),
        (
            "nothing",
            Box::new(|root| {
                remove_tree(root).unwrap();
                fs::create_dir(root).unwrap();
            }),
        ),
    ]
}

#[tokio::test]
async fn nothing_that_an_agent_leaves_survives() {
    let mut stage = Stage::new(1).await;
    let start = stage.pooled.start().clone();
    let one = stage.commit(&start, first).await;
    let two = stage.commit(&one, second).await;
    let outside = stage.fixture.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    for path in ["b/x", "b/c/deep"] {
        write(&outside, path, "theirs");
    }
    for (what, edit) in messes(&outside) {
        stage.check(what, &one, &one, &edit).await;
        stage.check(what, &one, &two, &edit).await;
    }
    assert_eq!(fs::read(outside.join("b/x")).unwrap(), b"theirs");
    assert_eq!(fs::read(outside.join("b/c/deep")).unwrap(), b"theirs");
    // Whoever still has a folder of the former tree open is not in the new one.
    let former = stage.tree(&one).await;
    let folder = fs::File::open(former.path().join("a")).unwrap().metadata().unwrap().ino();
    let root = fs::metadata(former.path()).unwrap().ino();
    former.retire().await.unwrap();
    let tree = stage.tree(&one).await;
    let now = |path: &str| fs::metadata(tree.path().join(path)).unwrap().ino();
    assert!(now("a") != folder && now("") != root);
}

/// Does something to a place, whatever is there and above it.
fn anything(random: &mut fastrand::Rng, root: &Path) {
    const PLACES: [&str; 9] = ["a", "a/b", "a/b/c", "a/b/d", "e", "e/f", "e/g", "h", "i/j/k"];
    let path = PLACES[random.usize(..PLACES.len())];
    let at = root.join(path);
    for above in at.ancestors().skip(1).take_while(|above| *above != root) {
        if fs::symlink_metadata(above).is_ok_and(|data| !data.is_dir()) {
            fs::remove_file(above).unwrap();
        }
    }
    let folder = fs::symlink_metadata(&at).is_ok_and(|data| data.is_dir());
    if folder {
        fs::remove_dir_all(&at).unwrap();
    } else {
        let _ = fs::remove_file(&at);
    }
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    match random.u8(..8) {
        0 => {}
        1 => symlink(PLACES[random.usize(..PLACES.len())], &at).unwrap(),
        2 => fs::create_dir(&at).unwrap(),
        kind => {
            fs::write(&at, [random.u8(b'0'..b'4')]).unwrap();
            fs::set_permissions(&at, fs::Permissions::from_mode(if kind == 3 { 0o755 } else { 0o644 })).unwrap();
        }
    }
}

#[tokio::test]
async fn after_any_edits_a_tree_is_as_a_new_one() {
    let mut random = fastrand::Rng::with_seed(20_261_128);
    let mut stage = Stage::new(1).await;
    let mut commits = vec![stage.pooled.start().clone()];
    for round in 0..12 {
        let base = commits[random.usize(..commits.len())].clone();
        let seed = random.u64(..);
        let edits = |root: &Path| {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..random.usize(1..12)).for_each(|_| anything(&mut random, root));
            write(root, "round", round.to_string());
        };
        commits.push(stage.commit(&base, edits).await);
    }
    for round in 0..30 {
        let (from, to) = (random.usize(..commits.len()), random.usize(..commits.len()));
        let edits = |root: &Path| (0..random.usize(..6)).for_each(|_| anything(&mut random, root));
        stage.check(&format!("round {round}: {from} to {to}"), &commits[from].clone(), &commits[to].clone(), edits).await;
    }
}
