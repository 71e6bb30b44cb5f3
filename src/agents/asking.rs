//! How whoever is sent asks a person: with one line that is the last of what it says, the same for models and for programs.
//!
//! ```text
//! %%%specwave ask Which currency are the prices in?
//! ```
//!
//! Called by whoever reads what an agent has said. A question is data: it can make its own unit wait, and neither answers nor approves
//! anything.

use thiserror::Error;

use super::{AgentError, Delivered};
use crate::engine::ErrorClass;
use crate::model::question::TEXT_BYTES_MAX;

/// What the line starts with.
pub const ASK: &str = "%%%specwave ask";

/// Why a line that asks is no question.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// There is nothing to answer.
    #[error("the question is empty")]
    Empty,
    /// It is longer than a question may be.
    #[error("the question has {0} bytes, more than {TEXT_BYTES_MAX}")]
    TooLong(usize),
    /// There is more than one.
    #[error("there is more than one question")]
    Several,
}

/// What the end of a message asks; none where its last line does not. Linear in its length.
pub fn asked(message: &str) -> Option<Result<String, AskError>> {
    let mut lines = message.lines().rev().filter(|line| !line.trim().is_empty());
    let last = question_of(lines.next()?)?;
    let several = lines.any(|line| question_of(line).is_some());
    Some(if several { Err(AskError::Several) } else { question(last) })
}

/// What follows the marker in a line that starts with it.
fn question_of(line: &str) -> Option<&str> {
    line.trim().strip_prefix(ASK).filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// The words of a question, when they can be one.
pub fn question(words: &str) -> Result<String, AskError> {
    match words.trim() {
        "" => Err(AskError::Empty),
        words if words.len() > TEXT_BYTES_MAX => Err(AskError::TooLong(words.len())),
        words => Ok(words.to_owned()),
    }
}

impl Delivered {
    /// The delivery, or the question that it comes to where nothing was changed. Where something was, the files count and the question
    /// stands in the transcript only.
    pub fn or_asks(self, unchanged: bool) -> Result<Self, AgentError> {
        match self.asked {
            Some(Ok(question)) if unchanged => Err(AgentError::Asks { question, account: Box::new(self.account) }),
            Some(Err(error)) if unchanged => {
                let message = format!("the agent changed no file, and what it asks cannot be put to anybody: {error}");
                Err(AgentError::Failed { class: ErrorClass::Unfit, message, account: Box::new(self.account) })
            }
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: Option<Result<&str, AskError>>) {
        assert_eq!(asked(message), expected.map(|asked| asked.map(str::to_owned)), "{message}");
    }

    #[test]
    fn the_last_line_of_a_message_asks() {
        check("%%%specwave ask Which currency?", Some(Ok("Which currency?")));
        check("I looked at everything.\n\n  %%%specwave ask  Which currency? \n\n", Some(Ok("Which currency?")));
        check(&format!("{ASK} {}", "x".repeat(TEXT_BYTES_MAX)), Some(Ok(&"x".repeat(TEXT_BYTES_MAX))));
    }

    #[test]
    fn what_only_speaks_of_asking_asks_nothing() {
        check("", None);
        check("All done.", None);
        check("%%%specwave ask Which currency?\nNever mind, all done.", None);
        check("I could write `%%%specwave ask Which currency?`", None);
        check("%%%specwave asking is easy", None);
        check("%%%specwave answer EUR", None);
        check("%%%specwave approve", None);
    }

    #[test]
    fn a_line_that_asks_wrongly_is_said_to() {
        check("%%%specwave ask", Some(Err(AskError::Empty)));
        check("%%%specwave ask \t\n", Some(Err(AskError::Empty)));
        check(&format!("{ASK} {}", "é".repeat(TEXT_BYTES_MAX)), Some(Err(AskError::TooLong(2 * TEXT_BYTES_MAX))));
        check("%%%specwave ask Which currency?\nAnd:\n%%%specwave ask Which time zone?", Some(Err(AskError::Several)));
    }

    #[test]
    fn a_question_counts_where_nothing_was_changed() {
        let delivered = |asked| Delivered { asked, ..Delivered::default() };
        let asks = || delivered(Some(Ok("Which?".to_owned())));
        let error = asks().or_asks(true).unwrap_err();
        assert_eq!((error.question(), error.class()), (Some("Which?"), ErrorClass::NeedsInput));
        assert!(asks().or_asks(false).is_ok() && delivered(None).or_asks(true).is_ok());
        let error = delivered(Some(Err(AskError::Several))).or_asks(true).unwrap_err();
        assert_eq!((error.question(), error.class()), (None, ErrorClass::Unfit));
        assert!(delivered(Some(Err(AskError::Several))).or_asks(false).is_ok());
    }
}
