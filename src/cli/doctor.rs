//! `specwave doctor`: every store and tool, how it is, and what to do when it is not well.

use std::process::ExitCode;

use serde::Serialize;

use super::failure::STORE_UNAVAILABLE;
use super::output::say;
use super::{Failure, Global, output};
use crate::app;
use crate::config::Config;
use crate::embed;
use crate::exec::sandbox::{self, Level};
use crate::store::cache::{Cache, Info};
use crate::store::graph::{Graph, GraphError};
use crate::store::postgres::StoreError;
use crate::store::postgres::outbox::Lag;
use crate::store::projection::{self, Projection};
use crate::store::vectors::{Generation, VectorsError};

/// Show how every store and tool is.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One line of the diagnosis.
#[derive(Debug, Serialize)]
struct Diagnosis {
    what: &'static str,
    well: bool,
    mode: String,
    detail: String,
    hint: Option<String>,
}

/// Asks everything and prints the answers; exit code 5 when PostgreSQL cannot be had.
pub async fn run(args: &DoctorArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let (facts, lags) = postgres(&config).await;
    let code = if facts.well { ExitCode::SUCCESS } else { ExitCode::from(STORE_UNAVAILABLE) };
    let (embedder, generation) = embedder(&config).await;
    let diagnoses = [
        facts,
        behind(graph(&config).await, lags.graph),
        behind(vectors(&config, generation).await, lags.vectors),
        cache(&config).await,
        embedder,
        confinement(),
        python(&config),
    ];
    if args.json {
        output::print_json(&diagnoses)?;
    } else {
        print(&config, &diagnoses);
    }
    Ok(code)
}

fn print(config: &Config, diagnoses: &[Diagnosis]) {
    say!("data  {}", config.data_dir.display());
    let (good, bad) = (anstyle::AnsiColor::Green.on_default(), anstyle::AnsiColor::Yellow.on_default().bold());
    let width = diagnoses.iter().map(|diagnosis| diagnosis.mode.chars().count()).max().unwrap_or(0);
    for diagnosis in diagnoses {
        let (style, mark) = if diagnosis.well { (good, "✓") } else { (bad, "!") };
        say!("{style}{mark}{style:#} {:<10} {:<width$}  {}", diagnosis.what, diagnosis.mode, diagnosis.detail);
        if let Some(hint) = &diagnosis.hint {
            say!("  hint: {hint}");
        }
    }
}

/// How far behind the projections are; none where no server has them, or where that cannot be known.
#[derive(Default)]
struct Lags {
    graph: Option<Lag>,
    vectors: Option<Lag>,
}

/// Adds to a projection's line how far it is behind.
fn behind(diagnosis: Diagnosis, lag: Option<Lag>) -> Diagnosis {
    let Some(lag) = lag else { return diagnosis };
    let generation = lag.generation.map_or_else(|| "not built yet".to_owned(), |number| format!("generation {number}"));
    let rows = match lag.rows {
        0 => "up to date".to_owned(),
        rows => format!("{rows} changes behind, the oldest {} s old", lag.age.as_secs()),
    };
    let aside = if lag.dead_letters == 0 { String::new() } else { format!(", {} changes set aside", lag.dead_letters) };
    let detail = format!("{}; {generation}, {rows}{aside}", diagnosis.detail);
    let rebuild = || Some(format!("`specwave rebuild {}` builds it anew from the facts", diagnosis.what));
    let hint = if lag.dead_letters > 0 { diagnosis.hint.clone().or_else(rebuild) } else { diagnosis.hint.clone() };
    Diagnosis { well: diagnosis.well && lag.dead_letters == 0, detail, hint, ..diagnosis }
}

async fn postgres(config: &Config) -> (Diagnosis, Lags) {
    let what = "postgresql";
    let answer = async {
        let postgres = app::connect(config).await?;
        let info = postgres.info().await;
        let mut lags = Lags::default();
        if info.is_ok() && config.graph.is_some() {
            lags.graph = projection::lag(&postgres, Projection::Graph).await.ok();
        }
        if info.is_ok() && config.vectors.is_some() {
            lags.vectors = projection::lag(&postgres, Projection::Vectors).await.ok();
        }
        postgres.close().await?;
        Ok::<_, StoreError>((info?, lags))
    };
    match answer.await {
        Ok((info, lags)) => {
            let detail = format!("{}, version {}, {:.1} ms", info.address, info.version, info.latency.as_secs_f64() * 1_000.0);
            (Diagnosis { what, well: true, mode: info.mode.to_owned(), detail, hint: None }, lags)
        }
        Err(error) => {
            let detail = Failure::database(&error).to_string().lines().next().unwrap_or_default().to_owned();
            let mode = if config.database_url.is_some() { "DATABASE_URL" } else { "managed" };
            let diagnosis = Diagnosis { what, well: false, mode: mode.to_owned(), detail, hint: error.hint().map(str::to_owned) };
            (diagnosis, Lags::default())
        }
    }
}

