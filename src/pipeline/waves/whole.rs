//! One state of the branch, checked as a whole in a directory that is made for it and removed afterwards. What the checks left untouched serves the
//! next state.

use std::path::Path;

use crate::exec::repository::{Repository, Snapshot, discard_export};
use crate::exec::workspace::Workspace;
use crate::exec::{Command, Confinement, ExecError, Level, Recorder};
use crate::model::{CheckResult, Phase, Subject, Verdict};
use crate::pipeline::toolchain::{self, Toolchain};
use crate::pipeline::{PipelineError, Run};

/// What the command of the user's is called among the checks.
const NAME: &str = "wave check";

/// The checks of a run's branch.
pub(super) struct Whole<'a> {
    pub(super) run: &'a Run,
    pub(super) repository: &'a Repository,
    /// The target's tools, where there is a target.
    pub(super) tools: Option<&'a Toolchain>,
}

impl Whole<'_> {
    /// Checks one state of it.
    pub(super) async fn check(&self, at: &Snapshot) -> Result<Vec<CheckResult>, PipelineError> {
        self.run.check_stop()?;
        let dir = self.place()?.path().to_owned();
        let exported = self.repository.export(at, &dir).await?;
        let mut checks = Vec::new();
        if let Some(tools) = self.tools {
            let files = self.files(&dir).await?;
            checks.extend(tools.check_unit(&dir, &files, &self.recorder(), &self.run.stop).await?.0);
        }
        checks.extend(self.command(&dir).await?);
        exported.retire().await?;
        // What was called off has found nothing.
        self.run.check_stop()?;
        Ok(checks)
    }

    /// Removes the directory.
    pub(super) async fn leave(&self) -> Result<(), PipelineError> {
        let tree = self.place()?.path().to_owned();
        Ok(discard_export(tree.parent().unwrap_or(&tree)).await?)
    }

    fn place(&self) -> Result<Workspace, PipelineError> {
        Ok(Workspace::open(&self.run.config.data_dir, &format!("{}/waves", self.run.id))?)
    }

    /// The files that the run has changed, as far as they are there: of those that were there before nobody answers for.
    async fn files(&self, dir: &Path) -> Result<Vec<String>, PipelineError> {
        let touched = self.repository.touched(&self.repository.head().await?).await?;
        let there = |path: &String| dir.join(path).symlink_metadata().is_ok_and(|data| data.is_file());
        Ok(touched.into_iter().filter(there).collect())
    }

    fn recorder(&self) -> Recorder {
        self.run.commands.of_phase(Phase::Waves)
    }

    /// Runs the command of the user's; one that cannot even be started has failed.
    async fn command(&self, dir: &Path) -> Result<Option<CheckResult>, PipelineError> {
        let words = &self.run.config.wave_check;
        if words.is_empty() {
            return Ok(None);
        }
        let mut command = match self.tools {
            Some(tools) => tools.command(words, dir, &[], None),
            None => Command::new(words.clone(), dir),
        };
        command.writable = vec![dir.to_owned()];
        // It runs what agents wrote.
        command.confinement = Confinement::needing(Level::Seccomp, !self.run.config.sandbox_required);
        command.limits.wall = self.run.config.wave_check_wall;
        let subject = Some(Subject::Project(NAME.to_owned()));
        match crate::exec::run(&command, &self.recorder(), &self.run.stop).await {
            Ok(finished) => Ok(Some(toolchain::judged(NAME, subject, &command, &finished))),
            Err(error @ ExecError::Refused { .. }) => {
                let (command, detail) = (command.line(), error.to_string());
                Ok(Some(CheckResult { name: NAME.to_owned(), subject, verdict: Verdict::Failed, command, detail, duration_ms: 0 }))
            }
            Err(error) => Err(error.into()),
        }
    }
}
