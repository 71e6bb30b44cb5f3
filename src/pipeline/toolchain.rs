//! A target's tools: the environment from the pack's pinned lock, and its commands in the sandbox.
//!
//! Used by the worker for the checks of one unit, and by the phases that check and start the whole project.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::PipelineError;
use super::probe::ServicePlan;
use crate::config::Config;
use crate::exec::environment::{Environment, Installer};
use crate::exec::{self, Command, Exit, Finished, Network, Recorder};
use crate::generate::{ProjectCheck, TargetPack, WarmUp};
use crate::model::{CheckResult, SpecDocument, Subject, Verdict};

/// Characters of a check's output that are kept.
const DETAIL_CHARS_MAX: usize = 4_000;
/// How long the checks of one unit may take.
const UNIT_CHECK_WALL: Duration = Duration::from_mins(1);
/// How long a probe may take, start and stop included.
const PROBE_WALL: Duration = Duration::from_mins(5);
/// How long one check of the whole project may take.
const PROJECT_CHECK_WALL: Duration = Duration::from_mins(15);

/// The tools of one target for one specification.
#[derive(Debug, Clone)]
pub struct Toolchain {
    pack: Arc<TargetPack>,
    environment: Environment,
    package: String,
    /// True when its commands may run where they cannot be confined.
    weaker_sandbox: bool,
}

impl Toolchain {
    /// Prepares the environment (or finds it prepared) from the pack's lock; the only step that may use the network.
    pub async fn prepare(
        config: &Config,
        pack: Arc<TargetPack>,
        document: &SpecDocument,
        recorder: &Recorder,
        stop: &CancellationToken,
    ) -> Result<Self, PipelineError> {
        let mut installer = Installer::new(&config.data_dir).inherit(config.inherited.clone());
        installer.python = PathBuf::from(&config.python);
        installer.offline = config.offline;
        installer.weaker_sandbox = !config.sandbox_required;
        let environment = installer.prepare(pack.name(), pack.lock(), recorder, stop).await?;
        let package = pack.package(document);
        Ok(Self { pack, environment, package, weaker_sandbox: !config.sandbox_required })
    }

    /// A command of the manifest with its placeholders filled, in `dir`, which it may change.
    pub fn command(&self, words: &[String], dir: &Path, files: &[String], port: Option<u16>) -> Command {
        let argv = words.iter().flat_map(|word| match word.as_str() {
            "{files}" => files.to_vec(),
            word => vec![
                word.replace("{env}", &self.environment.dir.to_string_lossy())
                    .replace("{package}", &self.package)
                    .replace("{port}", &port.map(|port| port.to_string()).unwrap_or_default()),
            ],
        });
        let mut command = Command::new(argv, dir);
        command.confinement = command.confinement.or_weaker(self.weaker_sandbox);
        command.env.extend(self.pack.commands().environment.clone());
        command.env.insert("PATH".to_owned(), format!("{}:/usr/local/bin:/usr/bin:/bin", self.environment.dir.join("bin").display()));
        command.readable.clone_from(&self.environment.readable);
        command.writable = vec![dir.to_owned()];
        command.network = port.map_or(Network::None, |port| Network::Ports(vec![port]));
        command
    }

    /// Runs the pack's checks over the files of one unit that lie below `dir`. Returns what they found, and a log of what ran.
    pub async fn check_unit(
        &self,
        dir: &Path,
        files: &[String],
        recorder: &Recorder,
        stop: &CancellationToken,
    ) -> Result<(Vec<CheckResult>, String), PipelineError> {
        let mut results = Vec::new();
        let mut log = String::new();
        for check in &self.pack.commands().unit_checks {
            let files: Vec<String> = files.iter().filter(|file| file.ends_with(&check.suffix)).cloned().collect();
            if files.is_empty() {
                continue;
            }
            let mut command = self.command(&check.command, dir, &files, None);
            command.limits.wall = UNIT_CHECK_WALL;
            let finished = exec::run(&command, recorder, stop).await?;
            log.push_str(&logged(&command, &finished));
            results.push(judged(&check.name, None, &command, &finished));
        }
        Ok((results, log))
    }

    /// Runs one check of the whole project in `dir`.
    pub async fn check_project(
        &self,
        check: &ProjectCheck,
        dir: &Path,
        recorder: &Recorder,
        stop: &CancellationToken,
    ) -> Result<CheckResult, PipelineError> {
        if let Some(warm_up) = &check.warm_up {
            self.warm_up(&check.name, warm_up, dir, (recorder, stop)).await?;
        }
        let mut command = self.command(&check.command, dir, &[], None);
        command.limits.wall = PROJECT_CHECK_WALL;
        let finished = exec::run(&command, recorder, stop).await?;
        Ok(judged(&check.name, Some(Subject::Project(check.name.clone())), &command, &finished))
    }

