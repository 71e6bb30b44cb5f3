//! Delivery into a new or empty directory: a sibling is filled and takes its place by one rename.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::apply::{Entry, Record, sync_file};
use super::lock::{self, Lock};
use super::manifest::{MANIFEST, META, Manifest, RECORD, UNDO, make_meta, sync_dir, write_json};
use super::{DeployOptions, Deployed, OutputError};
use crate::exec::tree::{Tree, write_file};

/// A filled sibling, locked.
pub(super) struct Staged {
    path: PathBuf,
    lock: Lock,
}

/// Fills a sibling of the directory; none when its parent cannot be written to.
pub(super) fn prepare(root: &Path, tree: &Tree, options: &DeployOptions) -> Result<Option<Staged>, OutputError> {
    let Some(path) = sibling(root) else { return Ok(None) };
    if let Err(error) = fs::create_dir(&path) {
        let foreign = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
        return if foreign { Ok(None) } else { Err(OutputError::io(&path, error)) };
    }
    let filled = fill(root, &path, tree, options).inspect_err(|_| discard(&path))?;
    Ok(filled.map(|lock| Staged { path, lock }))
}

fn fill(root: &Path, path: &Path, tree: &Tree, options: &DeployOptions) -> Result<Option<Lock>, OutputError> {
    let failed = |source| OutputError::io(path, source);
    let before = fs::metadata(root).map_err(failed)?;
    fs::set_permissions(path, before.permissions()).map_err(failed)?;
    let lock = fs::File::open(path).map_err(failed).and_then(|dir| lock::take(dir, path))?;
    for (name, file) in tree.iter() {
        let written = write_file(path, name, file).and_then(|()| sync_file(&path.join(name)));
        written.map_err(|source| OutputError::io(&root.join(name), source))?;
    }
    make_meta(path)?;
    let files: BTreeMap<_, _> = tree.iter().map(|(name, file)| (name.to_owned(), file.stamp())).collect();
    let entries = files.iter().map(|(name, stamp)| Entry { path: name.clone(), old: None, new: Some(stamp.clone()) }).collect();
    let undo = path.join(META).join(UNDO);
    fs::create_dir_all(&undo).map_err(failed)?;
    write_json(&undo.join(RECORD), &Record { previous: None, entries })?;
    let manifest = Manifest { label: options.label.clone(), tree_hash: tree.hash(), files, ..Manifest::default() };
    write_json(&path.join(META).join(MANIFEST), &manifest)?;
    Ok(lock)
}

impl Staged {
    /// The one rename. Gives back the lock on what is the output directory from now on; none when the directory cannot be
    /// replaced because something is mounted there.
    pub(super) fn commit(self, root: &Path) -> Result<Option<Lock>, OutputError> {
        if let Err(error) = fs::rename(&self.path, root) {
            discard(&self.path);
            let mounted = matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices);
            return if mounted { Ok(None) } else { Err(OutputError::io(root, error)) };
        }
        sync_dir(root.parent().unwrap_or(root))?;
        Ok(Some(self.lock))
    }

    /// Gives up.
    pub(super) fn discard(&self) {
        discard(&self.path);
    }
}

/// What the rename did.
pub(super) fn deployed(tree: &Tree) -> Deployed {
    Deployed { tree_hash: tree.hash(), written: tree.iter().map(|(path, _)| path.to_owned()).collect(), ..Deployed::default() }
}

/// Removes a sibling that a crash left; whoever holds the lock on the directory may.
pub(super) fn clear(root: &Path) {
    if let Some(path) = sibling(root).filter(|path| path.is_dir()) {
        discard(&path);
    }
}

fn sibling(root: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(root.file_name()?);
    name.push(".specwave-new");
    Some(root.with_file_name(name))
}

/// Best effort: the next call clears it away, too.
fn discard(path: &Path) {
    let _ = fs::remove_dir_all(path);
}
