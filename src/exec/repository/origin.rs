//! The repository of one run: our own, or the user's.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::objects::Objects;
use super::pool::Pool;
use super::{CommitId, Files, Git, RepositoryError, Site};

/// The branch that `HEAD` of an empty repository would name is of no interest; the tree of its first commit is empty.
const FIRST_MESSAGE: &str = "Start of the run\n";

/// The repository of a run, with the branch on which its units are merged.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(super) objects: Objects,
    pub(super) site: Site,
    pub(super) pool: Pool,
    start: CommitId,
}

/// A user's repository as a run would find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where git keeps it.
    pub git_dir: PathBuf,
    /// The commit that a run would start from.
    pub start: CommitId,
}

/// What is remembered of a run's repository, so that it opens the same one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    git_dir: PathBuf,
    start: CommitId,
}

impl Repository {
    /// Opens the run's own repository, and makes it when there is none: empty, its first commit at that time (seconds since 1970).
    ///
    /// May be called by several processes at once, and again after any of them died.
    pub async fn open_or_create(git: &Git, site: &Site, at: i64) -> Result<Self, RepositoryError> {
        site.check()?;
        let dir = site.repository();
        if let Some(origin) = read_origin(site).await? {
            return Self::begin(git, site, origin).await;
        }
        make_dir(&site.run_dir()).await?;
        if !dir.join("HEAD").exists() {
            // Made beside its place and then renamed: either it is whole or it is not there.
            let made = tempfile::TempDir::new_in(site.run_dir()).map_err(RepositoryError::io("make a directory in", &dir))?;
            let fresh = made.path().join("repository");
            git.call(None, &["init", "--quiet", "--bare", "--template="]).argument(&fresh).bytes().await?;
            match fs::rename(&fresh, &dir) {
                Err(_) if dir.join("HEAD").exists() => {} // another process was faster
                renamed => renamed.map_err(RepositoryError::io("put the repository at", &dir))?,
            }
        }
        let objects = Objects { git: git.clone(), dir: dir.clone() };
        let start = if let Some(head) = objects.resolve(&site.branch()).await? {
            root_of(&objects, &head).await?
        } else {
            let tree = objects.call(&["hash-object", "-t", "tree", "-w", "--stdin"]).text().await?;
            objects.record(&tree, &[], FIRST_MESSAGE, at).await?
        };
        let origin = write_origin(site, Origin { git_dir: dir, start }).await?;
        let repository = Self::begin(git, site, origin).await?;
        // Whoever clones it gets the run's branch.
        repository.objects.call(&["symbolic-ref", "HEAD", &site.branch()]).bytes().await?;
        Ok(repository)
    }

    /// Looks whether a run of a specification of that slug could grow in the user's repository that `path` lies in, from `base` or else from
    /// what is checked out there. Writes nothing.
    pub async fn look(git: &Git, slug: &str, path: &Path, base: Option<&str>) -> Result<Found, RepositoryError> {
        let (git_dir, checked_out) = locate(git, path).await?;
        let objects = Objects { git: git.clone(), dir: git_dir.clone() };
        refuse_unusable(&objects, slug, path).await?;
        let start = match (base, checked_out) {
            (Some(base), _) => objects.commit(base).await?,
            (None, Some(head)) => head,
            (None, None) => {
                let reason = "it has no commit yet".to_owned();
                return Err(RepositoryError::Refused { path: path.to_owned(), reason, hint: "make a first commit" });
            }
        };
        Ok(Found { git_dir, start })
    }

    /// Opens the user's repository that `path` lies in. The run's branch starts at `base`, or else at what is checked out there now, and
    /// where it started is kept: opened again, it is found where it was. A dirty work tree does no harm, it is never looked at.
    pub async fn of_user(git: &Git, site: &Site, path: &Path, base: Option<&str>) -> Result<Self, RepositoryError> {
        site.check()?;
        if let Some(origin) = read_origin(site).await? {
            let (git_dir, _) = locate(git, path).await?;
            if origin.git_dir != git_dir {
                let reason = format!("the run {} belongs to {}", site.run, origin.git_dir.display());
                return Err(RepositoryError::Refused { path: path.to_owned(), reason, hint: "name that repository, or begin a new run" });
            }
            return Self::begin(git, site, origin).await;
        }
        let Found { git_dir, start } = Self::look(git, &site.slug, path, base).await?;
        let objects = Objects { git: git.clone(), dir: git_dir.clone() };
        if objects.resolve(&site.branch()).await?.is_some() {
            let reason = "it has the run's branch already, but the data directory knows nothing of that".to_owned();
            let hint = "delete the branch, or begin a new run";
            return Err(RepositoryError::Refused { path: path.to_owned(), reason, hint });
        }
        make_dir(&site.run_dir()).await?;
        let origin = write_origin(site, Origin { git_dir, start }).await?;
        Self::begin(git, site, origin).await
    }

    /// With the branch where it is, or else where it starts.
    async fn begin(git: &Git, site: &Site, origin: Origin) -> Result<Self, RepositoryError> {
        let objects = Objects { git: git.clone(), dir: origin.git_dir };
        let repository = Self { objects, site: site.clone(), pool: Pool::new(site.prepared(), 0), start: origin.start };
        if repository.objects.resolve(&site.branch()).await?.is_none() {
            let moved = repository.move_branch(None, &repository.start).await?;
            if !moved && repository.objects.resolve(&site.branch()).await?.is_none() {
                return Err(RepositoryError::Moving { branch: site.branch() });
            }
        }
        Ok(repository)
    }

