//! Linters and formatters of others, where a project has them: run in the sandbox, within limits, never assumed.
//!
//! Called by the command line and by phases that check a tree on disk. What is not there gives `Skipped` with the reason. A tool that
//! belongs to the project that is checked runs only where the kernel confines it.

mod apply;
mod clippy;
mod eslint;
mod ruff;
mod tools;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use apply::{Applied, apply};
pub use tools::Tools;

use super::language::{Language, SCRIPTS};
use super::skill::Skill;
use super::verdict::{FileVerdict, Judgement, Problem};
use crate::exec::{self, Command, Exit, Limits, Recorder};

/// How long one tool may take on a project.
const WALL_MAX: Duration = Duration::from_mins(5);
/// Bytes of a tool's answer; an answer beyond it is not read, for a part of it is no JSON.
const OUTPUT_BYTES_MAX: usize = 32 << 20;
/// Files that one command names: far below the length that the system takes for arguments.
const FILES_PER_COMMAND: usize = 500;

/// A foreign linter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linter {
    /// Python.
    Ruff,
    /// JavaScript and TypeScript, by the project's own configuration.
    Eslint,
    /// Rust, for a Cargo project.
    Clippy,
}

/// What a linter found: problems by path below the root.
type Found = BTreeMap<String, Vec<Problem>>;

impl Linter {
    /// Its name as a check.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ruff => "ruff",
            Self::Eslint => "eslint",
            Self::Clippy => "clippy",
        }
    }

    fn reads(self, language: Language) -> bool {
        match self {
            Self::Ruff => language == Language::Python,
            Self::Eslint => SCRIPTS.contains(&language),
            Self::Clippy => language == Language::Rust,
        }
    }
}

/// Runs the linters of these skills over files below `root` (paths relative to it, `/`-separated). One verdict for each file, linter and
/// skill.
pub async fn lint(skills: &[&Skill], root: &Path, files: &[String], tools: &Tools, cancel: &CancellationToken) -> Vec<FileVerdict> {
    let mut verdicts = Vec::new();
    for skill in skills {
        for &linter in &skill.linters {
            let read: Vec<&String> = files.iter().filter(|file| linter.reads(Language::of(file)) && skill.about(file)).collect();
            if read.is_empty() {
                continue;
            }
            let mut found = run(linter, root, &read, tools, cancel).await;
            let verdict = |path: &&String| {
                let judgement = match &mut found {
                    Ok(found) => Judgement::of(found.remove(path.as_str()).unwrap_or_default()),
                    Err(reason) => Judgement::skipped(reason.as_str()),
                };
                let check = linter.as_str().to_owned();
                FileVerdict { path: (*path).clone(), skill: skill.name.clone(), version: skill.version, check, judgement }
            };
            verdicts.extend(read.iter().map(verdict));
        }
    }
    verdicts
}

/// What a linter found in these files, or why it could not be asked.
async fn run(linter: Linter, root: &Path, files: &[&String], tools: &Tools, cancel: &CancellationToken) -> Result<Found, String> {
    if linter == Linter::Clippy {
        return clippy::run(root, tools, cancel).await;
    }
    let mut found = Found::new();
    for files in files.chunks(FILES_PER_COMMAND) {
        let part = match linter {
            Linter::Eslint => eslint::run(root, files, tools, cancel).await?,
            Linter::Ruff | Linter::Clippy => ruff::run(root, files, tools, cancel).await?,
        };
        found.extend(part);
    }
    Ok(found)
}

/// A command in the project that may not write to it.
fn command(argv: impl IntoIterator<Item = String>, root: &Path, tools: &Tools) -> Command {
    let mut command = Command::new(argv, root);
    command.confinement = command.confinement.or_weaker(tools.weaker_sandbox);
    command.limits = Limits { wall: WALL_MAX, output_bytes: OUTPUT_BYTES_MAX, ..Limits::default() };
    command.readable.clone_from(&tools.readable);
    command.supervisor.clone_from(&tools.supervisor);
    command
}

/// What a command answered on stdout, when it exited with one of these codes.
async fn answer(command: &Command, codes: &[i32], cancel: &CancellationToken) -> Result<String, String> {
    let program = command.argv.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program)).to_owned();
    // They belong to no run: whoever asks for them sees what they find.
    let finished = exec::run(command, &Recorder::nowhere(), cancel).await.map_err(|error| error.to_string())?;
    match finished.exit {
        Exit::Code(code) if codes.contains(&code) => {}
        exit => return Err(format!("{program} ended with {exit}: {}", first_line(&finished.stderr.text()))),
    }
    if finished.stdout.omitted_bytes > 0 {
        return Err(format!("{program} answered more than {} MiB", OUTPUT_BYTES_MAX >> 20));
    }
    Ok(finished.stdout.text())
}

fn first_line(text: &str) -> String {
    let line: String = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().chars().take(200).collect();
    crate::redact::redact(&line)
}

/// A path that a tool told, relative to the root.
fn relative(root: &Path, told: &str) -> String {
    let told = Path::new(told);
    let below = told.strip_prefix(root).or_else(|_| told.strip_prefix(".")).unwrap_or(told);
    below.to_string_lossy().into_owned()
}
