//! The git repository of a run: one work tree for each unit, one commit for each result, one branch on which they are merged in turn.
//!
//! The repository is our own (`DATA_DIR/repositories/<run>/repository`) or the user's; of the user's nothing is changed but objects and refs below
//! `refs/heads/specwave/` being added, which is why work trees are not git's own (`git worktree` writes into the repository): they are
//! plain directories, `DATA_DIR/worktrees/<run>/<unit>/<token>/tree`, written from a commit and read back by us. Git never looks into them,
//! so nothing that an agent leaves there (a `.git`, attributes, filters, hooks, links) is ever executed or followed; contents go in and
//! out unconverted.
//!
//! `git` is the one door to the program, `objects` what is read and written there, `worktree`, `checkout` and `change` the directories, `pool` those
//! that are held ready, `scope` which of a unit's changes it may make, `commit` and `history` the trailers by which the branch tells what was
//! merged, `merge` the queue. Called by `runner`. Nothing here decides what is merged, nor knows plans, databases or agents.

mod carry;
mod change;
mod checkout;
mod commit;
mod commit_id;
mod error;
mod export;
mod git;
mod history;
mod home;
mod list;
mod lock;
mod merge;
mod objects;
mod origin;
mod place;
mod pool;
mod scope;
mod walk;
mod worktree;

#[cfg(test)]
mod carry_tests;
#[cfg(test)]
mod export_tests;
#[cfg(test)]
mod git_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod pool_testing;
#[cfg(test)]
mod pool_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod user_tests;
#[cfg(test)]
mod worktree_tests;

pub use change::{Change, ChangeKind, ChangeLimits, Changed, LeftOut};
pub use commit::Authorship;
pub use commit_id::CommitId;
pub use error::RepositoryError;
pub use export::{Exported, Snapshot, discard_export};
pub use git::Git;
pub use history::{Bisected, Landed, Landing};
pub use home::{Listed, State};
pub use list::{all_worktrees, discard_worktree};
pub use merge::{Conflict, MergeOutcome, Merged, Merges, Side, TakenBack};
pub use objects::{Content, DiffText, Files, Mode};
pub use origin::{Found, Repository};
pub use place::Site;
pub use scope::{Outside, Owner, Scope, Why, Widening};
pub use worktree::Worktree;
