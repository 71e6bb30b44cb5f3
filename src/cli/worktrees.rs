//! `specwave worktrees`: the directories in which agents work, or left their work to be looked at, and those that are held ready for them.

use std::process::ExitCode;

use super::output::{duration, say};
use super::{Failure, Global, output};
use crate::exec::repository::{self, Listed, RepositoryError, State};

/// List the directories that agents work in, and those that were kept after a failure.
#[derive(Debug, clap::Args)]
pub struct WorktreesArgs {
    /// Remove those that no worker holds
    #[arg(long)]
    discard: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: WorktreesArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let data_dir = global.config(Vec::new())?.data_dir;
    let refused = |error: RepositoryError| Failure::unfinished(error.to_string()).hint(error.hint());
    let listed = repository::all_worktrees(&data_dir).await.map_err(refused)?;
    let mut left = Vec::new();
    for tree in listed {
        let gone = args.discard && repository::discard_worktree(&data_dir, &tree).await.map_err(refused)?;
        if gone {
            anstream::eprintln!("removed {}", tree.path.display());
        } else {
            left.push(tree);
        }
    }
    if args.json {
        output::print_json(&left)?;
    } else if left.is_empty() {
        say!("no work trees");
    } else {
        output::print_table(&["unit", "branch", "", "for", "directory"], &left.iter().map(row).collect::<Vec<_>>());
    }
    Ok(ExitCode::SUCCESS)
}

fn row(tree: &Listed) -> Vec<String> {
    let state = match tree.state {
        State::Active => "at work",
        State::Prepared => "prepared",
        State::Kept => "kept",
        State::Left => "left behind",
    };
    let path = tree.path.display().to_string();
    vec![tree.unit.clone(), tree.branch.clone(), state.to_owned(), duration(tree.age), path]
}
