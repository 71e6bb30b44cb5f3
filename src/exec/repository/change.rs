//! What an agent changed in its work tree.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::checkout::{Placed, Stamp};
use super::objects::{Content, DiffText, Mode, Objects};
use super::walk::{Found, walk};
use super::worktree::blocking;
use super::{CommitId, RepositoryError};
use crate::exec::Tree;

/// Of what was left out so much is named.
const LEFT_OUT_MAX: usize = 1_000;

/// How much one unit may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLimits {
    /// Files that are added, modified or removed.
    pub files: usize,
    /// Bytes of one file; larger ones are left out and named.
    pub file_bytes: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of the text difference; more is cut.
    pub diff_bytes: usize,
    /// Files in the work tree, unchanged ones included.
    pub entries: usize,
}

impl Default for ChangeLimits {
    /// More than any sensible unit changes, and little enough to be held in memory for a few units at once.
    fn default() -> Self {
        Self { files: 10_000, file_bytes: 4 << 20, bytes: 64 << 20, diff_bytes: 256 << 10, entries: 250_000 }
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content or its mode is another one.
    Modified,
    /// It is gone.
    Removed,
}

/// One changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its path.
    pub path: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// What it is now, and with which content; of a link, where it leads. None when it is gone.
    pub now: Option<(Mode, Vec<u8>)>,
    pub(super) content: Option<Content>,
}

/// Something in the work tree that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where.
    pub path: String,
    /// Why.
    pub why: String,
}

impl LeftOut {
    pub(super) fn new(path: &str, why: &str) -> Self {
        Self { path: path.to_owned(), why: why.to_owned() }
    }
}

/// All that was changed since `base`. Paths are sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit that the work tree was written from.
    pub base: CommitId,
    /// The files.
    pub files: Vec<Changed>,
    /// The first 1,000 things that were not taken.
    pub left_out: Vec<LeftOut>,
    /// How many more there are.
    pub left_out_more: usize,
    /// The difference as text.
    pub diff: DiffText,
}

impl Change {
    pub(super) async fn read(
        objects: &Objects,
        root: PathBuf,
        base: &CommitId,
        placed: Arc<BTreeMap<String, Placed>>,
        sealed: Stamp,
        limits: &ChangeLimits,
    ) -> Result<Self, RepositoryError> {
        let (before, limits) = (Arc::clone(&placed), *limits);
        let Found { files: found, removed, mut left_out } = blocking(move || walk(&root, &before, sealed, &limits)).await?;
        let contents: Vec<&[u8]> = found.iter().map(|(_, _, content)| content.as_slice()).collect();
        let names = objects.store(&contents).await?;
        let mut files = Vec::new();
        for ((path, mode, content), name) in found.into_iter().zip(names) {
            let kind = match placed.get(&path) {
                Some(before) if before.mode == Some(mode) && before.content == name.0 => continue,
                Some(_) => ChangeKind::Modified,
                None => ChangeKind::Added,
            };
            files.push(Changed { path, kind, now: Some((mode, content)), content: Some(name) });
        }
        files.extend(removed.into_iter().map(|path| Changed { path, kind: ChangeKind::Removed, now: None, content: None }));
        if files.len() > limits.files {
            return Err(RepositoryError::TooMuch { what: "the number of files that a unit changed", limit: limits.files.to_string() });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        left_out.sort_by(|a, b| a.path.cmp(&b.path));
        let left_out_more = left_out.len().saturating_sub(LEFT_OUT_MAX);
        left_out.truncate(LEFT_OUT_MAX);
        let mut change = Self { base: base.clone(), files, left_out, left_out_more, diff: DiffText::default() };
        if !change.is_empty() {
            let tree = change.stored(objects, base).await?;
            change.diff = objects.diff(base.as_str(), &tree, &[], limits.diff_bytes).await?;
        }
        Ok(change)
    }

    /// What a commit and these files make: new files, or other contents of those that it has.
    pub(super) async fn of_tree(objects: &Objects, base: &CommitId, tree: &Tree) -> Result<Self, RepositoryError> {
        let mut before: BTreeMap<String, (Option<Mode>, String)> = BTreeMap::new();
        for entry in objects.entries(base.as_str()).await? {
            if let Some(path) = entry.path.filter(|path| tree.get(path).is_some()) {
                before.insert(path, (entry.mode, entry.content));
            }
        }
        let contents: Vec<&[u8]> = tree.iter().map(|(_, file)| file.content.as_slice()).collect();
        let names = objects.store(&contents).await?;
        let mut files = Vec::new();
        for ((path, file), name) in tree.iter().zip(names) {
            let mode = if file.executable { Mode::Executable } else { Mode::File };
            let kind = match before.get(path) {
                Some((before, content)) if *before == Some(mode) && *content == name.0 => continue,
                Some(_) => ChangeKind::Modified,
                None => ChangeKind::Added,
            };
            files.push(Changed { path: path.to_owned(), kind, now: Some((mode, file.content.clone())), content: Some(name) });
        }
        Ok(Self { base: base.clone(), files, left_out: Vec::new(), left_out_more: 0, diff: DiffText::default() })
    }

    /// True when nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The changed paths.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    /// Only these paths of it; the text is still of all of them.
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.files.retain(|file| wanted(&file.path));
        self
    }

    /// The regular files that were added or modified; links are no part of a tree.
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        for file in &self.files {
            if let Some((mode @ (Mode::File | Mode::Executable), content)) = &file.now {
                tree.insert(&file.path, content.clone(), *mode == Mode::Executable).expect("what is read from a directory is a safe tree");
            }
        }
        tree
    }

    /// The name of the tree that it makes of a commit's.
    pub(super) async fn stored(&self, objects: &Objects, base: &CommitId) -> Result<String, RepositoryError> {
        let changes: Vec<_> = self.files.iter().map(|file| (file.path.as_str(), file.stored())).collect();
        objects.tree_with(base.as_str(), &changes).await
    }
}

impl Changed {
    fn stored(&self) -> Option<(Mode, &Content)> {
        Some((self.now.as_ref()?.0, self.content.as_ref()?))
    }
}
