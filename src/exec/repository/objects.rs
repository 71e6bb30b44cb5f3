//! What is read from a repository and written into it: trees, contents, commits, differences. Nothing here moves a branch.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::commit_id::full_name;
use super::git::{Answer, Call};
use super::{CommitId, Git, RepositoryError};
use crate::exec::Tree;

/// More files in one commit are not worked with.
const ENTRIES_MAX: usize = 200_000;
/// Contents are read from git in portions of about this size, so that a large tree is never in memory as a whole.
const PORTION_BYTES_MAX: u64 = 32 << 20;
/// A file of that size is not read from a commit: no source text is.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;
/// All files of one commit together.
pub(super) const TREE_BYTES_MAX: u64 = 2 << 30;
/// Paths named on one command line.
const PATHS_MAX: usize = 200;

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// An ordinary one.
    File,
    /// One that may be executed.
    Executable,
    /// A symbolic link; its content is where it leads. It is never followed.
    Link,
}

impl Mode {
    /// As git writes it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "100644" | "100664" => Some(Self::File),
            "100755" => Some(Self::Executable),
            "120000" => Some(Self::Link),
            _ => None,
        }
    }
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Below the root; none when it is not UTF-8.
    pub(super) path: Option<String>,
    /// None for another repository that is bound in (a submodule).
    pub(super) mode: Option<Mode>,
    /// Its content's name.
    pub(super) content: String,
    /// Its size; none for a submodule.
    pub(super) bytes: Option<u64>,
}

/// A content that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content(pub(super) String);

/// A text difference, cut at a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffText {
    /// In git's unified form.
    pub text: String,
    /// True when there is more.
    pub cut: bool,
}

/// Files of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Regular ones.
    pub tree: Tree,
    /// The paths of others, which a tree cannot hold: links, submodules, names that are not safe.
    pub left_out: Vec<String>,
}

/// One path that differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) path: String,
    /// What it is in the second one; none when it is not there.
    pub(super) now: Option<(Option<Mode>, String)>,
}

/// What became of three trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Merging {
    /// The tree of both sides' changes.
    Clean(String),
    /// The paths at which they cannot both be had.
    Conflict(Vec<String>),
}

/// The door to one repository's objects.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    pub(super) git: Git,
    pub(super) dir: PathBuf,
}

impl Objects {
    /// A call of git on this repository.
    pub(super) fn call(&self, arguments: &[&str]) -> Call {
        self.git.call(Some(&self.dir), arguments)
    }

    /// The commit that a name stands for; none when there is none.
    pub(super) async fn resolve(&self, name: &str) -> Result<Option<CommitId>, RepositoryError> {
        if name.starts_with('-') || name.contains(['\0', '\n']) {
            return Ok(None);
        }
        let answer = self.call(&["rev-parse", "--verify", "--quiet"]).argument(format!("{name}^{{commit}}")).answer().await?;
        if answer.code != 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        CommitId::parse(&text).map(Some).ok_or_else(|| RepositoryError::unreadable("rev-parse", text))
    }

    /// The same, where there must be one.
    pub(super) async fn commit(&self, name: &str) -> Result<CommitId, RepositoryError> {
        let unknown = || RepositoryError::Unknown { path: self.dir.clone(), name: name.chars().take(200).collect() };
        self.resolve(name).await?.ok_or_else(unknown)
    }

    /// Every file of a commit or tree.
    pub(super) async fn entries(&self, of: &str) -> Result<Vec<Entry>, RepositoryError> {
        let listed = self.call(&["ls-tree", "-r", "-z", "-l", "--full-tree", of]).bytes().await?;
        let lines = listed.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        let entries = lines.map(|line| entry(line).ok_or_else(|| RepositoryError::unreadable("ls-tree", String::from_utf8_lossy(line))));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        if entries.len() > ENTRIES_MAX {
            return Err(RepositoryError::TooMuch { what: "the number of files of a commit", limit: ENTRIES_MAX.to_string() });
        }
        Ok(entries)
    }

