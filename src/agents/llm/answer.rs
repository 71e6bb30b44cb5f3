//! The form in which a model hands over files, and how an answer is read.
//!
//! ```text
//! %%%specwave file src/app.py
//! print("hello")
//! %%%specwave end src/app.py
//! %%%specwave done 1
//! ```
//!
//! Why it holds: the marker is a word that no language knows, at the start of a line, so code fences inside a file mean nothing and
//! chatter around the blocks is passed over. The end line repeats the path, so one lost line is noticed where it is lost. The last line
//! states the number of files, so an answer that was cut anywhere is never taken for a whole one. A line of a file that itself starts
//! with the marker carries a backslash, so every text can be a file. Nothing is guessed: what does not fit is an error that says what.
//!
//! Instead of files an answer may hold one question to a person, as `asking` says: alone, and in its last line.
//!
//! Called by the agent. It decides nothing about what the files say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use thiserror::Error;

use super::partial::Partial;
use super::paths::check_path;
use crate::agents::asking::question;

/// The form as a model is told. It belongs to the reader below, so no folder of prompts replaces it.
pub(super) const FORM: &str = include_str!("form.md");
/// What every line of the form starts with.
pub(super) const MARKER: &str = "%%%specwave ";
/// What a code fence starts with.
const FENCE: &str = "```";
/// Said of a file whose last line does not end in a line break.
const BARE: &str = " (no final line break)";
/// What is said where files and a question meet.
const ALONE: &str = "write either files or one question and nothing else";
/// More files than any unit writes.
const FILES_MAX: usize = 200;
/// A source file beyond this is no source file.
const FILE_BYTES_MAX: usize = 512 * 1024;
/// The whole answer; a model writes far less.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much of a text without files is repeated in an error.
const EXCERPT_CHARS_MAX: usize = 300;

/// The files of an answer, or what it asks instead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Content by path.
    pub files: BTreeMap<String, String>,
    /// Paths whose content stood in a code fence, which was taken off.
    pub unfenced: Vec<String>,
    /// What it asks; then there are no files.
    pub question: Option<String>,
}

/// Why a text is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// It ended before its last line.
    #[error("the answer ends before its last line, after {} whole files", .0.whole())]
    Truncated(Partial),
    /// There is no file in it.
    #[error("the answer holds no file; it says: {0}")]
    Empty(String),
    /// A line of the form stands where it must not.
    #[error("line {line}: {problem}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The files are not the ones that were asked for.
    #[error("{0}")]
    Unfit(String),
    /// It is larger than anything that is read.
    #[error("the answer is too large: {0}")]
    TooLarge(String),
}

/// Reads an answer. Linear in its length.
pub fn parse(text: &str) -> Result<Answer, AnswerError> {
    if text.len() > ANSWER_BYTES_MAX {
        return Err(AnswerError::TooLarge(format!("{} bytes, {ANSWER_BYTES_MAX} are read", text.len())));
    }
    let mut reader = Reader::default();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        reader.line(at + 1, line)?;
    }
    reader.finish(text)
}

impl Answer {
    /// True when that line would be the last one of these files.
    fn ends(&self, marker: &str) -> bool {
        marker == format!("done {}", self.files.len())
    }

    /// The same; a question that the end of the answer has cut off is none.
    pub(super) fn check_whole(self, cut_off: bool) -> Result<Self, AnswerError> {
        if cut_off && self.question.is_some() { Err(AnswerError::Unfit("the question was cut off".to_owned())) } else { Ok(self) }
    }

