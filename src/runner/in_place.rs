//! A unit that is done in a tree: what is put into it before, and what of the changes in it is taken.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::Others;
use super::unit::Shared;
use crate::agents::{Agent, AgentError, Delivered};
use crate::exec::repository::{Change, ChangeLimits, Mode, Outside, RepositoryError, Scope, Why, Widening, Worktree};
use crate::exec::tree::Tree;
use crate::generate::GeneratedFile;
use crate::model::outcome::UNDECLARED_FILES;
use crate::model::{CheckResult, Task, Verdict};
use crate::pipeline::PipelineError;
use crate::store::postgres::artifacts;

/// Paths that are named in a refusal; of more, how many they are.
const NAMED_MAX: usize = 20;

/// Files outside the declared ones that are named in the report; of more, how many they are.
const REPORTED_MAX: usize = 1_000;

/// What was changed and may be taken.
#[derive(Default)]
pub(super) struct Taken {
    /// The change, to be merged; none of whoever works in no tree.
    pub(super) change: Option<Change>,
    /// The unit's files, to be checked and kept.
    pub(super) files: Vec<GeneratedFile>,
    /// What lies outside the unit's files and was taken all the same.
    pub(super) widened: Vec<Outside>,
    /// What was left out, line by line.
    pub(super) log: String,
}

impl Taken {
    /// The paths of what lies outside.
    pub(super) fn beyond(&self) -> BTreeSet<String> {
        self.widened.iter().map(|outside| outside.path.clone()).collect()
    }
}

