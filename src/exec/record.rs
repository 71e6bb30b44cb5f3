//! What is written down of every command: what ran where, within which limits, how it ended, what it was denied.
//!
//! A command is written down twice: when it begins, and whatever its end is, that of whoever waited for it included. The second record
//! takes the place of the first. Words are without secrets and of bounded length. Called by `service`; where records go is the
//! affair of whoever runs commands, who must say so: there is no command without a [`Recorder`]. Nothing is kept here.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;

use super::capture::shorten;
use super::{Command, Confinement, ExecError, Exit, Finished, Limits, Network, Tier};
use crate::redact::KnownSecrets;

/// Words of a command line that are kept; of more, how many they are.
const WORDS_MAX: usize = 256;
/// Characters of a word that are kept: an agent's whole prompt may be one.
const WORD_CHARS_MAX: usize = 500;
/// Denials that are kept; of more, how many they are.
const DENIALS_MAX: usize = 100;
/// Characters of a denial, or of the reason for which a command did not run, that are kept.
const REASON_CHARS_MAX: usize = 1_000;

/// A command, as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The same in both of its records, and later for later commands.
    pub id: Uuid,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The working directory.
    pub dir: PathBuf,
    /// What it may reach.
    pub network: Network,
    /// How it must be confined.
    pub confinement: Confinement,
    /// How much it may use.
    pub limits: Limits,
    /// When it began.
    pub began_at: OffsetDateTime,
    /// How it ended; none while it runs, and for good when this process was killed.
    pub end: Option<End>,
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// After how long.
    pub duration: Duration,
    /// How it was confined; none when it never ran.
    pub tier: Option<Tier>,
    /// As in [`Finished`].
    pub peak_rss_bytes: Option<u64>,
    /// What it asked for and was not given, as far as that is seen: to run with less confinement than it needs, or a host. What the kernel
    /// refuses it is told and nobody else.
    pub denials: Vec<String>,
}

/// How a command ended, as far as whoever waited for it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and ended so.
    Ended(Exit),
    /// It was not started: why.
    NotRun(String),
    /// It ran, and what watched over it was lost: why.
    Lost(String),
    /// Whoever waited for it gave up, and it was ended.
    GivenUp,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(exit) => exit.fmt(out),
            Self::NotRun(reason) => write!(out, "not run: {reason}"),
            Self::Lost(reason) => write!(out, "lost: {reason}"),
            Self::GivenUp => out.write_str("given up"),
        }
    }
}

/// Where records go. It must not block.
type Write = dyn Fn(Record) + Send + Sync;
/// What a command was denied so far.
type Denied = dyn Fn() -> Vec<String> + Send + Sync;

/// Takes the records of commands.
#[derive(Clone)]
pub struct Recorder {
    write: Option<Arc<Write>>,
    denied: Option<Arc<Denied>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Recorder").field("writes", &self.write.is_some()).finish_non_exhaustive()
    }
}

impl Recorder {
    /// One that hands every record on; `write` must not block.
    pub fn new(write: impl Fn(Record) + Send + Sync + 'static) -> Self {
        Self { write: Some(Arc::new(write)), denied: None }
    }

    /// One that drops them: for commands of no run, which a person sees himself.
    pub fn nowhere() -> Self {
        Self { write: None, denied: None }
    }

    /// The same for commands that somebody else denies something as well; asked when a command has ended.
    #[must_use]
    pub fn with_denials(&self, denied: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self { denied: Some(Arc::new(denied)), ..self.clone() }
    }

    /// Writes down that a command begins.
    pub(super) fn begin(&self, command: &Command) -> Recording {
        let secrets = KnownSecrets::of(&command.env);
        let more = command.argv.len().saturating_sub(WORDS_MAX);
        let words = command.argv.iter().take(WORDS_MAX).map(|word| shorten(&secrets.clean(word), WORD_CHARS_MAX));
        let argv = words.chain((more > 0).then(|| format!("[… {more} words left out …]"))).collect();
        let record = Record {
            id: Uuid::now_v7(),
            argv,
            dir: command.dir.clone(),
            network: command.network.clone(),
            confinement: command.confinement,
            limits: command.limits,
            began_at: OffsetDateTime::now_utc(),
            end: None,
        };
        self.hand_on(&record);
        Recording { recorder: self.clone(), began: Instant::now(), secrets, tier: None, open: Some(record) }
    }

    fn hand_on(&self, record: &Record) {
        if let Some(write) = &self.write {
            write(record.clone());
        }
    }
}

/// A command that has begun and not ended. Dropped, it says that it was given up.
pub(super) struct Recording {
    recorder: Recorder,
    began: Instant,
    secrets: KnownSecrets,
    tier: Option<Tier>,
    /// None once its end is written down.
    open: Option<Record>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Recording").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Recording {
    /// It runs, confined like that.
    pub(super) fn runs(&mut self, tier: Tier) {
        self.tier = Some(tier);
    }

    /// Writes down how it ended.
    pub(super) fn end(mut self, finished: &Finished) {
        self.write(Outcome::Ended(finished.exit), finished.peak_rss_bytes, None);
    }

    /// Writes down why nothing came of it.
    pub(super) fn fail(mut self, error: &ExecError) {
        let outcome = match error {
            ExecError::Lost { reason, .. } => Outcome::Lost(self.brief(reason)),
            other => Outcome::NotRun(self.brief(&other.to_string())),
        };
        let denial = matches!(error, ExecError::Unconfined { .. }).then(|| self.brief(&error.to_string()));
        self.write(outcome, None, denial);
    }

    fn write(&mut self, outcome: Outcome, peak_rss_bytes: Option<u64>, denial: Option<String>) {
        let Some(mut record) = self.open.take() else { return };
        let asked = self.recorder.denied.as_ref().map(|denied| denied()).unwrap_or_default();
        let mut denials: Vec<String> = denial.into_iter().chain(asked.iter().map(|denial| self.brief(denial))).collect();
        let more = denials.len().saturating_sub(DENIALS_MAX);
        denials.truncate(DENIALS_MAX);
        denials.extend((more > 0).then(|| format!("and {more} more")));
        // A command that never ran has no level, however far it came.
        let tier = self.tier.filter(|_| !matches!(outcome, Outcome::NotRun(_)));
        record.end = Some(End { outcome, duration: self.began.elapsed(), tier, peak_rss_bytes, denials });
        self.recorder.hand_on(&record);
    }

    fn brief(&self, reason: &str) -> String {
        shorten(&self.secrets.clean(reason), REASON_CHARS_MAX)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.write(Outcome::GivenUp, None, None);
    }
}
