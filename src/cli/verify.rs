//! `specwave verify`: what graph and vectors hold, compared with the facts.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::failure::UNFINISHED;
use super::output::say;
use super::{Global, output};
use crate::app::App;
use crate::learning::MemoryError;
use crate::pipeline::validate::counted;
use crate::store::graph::Graph;
use crate::store::projection::Projection;
use crate::store::projection::relay::TargetError;
use crate::store::projection::verify::{Difference, Repair, Verified};

/// How long is waited for what was announced and has not arrived yet.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);
/// Comparisons that are begun: a server that has only just come up is late with its first answers.
const TRIES: u32 = 4;
/// The wait before the second one; doubled for each further one.
const TRY_PAUSE: Duration = Duration::from_secs(1);

/// Compare the stores that follow the facts with them.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Mend what differs
    #[arg(long)]
    repair: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one comparison found.
#[derive(Debug, Serialize)]
struct Compared {
    store: &'static str,
    mode: &'static str,
    #[serde(flatten)]
    verified: Verified,
}

/// Runs the command; exit code 3 when something differs and was not mended.
pub async fn run(args: VerifyArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let app = App::open(Arc::new(global.config(Vec::new())?)).await?;
    let compared = Box::pin(compare_patiently(&app, if args.repair { Repair::Yes } else { Repair::No })).await;
    app.close().await;
    let compared = compared?;
    if args.json {
        output::print_json(&compared)?;
    } else {
        compared.iter().for_each(print);
    }
    let left = compared.iter().flat_map(|store| &store.verified.differences).any(|difference| !difference.mended);
    if left && !args.repair && !args.json {
        anstream::eprintln!("hint: `specwave verify --repair` makes them what the facts say");
    }
    Ok(if left { ExitCode::from(UNFINISHED) } else { ExitCode::SUCCESS })
}

/// Compares; again from the start after a failure that may pass. Nothing is left of a comparison that did not come to its end.
async fn compare_patiently(app: &App, repair: Repair) -> anyhow::Result<Vec<Compared>> {
    let mut pause = TRY_PAUSE;
    for _ in 1..TRIES {
        match Box::pin(compare(app, repair)).await {
            Err(error) if may_pass(&error) => tracing::info!("comparing again in {} s: {error:#}", pause.as_secs()),
            compared => return compared,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Box::pin(compare(app, repair)).await
}

fn may_pass(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(TargetError::is_transient) || error.downcast_ref().is_some_and(MemoryError::is_transient)
}

async fn compare(app: &App, repair: Repair) -> anyhow::Result<Vec<Compared>> {
    let projections = app.projections();
    for projection in projections.followed() {
        projections.catch_up(projection, ARRIVE_WITHIN).await?;
    }
    let mut compared = Vec::new();
    if matches!(app.graph, Graph::Server(_)) {
        let verified = projections.verify(Projection::Graph, repair).await?;
        compared.push(Compared { store: "graph", mode: app.graph.mode(), verified });
    }
    app.memory().catch_up().await?;
    let verified = projections.verify(Projection::Vectors, repair).await?;
    compared.push(Compared { store: "vectors", mode: app.vectors_status.mode, verified });
    Ok(compared)
}

fn print(compared: &Compared) {
    let Compared { store, mode, verified } = compared;
    let what = counted(verified.aggregates, if *store == "graph" { "plan" } else { "collection" });
    let different = match verified.differences.len() {
        0 => "nothing differs".to_owned(),
        count => format!("{count} of them not what the facts say"),
    };
    say!("{store:<8} {mode:<11} {what}, {}: {different}", counted(verified.items, "item"));
    for Difference { aggregate, detail, mended, .. } in &verified.differences {
        say!("  {aggregate} {detail}{}", if *mended { "; mended" } else { "" });
    }
}
