//! Writing the files of a commit into a directory, byte for byte: no line ends, filters or links are interpreted. Called by `worktree`; replaces
//! nothing that is there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::objects::{Entry, FILE_BYTES_MAX, Mode, Objects, portions};
use super::worktree::blocking;
use super::{LeftOut, RepositoryError};
use crate::exec::tree::{TreeFile, check_path, locate, write_file};

/// So often a tree is sealed, until the seal is newer than what it seals: the clock of a file system goes on every few milliseconds. One that is
/// coarser leaves files of which nobody knows whether they were touched, which is no harm.
const SEAL_TRIES: u32 = 20;
/// The pause between.
const SEAL_PAUSE: Duration = Duration::from_millis(1);

/// A file of the commit that a work tree was written from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// None for a submodule.
    pub(super) mode: Option<Mode>,
    /// Its content's name.
    pub(super) content: String,
    /// Its state after it was written; none when it was not.
    pub(super) stamp: Option<Stamp>,
}

/// What the file system says of a file. The time of its last change is the kernel's: nobody without the right to set the clock can
/// give a file an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of a path, not of what it leads to.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&fs::symlink_metadata(path)?))
    }

    /// True when the file cannot have been touched since: it is as it was, and it was so before the clock stood at `sealed`.
    pub(super) fn untouched(self, now: Self, sealed: Self) -> bool {
        self == now && self.changed < sealed.changed
    }

    /// True for the same file after it was moved, which the kernel counts as a change.
    pub(super) fn only_moved(self, now: Self) -> bool {
        Self { changed: now.changed, ..self } == now
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(data: &fs::Metadata) -> Self {
        Self {
            inode: data.ino(),
            bytes: data.len(),
            mode: data.mode(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

/// Writes the files of a commit, but those that are there already. Gives all of them by path, and those that cannot be there, with the reason.
pub(super) async fn check_out(
    objects: &Objects,
    entries: &[Entry],
    tree: &Path,
    there: Option<&BTreeMap<String, Placed>>,
) -> Result<(BTreeMap<String, Placed>, Vec<LeftOut>), RepositoryError> {
    let (mut placed, mut absent, mut wanted) = (BTreeMap::new(), Vec::new(), Vec::new());
    for entry in entries {
        let Some(path) = entry.path.clone() else {
            absent.push(LeftOut::new("a name that is not UTF-8", "it cannot be told apart reliably"));
            continue;
        };
        if let Some(placed_before) = there.and_then(|there| there.get(&path)) {
            placed.insert(path, placed_before.clone());
            continue;
        }
        match (obstacle(&path, entry), entry.mode) {
            (None, Some(mode)) => wanted.push((path.clone(), mode, entry.content.clone(), entry.bytes.unwrap_or(0))),
            (reason, _) => absent.push(LeftOut::new(&path, reason.unwrap_or("it is a submodule"))),
        }
        placed.insert(path, Placed { mode: entry.mode, content: entry.content.clone(), stamp: None });
    }
    for portion in portions(&wanted, |(.., bytes)| *bytes)? {
        let names: Vec<&str> = portion.iter().map(|(_, _, name, _)| name.as_str()).collect();
        let contents = objects.contents(&names).await?;
        let files: Vec<(String, Mode, Vec<u8>)> =
            portion.iter().zip(contents).map(|((path, mode, ..), content)| (path.clone(), *mode, content)).collect();
        let root = tree.to_owned();
        for (path, stamp) in blocking(move || write(&root, files)).await? {
            if let Some(placed) = placed.get_mut(&path) {
                placed.stamp = Some(stamp);
            }
        }
    }
    Ok((placed, absent))
}

/// Writes the file whose time tells when a tree was finished. Blocks.
pub(super) fn seal(at: &Path, placed: &BTreeMap<String, Placed>) -> Result<Stamp, RepositoryError> {
    let newest = placed.values().filter_map(|file| file.stamp).map(|stamp| stamp.changed).max();
    let again = || fs::write(at, "").and_then(|()| Stamp::of(at)).map_err(RepositoryError::io("write", at));
    let mut sealed = again()?;
    for _ in 1..SEAL_TRIES {
        if newest.is_none_or(|newest| newest < sealed.changed) {
            break;
        }
        thread::sleep(SEAL_PAUSE);
        sealed = again()?;
    }
    Ok(sealed)
}

/// Why a file cannot be written, if so.
fn obstacle(path: &str, entry: &Entry) -> Option<&'static str> {
    if let Err(error) = check_path(path) {
        return Some(error.reason);
    }
    if entry.bytes.is_some_and(|bytes| bytes > FILE_BYTES_MAX) {
        return Some("it is larger than 64 MiB");
    }
    entry.mode.is_none().then_some("it is a submodule")
}

fn write(root: &Path, files: Vec<(String, Mode, Vec<u8>)>) -> Result<Vec<(String, Stamp)>, RepositoryError> {
    let mut stamps = Vec::with_capacity(files.len());
    for (path, mode, content) in files {
        let target = root.join(&path);
        let written = match mode {
            Mode::Link => write_link(root, &path, content),
            Mode::File | Mode::Executable => write_file(root, &path, &TreeFile { content, executable: mode == Mode::Executable }),
        };
        let stamp = written.and_then(|()| Stamp::of(&target)).map_err(RepositoryError::io("write", &target))?;
        stamps.push((path, stamp));
    }
    Ok(stamps)
}

/// Where it leads is the commit's affair: nobody here follows it, and the agent's sandbox does not let it out.
fn write_link(root: &Path, path: &str, content: Vec<u8>) -> io::Result<()> {
    use std::os::unix::ffi::OsStringExt;
    let target = locate(root, path)?;
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    symlink(PathBuf::from(std::ffi::OsString::from_vec(content)), target)
}
