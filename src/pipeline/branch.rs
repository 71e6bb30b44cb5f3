//! Phase 5.5: the branch on which the run's units are merged, where there is one: in a repository of the run's own, or in the user's.
//!
//! Reads the options of the run; makes the branch. Safe to repeat: a branch that is there is opened where it is. What is merged on it
//! `runner` decides; nothing but the branch is ever changed in the user's repository.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::journal::{self, Done};
use super::{PipelineError, Run};
use crate::exec::repository::{Git, Repository, RepositoryError, Site};
use crate::model::Phase;

/// Characters of a commit's name that tell it from others in what people read.
const SHORT_NAME_CHARS: usize = 12;

/// Where the units of a run are merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchRecord {
    /// The user's repository as it was named, or where the run's own is kept.
    pub repository: PathBuf,
    /// `specwave/<slug>/<run>`.
    pub branch: String,
    /// The commit that it grows from.
    pub start: String,
    /// True when it is the user's.
    pub users: bool,
}

/// Makes the branch, where the run needs one.
pub async fn phase(run: &Run) -> Result<(), PipelineError> {
    let Some(repository) = run.repository().await? else { return Ok(()) };
    let named = run.submission.options.repository.as_ref();
    let record = BranchRecord {
        repository: named.map_or_else(|| repository.git_dir().to_owned(), |named| named.path.clone()),
        branch: repository.branch(),
        start: repository.start().to_string(),
        users: named.is_some(),
    };
    journal::phase(run, Phase::Branch, 1, async {
        let from = match named {
            Some(_) => format!(", from {}", &record.start[..SHORT_NAME_CHARS.min(record.start.len())]),
            None => String::new(),
        };
        let summary = format!("{} of {}{from}", record.branch, record.repository.display());
        Ok(Done::new(record, summary))
    })
    .await?;
    Ok(())
}

/// Opens the repository of the run; of its own, makes it.
pub(super) async fn open(run: &Run) -> Result<Repository, PipelineError> {
    let git = Git::find(None).await?;
    let site = Site { data_dir: run.config.data_dir.clone(), run: run.id.to_string(), slug: run.submission.slug.clone() };
    let opened = match &run.submission.options.repository {
        None => Repository::open_or_create(&git, &site, OffsetDateTime::now_utc().unix_timestamp()).await,
        Some(named) => Repository::of_user(&git, &site, &named.path, named.base.as_deref()).await,
    };
    match (opened, &run.submission.options.repository) {
        (Err(RepositoryError::NotARepository { path, reason }), Some(_)) => Err(PipelineError::Elsewhere { path, reason }),
        // Each unit that is under way may leave a tree to the one after it.
        (opened, _) => Ok(opened?.holding_ready(run.config.concurrency)),
    }
}

/// Removes the work trees that are held ready, when the work on a run has ended here. What stays is found by whoever works on it next.
pub(super) async fn leave(run: &Run) {
    let Some(repository) = run.repository.get() else { return };
    if let Err(error) = repository.hold_none_ready().await {
        tracing::warn!(%error, "work trees that were held ready could not be removed");
    }
}
