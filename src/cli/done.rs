//! `specwave done RUN UNIT --from DIR`: hand in what a person has done of a unit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Failure, Global, acting};
use crate::pipeline::hand_in::{self, HandIn, HandInError};
use crate::store::postgres::tasks;

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
    let handed = read(&args.from)?;
    acting::on_run(global, &args.run, async |desk, run| {
        let mut tx = desk.postgres.tenant(desk.actor.organization).await?;
        let unit = tasks::unit_of_key(&mut tx, run.id, &args.unit).await?;
        let hint = "`specwave report RUN` lists the units";
        let unit = unit.ok_or_else(|| Failure::usage(format!("run {} has no unit {:?}", run.id, args.unit)).hint(hint))?;
        hand_in::take(&mut tx, &desk.actor, &unit, &handed, &args.note).await.map_err(refused)?;
        tx.commit().await?;
        anstream::eprintln!("{} files of {} are handed in", handed.files(), unit.key);
        if desk.engine.snapshot(desk.actor.organization, run.id).await?.driver.is_none() {
            anstream::eprintln!("nobody works on the run: `specwave resume {}` checks them and goes on", run.id);
        }
        Ok(())
    })
    .await
}

/// The files of a directory, within limits. Links are refused: what they lead to is not in it.
fn read(dir: &Path) -> Result<HandIn, Failure> {
    if !dir.is_dir() {
        return Err(Failure::usage(format!("{} is no directory", dir.display())).hint("name the one that holds the unit's files"));
    }
    let (mut handed, mut open) = (HandIn::default(), vec![(dir.to_owned(), String::new(), 0_usize)]);
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
            handed.room_for(data.len()).map_err(|error| unfit(&error))?;
            let executable = std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o100 != 0;
            let content = fs::read(entry.path()).map_err(unreadable)?;
            handed.add(&path, content, executable).map_err(|error| unfit(&error))?;
        }
    }
    if handed.files() == 0 {
        return Err(Failure::usage(format!("{} holds no file", dir.display())).hint("name the directory that holds the unit's files"));
    }
    Ok(handed)
}

fn unfit(error: &HandInError) -> Failure {
    Failure::usage(error.to_string()).hint(error.hint())
}

fn refused(error: HandInError) -> anyhow::Error {
    match error {
        HandInError::Store(error) => error.into(),
        error => unfit(&error).into(),
    }
}
