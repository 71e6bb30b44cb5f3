//! The files of a former work tree that nobody can have touched, carried over to directories that are made for them.
//!
//! Nothing else comes along: every other file and every directory of the former tree, with its rights, attributes and whoever has it open, stays
//! behind. Called by `pool`. Never follows a link, and never looks at a content: what is proven is proven by stamps. Blocks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::checkout::{Placed, Stamp};
use crate::exec::tree::{ancestors, locate};

/// Moves what was placed in `from` before `sealed`, and not touched since, to the empty directory `to`. An error leaves both in no state to be used.
pub(super) fn carry(from: &Path, placed: &BTreeMap<String, Placed>, sealed: Stamp, to: &Path) -> io::Result<BTreeMap<String, Placed>> {
    let mut former = Folders::of(from)?;
    let mut carried = BTreeMap::new();
    let mut made = "";
    for (path, file) in placed {
        let Some(stamp) = file.stamp.filter(|stamp| former.lead_to(path) && proven(&from.join(path), *stamp, sealed)) else { continue };
        if made != above(path) {
            made = above(path);
            fs::create_dir_all(to.join(made))?;
        }
        let target = to.join(path);
        fs::rename(from.join(path), &target)?;
        let now = Stamp::of(&target)?;
        if !stamp.only_moved(now) {
            return Err(io::Error::other(format!("{path} is being changed")));
        }
        carried.insert(path.clone(), Placed { stamp: Some(now), ..file.clone() });
    }
    Ok(carried)
}

/// Of a directory that holds nothing but these files, as they were before `sealed`, leaves those that are wanted. Fails where one is not as it
/// was.
pub(super) fn leave_only(
    root: &Path,
    files: BTreeMap<String, Placed>,
    sealed: Stamp,
    wanted: impl Fn(&str, &Placed) -> bool,
) -> io::Result<BTreeMap<String, Placed>> {
    let mut folders = Folders::of(root)?;
    for (path, file) in &files {
        if !file.stamp.is_some_and(|stamp| folders.lead_to(path) && proven(&root.join(path), stamp, sealed)) {
            return Err(io::Error::other(format!("{path} was touched by somebody")));
        }
    }
    let (wanted, unwanted): (BTreeMap<_, _>, BTreeMap<_, _>) = files.into_iter().partition(|(path, file)| wanted(path, file));
    for path in unwanted.keys() {
        fs::remove_file(root.join(path))?;
        // A commit has no empty directories.
        for folder in ancestors(path).collect::<Vec<_>>().into_iter().rev() {
            if fs::remove_dir(root.join(folder)).is_err() {
                break;
            }
        }
    }
    Ok(wanted)
}

/// True when a file, or a link, is as it was placed and known by no other name.
fn proven(at: &Path, then: Stamp, sealed: Stamp) -> bool {
    fs::symlink_metadata(at).is_ok_and(|data| data.nlink() == 1 && then.untouched(Stamp::from(&data), sealed))
}

/// Which paths below a directory lead through directories alone. Asked in order, each directory is looked at once.
struct Folders<'a> {
    root: &'a Path,
    last: Option<(&'a str, bool)>,
}

impl<'a> Folders<'a> {
    fn of(root: &'a Path) -> io::Result<Self> {
        if fs::symlink_metadata(root)?.is_dir() { Ok(Self { root, last: None }) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    fn lead_to(&mut self, path: &'a str) -> bool {
        let folder = above(path);
        match self.last {
            Some((last, leads)) if last == folder => leads,
            _ => {
                let leads = locate(self.root, path).is_ok();
                self.last = Some((folder, leads));
                leads
            }
        }
    }
}

/// The directory that a path lies in; empty for the root.
fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