    /// Checks the paths against those that the unit declares; a trailing `/` declares a folder. Every declared file must be there.
    /// Where nothing is declared, every path is the model's to choose but those that are taken.
    pub fn check_declared(&self, declared: &[String], taken: &[String]) -> Result<(), AnswerError> {
        if self.question.is_some() {
            return Ok(());
        }
        if declared.is_empty() {
            let taken: Vec<&String> = self.files.keys().filter(|path| taken.contains(path)).collect();
            let problem = |paths| Err(AnswerError::Unfit(format!("these files belong to other units: {paths}")));
            return if taken.is_empty() { Ok(()) } else { problem(joined(&taken)) };
        }
        let covered =
            |path: &String| declared.iter().any(|entry| entry == path || (entry.ends_with('/') && path.starts_with(entry.as_str())));
        let beside: Vec<&String> = self.files.keys().filter(|path| !covered(path)).collect();
        if !beside.is_empty() {
            return Err(AnswerError::Unfit(format!("these files were not asked for: {}", joined(&beside))));
        }
        let missing: Vec<&String> =
            declared.iter().filter(|entry| !entry.ends_with('/') && !self.files.contains_key(entry.as_str())).collect();
        if missing.is_empty() { Ok(()) } else { Err(AnswerError::Unfit(format!("these files are missing: {}", joined(&missing)))) }
    }
}

/// Files in the form, without its last line: how existing files are shown to a model.
pub fn render<'f>(files: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let mut text = String::new();
    for (path, content) in files {
        let bare = !content.is_empty() && !content.ends_with('\n');
        writeln!(text, "{MARKER}file {path}").expect("a String takes everything");
        for (at, line) in content.split_inclusive('\n').enumerate() {
            if escapes(at, line) {
                text.push('\\');
            }
            text.push_str(line);
        }
        text.push_str(if bare { "\n" } else { "" });
        writeln!(text, "{MARKER}end {path}{}", if bare { BARE } else { "" }).expect("a String takes everything");
    }
    text
}

/// A whole answer in the form.
pub fn render_answer(files: &BTreeMap<String, String>) -> String {
    let blocks = render(files.iter().map(|(path, content)| (path.as_str(), content.as_str())));
    format!("{blocks}{MARKER}done {}\n", files.len())
}

/// A file that is being read.
#[derive(Debug)]
struct Open {
    path: String,
    content: String,
    lines: usize,
    /// Its opening line ended in a carriage return, so each of its lines does.
    returns: bool,
    /// Its first line came with a backslash: a code fence there is the file's own.
    fence_meant: bool,
}

