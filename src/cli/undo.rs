//! `specwave undo DIR`: brings back the tree that was in an output directory before the last delivery.

use std::path::PathBuf;
use std::process::ExitCode;

use super::output::say;
use super::{Failure, output};
use crate::exec::output::{Edits, Output};

/// Bring back the previous tree of an output directory.
#[derive(Debug, clap::Args)]
pub struct UndoArgs {
    /// The output directory
    dir: PathBuf,
    /// Replace files that were edited after the delivery, too
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &UndoArgs) -> anyhow::Result<ExitCode> {
    if !args.dir.is_dir() {
        return Err(Failure::usage(format!("{} is not a directory", args.dir.display()))
            .hint("name the directory that `specwave run --out` wrote to")
            .into());
    }
    let refused = |error: crate::exec::output::OutputError| Failure::usage(error.to_string()).hint(error.hint());
    let mut out = Output::open(&args.dir).map_err(refused)?;
    if !out.undoable() {
        return Err(Failure::usage(format!("{} has nothing to undo", args.dir.display()))
            .hint("one step back is kept, from the second delivery on")
            .into());
    }
    let edits = if args.force { Edits::Overwrite } else { Edits::Keep };
    let undone = out.undo(edits).map_err(refused)?;
    if args.json {
        output::print_json(&undone)?;
    } else {
        say!("{} files restored, {} removed", undone.written.len(), undone.removed.len());
        for conflict in &undone.conflicts {
            say!("left as it is: {} (edited since; --force replaces it)", conflict.path);
        }
    }
    Ok(ExitCode::SUCCESS)
}
