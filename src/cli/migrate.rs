//! `specwave migrate status`: the steps that brought the database to this version. They are taken by whatever connects first, as is the
//! graph server's schema.

use std::process::ExitCode;

use time::format_description::well_known::Rfc3339;

use super::{Failure, Global, output};
use crate::app;
use crate::store::graph::Graph;
use crate::store::postgres::MigrationStatus;

/// Look at the migrations of the database.
#[derive(Debug, clap::Subcommand)]
pub enum MigrateCommand {
    /// Apply what is missing and list every migration
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub async fn run(command: &MigrateCommand, global: &Global) -> anyhow::Result<ExitCode> {
    let MigrateCommand::Status { json } = command;
    let config = global.config(Vec::new())?;
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let statuses = postgres.migrations().await.map_err(|error| Failure::database(&error));
    let graph = Graph::connect(config.graph.as_ref(), postgres.installation(), app::thresholds(&config)).await;
    postgres.close().await.map_err(|error| Failure::database(&error))?;
    let statuses = statuses?;
    if let Some(outage) = graph?.breaker().and_then(|breaker| breaker.outages().pop()) {
        anstream::eprintln!("warning: the graph's schema could not be looked at: {}", outage.reason);
    }
    let applied = |status: &MigrationStatus| status.applied_at.and_then(|at| at.format(&Rfc3339).ok());
    if *json {
        let row = |status: &MigrationStatus| serde_json::json!({"version": status.version, "description": status.description, "applied_at": applied(status), "matches": status.matches});
        output::print_json(&statuses.iter().map(row).collect::<Vec<_>>())?;
    } else {
        let row = |status: &MigrationStatus| {
            let state = if status.matches {
                applied(status).unwrap_or_else(|| "missing".to_owned())
            } else {
                "changed after it was applied".to_owned()
            };
            vec![status.version.to_string(), status.description.clone(), state]
        };
        output::print_table(&["version", "migration", "applied"], &statuses.iter().map(row).collect::<Vec<_>>());
    }
    Ok(if statuses.iter().all(|status| status.matches) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
