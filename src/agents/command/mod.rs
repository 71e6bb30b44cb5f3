//! The agent that lets a coding agent on the command line (Claude Code, Codex, aider, any other) work in a unit's work tree.
//!
//! `settings` says which program with which arguments, `reading` what each of them prints while it works, `running` watches it, `fault`
//! tells what a failure was. Called by `runner`, which builds the prompt, makes the work tree and takes the difference from it. Nothing
//! that the agent says counts as success: a run that ends well has merely ended well. It never runs outside the sandbox, never reads this
//! process's environment, and changes nothing but the work tree.

mod aider;
mod claude;
mod codex;
mod error;
mod fault;
mod form;
mod lines;
mod reading;
mod report;
mod running;
mod settings;
mod task;
mod transcript;
mod worker;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod reading_tests;

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

pub use error::{Cause, CommandError};
pub use form::CommandForm;
pub use report::{Counts, Progress, Usage};
pub use settings::{CommandSettings, Preset, PromptBy, SettingsError};
pub use task::{CommandOutcome, CommandTask};
pub use transcript::{Entry, Transcript};
pub use worker::CommandWorker;

/// The agent.
#[derive(Debug, Clone)]
pub struct CommandAgent {
    settings: CommandSettings,
    supervisor: Option<PathBuf>,
}

impl CommandAgent {
    /// An agent with these settings. `supervisor` is the binary that watches over the command; none is this very program.
    pub fn new(settings: CommandSettings, supervisor: Option<PathBuf>) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self { settings, supervisor })
    }

    /// Its name, recorded with every attempt: `command/claude`.
    pub fn name(&self) -> String {
        format!("command/{}", self.settings.preset.as_str())
    }

    /// What results depend on besides the task itself; no secret is in it.
    pub fn version(&self) -> String {
        self.settings.version()
    }

    /// How it works.
    pub fn settings(&self) -> &CommandSettings {
        &self.settings
    }

    /// Lets the program work in the task's work tree until it ends, says nothing for too long, takes too long, reaches a limit or is
    /// cancelled; afterwards none of its processes is left. `progress` is told what it does, without secrets.
    ///
    /// A [`CommandOutcome`] says that the program ended as it does when it thinks that it is done. What it did is in the work tree.
    pub async fn perform(
        &self,
        task: &CommandTask,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: &CancellationToken,
    ) -> Result<CommandOutcome, CommandError> {
        running::run(&self.settings, self.supervisor.as_deref(), task, progress, cancel).await
    }
}