#[derive(Debug, Default)]
struct Reader {
    answer: Answer,
    open: Option<Open>,
    done: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), AnswerError> {
        let wrong = |problem: String| AnswerError::Malformed { line: number, problem };
        let bare = !line.ends_with('\n');
        match (&mut self.open, line.strip_prefix(MARKER)) {
            (None, None) if self.answer.question.is_none() || line.trim().is_empty() => Ok(()),
            (None, _) if self.answer.question.is_some() => Err(wrong(format!("nothing may follow the question; {ALONE}"))),
            (None, None) => Ok(()),
            (Some(open), None) => {
                let ending = if open.returns && line.ends_with("\r\n") { 2 } else { usize::from(line.ends_with('\n')) };
                let body = &line[..line.len() - ending];
                let escaped = body.strip_prefix('\\').filter(|rest| escapes(open.lines, rest));
                open.fence_meant |= open.lines == 0 && escaped.is_some();
                open.content.push_str(escaped.unwrap_or(body));
                open.content.push_str(if ending > 0 { "\n" } else { "" });
                open.lines += 1;
                if open.content.len() > FILE_BYTES_MAX {
                    return Err(AnswerError::TooLarge(format!("{} has more than {FILE_BYTES_MAX} bytes", open.path)));
                }
                Ok(())
            }
            // A marker without its line break may be part of a longer one. Only the last line of a whole answer stands bare.
            (open, Some(marker)) if bare && !self.answer.ends(marker) && (open.is_some() || !marker.starts_with("ask ")) => Ok(()),
            (_, Some(_)) if self.done => Err(wrong("nothing of the form may follow its last line".to_owned())),
            (_, Some(marker)) => self.marker(marker.trim_end(), line.ends_with("\r\n")).map_err(wrong),
        }
    }

    fn marker(&mut self, marker: &str, returns: bool) -> Result<(), String> {
        let (word, rest) = marker.split_once(' ').unwrap_or((marker, ""));
        match (word, self.open.take()) {
            ("file", None) => {
                check_path(rest)?;
                if self.answer.files.contains_key(rest) {
                    return Err(format!("{rest} is written twice"));
                }
                if self.answer.files.len() == FILES_MAX {
                    return Err(format!("more than {FILES_MAX} files"));
                }
                self.open = Some(Open { path: rest.to_owned(), content: String::new(), lines: 0, returns, fence_meant: false });
                Ok(())
            }
            ("end", Some(open)) => self.close(open, rest),
            ("ask", None) if !self.answer.files.is_empty() => Err(format!("files were written before the question; {ALONE}")),
            ("ask", None) => {
                self.answer.question = Some(question(rest).map_err(|error| format!("{error}; {ALONE}"))?);
                Ok(())
            }
            ("done", None) => {
                let written = self.answer.files.len();
                if rest.parse() != Ok(written) {
                    return Err(format!("the last line says {rest:?} files, and {written} were written"));
                }
                self.done = true;
                Ok(())
            }
            (_, Some(open)) => Err(format!("inside {} only its own end line may start with the marker, not `{word}`", open.path)),
            (_, None) => Err(format!("`{word}` does not belong here: a file starts with `file`, the answer ends with `done`")),
        }
    }

    fn close(&mut self, mut open: Open, rest: &str) -> Result<(), String> {
        let bare = rest.strip_suffix(BARE).filter(|path| *path == open.path);
        if bare.is_none() && rest != open.path {
            return Err(format!("the end line names {rest:?}, and the open file is {}", open.path));
        }
        if bare.is_some() && open.content.pop() != Some('\n') {
            return Err(format!("{} has no line that could lack its line break", open.path));
        }
        if let Some(inside) = unfenced(&open.path, &open.content).filter(|_| !open.fence_meant) {
            open.content = inside;
            self.answer.unfenced.push(open.path.clone());
        }
        self.answer.files.insert(open.path, open.content);
        Ok(())
    }

    fn finish(self, text: &str) -> Result<Answer, AnswerError> {
        if self.answer.question.is_some() {
            return Ok(self.answer);
        }
        if !self.done && self.open.is_none() && self.answer.files.is_empty() && !text.lines().any(|line| line.starts_with(MARKER)) {
            return Err(AnswerError::Empty(text.trim().chars().take(EXCERPT_CHARS_MAX).collect()));
        }
        if !self.done {
            let open = self.open.map(|open| open.path);
            return Err(AnswerError::Truncated(Partial::new(text, self.answer.files.len(), open)));
        }
        if self.answer.files.is_empty() {
            return Err(AnswerError::Empty("that there are no files".to_owned()));
        }
        let paths: BTreeSet<&str> = self.answer.files.keys().map(String::as_str).collect();
        let above = paths.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]));
        match above.into_iter().find(|above| paths.contains(above)) {
            Some(both) => Err(AnswerError::Unfit(format!("{both} is written as a file and as a folder"))),
            None => Ok(self.answer),
        }
    }
}

/// True when a line of a file is written with one more backslash: it, without those it has, starts with the marker or, as the first
/// line, with a code fence.
fn escapes(at: usize, line: &str) -> bool {
    let bare = line.trim_start_matches('\\');
    bare.starts_with(MARKER) || (at == 0 && bare.starts_with(FENCE))
}

/// What stands in the code fence that a model put around a whole file. Text may be one fence; no source is.
fn unfenced(path: &str, content: &str) -> Option<String> {
    let markdown = [".md", ".mdx", ".markdown", ".rst", ".txt", ".adoc"].iter().any(|ending| path.ends_with(ending));
    let (first, rest) = content.split_once('\n')?;
    if markdown || !first.starts_with(FENCE) || first[FENCE.len()..].contains('`') {
        return None;
    }
    let rest = rest.trim_end();
    let inside = rest.strip_suffix(FENCE)?;
    (inside.is_empty() || inside.ends_with('\n')).then(|| inside.to_owned())
}

fn joined(paths: &[&String]) -> String {
    paths.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ")
}
