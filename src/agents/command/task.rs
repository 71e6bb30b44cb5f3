//! What the agent is asked to do, and what it leaves beside the work tree.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::report::{Counts, Usage};
use super::transcript::Transcript;
use crate::exec::{Exit, Network, Recorder, Tier};

/// One unit, for a program that works in a directory.
#[derive(Clone)]
pub struct CommandTask {
    /// Its key in the plan: `router/books`.
    pub key: String,
    /// What the program is told, whole.
    pub prompt: String,
    /// The directory that it may change.
    pub worktree: PathBuf,
    /// Environment variables: the values of those that the settings pass through, and what the caller adds (a proxy).
    pub env: BTreeMap<String, String>,
    /// What it may reach. The settings only say which hosts it wants.
    pub network: Network,
    /// Where it is written down.
    pub recorder: Recorder,
}

impl fmt::Debug for CommandTask {
    /// Without the prompt, which may be long, and without the values of the environment, which may be secret.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.env.keys().collect();
        let mut shown = out.debug_struct("CommandTask");
        shown.field("key", &self.key).field("worktree", &self.worktree).field("env", &names).field("network", &self.network);
        shown.finish_non_exhaustive()
    }
}

/// What is known after a program ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutcome {
    /// How its process ended; none when it was never started.
    pub exit: Option<Exit>,
    /// The conversation's id, by which it could be resumed.
    pub session: Option<String>,
    /// What it used, in its own numbers.
    pub usage: Usage,
    /// What it said and did, without secrets and of bounded size.
    pub transcript: Transcript,
    /// The last thing that it said.
    pub message: Option<String>,
    /// How much it printed of what.
    pub counts: Counts,
    /// How long it ran.
    pub duration: Duration,
    /// How it was confined.
    pub tier: Tier,
    /// The most memory that its processes were seen to have at once.
    pub peak_rss_bytes: Option<u64>,
}