    /// Contents by name, in the order asked for, which are not more than a portion together.
    pub(super) async fn contents(&self, names: &[&str]) -> Result<Vec<Vec<u8>>, RepositoryError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let asked = names.join("\n") + "\n";
        let limit = usize::try_from(FILE_BYTES_MAX + PORTION_BYTES_MAX).unwrap_or(usize::MAX);
        let answered = self.call(&["cat-file", "--batch"]).input(asked).output_bytes_max(limit).bytes().await?;
        let mut rest = answered.as_slice();
        let mut contents = Vec::with_capacity(names.len());
        for name in names {
            let (content, after) =
                batched(rest, name).ok_or_else(|| RepositoryError::unreadable("cat-file", format!("no content {name}")))?;
            contents.push(content.to_vec());
            rest = after;
        }
        Ok(contents)
    }

    /// The regular files among these, within the limits of one tree.
    pub(super) async fn files(&self, entries: &[Entry]) -> Result<Files, RepositoryError> {
        let mut files = Files::default();
        let mut wanted = Vec::new();
        for entry in entries {
            match (&entry.path, entry.mode, entry.bytes) {
                (Some(path), Some(mode @ (Mode::File | Mode::Executable)), Some(bytes)) => wanted.push((path, mode, bytes, entry)),
                (path, ..) => files.left_out.push(path.clone().unwrap_or_else(|| "a name that is not UTF-8".to_owned())),
            }
        }
        if let Some((path, ..)) = wanted.iter().find(|(_, _, bytes, _)| *bytes > FILE_BYTES_MAX) {
            return Err(RepositoryError::TooMuch {
                what: "the size of a file of a commit",
                limit: format!("{FILE_BYTES_MAX} bytes: {path}"),
            });
        }
        for portion in portions(&wanted, |(_, _, bytes, _)| *bytes)? {
            let names: Vec<&str> = portion.iter().map(|(.., entry)| entry.content.as_str()).collect();
            for ((path, mode, ..), content) in portion.iter().zip(self.contents(&names).await?) {
                if files.tree.insert(path, content, *mode == Mode::Executable).is_err() {
                    files.left_out.push((*path).clone());
                }
            }
        }
        Ok(files)
    }

    /// Stores contents, unconverted; gives their names in the same order.
    pub(super) async fn store(&self, contents: &[&[u8]]) -> Result<Vec<Content>, RepositoryError> {
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        let mut stream = Vec::with_capacity(contents.iter().map(|content| content.len() + 64).sum());
        for (at, content) in contents.iter().enumerate() {
            stream.extend(format!("blob\nmark :{}\ndata {}\n", at + 1, content.len()).bytes());
            stream.extend_from_slice(content);
            stream.extend(format!("\nget-mark :{}\n", at + 1).bytes());
        }
        stream.extend(b"done\n");
        let said = self.call(&["fast-import", "--quiet", "--done", "--date-format=raw"]).input(stream).text().await?;
        let names: Vec<Content> = said.lines().filter(|line| full_name(line)).map(|line| Content(line.to_owned())).collect();
        if names.len() != contents.len() {
            let reason = format!("{} names for {} contents", names.len(), contents.len());
            return Err(RepositoryError::unreadable("fast-import", reason));
        }
        Ok(names)
    }

    /// The tree of `base` with some paths replaced or, where nothing is given, removed.
    pub(super) async fn tree_with(&self, base: &str, changes: &[(&str, Option<(Mode, &Content)>)]) -> Result<String, RepositoryError> {
        let scratch = tempfile::TempDir::new().map_err(RepositoryError::io("make a scratch directory below", &std::env::temp_dir()))?;
        let index = scratch.path().join("index");
        self.call(&["read-tree", base]).env("GIT_INDEX_FILE", &index).bytes().await?;
        let mut lines = Vec::new();
        // Removals first: a file may become a directory, or the other way round.
        for (path, change) in
            changes.iter().filter(|(_, change)| change.is_none()).chain(changes.iter().filter(|(_, change)| change.is_some()))
        {
            let line = match change {
                Some((mode, Content(name))) => format!("{} {name}\t{path}\0", mode.as_str()),
                None => format!("0 {}\t{path}\0", "0".repeat(base.len())),
            };
            lines.extend(line.bytes());
        }
        let answer = self.call(&["update-index", "-z", "--index-info"]).env("GIT_INDEX_FILE", &index).input(lines).answer().await?;
        // Of a path that it does not take it only complains.
        if answer.code != 0 || !answer.said().is_empty() {
            return Err(answer.failed("update-index"));
        }
        self.call(&["write-tree"]).env("GIT_INDEX_FILE", &index).text().await
    }

    /// A commit of a tree, by specwave, at a time in seconds since 1970.
    pub(super) async fn record(&self, tree: &str, parents: &[&str], message: &str, at: i64) -> Result<CommitId, RepositoryError> {
        let mut call = self.call(&["commit-tree", "-F", "-"]).input(message);
        for parent in parents {
            call = call.argument("-p").argument(*parent);
        }
        let date = format!("@{at} +0000");
        let name = call.argument(tree).env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date).text().await?;
        CommitId::parse(&name).ok_or_else(|| RepositoryError::unreadable("commit-tree", name))
    }

    /// Merges two commits over the commit that both descend from.
    pub(super) async fn merge(&self, ours: &str, theirs: &str) -> Result<Merging, RepositoryError> {
        let action = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs];
        let answer = self.call(&action).answer().await?;
        let mut parts = answer.stdout.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
        let tree = parts.next().map(|tree| tree.trim().to_owned()).filter(|tree| full_name(tree));
        match (answer.code, tree) {
            (0, Some(tree)) => Ok(Merging::Clean(tree)),
            (1, Some(_)) => {
                let mut paths: Vec<String> = parts.filter(|path| !path.is_empty()).collect();
                paths.sort();
                paths.dedup();
                Ok(Merging::Conflict(paths))
            }
            _ => Err(answer.failed("merge-tree")),
        }
    }

    /// The paths at which two commits or trees differ.
    pub(super) async fn differences(&self, from: &str, to: &str) -> Result<Vec<Difference>, RepositoryError> {
        let listed = self.call(&["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", from, to]).bytes().await?;
        let mut parts = listed.split(|byte| *byte == 0);
        let mut found = Vec::new();
        while let Some(head) = parts.next().filter(|head| !head.is_empty()) {
            let head = String::from_utf8_lossy(head);
            let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
            let ([_, mode, _, name, _], Some(path)) = (words.as_slice(), parts.next()) else {
                return Err(RepositoryError::unreadable("diff-tree", head));
            };
            let now = (*mode != "000000").then(|| (Mode::parse(mode), (*name).to_owned()));
            found.push(Difference { path: String::from_utf8_lossy(path).into_owned(), now });
        }
        Ok(found)
    }

    /// The difference as text, of some paths (all, when none is named), cut at `bytes_max`.
    pub(super) async fn diff(&self, from: &str, to: &str, paths: &[String], bytes_max: usize) -> Result<DiffText, RepositoryError> {
        let mut call =
            self.call(&["diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", from, to, "--"]);
        for path in paths.iter().take(PATHS_MAX) {
            call = call.argument(path);
        }
        let answer: Answer = call.output_bytes_max(bytes_max).cut().await?;
        if answer.code != 0 && !answer.cut {
            return Err(answer.failed("diff-tree"));
        }
        let cut = answer.cut || paths.len() > PATHS_MAX;
        Ok(DiffText { text: String::from_utf8_lossy(&answer.stdout).into_owned(), cut })
    }
}

