//! Reading what an agent left in its work tree. Everything in it may be meant to harm: nothing is executed, followed or waited for, and
//! everything is bounded. Blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::OFlags;

use super::checkout::{Placed, Stamp};
use super::objects::Mode;
use super::scope::names_git;
use super::{ChangeLimits, LeftOut, RepositoryError};
use crate::exec::tree::{ancestors, check_path};
use crate::exec::workspace::LEFTOVERS;

/// Directories within directories; no source tree comes near it.
const DEPTH_MAX: usize = 64;
/// Of a `.gitignore` that is larger nothing is read.
const IGNORE_BYTES_MAX: u64 = 64 << 10;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files and links that are new or may have been changed.
    pub(super) files: Vec<(String, Mode, Vec<u8>)>,
    /// Files of the commit that are gone.
    pub(super) removed: Vec<String>,
    /// What is not taken, with the reason.
    pub(super) left_out: Vec<LeftOut>,
}

/// Reads the tree below `root`, which was written from the files `placed` before `sealed`.
pub(super) fn walk(root: &Path, placed: &BTreeMap<String, Placed>, sealed: Stamp, limits: &ChangeLimits) -> Result<Found, RepositoryError> {
    let mut walk = Walk {
        root,
        placed,
        sealed,
        limits,
        found: Found::default(),
        seen: BTreeSet::new(),
        unlooked: BTreeSet::new(),
        entries: 0,
        bytes: 0,
    };
    let mut open = vec![Folder { prefix: String::new(), depth: 0, rules: None }];
    while let Some(folder) = open.pop() {
        walk.folder(&folder, &mut open)?;
    }
    walk.note_removed();
    Ok(walk.found)
}

/// A directory that is still to be read.
struct Folder {
    /// Its path with a `/` at the end; empty for the root.
    prefix: String,
    depth: usize,
    rules: Option<Arc<Rules>>,
}

/// What a directory's `.gitignore` says, and those above it.
struct Rules {
    here: Gitignore,
    above: Option<Arc<Rules>>,
}

struct Walk<'a> {
    root: &'a Path,
    placed: &'a BTreeMap<String, Placed>,
    sealed: Stamp,
    limits: &'a ChangeLimits,
    found: Found,
    /// Files of the commit that are still there.
    seen: BTreeSet<String>,
    /// Places that were not looked into; files of the commit there count as unchanged.
    unlooked: BTreeSet<String>,
    entries: usize,
    bytes: u64,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Folder, open: &mut Vec<Folder>) -> Result<(), RepositoryError> {
        let dir = self.root.join(&folder.prefix);
        let rules = rules(&dir, &folder.prefix, folder.rules.clone());
        let listing = list(&dir).map_err(RepositoryError::io("list", &dir))?;
        for entry in listing {
            let entry = entry.map_err(RepositoryError::io("list", &dir))?;
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(RepositoryError::TooMuch {
                    what: "the number of files in a work tree",
                    limit: self.limits.entries.to_string(),
                });
            }
            let Ok(name) = entry.file_name().into_string() else {
                self.leave_out(&format!("{}{}", folder.prefix, entry.file_name().display()), "its name is not UTF-8");
                continue;
            };
            let path = format!("{}{name}", folder.prefix);
            let kind = entry.file_type().map_err(RepositoryError::io("look at", &dir))?;
            if let Some(reason) = self.reason_to_leave_out(&path, &name, kind.is_dir(), rules.as_deref()) {
                self.leave_out(&path, reason);
                self.unlooked.insert(path);
            } else if kind.is_dir() {
                if folder.depth == DEPTH_MAX {
                    return Err(RepositoryError::TooMuch { what: "the depth of a work tree", limit: DEPTH_MAX.to_string() });
                }
                open.push(Folder { prefix: path + "/", depth: folder.depth + 1, rules: rules.clone() });
            } else if kind.is_symlink() {
                self.link(path, &entry.path())?;
            } else if kind.is_file() {
                self.file(path, &entry.path())?;
            } else {
                self.leave_out(&path, "it is neither a file nor a directory");
            }
        }
        Ok(())
    }

    fn reason_to_leave_out(&self, path: &str, name: &str, folder: bool, rules: Option<&Rules>) -> Option<&'static str> {
        if let Err(error) = check_path(path) {
            return Some(error.reason);
        }
        if names_git(name) {
            return Some("it is git's own");
        }
        if LEFTOVERS.contains(&name) {
            return Some("it is left behind by tools, or holds what is secret");
        }
        let below = format!("{path}/");
        let tracked = self.placed.contains_key(path)
            || folder && self.placed.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below));
        (!tracked && ignored(path, folder, rules)).then_some("a .gitignore names it")
    }

    fn link(&mut self, path: String, at: &Path) -> Result<(), RepositoryError> {
        let stamp = Stamp::of(at).map_err(RepositoryError::io("look at", at))?;
        if self.untouched(&path, stamp) {
            return Ok(());
        }
        let target = fs::read_link(at).map_err(RepositoryError::io("read", at))?;
        if let Some(target) = target.to_str().filter(|target| stays_inside(&path, target)) {
            return self.take(path, Mode::Link, target.as_bytes().to_vec());
        }
        self.leave_out(&path, "it is a link that leads out of the tree");
        self.unlooked.insert(path);
        Ok(())
    }

    fn file(&mut self, path: String, at: &Path) -> Result<(), RepositoryError> {
        let data = fs::symlink_metadata(at).map_err(RepositoryError::io("look at", at))?;
        if self.untouched(&path, Stamp::from(&data)) {
            return Ok(());
        }
        // Its length is asked for before anything is read: a file may be sparse and vast.
        let content = if data.len() > self.limits.file_bytes { None } else { read(at, self.limits.file_bytes)? };
        let Some(content) = content else {
            self.leave_out(&path, "it is larger than a file may be");
            self.unlooked.insert(path);
            return Ok(());
        };
        let executable = data.permissions().mode() & 0o100 != 0;
        self.take(path, if executable { Mode::Executable } else { Mode::File }, content)
    }

    /// True for a file of the commit that cannot have been touched; in any case it is there.
    fn untouched(&mut self, path: &str, now: Stamp) -> bool {
        let Some(placed) = self.placed.get(path) else { return false };
        self.seen.insert(path.to_owned());
        placed.stamp.is_some_and(|then| then.untouched(now, self.sealed))
    }

    fn take(&mut self, path: String, mode: Mode, content: Vec<u8>) -> Result<(), RepositoryError> {
        self.bytes += content.len() as u64;
        if self.bytes > self.limits.bytes {
            let limit = format!("{} bytes", self.limits.bytes);
            return Err(RepositoryError::TooMuch { what: "the size of what a unit changed", limit });
        }
        self.found.files.push((path, mode, content));
        Ok(())
    }

    fn leave_out(&mut self, path: &str, why: &str) {
        self.found.left_out.push(LeftOut::new(path, why));
    }

    /// Files of the commit that were written and that nobody came across.
    fn note_removed(&mut self) {
        let unlooked = |path: &str| self.unlooked.contains(path) || ancestors(path).any(|above| self.unlooked.contains(above));
        let written = self.placed.iter().filter(|(_, placed)| placed.stamp.is_some()).map(|(path, _)| path);
        let gone = written.filter(|path| !self.seen.contains(*path) && !unlooked(path));
        self.found.removed = gone.cloned().collect();
    }
}

