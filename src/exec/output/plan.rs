//! What a delivery changes: the tree, the manifest and the disk compared, path by path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::apply::Entry;
use super::{Conflict, ConflictReason, Difference, Edits, Manifest, OutputError};
use crate::exec::tree::{Stamp, Tree, locate, sha256};

/// Names that belong to others, wherever they stand in a path.
const PROTECTED: [&str; 4] = [".specwave", ".git", ".venv", ".env"];
/// Endings of databases and of what stands beside them.
const DATABASES: [&str; 9] =
    [".db", ".db-journal", ".db-wal", ".db-shm", ".sqlite", ".sqlite-journal", ".sqlite-wal", ".sqlite-shm", ".sqlite3"];

/// What is on disk at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    File(Stamp),
    /// A link, a directory, a device, or something of the kind on the way there.
    Blocked,
}

impl Found {
    /// Looks at a path below an output directory.
    pub(super) fn at(root: &Path, path: &str) -> Result<Self, OutputError> {
        let failed = |source| OutputError::io(&root.join(path), source);
        let target = match locate(root, path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Self::Blocked),
            Err(error) => return Err(failed(error)),
        };
        match fs::symlink_metadata(&target) {
            Ok(entry) if entry.is_file() => {
                let content = fs::read(&target).map_err(failed)?;
                Ok(Self::File(Stamp { sha256: sha256(&content), executable: entry.permissions().mode() & 0o100 != 0 }))
            }
            Ok(_) => Ok(Self::Blocked),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Nothing),
            Err(error) => Err(failed(error)),
        }
    }

    /// The file's stamp, when there is one.
    pub(super) fn stamp(&self) -> Option<&Stamp> {
        match self {
            Self::File(stamp) => Some(stamp),
            Self::Nothing | Self::Blocked => None,
        }
    }
}

/// A delivery, not begun.
#[derive(Debug)]
pub(super) struct Plan {
    /// What it does, for people.
    pub(super) difference: Difference,
    /// What it does, for the journal, sorted by path.
    pub(super) entries: Vec<Entry>,
    /// What we own afterwards.
    pub(super) files: BTreeMap<String, Stamp>,
    /// The hash of the whole tree.
    pub(super) tree_hash: String,
}

/// Fails on a tree that holds what no project may deliver.
pub(super) fn refuse_protected(tree: &Tree) -> Result<(), OutputError> {
    let protected =
        |path: &str| path.split('/').any(|name| PROTECTED.contains(&name)) || DATABASES.iter().any(|ending| path.ends_with(ending));
    match tree.iter().find(|(path, _)| protected(path)) {
        Some((path, _)) => Err(OutputError::Protected { path: path.to_owned() }),
        None => Ok(()),
    }
}

/// Compares a tree with what is owned and with what is there.
pub(super) fn plan(root: &Path, tree: &Tree, manifest: &Manifest, edits: Edits) -> Result<Plan, OutputError> {
    let mut plan = Plan { difference: Difference::default(), entries: Vec::new(), files: BTreeMap::new(), tree_hash: tree.hash() };
    let paths: BTreeSet<&str> = tree.iter().map(|(path, _)| path).chain(manifest.files.keys().map(String::as_str)).collect();
    for path in paths {
        let found = Found::at(root, path)?;
        let owned = manifest.files.get(path);
        match tree.get(path) {
            Some(file) => plan.want(path, file.stamp(), &found, owned, edits),
            None => plan.drop_owned(path, found, owned),
        }
    }
    Ok(plan)
}

impl Plan {
    /// A file of the tree.
    fn want(&mut self, path: &str, new: Stamp, found: &Found, owned: Option<&Stamp>, edits: Edits) {
        let conflict = match found {
            Found::Nothing => None,
            Found::Blocked => Some(ConflictReason::Blocked),
            Found::File(stamp) if *stamp == new || owned == Some(stamp) || edits == Edits::Overwrite => None,
            Found::File(_) => Some(if owned.is_some() { ConflictReason::Edited } else { ConflictReason::Foreign }),
        };
        if let Some(reason) = conflict {
            self.difference.conflicts.push(Conflict { path: path.to_owned(), reason });
            // What we left there once stays known, so that an edit remains one, and its return is noticed.
            self.files.extend(owned.map(|stamp| (path.to_owned(), stamp.clone())));
            return;
        }
        self.files.insert(path.to_owned(), new.clone());
        let old = found.stamp().cloned();
        match &old {
            Some(stamp) if *stamp == new => return self.difference.unchanged.push(path.to_owned()),
            Some(_) => self.difference.changed.push(path.to_owned()),
            None => self.difference.added.push(path.to_owned()),
        }
        self.entries.push(Entry { path: path.to_owned(), old, new: Some(new) });
    }

    /// A file that we own and that the tree has no more.
    fn drop_owned(&mut self, path: &str, found: Found, owned: Option<&Stamp>) {
        match found {
            Found::Nothing => {}
            Found::File(stamp) if owned == Some(&stamp) => {
                self.difference.removed.push(path.to_owned());
                self.entries.push(Entry { path: path.to_owned(), old: Some(stamp), new: None });
            }
            Found::File(_) | Found::Blocked => self.difference.kept.push(path.to_owned()),
        }
    }
}
