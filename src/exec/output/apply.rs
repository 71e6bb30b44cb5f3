//! The journal: staged, committed, rolled forward. Every step after the commit may be repeated.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::{
    JOURNAL, MANIFEST, META, Manifest, RECORD, STAGING, UNDO, UNDO_NEXT, make_meta, read_json, remove_dir, remove_file, sync_dir,
    write_json,
};
use super::plan::{Found, Plan};
use super::{Conflict, ConflictReason, DeployOptions, Deployed, Edits, Fuse, OutputError};
use crate::exec::tree::{Stamp, Tree, ancestors, hash_stamps, locate, write_file};

/// One file: its state before and after; none is "not there".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) old: Option<Stamp>,
    pub(super) new: Option<Stamp>,
}

/// What is being done, and what is to be said about it when it is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Journal {
    kind: Kind,
    edits: Edits,
    /// Sorted by path. New contents stand in `STAGING` under the entry's number.
    entries: Vec<Entry>,
    /// What is owned afterwards; none when nothing is.
    manifest: Option<Manifest>,
    kept: Vec<String>,
    conflicts: Vec<Conflict>,
}

/// Whether it can itself be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Deploy,
    Undo,
}

/// What a delivery did, kept for its undoing. Old contents stand beside it under the entry's number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// What was owned before; none when nothing was.
    pub(super) previous: Option<Manifest>,
    /// Sorted by path.
    pub(super) entries: Vec<Entry>,
}

impl Journal {
    /// A delivery.
    pub(super) fn of_deploy(plan: Plan, options: &DeployOptions) -> Self {
        let Plan { difference, entries, files, tree_hash } = plan;
        let manifest = Manifest { label: options.label.clone(), tree_hash, files, ..Manifest::default() };
        let (kept, conflicts) = (difference.kept, difference.conflicts);
        Self { kind: Kind::Deploy, edits: options.edits, entries, manifest: Some(manifest), kept, conflicts }
    }

    /// The last delivery's undoing.
    pub(super) fn of_undo(root: &Path, edits: Edits) -> Result<Self, OutputError> {
        let record = read_record(root)?;
        let mut journal =
            Self { kind: Kind::Undo, edits, entries: Vec::new(), manifest: record.previous, kept: Vec::new(), conflicts: Vec::new() };
        for Entry { path, old: before, new: delivered } in record.entries {
            let found = Found::at(root, &path)?;
            let now = found.stamp().cloned();
            if found == Found::Blocked {
                journal.conflicts.push(Conflict { path, reason: ConflictReason::Blocked });
            } else if now == before {
                // Somebody was faster.
            } else if now == delivered || edits == Edits::Overwrite {
                journal.entries.push(Entry { path, old: now, new: before });
            } else {
                journal.conflicts.push(Conflict { path, reason: ConflictReason::Edited });
            }
        }
        Ok(journal)
    }
}

fn read_record(root: &Path) -> Result<Record, OutputError> {
    read_json(&root.join(META).join(UNDO).join(RECORD))?.ok_or_else(|| OutputError::NothingToUndo { path: root.to_owned() })
}

/// Writes the new contents beside the journal-to-be, and copies what they replace for undo. Nothing outside our folder changes.
pub(super) fn stage_deploy(root: &Path, tree: &Tree, journal: &Journal, previous: Option<Manifest>) -> Result<(), OutputError> {
    make_meta(root)?;
    let staging = fresh_dir(root, STAGING)?;
    for (number, entry) in journal.entries.iter().enumerate() {
        let Some(file) = tree.get(&entry.path).filter(|_| entry.new.is_some()) else { continue };
        let name = number.to_string();
        let staged = write_file(&staging, &name, file).and_then(|()| sync_file(&staging.join(&name)));
        staged.map_err(|source| OutputError::io(&root.join(&entry.path), source))?;
    }
    if journal.entries.is_empty() {
        return Ok(()); // the last delivery that changed something stays the one that is undone
    }
    let undo = fresh_dir(root, UNDO_NEXT)?;
    for (number, entry) in journal.entries.iter().enumerate().filter(|(_, entry)| entry.old.is_some()) {
        copy(&root.join(&entry.path), &undo.join(number.to_string()))?;
    }
    write_json(&undo.join(RECORD), &Record { previous, entries: journal.entries.clone() })
}

/// The same for an undo: what the last delivery replaced becomes the new contents.
pub(super) fn stage_undo(root: &Path, journal: &Journal) -> Result<(), OutputError> {
    let record = read_record(root)?;
    let staging = fresh_dir(root, STAGING)?;
    for (number, entry) in journal.entries.iter().enumerate().filter(|(_, entry)| entry.new.is_some()) {
        let kept = record.entries.iter().position(|recorded| recorded.path == entry.path).expect("entries come from the record");
        copy(&root.join(META).join(UNDO).join(kept.to_string()), &staging.join(number.to_string()))?;
    }
    Ok(())
}

/// The point of no return: from here on the change happens, now or when the directory is next opened.
pub(super) fn commit(root: &Path, journal: &Journal) -> Result<(), OutputError> {
    write_json(&root.join(META).join(JOURNAL), journal)
}

