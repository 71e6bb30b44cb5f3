//! What mends itself: formatters, and the safe fixes of a linter. Nothing else changes a file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{FILES_PER_COMMAND, Tools, answer, command};
use crate::exec::{Confinement, Level};
use crate::skills::language::{Language, SCRIPTS};

/// What formatters and fixers did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The files that are different now.
    pub changed: Vec<String>,
    /// Which tools ran.
    pub ran: Vec<String>,
    /// Which did not, and why.
    pub skipped: Vec<String>,
}

/// Names of prettier's configuration.
const PRETTIER: &[&str] = &[
    ".prettierrc",
    ".prettierrc.json",
    ".prettierrc.yaml",
    ".prettierrc.yml",
    ".prettierrc.js",
    "prettier.config.js",
    "prettier.config.mjs",
];

/// Formats and mends files below `root` in place (paths relative to it), by the project's own configuration.
pub async fn apply(root: &Path, files: &[String], tools: &Tools, cancel: &CancellationToken) -> Applied {
    let mut applied = Applied::default();
    let before = stamps(root, files);
    let python: Vec<&String> = files.iter().filter(|file| Language::of(file) == Language::Python).collect();
    let styled = |file: &&String| SCRIPTS.contains(&Language::of(file)) || matches!(Language::of(file), Language::Css | Language::Html);
    let pages: Vec<&String> = files.iter().filter(styled).collect();
    if !python.is_empty() {
        let ruff = tools.ruff.as_deref().ok_or("it is not installed");
        // First the fixes, which leave lines that the formatter then lays out.
        let fix = mend(ruff, &["check", "--no-cache", "--exit-zero", "--fix", "--quiet"], root, &python, tools, cancel).await;
        applied.note("ruff check --fix", fix);
        applied.note("ruff format", mend(ruff, &["format", "--no-cache", "--quiet"], root, &python, tools, cancel).await);
    }
    if !pages.is_empty() {
        let configured = PRETTIER.iter().any(|name| root.join(name).is_file());
        let prettier = tools.prettier.as_deref().filter(|_| configured).ok_or("the project does not have it");
        applied.note("prettier", mend(prettier, &["--write", "--log-level", "error"], root, &pages, tools, cancel).await);
    }
    let after = stamps(root, files);
    applied.changed = files.iter().filter(|file| before.get(*file) != after.get(*file)).cloned().collect();
    applied
}

impl Applied {
    fn note(&mut self, tool: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.ran.push(tool.to_owned()),
            Err(reason) => self.skipped.push(format!("{tool}: {reason}")),
        }
    }
}

async fn mend(
    program: Result<&Path, &str>,
    options: &[&str],
    root: &Path,
    files: &[&String],
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<(), String> {
    let program = program.map_err(str::to_owned)?.to_string_lossy().into_owned();
    for files in files.chunks(FILES_PER_COMMAND) {
        let options = options.iter().copied().chain(["--"]).map(str::to_owned);
        let argv = [program.clone()].into_iter().chain(options).chain(files.iter().map(|file| (*file).clone()));
        let mut command = command(argv, root, tools);
        command.writable.push(root.to_owned());
        command.confinement = Confinement::needing(Level::Seccomp, tools.weaker_sandbox);
        answer(&command, &[0], cancel).await?;
    }
    Ok(())
}

/// What identifies the state of each file that can be read.
fn stamps(root: &Path, files: &[String]) -> BTreeMap<String, Vec<u8>> {
    let stamp = |file: &String| Some((file.clone(), Sha256::digest(std::fs::read(root.join(file)).ok()?).to_vec()));
    files.iter().filter_map(stamp).collect()
}
