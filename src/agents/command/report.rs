//! What is learned from a program's output while it works.

use std::path::Path;

use super::transcript::cut;

/// Of one piece of progress so much is told.
const PROGRESS_BYTES_MAX: usize = 2_000;
/// Of the last message so much is kept.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Of what the program complains about so much is looked at.
const PROBLEM_BYTES_MAX: usize = 4 << 10;
/// No session's name is longer.
const SESSION_BYTES_MAX: usize = 200;

/// What the program does, as it does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It began a conversation.
    Started {
        /// Its id.
        session: String,
    },
    /// It said something.
    Text(String),
    /// It used a tool.
    Tool {
        /// Which.
        name: String,
        /// On what.
        about: String,
    },
    /// It told what it has used.
    Used {
        /// Tokens in and out, so far.
        tokens: u64,
    },
    /// It says that it changed a file.
    Edit {
        /// Which, below the work tree where it lies there.
        path: String,
    },
}

/// How much it printed of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines on standard output.
    pub lines: u64,
    /// Times that it said something.
    pub texts: u64,
    /// Tools that it used.
    pub tools: u64,
    /// Files that it says it changed.
    pub edits: u64,
    /// Events of a kind that is not known.
    pub unknown: u64,
    /// Lines that are not what its protocol says.
    pub broken: u64,
    /// Lines that were longer than anything that is read.
    pub too_long: u64,
}

/// What it used, in its own numbers; none where it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens that were read, cached ones included.
    pub input: Option<u64>,
    /// The part of them that came out of a cache.
    pub cached: Option<u64>,
    /// Tokens that were written.
    pub output: Option<u64>,
    /// Money in millionths of its currency.
    pub cost_micros: Option<u64>,
    /// How often it turned to its model.
    pub turns: Option<u64>,
    /// False while the program has not summed up: it may have used more.
    pub complete: bool,
}

impl Usage {
    /// Tokens in and out, as far as it said.
    pub fn tokens(&self) -> u64 {
        self.input.unwrap_or(0).saturating_add(self.output.unwrap_or(0))
    }
}

/// How the program says that it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// It thinks that it is done.
    Done,
    /// It may not turn to its model again.
    MaxTurns,
    /// The model would not.
    Refused(String),
    /// Something went wrong.
    Failed(String),
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) session: Option<String>,
    pub(super) usage: Usage,
    pub(super) message: Option<String>,
    pub(super) ended: Option<Ended>,
    /// What it complained about last, and did not get over.
    pub(super) problem: Option<String>,
    pub(super) counts: Counts,
    /// What is new since it was last looked at.
    pub(super) news: Vec<Progress>,
}

impl Report {
    pub(super) fn started(&mut self, session: &str) {
        let session = cut(session, SESSION_BYTES_MAX).to_owned();
        if self.session.as_ref() != Some(&session) {
            self.session = Some(session.clone());
            self.news.push(Progress::Started { session });
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.counts.texts += 1;
            self.message = Some(cut(text, MESSAGE_BYTES_MAX).to_owned());
            self.news.push(Progress::Text(cut(text, PROGRESS_BYTES_MAX).to_owned()));
        }
    }

    pub(super) fn tool(&mut self, name: &str, about: &str) {
        self.counts.tools += 1;
        let (name, about) = (cut(name, SESSION_BYTES_MAX).to_owned(), cut(about, PROGRESS_BYTES_MAX).to_owned());
        self.news.push(Progress::Tool { name, about });
    }

    pub(super) fn edit(&mut self, path: &str, worktree: &Path) {
        self.counts.edits += 1;
        let below = Path::new(path).strip_prefix(worktree).ok().and_then(Path::to_str).unwrap_or(path);
        self.news.push(Progress::Edit { path: cut(below, PROGRESS_BYTES_MAX).to_owned() });
    }

    pub(super) fn complain(&mut self, problem: &str) {
        self.problem = Some(cut(problem.trim(), PROBLEM_BYTES_MAX).to_owned());
    }
}
