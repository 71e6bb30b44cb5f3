//! `specwave patterns`: what was learned; search by meaning, list, show one whole, forget one; where they stand
//! (`patterns_standing`), and as a file (`patterns_transfer`).

use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::output::say;
use super::patterns_standing::{self, RetryArgs, StandingArgs};
use super::patterns_transfer::{self, ExportArgs, ImportArgs};
use super::{Failure, Global, output};
use crate::app::App;
use crate::learning::trial::Contradiction;
use crate::learning::{Advised, Query, campaign};
use crate::model::{PatternHit, PatternId};
use crate::pipeline::validate::counted;
use crate::store::postgres::patterns::{self, PatternFilter, PatternRow};

/// Look at what was learned.
#[derive(Debug, clap::Subcommand)]
pub enum PatternsCommand {
    /// Find the patterns nearest to a description
    Search(SearchArgs),
    /// List the newest patterns
    List(ListArgs),
    /// Show one pattern whole
    Show(ShowArgs),
    /// Forget one pattern for good
    Delete(DeleteArgs),
    /// Write all patterns to standard output
    Export(ExportArgs),
    /// Take over the patterns of a file
    Import(ImportArgs),
    /// Show whether patterns help, and what follows from that
    Standing(StandingArgs),
    /// Put patterns on trial again that were found to harm
    Retry(RetryArgs),
}

