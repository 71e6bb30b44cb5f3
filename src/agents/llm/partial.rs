//! An answer that was cut off, and how the next one joins it.
//!
//! The text is cut back to its last whole line. Where that is inside a file the next answer starts with `resume PATH` and repeats the
//! last lines word for word: the seam is checked, never guessed.

use super::answer::{AnswerError, MARKER};

/// Lines that are repeated; enough to be told from a blank line or a lone bracket.
const SEAM_LINES: usize = 3;

/// The part of an answer that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    kept: String,
    whole: usize,
    open: Option<String>,
}

impl Partial {
    /// Of a text without its last line, which files of it are whole, and the one that it ends in.
    pub(super) fn new(text: &str, whole: usize, open: Option<String>) -> Self {
        Self { kept: text[..text.rfind('\n').map_or(0, |end| end + 1)].to_owned(), whole, open }
    }

    /// What came, up to its last whole line.
    pub fn kept(&self) -> &str {
        &self.kept
    }

    /// How many files are whole.
    pub fn whole(&self) -> usize {
        self.whole
    }

    /// The file that it ends in.
    pub fn open(&self) -> Option<&str> {
        self.open.as_deref()
    }

    /// The last lines of that file, as the next answer must repeat them; none when not one line of it came.
    pub fn seam(&self) -> Vec<&str> {
        if self.open.is_none() {
            return Vec::new();
        }
        let inside = self.kept.lines().rev().take_while(|line| !line.starts_with(MARKER));
        let mut seam: Vec<&str> = inside.take(SEAM_LINES).collect();
        seam.reverse();
        seam
    }

    /// This and the next answer as one text. What stands before the next one's first line of the form is chatter.
    pub fn join(&self, next: &str) -> Result<String, AnswerError> {
        let wrong = |line: usize, problem: String| AnswerError::Malformed { line: line + 1, problem };
        let lines: Vec<&str> = next.split_inclusive('\n').collect();
        let Some(start) = lines.iter().position(|line| line.starts_with(MARKER)) else {
            return Err(wrong(0, "the answer does not go on: no line of it is of the form".to_owned()));
        };
        let first = lines[start].trim_end();
        let Some(path) = &self.open else {
            return Ok(self.kept.clone() + &lines[start..].concat());
        };
        if first == format!("{MARKER}file {path}") {
            // It writes the open file again from its start: what came of it is dropped.
            let opening = self.kept.rfind(MARKER).unwrap_or(0);
            return Ok(self.kept[..opening].to_owned() + &lines[start..].concat());
        }
        if first != format!("{MARKER}resume {path}") {
            return Err(wrong(start, format!("the answer must go on with `{MARKER}resume {path}`")));
        }
        let mut at = start + 1;
        for expected in self.seam() {
            if lines.get(at).is_none_or(|line| line.trim_end() != expected.trim_end()) {
                return Err(wrong(at, format!("after the resume line {expected:?} must be repeated")));
            }
            at += 1;
        }
        let rest = lines[at..].concat();
        // Carriage returns of the way here, not of the file.
        let rest = if lines[start].ends_with("\r\n") { rest.replace("\r\n", "\n") } else { rest };
        Ok(self.kept.clone() + &rest)
    }
}
