//! A tree of files held in memory: what is materialised in a workspace and delivered to an output directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Artifact;

/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// Longest name of a file or directory, in bytes; what common file systems hold.
const NAME_BYTES_MAX: usize = 255;

/// Files by path. Every path in it is safe to join to a directory: relative, `/`-separated, without `.`, `..`, empty or
/// overlong names and control characters, and no file is also the directory of another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<String, TreeFile>,
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Its bytes.
    pub content: Vec<u8>,
    /// True when it may be executed.
    pub executable: bool,
}

impl TreeFile {
    /// What identifies its state.
    pub fn stamp(&self) -> Stamp {
        Stamp { sha256: sha256(&self.content), executable: self.executable }
    }
}

/// The state of a file: its content and whether it may be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// SHA-256 of the content, in hex.
    pub sha256: String,
    /// True when the owner may execute it.
    pub executable: bool,
}

/// Why a path is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unsafe path {path:?}: {reason}")]
pub struct PathError {
    /// The path, cut to 120 characters.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl PathError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "use a relative path with / between its names, without . and .., below the project's root"
    }
}

/// Fails on a path that could leave the directory it is joined to, or that no file system holds.
pub fn check_path(path: &str) -> Result<(), PathError> {
    let refuse = |reason| Err(PathError { path: path.chars().take(120).collect(), reason });
    if path.is_empty() {
        return refuse("it is empty");
    }
    if path.len() > PATH_BYTES_MAX {
        return refuse("it is longer than 1,024 bytes");
    }
    if path.starts_with('/') {
        return refuse("it is absolute");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return refuse("it holds a control character or a backslash");
    }
    for name in path.split('/') {
        match name {
            "" => return refuse("it holds an empty name"),
            "." | ".." => return refuse("it holds . or .."),
            _ if name.len() > NAME_BYTES_MAX => return refuse("one of its names is longer than 255 bytes"),
            _ => {}
        }
    }
    Ok(())
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces the one of the same path.
    pub fn insert(&mut self, path: &str, content: impl Into<Vec<u8>>, executable: bool) -> Result<(), PathError> {
        check_path(path)?;
        let refuse = |reason| Err(PathError { path: path.to_owned(), reason });
        if ancestors(path).any(|ancestor| self.files.contains_key(ancestor)) {
            return refuse("one of its directories is a file of the same tree");
        }
        let below = format!("{path}/");
        if self.files.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below)) {
            return refuse("it is a directory of the same tree");
        }
        self.files.insert(path.to_owned(), TreeFile { content: content.into(), executable });
        Ok(())
    }

    /// The file at that path.
    pub fn get(&self, path: &str) -> Option<&TreeFile> {
        self.files.get(path)
    }

    /// All files, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TreeFile)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// How many files it holds.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True when it holds none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// SHA-256, in hex, over the sorted paths with mode and content hash of each: equal trees, equal hashes.
    pub fn hash(&self) -> String {
        hash_stamps(self.files.iter().map(|(path, file)| (path.as_str(), file.stamp())))
    }

    /// Its files by content hash, sorted by path.
    pub fn artifacts(&self) -> Vec<Artifact> {
        let artifact = |(path, file): (&String, &TreeFile)| {
            let Stamp { sha256, executable } = file.stamp();
            Artifact { path: path.clone(), sha256, size_bytes: file.content.len() as u64, executable }
        };
        self.files.iter().map(artifact).collect()
    }

    /// Reads the regular files below `dir`. Links are left out, and so is everything whose name is in `ignored`.
    ///
    /// A file whose path is not UTF-8 or not safe is an error of kind `InvalidData`.
    pub fn read(dir: &Path, ignored: &[&str]) -> io::Result<Self> {
        let mut tree = Self::new();
        let mut open = vec![(dir.to_owned(), String::new())];
        while let Some((dir, prefix)) = open.pop() {
            for entry in fs::read_dir(&dir)? {
                let entry = entry?;
                let name = entry.file_name().into_string().map_err(|name| invalid(format!("{} is not UTF-8", name.display())))?;
                let kind = entry.file_type()?;
                if ignored.contains(&name.as_str()) {
                    continue;
                }
                if kind.is_dir() {
                    open.push((entry.path(), format!("{prefix}{name}/")));
                } else if kind.is_file() {
                    let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
                    tree.insert(&format!("{prefix}{name}"), fs::read(entry.path())?, executable).map_err(invalid)?;
                }
            }
        }
        Ok(tree)
    }
}