/// Find the patterns nearest to a description.
#[derive(Debug, clap::Args)]
pub struct SearchArgs {
    /// What to look for, in words
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    query: String,
    /// Most hits
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Only hits with at least this score [default: all]
    #[arg(long)]
    threshold: Option<f32>,
    /// Only this sort of work (api, model, crud, test, …)
    #[arg(long = "type", value_name = "TYPE")]
    unit_type: Option<String>,
    /// Only from specifications of this format (open_api, markdown, model, prose)
    #[arg(long, value_name = "FORMAT")]
    spec_type: Option<String>,
    /// Only this language
    #[arg(long)]
    language: Option<String>,
    /// Only this framework
    #[arg(long)]
    framework: Option<String>,
    /// Only what failed
    #[arg(long)]
    failures: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List the newest patterns.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Most patterns
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Show one pattern whole.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its id
    id: PatternId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Forget one pattern for good. A later run that proves the same again teaches it again.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// Its id
    id: PatternId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(command: PatternsCommand, global: &Global) -> anyhow::Result<ExitCode> {
    let app = App::open(Arc::new(global.config(Vec::new())?)).await?;
    let shown = match &command {
        PatternsCommand::Search(args) => search(&app, args).await,
        PatternsCommand::List(args) => list(&app, args).await,
        PatternsCommand::Show(args) => show(&app, args).await,
        PatternsCommand::Delete(args) => delete(&app, args).await,
        PatternsCommand::Export(args) => patterns_transfer::export(&app, args).await,
        PatternsCommand::Import(args) => patterns_transfer::import(&app, args).await,
        PatternsCommand::Standing(args) => patterns_standing::standing(&app, args).await,
        PatternsCommand::Retry(args) => patterns_standing::retry(&app, args).await,
    };
    app.close().await;
    shown.map(|()| ExitCode::SUCCESS)
}

async fn search(app: &App, args: &SearchArgs) -> anyhow::Result<()> {
    let query = Query {
        unit_type: args.unit_type.clone(),
        language: args.language.clone(),
        framework: args.framework.clone(),
        spec_type: args.spec_type.clone(),
        success: args.failures.then_some(false),
        threshold: args.threshold,
        limit: usize::from(args.limit),
        ..Query::of(args.query.clone())
    };
    let hits = app.memory().search(&query).await?;
    if args.json {
        return output::print_json(&hits);
    }
    if !app.embedder_status.neural {
        anstream::eprintln!("the lexical embedder {} serves: {}", app.embedder_status.name, app.embedder_status.reason);
    }
    if hits.is_empty() {
        anstream::eprintln!("nothing was learned yet that fits; `specwave run` learns from what passes its checks");
        return Ok(());
    }
    let row = |hit: &PatternHit| {
        let pattern = &hit.pattern;
        let worked = if pattern.success { "worked" } else { "failed" };
        vec![
            format!("{:.3}", hit.score),
            pattern.title.clone(),
            pattern.unit_type.clone(),
            worked.to_owned(),
            pattern.unit_key.clone(),
            pattern.id.to_string(),
        ]
    };
    output::print_table(&["score", "pattern", "type", "", "from unit", "id"], &hits.iter().map(row).collect::<Vec<_>>());
    say!("scores: cosine similarity by {}", app.embedder_status.name);
    Ok(())
}

async fn list(app: &App, args: &ListArgs) -> anyhow::Result<()> {
    let mut tx = app.postgres.tenant(app.actor.organization).await?;
    let rows = patterns::list(&mut tx, &PatternFilter::default(), u32::from(args.limit)).await?;
    let ids: Vec<PatternId> = rows.iter().map(|row| row.pattern.id).collect();
    let advised = Advised::of(&mut tx, &ids, app.config.agents.pattern_half_life).await?;
    let stands = campaign::current(&mut tx).await?.in_words();
    tx.commit().await?;
    if args.json {
        return output::print_json(&rows.iter().map(|row| document(row, &advised)).collect::<Vec<_>>());
    }
    let row = |row: &PatternRow| {
        let pattern = &row.pattern;
        let worked = if pattern.success { "worked" } else { "failed" };
        let lost = if advised.lost(pattern.id).is_some() { "contradicted" } else { "" };
        let uses = row.uses.to_string();
        vec![pattern.title.clone(), pattern.unit_type.clone(), worked.to_owned(), lost.to_owned(), uses, pattern.id.to_string()]
    };
    output::print_table(&["pattern", "type", "", "", "uses", "id"], &rows.iter().map(row).collect::<Vec<_>>());
    say!("{stands}");
    Ok(())
}

async fn show(app: &App, args: &ShowArgs) -> anyhow::Result<()> {
    let mut tx = app.postgres.tenant(app.actor.organization).await?;
    let found = patterns::find(&mut tx, &[args.id]).await?.into_iter().next();
    let row = found.ok_or_else(|| unknown(args.id))?;
    let advised = Advised::of(&mut tx, &[args.id], app.config.agents.pattern_half_life).await?;
    tx.commit().await?;
    if args.json {
        return output::print_json(&document(&row, &advised));
    }
    let pattern = &row.pattern;
    say!("{}\n  {}", pattern.title, pattern.text);
    say!("  {} {} from unit {} of run {}", pattern.language, pattern.framework, pattern.unit_key, pattern.run);
    say!("  {}: {}", if pattern.success { "passed" } else { "failed" }, pattern.evidence.join(", "));
    if let Some(known) = advised.known(pattern.id) {
        let runs = counted(usize::try_from(known.verified).unwrap_or(usize::MAX), "run");
        let at = known.confirmed_at.format(&Rfc3339).unwrap_or_default();
        say!("  verified by {runs}; {} of {} units that were told it passed at once; confirmed last at {at}", known.passed, known.told);
    }
    if let Some(lost) = advised.lost(pattern.id) {
        let winner = advised.known(lost.winner).map_or("", |row| row.title.as_str());
        let (support, own) = (lost.support, lost.loser_support);
        say!("  told to nobody: {winner} ({}) says the opposite, with support {support:.2} against {own:.2}", lost.winner);
    }
    if !pattern.code.is_empty() {
        say!("\n{}", pattern.code);
    }
    Ok(())
}

async fn delete(app: &App, args: &DeleteArgs) -> anyhow::Result<()> {
    let pattern = app.memory().forget(&app.actor, args.id).await?.ok_or_else(|| unknown(args.id))?;
    if args.json {
        return output::print_json(&json!({"deleted": pattern.id, "title": pattern.title}));
    }
    anstream::eprintln!("forgot {}: {}", pattern.id, pattern.title);
    Ok(())
}

fn unknown(id: PatternId) -> Failure {
    Failure::usage(format!("no pattern is called {id}")).hint("`specwave patterns list` shows the ids")
}

fn document(row: &PatternRow, advised: &Advised) -> serde_json::Value {
    let known = advised.known(row.pattern.id);
    let lost: Option<&Contradiction> = advised.lost(row.pattern.id);
    json!({
        "pattern": row.pattern, "version": row.version, "uses": row.uses,
        "verified": known.map(|known| known.verified), "told": known.map(|known| known.told), "passed": known.map(|known| known.passed),
        "confirmed_at": known.and_then(|known| known.confirmed_at.format(&Rfc3339).ok()),
        "contradicted_by": lost,
    })
}