/// Lists a directory, also one of which the agent took away its owner's rights.
fn list(dir: &Path) -> io::Result<fs::ReadDir> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
            fs::read_dir(dir)
        }
        listed => listed,
    }
}

/// The content of a regular file; none when it is longer than that.
fn read(at: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, RepositoryError> {
    let open = || File::options().read(true).custom_flags(flags()).open(at);
    let opened = match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(at, fs::Permissions::from_mode(0o600)).and_then(|()| open())
        }
        opened => opened,
    };
    let mut content = Vec::new();
    let read = opened.and_then(|file| file.take(bytes_max + 1).read_to_end(&mut content));
    read.map_err(RepositoryError::io("read", at))?;
    Ok((content.len() as u64 <= bytes_max).then_some(content))
}

/// Neither a link is followed nor a pipe waited for, whatever has become of the path since it was looked at.
fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// With the directory's own `.gitignore`, when it has one that can be read.
fn rules(dir: &Path, prefix: &str, above: Option<Arc<Rules>>) -> Option<Arc<Rules>> {
    let at = dir.join(".gitignore");
    let plain = fs::symlink_metadata(&at).is_ok_and(|data| data.is_file() && data.len() <= IGNORE_BYTES_MAX);
    let Some(text) = plain.then(|| read(&at, IGNORE_BYTES_MAX)).and_then(|read| read.ok().flatten()) else { return above };
    let mut builder = GitignoreBuilder::new(Path::new("/").join(prefix));
    for line in String::from_utf8_lossy(&text).lines() {
        // A line that is no pattern ignores nothing.
        let _ = builder.add_line(None, line);
    }
    match builder.build() {
        Ok(here) => Some(Arc::new(Rules { here, above })),
        Err(_) => above,
    }
}

/// The innermost `.gitignore` that says anything decides.
fn ignored(path: &str, folder: bool, rules: Option<&Rules>) -> bool {
    let full: PathBuf = Path::new("/").join(path);
    let mut next = rules;
    while let Some(rules) = next {
        let said = rules.here.matched_path_or_any_parents(&full, folder);
        if !said.is_none() {
            return said.is_ignore();
        }
        next = rules.above.as_deref();
    }
    false
}

/// True when a link at `path` leads to a place below the root, as far as its words go.
pub(super) fn stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains(['\0', '\\']) {
        return false;
    }
    let mut depth = ancestors(path).count();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_judged_by_where_its_words_lead() {
        let check = |path: &str, target: &str, inside| assert_eq!(stays_inside(path, target), inside, "{path} -> {target}");
        check("a", "b", true);
        check("a/b", "../c", true);
        check("a/b", "../../c", false);
        check("a", "..", false);
        check("a/b/c", "../.././d/e", true);
        check("a", "x/../../y", false);
        check("a", "/etc/passwd", false);
        check("a", "", false);
    }
}
