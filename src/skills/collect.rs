//! The files below the paths that somebody names, within limits.
//!
//! Called by the command line. Follows no links, and enters no folder that holds what others made.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::validate::TEXT_BYTES_MAX;

/// Folders of tools and of what they made.
const IGNORED: &[&str] = &[
    ".git",
    ".hg",
    ".specwave",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    "node_modules",
    "target",
    "dist",
    "build",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".next",
];
/// What makes a folder the root of a project.
const MARKERS: &[&str] = &[".git", "pyproject.toml", "package.json", "Cargo.toml", "alembic.ini"];
/// A larger tree is not one that somebody wrote.
const FILES_MAX: usize = 20_000;
/// What is held in memory at once.
const BYTES_MAX: u64 = 512 << 20;
/// How deep folders may be nested.
const DEPTH_MAX: usize = 64;

/// Files of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The project's root.
    pub root: PathBuf,
    /// The files, sorted by path.
    pub files: Vec<CollectedFile>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedFile {
    /// Below the root, `/`-separated.
    pub path: String,
    /// As whoever named it would write it.
    pub shown: String,
    /// Its bytes; of an overlong one, so many that it is seen to be too long.
    pub content: Vec<u8>,
}

/// Why files cannot be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// There is no such file or folder, or it cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// What was tried.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are too many files.
    #[error("more than {FILES_MAX} files below {path}")]
    TooMany {
        /// Where.
        path: PathBuf,
    },
    /// They are too large together.
    #[error("more than {} MiB below {path}", BYTES_MAX >> 20)]
    TooLarge {
        /// Where.
        path: PathBuf,
    },
}

impl CollectError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "name files or folders that exist and may be read",
            Self::TooMany { .. } | Self::TooLarge { .. } => "name the folders that hold the sources",
        }
    }
}

/// Reads a file, or everything below a folder. The root of its project is the nearest folder at or above it that looks like one; where
/// none does, the folder itself.
pub fn collect(path: &Path) -> Result<Collected, CollectError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CollectError::Io { path, source }
    };
    let whole = fs::canonicalize(path).map_err(failed(path))?;
    let folder = if whole.is_dir() { whole.as_path() } else { whole.parent().unwrap_or(Path::new("/")) };
    let marked = folder.ancestors().find(|folder| MARKERS.iter().any(|marker| folder.join(marker).exists()));
    let root = marked.unwrap_or(folder).to_owned();
    let below = whole.strip_prefix(&root).unwrap_or(&whole).to_string_lossy().into_owned();
    if !whole.is_dir() {
        let content = read(&whole).map_err(failed(path))?;
        return Ok(Collected { root, files: vec![CollectedFile { path: below, shown: path.to_string_lossy().into_owned(), content }] });
    }
    let above = if below.is_empty() { String::new() } else { format!("{below}/") };
    let mut files = Vec::new();
    let mut bytes = 0;
    let mut open = vec![(whole.clone(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
            let entry = entry.map_err(failed(&folder))?;
            let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
            if kind.is_dir() && !IGNORED.contains(&name.as_str()) && depth < DEPTH_MAX {
                open.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
            } else if kind.is_file() {
                let content = read(&entry.path()).map_err(failed(&entry.path()))?;
                bytes += content.len() as u64;
                if bytes > BYTES_MAX {
                    return Err(CollectError::TooLarge { path: path.to_owned() });
                }
                if files.len() >= FILES_MAX {
                    return Err(CollectError::TooMany { path: path.to_owned() });
                }
                let below = format!("{prefix}{name}");
                let shown = if path == Path::new(".") { below.clone() } else { path.join(&below).to_string_lossy().into_owned() };
                files.push(CollectedFile { path: format!("{above}{below}"), shown, content });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Collected { root, files })
}

/// A file's bytes, one more than are looked at when it is too long.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> tempfile::TempDir {
        let dir = tempfile::TempDir::new().unwrap();
        for path in ["pyproject.toml", "src/b.py", "src/a.py", "node_modules/x/index.js", ".git/config", ".venv/lib/y.py"] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), "x = 1\n").unwrap();
        }
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        dir
    }

    fn paths(collected: &Collected) -> Vec<&str> {
        collected.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn folders_of_tools_and_links_are_left_out() {
        let dir = project();
        let collected = collect(dir.path()).unwrap();
        assert_eq!(paths(&collected), ["pyproject.toml", "src/a.py", "src/b.py"]);
        assert_eq!(collected.files[1].shown, dir.path().join("src/a.py").to_string_lossy());
        let part = collect(&dir.path().join("src")).unwrap();
        assert_eq!((paths(&part), &part.root), (vec!["src/a.py", "src/b.py"], &collected.root), "a part is seen from the whole");
    }

    #[test]
    fn a_file_is_seen_from_the_root_of_its_project() {
        let dir = project();
        let collected = collect(&dir.path().join("src/a.py")).unwrap();
        assert_eq!((paths(&collected), collected.root.clone()), (vec!["src/a.py"], fs::canonicalize(dir.path()).unwrap()));
    }

    #[test]
    fn what_is_not_there_is_an_error_with_a_hint() {
        let error = collect(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.hint()),
            ("cannot read /nowhere/at/all", "name files or folders that exist and may be read")
        );
    }

    #[test]
    fn of_an_overlong_file_no_more_is_read_than_shows_that_it_is_too_long() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = File::create(dir.path().join("big.json")).unwrap();
        file.set_len(TEXT_BYTES_MAX as u64 * 2).unwrap();
        assert_eq!(collect(dir.path()).unwrap().files[0].content.len(), TEXT_BYTES_MAX + 1);
    }
}
