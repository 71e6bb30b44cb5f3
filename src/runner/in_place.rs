//! A unit that is done in a tree: what is put into it before, and what of the changes in it is taken.

use std::collections::BTreeMap;

use super::unit::Shared;
use crate::agents::Agent;
use crate::exec::repository::{Change, ChangeLimits, Mode, Outside, RepositoryError, Scope, Why, Widening, Worktree};
use crate::exec::tree::Tree;
use crate::generate::GeneratedFile;
use crate::model::Task;
use crate::pipeline::PipelineError;
use crate::store::postgres::artifacts;

/// Paths that are named in a refusal; of more, how many they are.
const NAMED_MAX: usize = 20;

/// What was changed and may be taken.
pub(super) struct Taken {
    /// The change, to be merged.
    pub(super) change: Change,
    /// The unit's files, to be checked and kept.
    pub(super) files: Vec<GeneratedFile>,
    /// What was left out, line by line.
    pub(super) log: String,
}

/// Puts the files of the try before into a tree, so that they are corrected and not written anew.
pub(super) async fn put_before(
    shared: &Shared,
    worktree: &Worktree,
    files: &BTreeMap<String, String>,
    others: &BTreeMap<String, String>,
) -> Result<(), PipelineError> {
    let mut tree = Tree::new();
    let mut tx = shared.run.tx().await?;
    for (path, sha256) in files.iter().filter(|(path, _)| !others.contains_key(*path)) {
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
    others: &BTreeMap<String, String>,
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
    let owner = |path: &str| others.get(path).cloned();
    let scope = Scope::check(change.paths(), &unit.files, &owner, Widening::Refused);
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
    Ok(Ok(Taken { change, files, log }))
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
        Why::Owned { unit } => format!("{} belongs to {unit}; leave it as it is, and build on it", outside.path),
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
