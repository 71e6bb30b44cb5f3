//! `specwave done RUN UNIT --from DIR`: hand in what a person has done of a unit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Failure, Global, acting};
use crate::exec::Tree;
use crate::model::UnitState;
use crate::pipeline::again::{self, Wish};
use crate::store::postgres::{artifacts, tasks};

/// More files are no unit.
const FILES_MAX: usize = 1_000;
/// All files together, in bytes: they go to the database in one piece.
const BYTES_MAX: u64 = 64 << 20;
/// Folders within folders.
const DEPTH_MAX: usize = 32;

/// Hand in what a person has done of a unit: its files are checked like any agent's.
///
/// The unit waits or has failed. What does not pass goes back with what the checks say, as `specwave why UNIT` shows.
#[derive(Debug, clap::Args)]
pub struct DoneArgs {
    /// The run: its id, the end of one, or the specification's name
    run: String,
    /// The unit's key, as `specwave report` shows it
    unit: String,
    /// The directory with the unit's files and nothing else; their paths below it are the project's
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// What there is to say about them; kept with them
    #[arg(long, default_value = "")]
    note: String,
}

/// Runs the command.
pub async fn run(args: DoneArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let tree = read(&args.from)?;
    acting::on_run(global, &args.run, async |desk, run| {
        let mut tx = desk.postgres.tenant(desk.actor.organization).await?;
        let unit = tasks::unit_of_key(&mut tx, run.id, &args.unit).await?;
        let hint = "`specwave report RUN` lists the units";
        let unit = unit.ok_or_else(|| Failure::usage(format!("run {} has no unit {:?}", run.id, args.unit)).hint(hint))?;
        if !matches!(unit.state, UnitState::Waiting | UnitState::Failed) {
            let error = format!("unit {} is {}: what waits or has failed can be handed in", unit.key, unit.state.as_str());
            return Err(Failure::usage(error).hint("`specwave reopen` does a finished unit again").into());
        }
        let stamped: Vec<(String, &[u8])> = tree.iter().map(|(_, file)| (file.stamp().sha256, file.content.as_slice())).collect();
        let blobs: Vec<(&str, &[u8])> = stamped.iter().map(|(sha256, content)| (sha256.as_str(), *content)).collect();
        artifacts::store_blobs(&mut tx, &blobs).await?;
        let wish = Wish::HandIn { files: tree.artifacts(), note: args.note.clone() };
        again::unit(&mut tx, &desk.actor, &unit, &wish).await.map_err(|error| Failure::usage(error.to_string()))?;
        tx.commit().await?;
        anstream::eprintln!("{} files of {} are handed in", tree.len(), unit.key);
        if desk.engine.snapshot(desk.actor.organization, run.id).await?.driver.is_none() {
            anstream::eprintln!("nobody works on the run: `specwave resume {}` checks them and goes on", run.id);
        }
        Ok(())
    })
    .await
}

/// The files of a directory, within limits. Links are refused: what they lead to is not in it.
fn read(dir: &Path) -> Result<Tree, Failure> {
    if !dir.is_dir() {
        return Err(Failure::usage(format!("{} is no directory", dir.display())).hint("name the one that holds the unit's files"));
    }
    let (mut tree, mut bytes, mut open) = (Tree::new(), 0_u64, vec![(dir.to_owned(), String::new(), 0_usize)]);
    while let Some((folder, prefix, depth)) = open.pop() {
        let unreadable = |error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let data = entry.metadata().map_err(unreadable)?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| Failure::usage(format!("{} is not UTF-8", name.display())))?;
            let path = format!("{prefix}{name}");
            if data.is_dir() && depth < DEPTH_MAX {
                open.push((entry.path(), format!("{path}/"), depth + 1));
                continue;
            }
            if !data.is_file() {
                return Err(Failure::usage(format!("{path} is no ordinary file, or lies too deep")).hint("hand in files and folders only"));
            }
            bytes = bytes.saturating_add(data.len());
            if tree.len() >= FILES_MAX || bytes > BYTES_MAX {
                let limits = format!("{} holds more than {FILES_MAX} files or {} MiB", dir.display(), BYTES_MAX >> 20);
                return Err(Failure::usage(limits).hint("hand in the unit's files and nothing else"));
            }
            let executable = std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o100 != 0;
            let content = fs::read(entry.path()).map_err(unreadable)?;
            tree.insert(&path, content, executable).map_err(|error| Failure::usage(error.to_string()).hint(error.hint()))?;
        }
    }
    if tree.is_empty() {
        return Err(Failure::usage(format!("{} holds no file", dir.display())).hint("name the directory that holds the unit's files"));
    }
    Ok(tree)
}
