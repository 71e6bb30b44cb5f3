//! A unit's changes as a commit, and the trailers by which it is known again.

use super::history::{AGENT, REVERTS, RUN, TAKES_BACK, TOKEN, UNIT};
use super::{Change, CommitId, Repository, RepositoryError};
use crate::exec::Tree;

/// A title is one line; more of it is cut.
const TITLE_CHARS_MAX: usize = 120;
/// Keys and names are shorter.
const VALUE_CHARS_MAX: usize = 500;

/// Whose work a commit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorship {
    /// The unit's key.
    pub unit: String,
    /// The fencing token of the attempt.
    pub token: i64,
    /// The agent: `claude/opus`.
    pub agent: String,
    /// One line.
    pub title: String,
    /// When, in seconds since 1970; given by the caller so that equal work makes equal commits.
    pub at: i64,
}

impl Repository {
    /// The change that brings these files onto a commit.
    pub async fn change_to(&self, base: &CommitId, tree: &Tree) -> Result<Change, RepositoryError> {
        Change::of_tree(&self.objects, base, tree).await
    }

    /// Commits changes on top of the commit that they were made to. No branch moves: [`super::Merges::merge`] does that.
    ///
    /// # Errors
    /// `Unchanged`, when there are none.
    pub async fn commit(&self, change: &Change, by: &Authorship) -> Result<CommitId, RepositoryError> {
        if change.is_empty() {
            return Err(RepositoryError::Unchanged { unit: by.unit.clone() });
        }
        let tree = change.stored(&self.objects, &change.base).await?;
        self.objects.record(&tree, &[change.base.as_str()], &message(by, &self.site.run), by.at).await
    }
}

fn message(by: &Authorship, run: &str) -> String {
    let (unit, agent) = (line(&by.unit, VALUE_CHARS_MAX), line(&by.agent, VALUE_CHARS_MAX));
    let title = Some(line(&by.title, TITLE_CHARS_MAX)).filter(|title| !title.is_empty()).unwrap_or_else(|| format!("Unit {unit}"));
    let token = by.token;
    format!("{title}\n\n{UNIT}: {unit}\n{RUN}: {run}\n{AGENT}: {agent}\n{TOKEN}: {token}\n")
}

/// The message of a commit that undoes another one.
pub(super) fn take_back_message(unit: &str, run: &str, reverted: &CommitId) -> String {
    let unit = line(unit, VALUE_CHARS_MAX);
    format!("Take back {unit}\n\n{TAKES_BACK}: {unit}\n{REVERTS}: {reverted}\n{RUN}: {run}\n")
}

/// One line without control characters: a line's end would let a title write trailers.
pub(super) fn line(text: &str, chars_max: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(chars_max).collect()
}

/// A unit's key as it stands in a trailer.
pub(super) fn key(unit: &str) -> String {
    line(unit, VALUE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_cannot_write_trailers() {
        let by = Authorship {
            unit: "api/POST /books".to_owned(),
            token: 7,
            agent: "claude/x".to_owned(),
            title: "Add it\n\nSpecwave-Unit: another\r".to_owned(),
            at: 0,
        };
        let expected = "Add it Specwave-Unit: another\n\nSpecwave-Unit: api/POST /books\nSpecwave-Run: r1\nSpecwave-Agent: claude/x\nSpecwave-Token: 7\n";
        assert_eq!(message(&by, "r1"), expected);
        assert!(message(&Authorship { title: " \n".to_owned(), ..by }, "r1").starts_with("Unit api/POST /books\n\n"));
    }
}
