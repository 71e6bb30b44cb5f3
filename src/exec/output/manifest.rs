//! What we own in an output directory, and how our notes are kept there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::OutputError;
use crate::exec::tree::Stamp;

/// Our folder in an output directory.
pub(super) const META: &str = ".specwave";
/// What we own.
pub(super) const MANIFEST: &str = "manifest.json";
/// What is being changed; it exists only meanwhile.
pub(super) const JOURNAL: &str = "journal.json";
/// New contents until they are renamed into place.
pub(super) const STAGING: &str = "staging";
/// What the last delivery replaced.
pub(super) const UNDO: &str = "undo";
/// The same, of a delivery that is not complete.
pub(super) const UNDO_NEXT: &str = "undo.next";
/// In `UNDO`: what the last delivery did.
pub(super) const RECORD: &str = "record.json";

/// What was delivered: the files that we own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this document's layout.
    pub schema_version: u32,
    /// Whose tree it is.
    pub label: String,
    /// The hash of the tree that was to be delivered.
    pub tree_hash: String,
    /// Each owned file and the state in which we left it.
    pub files: BTreeMap<String, Stamp>,
}

impl Default for Manifest {
    /// Nothing is owned.
    fn default() -> Self {
        Self { schema_version: 1, label: String::new(), tree_hash: String::new(), files: BTreeMap::new() }
    }
}

impl Manifest {
    /// The manifest of an output directory; none when nothing was delivered.
    pub(super) fn read(root: &Path) -> Result<Option<Self>, OutputError> {
        let path = root.join(META).join(MANIFEST);
        let manifest: Option<Self> = read_json(&path)?;
        match manifest {
            Some(manifest) if manifest.schema_version != 1 => Err(OutputError::Corrupt {
                path,
                reason: format!("its layout is version {}, this specwave knows 1", manifest.schema_version),
            }),
            manifest => Ok(manifest),
        }
    }
}

/// Reads a note; none when there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, OutputError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OutputError::io(path, error)),
    };
    let note = serde_json::from_slice(&text).map_err(|error| OutputError::Corrupt { path: path.to_owned(), reason: error.to_string() })?;
    Ok(Some(note))
}

/// Writes a note so that it is there whole or not at all, also after a power failure.
pub(super) fn write_json(path: &Path, note: &impl Serialize) -> Result<(), OutputError> {
    let failed = |source| OutputError::io(path, source);
    let text = serde_json::to_vec_pretty(note).expect("our notes have only text keys");
    let temporary = path.with_extension("json.new");
    let mut file = fs::File::create(&temporary).map_err(failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    sync_dir(path.parent().unwrap_or(path))
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), OutputError> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| OutputError::io(dir, source))
}

/// Makes our folder, if need be, and keeps it out of version control.
pub(super) fn make_meta(root: &Path) -> Result<(), OutputError> {
    let meta = root.join(META);
    let ignore = meta.join(".gitignore");
    fs::create_dir_all(&meta).map_err(|source| OutputError::io(&meta, source))?;
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(|source| OutputError::io(&ignore, source))?;
    }
    Ok(())
}

/// Removes a file, which may be missing.
pub(super) fn remove_file(path: &Path) -> Result<(), OutputError> {
    missing_is_fine(fs::remove_file(path)).map_err(|source| OutputError::io(path, source))
}

/// Removes a directory with everything in it, which may be missing.
pub(super) fn remove_dir(path: &Path) -> Result<(), OutputError> {
    missing_is_fine(fs::remove_dir_all(path)).map_err(|source| OutputError::io(path, source))
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