async fn graph(config: &Config) -> Diagnosis {
    let what = "graph";
    let opened = Graph::open(config.graph.as_ref(), what, app::thresholds(config));
    let mode = opened.as_ref().map_or("neo4j", Graph::mode).to_owned();
    let answer = async {
        let graph = opened?;
        let info = graph.info().await;
        let breaker = graph.breaker().map_or(String::new(), |breaker| format!("; circuit {}", breaker.position()));
        Ok::<_, GraphError>((info, graph.address().unwrap_or_default().to_owned(), breaker))
    };
    match answer.await {
        Ok((Ok(None), ..)) => {
            let detail = "waves and impact from the plan's own edges".to_owned();
            Diagnosis { what, well: true, mode, detail, hint: None }
        }
        Ok((Ok(Some(info)), address, breaker)) => {
            let detail = format!("{address}, version {}, {:.1} ms{breaker}", info.version, info.latency.as_secs_f64() * 1_000.0);
            Diagnosis { what, well: true, mode, detail, hint: None }
        }
        Ok((Err(error), address, breaker)) => {
            let detail = format!("{address}: {error}{breaker}; the graph in this process serves");
            Diagnosis { what, well: false, mode, detail, hint: error.hint().map(str::to_owned) }
        }
        Err(error) => Diagnosis { what, well: false, mode, detail: error.to_string(), hint: error.hint().map(str::to_owned) },
    }
}

async fn cache(config: &Config) -> Diagnosis {
    let what = "cache";
    let lives = "assembled contexts, 10 minutes";
    let Some(url) = &config.cache_url else {
        return Diagnosis { what, well: true, mode: "in process".to_owned(), detail: lives.to_owned(), hint: None };
    };
    let answer = async { Cache::redis(url.expose(), what, app::thresholds(config))?.info().await };
    let mode = "redis".to_owned();
    match answer.await {
        Ok(Some(Info { address, version, latency })) => {
            let detail = format!("{address}, version {version}, {:.1} ms; {lives}", latency.as_secs_f64() * 1_000.0);
            Diagnosis { what, well: true, mode, detail, hint: None }
        }
        Ok(None) => Diagnosis { what, well: true, mode, detail: lives.to_owned(), hint: None },
        Err(error) => Diagnosis { what, well: false, mode, detail: error.to_string(), hint: Some(error.hint().to_owned()) },
    }
}

async fn vectors(config: &Config, generation: Option<Generation>) -> Diagnosis {
    let what = "vectors";
    let Some(generation) = generation else {
        let detail = "needs the embedder".to_owned();
        return Diagnosis { what, well: false, mode: "none".to_owned(), detail, hint: None };
    };
    let answer = async {
        let (vectors, status) = app::open_vectors(config, &generation).await?;
        Ok::<_, VectorsError>((vectors.info().await?, status))
    };
    match answer.await {
        Ok((None, status)) => {
            Diagnosis { what, well: status.hint.is_none(), mode: status.mode.to_owned(), detail: status.reason, hint: status.hint }
        }
        Ok((Some(info), status)) => {
            let detail = format!("{}, version {}, {:.1} ms", info.address, info.version, info.latency.as_secs_f64() * 1_000.0);
            Diagnosis { what, well: true, mode: status.mode.to_owned(), detail, hint: None }
        }
        Err(error) => {
            let hint = Some(error.hint().to_owned());
            Diagnosis { what, well: false, mode: "qdrant".to_owned(), detail: error.to_string(), hint }
        }
    }
}

async fn embedder(config: &Config) -> (Diagnosis, Option<Generation>) {
    let what = "embedder";
    match embed::open(&embed::Settings::of(config)).await {
        Ok((_, status)) => {
            let generation = Generation { model_id: status.model_id.clone(), dimension: status.dimension };
            let detail = format!("{} numbers; {}", status.dimension, status.reason);
            (Diagnosis { what, well: status.neural, mode: status.name.to_owned(), detail, hint: status.hint }, Some(generation))
        }
        Err(missing) => {
            let hint = Some(missing.hint());
            (Diagnosis { what, well: false, mode: "fastembed".to_owned(), detail: missing.to_string(), hint }, None)
        }
    }
}

/// Less than bubblewrap is well: default containers offer no more. Less than the filter of system calls leaves gaps that agents could use.
fn confinement() -> Diagnosis {
    let sandbox::Offer { tier, why_not_more } = sandbox::offered();
    let level = tier.level;
    let more = why_not_more.as_ref().map(|why| format!("; no more, because {why}")).unwrap_or_default();
    let detail = format!("{tier}; a command can still {}{more}", level.gaps());
    let hint = match level {
        Level::None => Some(
            "use a kernel with Landlock (5.13 or newer, not disabled at boot); without it commands are refused unless --no-sandbox is given",
        ),
        Level::Landlock => Some("use a kernel with seccomp; agents whose profile needs it are refused unless --no-sandbox is given"),
        Level::Seccomp | Level::Bubblewrap => None,
    };
    Diagnosis { what: "sandbox", well: level >= Level::Seccomp, mode: level.to_string(), detail, hint: hint.map(str::to_owned) }
}

fn python(config: &Config) -> Diagnosis {
    let what = "python";
    let mode = config.python.clone();
    match std::process::Command::new(&config.python).arg("--version").output() {
        Ok(output) if output.status.success() => {
            let detail = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Diagnosis { what, well: true, mode, detail, hint: None }
        }
        _ => {
            let hint = Some("install Python 3.11 or newer, or set SPECWAVE_PYTHON; the fastapi target needs it".to_owned());
            Diagnosis { what, well: false, mode, detail: "cannot be run".to_owned(), hint }
        }
    }
}
