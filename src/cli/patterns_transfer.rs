//! `specwave patterns export` and `import`: what was learned as a file.

use std::fs::File;
use std::io::{self, Read};

use serde_json::json;

use super::{Failure, output};
use crate::app::App;
use crate::learning::transfer;
use crate::pipeline::validate::counted;
use crate::store::postgres::patterns;

/// Patterns that are read from the database together.
const PAGE: u32 = 500;

/// Write all patterns to standard output, one JSON object a line.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {}

/// Take over the patterns of a file. What is known here already stays as it is; what is new is on trial like everything that was learned.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// A file that `specwave patterns export` has written, or `-` for standard input
    file: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn export(app: &App, _: &ExportArgs) -> anyhow::Result<()> {
    output::print_all(&format!("{}\n", transfer::head()))?;
    let mut after = None;
    loop {
        let mut tx = app.postgres.tenant(app.actor.organization).await?;
        let page = patterns::page(&mut tx, after, PAGE).await?;
        tx.commit().await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.pattern.id);
        let lines: Vec<String> = page.iter().map(|row| transfer::line(&row.pattern)).collect();
        output::print_all(&format!("{}\n", lines.join("\n")))?;
    }
}

pub(super) async fn import(app: &App, args: &ImportArgs) -> anyhow::Result<()> {
    let read = transfer::read(app.actor.organization, &content(&args.file)?)
        .map_err(|error| Failure::usage(format!("{} cannot be imported: {error}", args.file)).hint(error.hint()))?;
    let imported = app.memory().import(&app.actor, &read).await?;
    if args.json {
        return output::print_json(&json!({"new": imported.new, "known": imported.known}));
    }
    anstream::eprintln!("imported {}; {} known already", counted(imported.new, "pattern"), imported.known);
    Ok(())
}

/// The file, up to the greatest size that is accepted and one byte more.
fn content(path: &str) -> Result<Vec<u8>, Failure> {
    let limit = transfer::FILE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = match path {
        "-" => io::stdin().lock().take(limit).read_to_end(&mut bytes),
        path => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    let refused = |error: io::Error| Failure::usage(format!("cannot read {path}: {error}"));
    read.map_err(|error| refused(error).hint("give a file that `specwave patterns export` has written, or `-` for standard input"))?;
    Ok(bytes)
}
