//! `specwave context TASK`: what an agent would be told about a unit of a run, and where each part of it came from.

use std::process::ExitCode;
use std::sync::Arc;

use super::output::{print_table, say};
use super::{Failure, Global, output, select};
use crate::app::App;
use crate::context::{Level, Part};
use crate::runner::preview::{self, Handles, Preview, PreviewError};

/// Show what an agent would be told about a unit of a run.
#[derive(Debug, clap::Args)]
pub struct ContextArgs {
    /// The unit's key, as `specwave report` lists it
    task: String,
    /// The run: its id, the end of one, or the specification's name [default: the newest]
    #[arg(long)]
    run: Option<String>,
    /// How much is told [default: by the unit's size]
    #[arg(long)]
    level: Option<LevelName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LevelName {
    /// At most 3 KB
    Minimal,
    /// At most 8 KB
    Standard,
    /// At most 15 KB
    Extended,
}

impl LevelName {
    fn level(self) -> Level {
        match self {
            Self::Minimal => Level::Minimal,
            Self::Standard => Level::Standard,
            Self::Extended => Level::Extended,
        }
    }
}

/// Runs the command.
pub async fn run(args: ContextArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let app = App::open(Arc::new(global.config(Vec::new())?)).await?;
    let made = preview(&app, &args).await;
    app.close().await;
    let preview = made?;
    if args.json {
        output::print_json(&preview)?;
    } else {
        print(&preview);
    }
    Ok(ExitCode::SUCCESS)
}

async fn preview(app: &App, args: &ContextArgs) -> anyhow::Result<Preview> {
    let organization = app.actor.organization;
    let run = select::run(&app.postgres, organization, args.run.as_deref()).await?.id;
    let handles = Handles { organization, postgres: app.postgres.clone(), cache: app.cache.clone(), memory: app.memory() };
    match preview::of_unit(&handles, run, &args.task, args.level.map(LevelName::level)).await {
        Ok(preview) => Ok(preview),
        Err(PreviewError::Failed(error)) => Err(error.into()),
        Err(error) => {
            let hint = match &error {
                PreviewError::NoUnit { nearest: Some(nearest), .. } => format!("did you mean {nearest:?}?"),
                PreviewError::NoUnit { .. } => "`specwave report RUN` lists the units".to_owned(),
                _ => "`specwave status` lists the runs; one that has been planned has contexts".to_owned(),
            };
            Err(Failure::usage(error.to_string()).hint(hint).into())
        }
    }
}

fn print(preview: &Preview) {
    let (context, bold) = (&preview.context, anstyle::Style::new().bold());
    say!("{}", context.text.trim_end());
    let receipt = &context.receipt;
    say!("\n{bold}Receipt{bold:#} of {} in run {}", preview.unit, preview.run);
    let row = |part: &Part| {
        vec![part.section.clone(), part.source.clone(), part.bytes.to_string(), part.left_out.clone().unwrap_or_else(|| "told".to_owned())]
    };
    print_table(&["section", "source", "bytes", ""], &receipt.parts.iter().map(row).collect::<Vec<_>>());
    say!(
        "{}: {} of at most {} bytes; the whole specification and plan have {} bytes",
        receipt.level.as_str(),
        receipt.bytes,
        receipt.bytes_max,
        receipt.bytes_whole
    );
    if let Some(reason) = &preview.without_similar {
        anstream::eprintln!("no similar work is told: {reason}");
    }
}