/// What was taken beyond the unit's files, as part of what is known of the try: the report and `why` show it.
pub(super) fn reported(widened: &[Outside]) -> Option<CheckResult> {
    let line = |outside: &Outside| match &outside.why {
        Why::Shared { unit } => format!("{} ({unit} has changed it, too)", outside.path),
        Why::Undeclared | Why::Owned { .. } | Why::Never { .. } => outside.path.clone(),
    };
    let mut lines: Vec<String> = widened.iter().take(REPORTED_MAX).map(line).collect();
    let more = widened.len().saturating_sub(REPORTED_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let (name, command) = (UNDECLARED_FILES.to_owned(), "compare with the unit's declared files".to_owned());
    let found = || CheckResult { name, subject: None, verdict: Verdict::Passed, command, detail: lines.join("\n"), duration_ms: 0 };
    (!widened.is_empty()).then(found)
}

/// Puts the files of the try before into a tree, so that they are corrected and not written anew.
pub(super) async fn put_before(
    shared: &Shared,
    worktree: &Worktree,
    files: &BTreeMap<String, String>,
    theirs: &BTreeSet<String>,
) -> Result<(), PipelineError> {
    let mut tree = Tree::new();
    let mut tx = shared.run.tx().await?;
    for (path, sha256) in files.iter().filter(|(path, _)| !theirs.contains(*path)) {
        if let Some(content) = artifacts::blob(&mut tx, sha256).await? {
            tree.insert(path, content, false).map_err(|error| PipelineError::Plan(error.to_string()))?;
        }
    }
    tx.commit().await?;
    Ok(worktree.put(tree).await?)
}

/// Reads what was changed. What holds a secret of the agent's is refused before anything of it is kept, its path included. What lies outside the unit's files is refused, and so is nothing at all: an agent that says that it is done
/// has done nothing then.
pub(super) async fn take(
    agent: &dyn Agent,
    worktree: &Worktree,
    unit: &Task,
    others: &Others,
    widening: Widening,
) -> Result<Result<Taken, String>, PipelineError> {
    let change = match worktree.diff(&ChangeLimits::default()).await {
        Ok(change) => change,
        Err(error @ RepositoryError::TooMuch { .. }) => return Ok(Err(format!("{error}; {}", error.hint()))),
        Err(error) => return Err(error.into()),
    };
    if let Some(refusal) = given_away(agent, &change) {
        return Ok(Err(refusal));
    }
    let left_out = change.left_out.iter().map(|left| format!("{} was not taken: {}\n", left.path, left.why));
    let mut log: String = left_out.collect();
    if change.left_out_more > 0 {
        log = format!("{log}{} more were not taken\n", change.left_out_more);
    }
    if change.is_empty() {
        return Ok(Err(format!("the agent ended without changing any file that can be taken\n{log}").trim_end().to_owned()));
    }
    let scope = Scope::check(change.paths(), &unit.files, &|path| others.owner(path), widening);
    if !scope.outside.is_empty() {
        return Ok(Err(refusal(&scope.outside)));
    }
    if let Some(link) = change.files.iter().find(|file| matches!(file.now, Some((Mode::Link, _)))) {
        return Ok(Err(format!("{} is a symbolic link; write a file", link.path)));
    }
    let file = |(path, file): (&str, &crate::exec::tree::TreeFile)| GeneratedFile {
        path: path.to_owned(),
        content: file.content.clone(),
        executable: file.executable,
    };
    let files = change.tree().iter().map(file).collect();
    let removed = change.files.iter().filter(|file| file.now.is_none());
    log.extend(removed.map(|file| format!("{} removed {}\n", agent.name(), file.path)));
    Ok(Ok(Taken { change: Some(change), files, widened: scope.widened, log }))
}

/// What the agent asks, where it asks and has changed nothing beyond what was put into its tree; else its delivery.
pub(super) async fn or_asks(
    delivered: Delivered,
    worktree: &Worktree,
    put: &BTreeMap<String, String>,
) -> Result<Result<Delivered, AgentError>, PipelineError> {
    if delivered.asked.is_none() {
        return Ok(Ok(delivered));
    }
    let unchanged = match worktree.diff(&ChangeLimits::default()).await {
        Ok(change) => {
            let tree = change.tree();
            let as_put = tree.iter().filter(|(path, file)| put.get(*path) == Some(&file.stamp().sha256)).count();
            as_put == change.files.len()
        }
        Err(RepositoryError::TooMuch { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    Ok(delivered.or_asks(unchanged))
}

/// Names the secret, and nothing that could hold it.
fn given_away(agent: &dyn Agent, change: &Change) -> Option<String> {
    let refusal = |what: &str, name: &str| format!("{what} holds the value of {name}, which the agent was given to work with");
    let mut paths = change.files.iter().map(|file| file.path.as_str()).chain(change.left_out.iter().map(|left| left.path.as_str()));
    if let Some(name) = paths.find_map(|path| agent.gives_away(path.as_bytes())) {
        return Some(refusal("the name of a file", name));
    }
    let mut contents = change.files.iter().filter_map(|file| Some((&file.path, &file.now.as_ref()?.1)));
    let (path, name) = contents.find_map(|(path, content)| Some((path, agent.gives_away(content)?)))?;
    Some(refusal(path, name))
}

fn refusal(outside: &[Outside]) -> String {
    let line = |outside: &Outside| match &outside.why {
        Why::Undeclared => format!("{} is not among the unit's files", outside.path),
        Why::Owned { unit } | Why::Shared { unit } => format!("{} belongs to {unit}; leave it as it is, and build on it", outside.path),
        Why::Never { reason } => format!("{} may not be changed: {reason}", outside.path),
    };
    let named: Vec<String> = outside.iter().take(NAMED_MAX).map(line).collect();
    let more = outside.len().saturating_sub(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("the agent changed what is not its own: {}{more}", named.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_beyond_the_files_is_reported_whole_up_to_a_number() {
        assert_eq!(reported(&[]), None);
        let shared = Outside { path: "CHANGES.md".to_owned(), why: Why::Shared { unit: "docs/2".to_owned() } };
        let mut widened = vec![Outside { path: "app.py".to_owned(), why: Why::Undeclared }, shared];
        assert_eq!(reported(&widened).unwrap().detail, "app.py\nCHANGES.md (docs/2 has changed it, too)");
        widened.extend((2..1_003).map(|number| Outside { path: format!("f{number}"), why: Why::Undeclared }));
        assert!(reported(&widened).unwrap().detail.ends_with("f999\nand 3 more"));
    }

    #[test]
    fn a_refusal_names_each_path_with_its_reason_up_to_a_number() {
        let at = |path: &str, why: Why| Outside { path: path.to_owned(), why };
        let outside = [
            at("a", Why::Undeclared),
            at("b", Why::Owned { unit: "api/b".to_owned() }),
            at(".git/config", Why::Never { reason: "git's own".to_owned() }),
        ];
        let expected = "the agent changed what is not its own: a is not among the unit's files; b belongs to api/b; leave it as it is, \
                        and build on it; .git/config may not be changed: git's own";
        assert_eq!(refusal(&outside), expected);
        let many: Vec<Outside> = (0..23).map(|number| at(&format!("f{number}"), Why::Undeclared)).collect();
        assert!(refusal(&many).ends_with("f19 is not among the unit's files; and 3 more"));
    }
}