    /// The run's branch: `specwave/<slug>/<run>`.
    pub fn branch(&self) -> String {
        self.site.branch().trim_start_matches("refs/heads/").to_owned()
    }

    /// Where git keeps it.
    pub fn git_dir(&self) -> &Path {
        &self.objects.dir
    }

    /// The commit at which the run's branch started.
    pub fn start(&self) -> &CommitId {
        &self.start
    }

    /// The newest commit of the run's branch.
    pub async fn head(&self) -> Result<CommitId, RepositoryError> {
        self.objects.commit(&self.site.branch()).await
    }

    /// The files of a commit: at most 200,000, 64 MiB each, 2 GiB together.
    pub async fn tree(&self, commit: &CommitId) -> Result<Files, RepositoryError> {
        let entries = self.objects.entries(commit.as_str()).await?;
        self.objects.files(&entries).await
    }

    /// The same, of those whose path is wanted.
    pub async fn files_of(&self, commit: &CommitId, wanted: impl Fn(&str) -> bool) -> Result<Files, RepositoryError> {
        let mut entries = self.objects.entries(commit.as_str()).await?;
        entries.retain(|entry| entry.path.as_deref().is_some_and(&wanted));
        self.objects.files(&entries).await
    }

    /// The paths that are not what they were where the run's branch started: somebody's work of this run is there.
    pub async fn touched(&self, commit: &CommitId) -> Result<BTreeSet<String>, RepositoryError> {
        let differences = self.objects.differences(self.start.as_str(), commit.as_str()).await?;
        Ok(differences.into_iter().map(|difference| difference.path).collect())
    }

    /// Moves the run's branch if it is still where it is thought to be; false when it is not.
    pub(super) async fn move_branch(&self, from: Option<&CommitId>, to: &CommitId) -> Result<bool, RepositoryError> {
        let branch = self.site.branch();
        let nowhere = "0".repeat(to.as_str().len());
        let from = from.map_or(nowhere.as_str(), CommitId::as_str);
        let answer = self.objects.call(&["update-ref", &branch, to.as_str(), from]).answer().await?;
        if answer.code == 0 {
            return Ok(true);
        }
        let now = self.objects.resolve(&branch).await?;
        let elsewhere = now.as_ref().map_or(nowhere.as_str(), CommitId::as_str) != from;
        if elsewhere || answer.said().contains("Unable to create") { Ok(false) } else { Err(answer.failed("update-ref")) }
    }
}

/// The repository that a directory lies in, and the commit that is checked out there.
async fn locate(git: &Git, path: &Path) -> Result<(PathBuf, Option<CommitId>), RepositoryError> {
    let refuse = |reason: String| RepositoryError::NotARepository { path: path.to_owned(), reason };
    let inside = |arguments: &[&str]| {
        let mut call = git.call(None, &["-C"]).argument(path);
        for argument in arguments {
            call = call.argument(*argument);
        }
        call
    };
    let answer = inside(&["rev-parse", "--git-common-dir"]).answer().await?;
    if answer.code != 0 {
        return Err(refuse(answer.said()));
    }
    let found = String::from_utf8(answer.stdout).map_err(|_| refuse("its path is not UTF-8".to_owned()))?;
    let git_dir = path.join(found.trim_end_matches('\n')).canonicalize().map_err(|error| refuse(error.to_string()))?;
    let head = inside(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).answer().await?;
    Ok((git_dir, CommitId::parse(String::from_utf8_lossy(&head.stdout).trim())))
}

/// Fails on what would make the run fail later, in a worse place.
async fn refuse_unusable(objects: &Objects, slug: &str, path: &Path) -> Result<(), RepositoryError> {
    let refuse = |reason: &str, hint| Err(RepositoryError::Refused { path: path.to_owned(), reason: reason.to_owned(), hint });
    if objects.call(&["config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"]).answer().await?.code == 0 {
        return refuse("it is a partial clone, whose missing contents would have to be fetched", "clone it whole");
    }
    for taken in ["refs/heads/specwave".to_owned(), format!("refs/heads/specwave/{slug}")] {
        if objects.resolve(&taken).await?.is_some() {
            return refuse("it has a branch whose name the run's branches start with", "rename the branch that is called like `specwave`");
        }
    }
    Ok(())
}

async fn root_of(objects: &Objects, head: &CommitId) -> Result<CommitId, RepositoryError> {
    let said = objects.call(&["rev-list", "--first-parent", "--max-parents=0", head.as_str()]).text().await?;
    CommitId::parse(&said).ok_or_else(|| RepositoryError::unreadable("rev-list", said))
}

async fn make_dir(dir: &Path) -> Result<(), RepositoryError> {
    tokio::fs::create_dir_all(dir).await.map_err(RepositoryError::io("create", dir))
}

async fn read_origin(site: &Site) -> Result<Option<Origin>, RepositoryError> {
    let path = site.origin();
    match tokio::fs::read(&path).await {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| RepositoryError::io("understand", &path)(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RepositoryError::io("read", &path)(error)),
    }
}

/// Whoever is first decides; gives what is written there in the end.
async fn write_origin(site: &Site, origin: Origin) -> Result<Origin, RepositoryError> {
    let (path, dir) = (site.origin(), site.run_dir());
    let written = spawn_blocking(move || {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut file, &origin)?;
        file.flush()?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => Ok(()),
        }
    });
    let path = site.origin();
    written.await.map_err(|error| RepositoryError::lost(&error))?.map_err(RepositoryError::io("write", &path))?;
    let missing = || RepositoryError::io("read", &path)(io::ErrorKind::NotFound.into());
    read_origin(site).await?.ok_or_else(missing)
}
