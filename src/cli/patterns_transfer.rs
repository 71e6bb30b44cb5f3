//! `specwave patterns export` and `import`: what was learned as a file.

use serde_json::json;

use super::{Failure, output, plan};
use crate::app::App;
use crate::learning::transfer;
use crate::pipeline::validate::counted;
use crate::store::postgres::patterns;

/// Patterns that are read from the database together.
const PAGE: u32 = 500;
/// What to give to an import.
const FILE_HINT: &str = "give a file that `specwave patterns export` has written, or `-` for standard input";

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
    let content = plan::read_up_to(transfer::FILE_BYTES_MAX, &args.file, FILE_HINT)?;
    let read = transfer::read(app.actor.organization, &content)
        .map_err(|error| Failure::usage(format!("{} cannot be imported: {error}", args.file)).hint(error.hint()))?;
    let imported = app.memory().import(&app.actor, &read).await?;
    if args.json {
        return output::print_json(&json!({"new": imported.new, "known": imported.known}));
    }
    anstream::eprintln!("imported {}; {} known already", counted(imported.new, "pattern"), imported.known);
    Ok(())
}
