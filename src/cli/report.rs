//! `specwave report RUN`: phases, units with their evidence, requirements with their proof, findings, files.

use std::process::ExitCode;

use super::{Failure, Global, output, report_view, select};
use crate::app;
use crate::engine::{Engine, EngineOptions};
use crate::model::Actor;
use crate::pipeline::report;

/// Show what a run did and what it proved.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The run: its id, the end of one, or the specification's name [default: the newest]
    run: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: ReportArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let organization = Actor::local(&config.user).organization;
    let read = async {
        let row = select::run(&postgres, organization, args.run.as_deref()).await?;
        let engine = Engine::new(postgres.clone(), EngineOptions::default());
        anyhow::Ok(report::of_run(&postgres, &engine, organization, row.id).await?)
    }
    .await;
    postgres.close().await.map_err(|error| Failure::database(&error))?;
    let report = read?;
    if args.json {
        output::print_json(&report)?;
    } else {
        report_view::print(&report, report::compliance(&report).as_ref());
    }
    Ok(ExitCode::SUCCESS)
}