/// Gives a change up that did not get past its commit.
pub(super) fn abandon(root: &Path) {
    if remove_file(&root.join(META).join(JOURNAL)).is_ok() {
        discard(root);
    }
}

/// Clears away what changes left that never got past their commit. Best effort: the next call does it again.
pub(super) fn discard(root: &Path) {
    let meta = root.join(META);
    let _ = remove_dir(&meta.join(STAGING));
    let _ = remove_dir(&meta.join(UNDO_NEXT));
    if meta.is_dir() && !meta.join(MANIFEST).exists() && !meta.join(UNDO).exists() {
        let _ = remove_dir(&meta);
    }
}

/// Does what the journal says and is not done yet.
pub(super) fn roll_forward(root: &Path, journal: &Journal, fuse: &Fuse) -> Result<Deployed, OutputError> {
    let mut deployed = Deployed { kept: journal.kept.clone(), conflicts: journal.conflicts.clone(), ..Deployed::default() };
    let mut touched = BTreeSet::new();
    for (number, entry) in journal.entries.iter().enumerate() {
        let staged = root.join(META).join(STAGING).join(number.to_string());
        match apply(root, entry, &staged, journal.edits, fuse)? {
            Some(reason) => deployed.conflicts.push(Conflict { path: entry.path.clone(), reason }),
            None if entry.new.is_some() => deployed.written.push(entry.path.clone()),
            None => deployed.removed.push(entry.path.clone()),
        }
        touched.extend(root.join(&entry.path).parent().map(Path::to_owned));
    }
    for dir in touched.iter().filter(|dir| dir.is_dir()) {
        sync_dir(dir)?;
    }
    close(root, journal, fuse)?;
    deployed.conflicts.sort_by(|one, other| one.path.cmp(&other.path));
    deployed.tree_hash = hash_on_disk(root, journal.manifest.as_ref())?;
    Ok(deployed)
}

/// One file's change. Some reason when it is left alone, because it is in neither of the two states that the journal knows.
fn apply(root: &Path, entry: &Entry, staged: &Path, edits: Edits, fuse: &Fuse) -> Result<Option<ConflictReason>, OutputError> {
    let found = Found::at(root, &entry.path)?;
    if found == Found::Blocked {
        return Ok(Some(ConflictReason::Blocked));
    }
    if found.stamp() == entry.new.as_ref() {
        return Ok(None);
    }
    if (found.stamp() != entry.old.as_ref() && edits == Edits::Keep) || (entry.new.is_some() && !staged.exists()) {
        return Ok(Some(ConflictReason::Edited));
    }
    fuse.step()?;
    let failed = |source| OutputError::io(&root.join(&entry.path), source);
    let target = locate(root, &entry.path).map_err(failed)?;
    if entry.new.is_none() {
        remove_file(&target)?;
        prune(root, &entry.path);
        return Ok(None);
    }
    fs::create_dir_all(target.parent().unwrap_or(root)).map_err(failed)?;
    fs::rename(staged, &target).map_err(failed)?;
    Ok(None)
}

/// The notes: what can be undone, then what we own, then that nothing is under way any more.
fn close(root: &Path, journal: &Journal, fuse: &Fuse) -> Result<(), OutputError> {
    let meta = root.join(META);
    let (undo, next) = (meta.join(UNDO), meta.join(UNDO_NEXT));
    fuse.step()?;
    if journal.kind == Kind::Undo {
        remove_dir(&undo)?;
    } else if next.is_dir() {
        remove_dir(&undo)?;
        fuse.step()?;
        fs::rename(&next, &undo).map_err(|source| OutputError::io(&undo, source))?;
    }
    fuse.step()?;
    match &journal.manifest {
        Some(manifest) => write_json(&meta.join(MANIFEST), manifest)?,
        None => remove_file(&meta.join(MANIFEST))?,
    }
    fuse.step()?;
    remove_file(&meta.join(JOURNAL))?;
    fuse.step()?;
    discard(root);
    Ok(())
}

fn hash_on_disk(root: &Path, manifest: Option<&Manifest>) -> Result<String, OutputError> {
    let mut stamps = Vec::new();
    for path in manifest.into_iter().flat_map(|manifest| manifest.files.keys()) {
        stamps.extend(Found::at(root, path)?.stamp().map(|stamp| (path.as_str(), stamp.clone())));
    }
    Ok(hash_stamps(stamps.into_iter()))
}

/// Removes the directories above a removed file that are empty now.
fn prune(root: &Path, path: &str) {
    let above: Vec<&str> = ancestors(path).collect();
    for ancestor in above.into_iter().rev() {
        if fs::remove_dir(root.join(ancestor)).is_err() {
            return;
        }
    }
}

fn fresh_dir(root: &Path, name: &str) -> Result<PathBuf, OutputError> {
    let dir = root.join(META).join(name);
    remove_dir(&dir)?;
    fs::create_dir_all(&dir).map_err(|source| OutputError::io(&dir, source))?;
    Ok(dir)
}

/// Content and mode.
fn copy(from: &Path, to: &Path) -> Result<(), OutputError> {
    fs::copy(from, to).and_then(|_| sync_file(to)).map_err(|source| OutputError::io(from, source))
}

/// Makes a file's content durable.
pub(super) fn sync_file(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}
