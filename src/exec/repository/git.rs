//! The one door to the git program: found once, its version checked, and called without any configuration but the repository's own.
//!
//! Every call has a cleared environment, a deadline, a bounded answer and a process group of its own. Hooks, the file system monitor,
//! system and user configuration, attributes, prompts, signing, fetching and automatic maintenance are off. The repository is named
//! explicitly and treated as bare, from an empty working directory, so that git neither searches for one nor reads attributes of a tree.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::RepositoryError;

/// The first version that merges without a work tree (`git merge-tree --write-tree`).
const VERSION_MIN: (u32, u32) = (2, 38);
/// Where git and its parts are looked for.
const SAFE_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin";
/// Reading or writing all of a large tree on a slow disk takes less.
const DEADLINE: Duration = Duration::from_mins(2);
/// Answers that are not read in parts are smaller: a list of 200,000 files takes about half of it.
const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Of what git complains about so much is kept.
const STDERR_BYTES_MAX: u64 = 4 << 10;

/// Switched off, whatever the repository's own configuration says. `attr.tree` names the empty tree: no attributes of any commit.
const SETTINGS: [&str; 21] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.logAllRefUpdates=false",
    "core.quotePath=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.fsync=committed,reference",
    "core.fsyncMethod=batch",
    "attr.tree=4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "merge.renames=true",
    "merge.conflictStyle=merge",
    "log.showSignature=false",
    "trailer.separators=:",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
];

/// The git program.
#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
    version: (u32, u32),
}

impl Git {
    /// Finds git (`program`, or the one of the system) and checks its version.
    pub async fn find(program: Option<&Path>) -> Result<Self, RepositoryError> {
        let git = Self { program: program.unwrap_or(Path::new("git")).to_owned(), version: (0, 0) };
        let said = git.call(None, &["--version"]).text().await?;
        let version = version(&said).ok_or_else(|| RepositoryError::unreadable("--version", said.clone()))?;
        if version < VERSION_MIN {
            let (major, minor) = VERSION_MIN;
            let found = said.trim_start_matches("git version ").to_owned();
            return Err(RepositoryError::OldGit { found, needed: format!("{major}.{minor}") });
        }
        Ok(Self { version, ..git })
    }

    /// Its version: major and minor.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// A call; `dir` is the repository.
    pub(super) fn call(&self, dir: Option<&Path>, arguments: &[&str]) -> Call {
        Call {
            program: self.program.clone(),
            dir: dir.map(Path::to_owned),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            input: Vec::new(),
            output_bytes_max: OUTPUT_BYTES_MAX,
            deadline: DEADLINE,
        }
    }
}

/// `git version 2.39.5 (Apple Git-154)` is 2.39.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.strip_prefix("git version ")?.split(['.', ' ', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// One call of git.
#[derive(Debug)]
pub(super) struct Call {
    program: PathBuf,
    dir: Option<PathBuf>,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    input: Vec<u8>,
    output_bytes_max: usize,
    deadline: Duration,
}

/// What git answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its exit code; -1 when a signal ended it, which is how it ends when its answer was cut.
    pub(super) code: i32,
    /// What it printed.
    pub(super) stdout: Vec<u8>,
    /// True when it would have printed more.
    pub(super) cut: bool,
    stderr: Vec<u8>,
}

impl Call {
    /// One more argument.
    pub(super) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// An environment variable.
    pub(super) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// What it reads from its standard input.
    pub(super) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// The most that it may answer.
    pub(super) fn output_bytes_max(mut self, bytes: usize) -> Self {
        self.output_bytes_max = bytes;
        self
    }

    /// How long it may take.
    #[cfg(test)]
    pub(super) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Its answer as one text without the line's end. Anything but success is an error.
    pub(super) async fn text(self) -> Result<String, RepositoryError> {
        let action = self.action();
        let text = String::from_utf8(self.bytes().await?).map_err(|_| RepositoryError::unreadable(&action, "it is not UTF-8"))?;
        Ok(text.trim_end().to_owned())
    }

    /// Its answer. Anything but success is an error.
    pub(super) async fn bytes(self) -> Result<Vec<u8>, RepositoryError> {
        let action = self.action();
        let answer = self.answer().await?;
        if answer.code == 0 { Ok(answer.stdout) } else { Err(answer.failed(&action)) }
    }

    /// Its answer, whatever it ended with; an answer beyond the limit is an error.
    pub(super) async fn answer(self) -> Result<Answer, RepositoryError> {
        let limit = self.output_bytes_max;
        let answer = self.cut().await?;
        if answer.cut {
            return Err(RepositoryError::TooMuch { what: "what git answers", limit: format!("{limit} bytes") });
        }
        Ok(answer)
    }

    /// Its answer, cut at the limit.
    pub(super) async fn cut(self) -> Result<Answer, RepositoryError> {
        let failed = |source| RepositoryError::NoGit { program: self.program.clone(), source };
        let mut child = self.command().spawn().map_err(failed)?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Ok(answer) = timeout(self.deadline, talk(&mut child, &self.input, self.output_bytes_max)).await {
            return answer.map_err(failed);
        }
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        Err(RepositoryError::TimedOut { action: self.action(), after: self.deadline })
    }

    fn action(&self) -> String {
        self.arguments.iter().find(|word| !word.is_empty()).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir("/").env_clear().process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PATH", SAFE_PATH).env("LC_ALL", "C").env("HOME", "/nonexistent");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_ATTR_NOSYSTEM", "1");
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_REPLACE_OBJECTS", "1");
        // Pathspecs are paths: a file may be called `*` or `:!x`. Nothing is ever fetched, not even what a partial clone lacks.
        command.env("GIT_LITERAL_PATHSPECS", "1").env("GIT_ALLOW_PROTOCOL", "none").env("GIT_NO_LAZY_FETCH", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "specwave").env(format!("GIT_{who}_EMAIL"), "specwave@localhost");
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.arg("--no-pager");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        if let Some(dir) = &self.dir {
            command.arg("--bare").arg("--git-dir").arg(dir);
        }
        command.args(&self.arguments);
        command
    }
}

async fn talk(child: &mut Child, input: &[u8], output_bytes_max: usize) -> io::Result<Answer> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // It fails when git has ended already; its exit code says why.
            let _ = stdin.write_all(input).await;
        }
    };
    // Git ends when it prints more than is read, because nobody holds the other end then.
    let ((), stdout, stderr) = tokio::join!(feed, read(stdout, output_bytes_max), complaints(stderr));
    let (stdout, cut) = stdout?;
    let status = child.wait().await?;
    Ok(Answer { code: status.code().unwrap_or(-1), stdout, cut, stderr: stderr? })
}

async fn read(stream: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await?;
    }
    let cut = bytes.len() > bytes_max;
    bytes.truncate(bytes_max);
    Ok((bytes, cut))
}

/// The first of them; the rest is read and dropped, for a git that cannot complain ends.
async fn complaints(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(STDERR_BYTES_MAX).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

impl Answer {
    /// The error that it stands for.
    pub(super) fn failed(&self, action: &str) -> RepositoryError {
        RepositoryError::Failed { action: action.to_owned(), code: self.code, said: self.said() }
    }

    /// What it complained about, on one line.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&self.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
