//! Whose a path is: a unit's by the plan, or of the unit that chose it first.
//!
//! Called where a unit is performed (`told`, `in_place`) and where an earlier result is looked at (`attempt`). It merges nothing: what two
//! units changed that neither declares is for the branch to tell.

use std::collections::{BTreeMap, BTreeSet};

use super::unit::Shared;
use crate::exec::repository::{Owner, Widening};
use crate::exec::tree::Tree;
use crate::model::{Artifact, Task};
use crate::pipeline::PipelineError;
use crate::store::postgres::{artifacts, settle, unit_paths};

/// Who has each path that is not the unit's to write.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// What the plan gives to other units; a trailing `/` declares a folder.
    declared: BTreeMap<String, String>,
    /// What others chose, and what they left behind.
    chosen: BTreeMap<String, String>,
}

impl Others {
    pub(super) async fn of(shared: &Shared, unit: &Task) -> Result<Self, PipelineError> {
        let run = &shared.run;
        let mut others = Self::default();
        for other in shared.plan.units().filter(|other| other.key != unit.key) {
            others.declared.extend(other.files.iter().map(|path| (path.clone(), other.key.clone())));
        }
        let mut tx = run.tx().await?;
        let left = artifacts::of_run(&mut tx, run.id).await?.into_iter().map(|(key, artifact)| (artifact.path, key));
        let chosen = unit_paths::list(&mut tx, run.id).await?;
        tx.commit().await?;
        others.chosen.extend(left.chain(chosen).filter(|(_, key)| *key != unit.key));
        Ok(others)
    }

    /// The unit that a path belongs to.
    pub(super) fn owner(&self, path: &str) -> Option<Owner> {
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..=at]);
        let declares = self.declared.get(path).or_else(|| folders.find_map(|folder| self.declared.get(folder)));
        match declares {
            Some(unit) => Some(Owner::Declares(unit.clone())),
            None => self.chosen.get(path).map(|unit| Owner::Has(unit.clone())),
        }
    }

    /// The files that may not be written: others' by the plan, and, unless several units may change the same file, those that others chose.
    pub(super) fn files(&self, widening: Widening) -> BTreeMap<String, String> {
        let mut files = self.declared.clone();
        files.retain(|path, _| !path.ends_with('/'));
        if widening == Widening::Refused {
            files.extend(self.chosen.clone());
        }
        files
    }
}

/// Whether a unit that works in a tree may change what it does not declare.
pub(super) fn widening(shared: &Shared) -> Widening {
    if shared.run.submission.options.allow_undeclared { Widening::Allowed } else { Widening::Refused }
}

/// Refuses files at paths that belong to others, or that would be a folder of theirs, or below a file of theirs.
pub(super) fn belongs_to_nobody_else(tree: &Tree, others: &BTreeMap<String, String>) -> Result<(), String> {
    let below: BTreeSet<&str> = others.keys().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect();
    for (path, _) in tree.iter() {
        if let Some(owner) = others.get(path) {
            return Err(format!("{path} belongs to {owner}; write other files, and build on that one"));
        }
        if below.contains(path) {
            return Err(format!("{path} is a folder in which other units have files"));
        }
        let above = path.match_indices('/').map(|(at, _)| &path[..at]).find_map(|folder| others.get_key_value(folder));
        if let Some((file, owner)) = above {
            return Err(format!("{path} lies below {file}, which is a file of {owner}"));
        }
    }
    Ok(())
}

/// Makes the paths of the tree the unit's own; of two units that chose the same one at the same time, the second is refused, unless several
/// may change it: then it stays the first one's. Where the plan declares the files there is nothing to choose.
pub(super) async fn own(shared: &Shared, unit: &Task, tree: &Tree, widening: Widening) -> Result<Result<(), String>, PipelineError> {
    if !unit.files.is_empty() {
        return Ok(Ok(()));
    }
    let run = &shared.run;
    let mut tx = run.tx().await?;
    settle::lock_runs(&mut tx, &[run.id]).await?;
    let chosen = unit_paths::list(&mut tx, run.id).await?;
    let others: BTreeMap<String, String> = chosen.into_iter().filter(|(_, key)| *key != unit.key).collect();
    if widening == Widening::Refused
        && let Err(refusal) = belongs_to_nobody_else(tree, &others)
    {
        return Ok(Err(refusal));
    }
    let paths: Vec<&str> = tree.iter().map(|(path, _)| path).filter(|path| !others.contains_key(*path)).collect();
    unit_paths::replace(&mut tx, run.id, &unit.key, &paths).await?;
    tx.commit().await?;
    Ok(Ok(()))
}

/// True when an earlier success may be taken over: it holds what the unit declares and no more, or the paths that it chose then are its own
/// now. A file that several units change is never taken over, for it would bring back what one of them left then.
pub(super) async fn may_reuse(shared: &Shared, unit: &Task, artifacts: &[Artifact]) -> Result<bool, PipelineError> {
    if !unit.files.is_empty() {
        return Ok(artifacts.iter().all(|artifact| declares(unit, &artifact.path)));
    }
    let mut tree = Tree::new();
    let sound = artifacts.iter().all(|artifact| tree.insert(&artifact.path, Vec::new(), artifact.executable).is_ok());
    let others = Others::of(shared, unit).await?.files(Widening::Refused);
    if !sound || belongs_to_nobody_else(&tree, &others).is_err() {
        return Ok(false);
    }
    Ok(own(shared, unit, &tree, Widening::Refused).await?.is_ok())
}

/// True for a path that the unit declares, itself or as a folder.
pub(super) fn declares(unit: &Task, path: &str) -> bool {
    unit.files.iter().any(|declared| declared == path || (declared.ends_with('/') && path.starts_with(declared.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_plan_gives_to_others_is_theirs_before_what_they_chose() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(path, unit)| ((*path).to_owned(), (*unit).to_owned())).collect();
        let others = Others { declared: map(&[("src/", "a"), ("app.py", "b")]), chosen: map(&[("notes.md", "c"), ("app.py", "c")]) };
        let owner = |path: &str| others.owner(path);
        assert_eq!(owner("src/deep/x.py"), Some(Owner::Declares("a".to_owned())));
        assert_eq!(owner("app.py"), Some(Owner::Declares("b".to_owned())));
        assert_eq!((owner("notes.md"), owner("free.md")), (Some(Owner::Has("c".to_owned())), None));
        assert_eq!(others.files(Widening::Allowed), map(&[("app.py", "b")]));
        assert_eq!(others.files(Widening::Refused), map(&[("app.py", "c"), ("notes.md", "c")]));
    }

    #[test]
    fn paths_of_others_are_refused_and_so_are_folders_and_files_that_would_be_both() {
        let others = BTreeMap::from([("src/app.py".to_owned(), "a".to_owned()), ("README".to_owned(), "b".to_owned())]);
        let check = |path: &str, expected: &str| {
            let mut tree = Tree::new();
            tree.insert(path, "", false).unwrap();
            let found = belongs_to_nobody_else(&tree, &others).err().unwrap_or_default();
            assert_eq!(found, expected, "{path}");
        };
        check("src/other.py", "");
        check("src/app.py", "src/app.py belongs to a; write other files, and build on that one");
        check("src", "src is a folder in which other units have files");
        check("README/x", "README/x lies below README, which is a file of b");
    }
}