/// The hash of a tree of which only the stamps are known; `stamps` comes sorted by path.
pub(super) fn hash_stamps<'a>(stamps: impl Iterator<Item = (&'a str, Stamp)>) -> String {
    let mut hasher = Sha256::new();
    for (path, stamp) in stamps {
        // Paths hold no control characters, so the separators cannot be imitated.
        hasher.update(format!("{path}\0{}\0{}\n", if stamp.executable { "755" } else { "644" }, stamp.sha256));
    }
    hex::encode(hasher.finalize())
}

/// SHA-256 in hex.
pub(super) fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// The directories above a path, outermost first: `a` and `a/b` for `a/b/c`.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Where a file of a tree goes below `root`.
///
/// # Errors
/// One of kind `NotADirectory`, when something on the way there is a link or a file: it might lead outside.
pub(super) fn locate(root: &Path, path: &str) -> io::Result<PathBuf> {
    for ancestor in ancestors(path) {
        match fs::symlink_metadata(root.join(ancestor)) {
            Ok(entry) if entry.is_dir() => {}
            Ok(_) => return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{ancestor} is not a directory"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(root.join(path))
}

/// Writes a file of a tree below `root`, with its directories. What is there already is replaced, a link itself, not its target.
pub(super) fn write_file(root: &Path, path: &str, file: &TreeFile) -> io::Result<()> {
    let target = locate(root, path)?;
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    if fs::symlink_metadata(&target).is_ok_and(|entry| entry.is_symlink()) {
        fs::remove_file(&target)?;
    }
    fs::write(&target, &file.content)?;
    fs::set_permissions(&target, fs::Permissions::from_mode(mode(file.executable)))
}

/// The mode of a delivered file.
pub(super) fn mode(executable: bool) -> u32 {
    if executable { 0o755 } else { 0o644 }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, safe: bool) {
        assert_eq!(Tree::new().insert(path, "", false).is_ok(), safe, "{path:?}");
    }

    #[test]
    fn only_paths_below_the_root_are_taken() {
        for path in ["a", "a/b.c", "ä/ö", ".env.example", "a/..b", &"x".repeat(255)] {
            check(path, true);
        }
        for path in
            ["", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.", "a\0b", "a\nb", "a\\b", &"x".repeat(256), &"x/".repeat(600)]
        {
            check(path, false);
        }
    }

    #[test]
    fn a_file_is_never_also_a_directory() {
        let mut tree = Tree::new();
        tree.insert("a/b", "", false).unwrap();
        tree.insert("a-b", "", false).unwrap();
        assert_eq!(tree.insert("a", "", false).unwrap_err().reason, "it is a directory of the same tree");
        assert_eq!(tree.insert("a/b/c", "", false).unwrap_err().reason, "one of its directories is a file of the same tree");
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn the_hash_sees_path_mode_and_content() {
        let tree = |path: &str, content: &str, executable| {
            let mut tree = Tree::new();
            tree.insert(path, content, executable).unwrap();
            tree.hash()
        };
        let hash = tree("a", "x", false);
        assert_eq!(hash, tree("a", "x", false));
        for other in [tree("b", "x", false), tree("a", "y", false), tree("a", "x", true), Tree::new().hash()] {
            assert_ne!(hash, other);
        }
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let (root, outside) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
        std::os::unix::fs::symlink(outside.path(), root.path().join("dir")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("file"), root.path().join("file")).unwrap();
        let file = TreeFile { content: b"x".to_vec(), executable: false };
        assert_eq!(write_file(root.path(), "dir/a", &file).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        write_file(root.path(), "file", &file).unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(Tree::read(root.path(), &[]).unwrap().get("file"), Some(&file));
    }
}