/// Neighbours that are not more than a portion together.
pub(super) fn portions<T>(all: &[T], bytes: impl Fn(&T) -> u64) -> Result<Vec<&[T]>, RepositoryError> {
    let (mut portions, mut from, mut held, mut total) = (Vec::new(), 0, 0, 0);
    for (at, one) in all.iter().enumerate() {
        total += bytes(one);
        if at > from && held + bytes(one) > PORTION_BYTES_MAX {
            portions.push(&all[from..at]);
            (from, held) = (at, 0);
        }
        held += bytes(one);
    }
    if total > TREE_BYTES_MAX {
        return Err(RepositoryError::TooMuch { what: "the size of a commit", limit: format!("{TREE_BYTES_MAX} bytes") });
    }
    if from < all.len() {
        portions.push(&all[from..]);
    }
    Ok(portions)
}

/// `MODE SP TYPE SP NAME SP+ SIZE TAB PATH`.
fn entry(line: &[u8]) -> Option<Entry> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let head = std::str::from_utf8(&line[..tab]).ok()?;
    let [mode, kind, content, bytes] = head.split_ascii_whitespace().collect::<Vec<_>>()[..] else { return None };
    let known = matches!(kind, "blob" | "commit") && full_name(content);
    let path = std::str::from_utf8(&line[tab + 1..]).ok().map(str::to_owned);
    known.then(|| Entry { path, mode: Mode::parse(mode), content: content.to_owned(), bytes: bytes.parse().ok() })
}

/// The first of several answers `NAME SP blob SP SIZE LF CONTENT LF`, and the rest.
fn batched<'a>(answered: &'a [u8], name: &str) -> Option<(&'a [u8], &'a [u8])> {
    let line = answered.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&answered[..line]).ok()?;
    let size: usize = head.strip_prefix(name)?.strip_prefix(" blob ")?.parse().ok()?;
    let content = answered.get(line + 1..line + 1 + size)?;
    Some((content, answered.get(line + 2 + size..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_file_is_read_with_its_kind() {
        let name = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let check = |line: String, path: Option<&str>, mode, bytes| {
            let expected = Entry { path: path.map(str::to_owned), mode, content: name.to_owned(), bytes };
            assert_eq!(entry(line.as_bytes()), Some(expected), "{line}");
        };
        check(format!("100644 blob {name}      12\ta b\tc"), Some("a b\tc"), Some(Mode::File), Some(12));
        check(format!("100755 blob {name}       0\tx"), Some("x"), Some(Mode::Executable), Some(0));
        check(format!("120000 blob {name}       3\tl"), Some("l"), Some(Mode::Link), Some(3));
        check(format!("160000 commit {name}       -\tsub"), Some("sub"), None, None);
        assert_eq!(entry(b"nonsense"), None);
    }

    #[test]
    fn large_trees_are_read_in_portions() {
        let sizes = [10, PORTION_BYTES_MAX, 20, 30];
        let parts = portions(&sizes, |size| *size).unwrap();
        assert_eq!(parts, [&sizes[..1], &sizes[1..2], &sizes[2..]]);
        assert_eq!(portions(&[0_u64; 0], |size| *size).unwrap(), Vec::<&[u64]>::new());
        assert!(matches!(portions(&[TREE_BYTES_MAX, 1], |size| *size), Err(RepositoryError::TooMuch { .. })));
    }
}