    /// Puts into `dir` a copy of what a check keeps about the environment, which it is asked for once. Without it the check takes longer, and
    /// finds the same.
    async fn warm_up(
        &self,
        name: &str,
        warm_up: &WarmUp,
        dir: &Path,
        (recorder, stop): (&Recorder, &CancellationToken),
    ) -> Result<(), PipelineError> {
        let files = self.pack.files_of(warm_up)?;
        let inputs = files.iter().fold(Sha256::new().chain_update(warm_up.command.join("\0")), |digest, (path, text)| {
            digest.chain_update(format!("\0{path}\0{text}"))
        });
        let what = format!("{name}-{}", hex::encode(&inputs.finalize()[..8]));
        let fill = |folder: PathBuf| async move {
            let failed = |source| PipelineError::Io { what: format!("the files of the check {name}"), source };
            for (path, text) in files {
                std::fs::write(folder.join(path), text).map_err(failed)?;
            }
            let mut command = self.command(&warm_up.command, &folder, &[], None);
            command.limits.wall = PROJECT_CHECK_WALL;
            let finished = exec::run(&command, recorder, stop).await?;
            let whole = finished.exit.success() && folder.join(&warm_up.keep).is_dir();
            if !whole && finished.exit != Exit::Cancelled {
                tracing::warn!(check = name, output = logged(&command, &finished), "a check could not be prepared; it will take longer");
            }
            Ok::<_, PipelineError>(whole)
        };
        let Some(folder) = self.environment.beside(&what, stop, fill).await? else { return Ok(()) };
        let (from, to) = (folder.join(&warm_up.keep), dir.join(&warm_up.keep));
        let copied = tokio::task::spawn_blocking(move || copy_folder(&from, &to));
        let copied = copied.await.map_err(std::io::Error::other).and_then(|copied| copied);
        copied.map_err(|source| PipelineError::Io { what: format!("what the check {name} keeps"), source })
    }

    /// How the service of a tree is started; it may read the tree and its environment, and write only a scratch directory.
    pub fn service(&self, tree: &Path) -> ServicePlan {
        let commands = self.pack.commands();
        let words = |words: &[String]| -> Vec<String> {
            let filled = |word: &String| word.replace("{env}", &self.environment.dir.to_string_lossy()).replace("{package}", &self.package);
            words.iter().map(filled).collect()
        };
        ServicePlan {
            dir: tree.to_owned(),
            migrate: words(&commands.migrate),
            start: words(&commands.start),
            env: commands.environment.clone(),
            readable: self.environment.readable.clone(),
            ready_path: commands.health_ready.clone(),
            live_path: commands.health_live.clone(),
            openapi_path: commands.openapi.clone(),
            wall: PROBE_WALL,
            weaker_sandbox: self.weaker_sandbox,
            supervisor: None,
        }
    }

    /// The pack.
    pub fn pack(&self) -> &TargetPack {
        &self.pack
    }
}

/// Copies a folder, whole or not at all; what is there already stays.
fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        return Ok(());
    }
    let unfinished = to.with_extension("unfinished");
    match std::fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    copy_files(from, &unfinished)?;
    std::fs::rename(unfinished, to)
}

/// The files of a folder, and those below it; links are left out.
fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_files(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

pub(super) fn judged(name: &str, subject: Option<Subject>, command: &Command, finished: &Finished) -> CheckResult {
    let verdict = match finished.exit {
        Exit::Code(0) => Verdict::Passed,
        Exit::Cancelled => Verdict::Skipped,
        _ => Verdict::Failed,
    };
    let output = crate::redact::redact(&finished.output(DETAIL_CHARS_MAX));
    let detail = if finished.exit.success() { last_line(&output) } else { format!("{}\n{output}", finished.exit) };
    CheckResult {
        name: name.to_owned(),
        subject,
        verdict,
        command: command.line(),
        detail,
        duration_ms: u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX),
    }
}

/// A command as a person would have seen it: its line, what it printed, how it ended, and how it was confined.
fn logged(command: &Command, finished: &Finished) -> String {
    let output = finished.output(DETAIL_CHARS_MAX);
    let newline = if output.is_empty() { "" } else { "\n" };
    let (line, exit, ms, level) = (command.line(), finished.exit, finished.duration.as_millis(), finished.tier.level);
    let log = format!("$ {line}\n{output}{newline}{exit} after {ms} ms, sandbox {level}\n");
    crate::redact::redact(&log)
}

fn last_line(output: &str) -> String {
    output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}
