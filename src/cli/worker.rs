//! `specwave worker`: works on runs that others submitted, beside any number of workers on this machine and others.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Global;
use super::signals::stop_on_signals;
use crate::app::App;
use crate::runner::queue::Queue;
use crate::runner::{projection, sweeps};

/// Work on runs that others submitted.
///
/// It drives runs that nobody drives, and helps with the units of those that others drive. Workers share everything through the database,
/// so `database_url` (DATABASE_URL) should name one that all of them reach. Ctrl-C lets what runs finish, within the grace period.
#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    /// Runs that are worked on at once [default: the setting http.runs]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64))]
    runs: Option<u16>,
}

/// Runs the command.
pub async fn run(args: WorkerArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let runs = args.runs.map(|runs| ("http.runs", toml::Value::Integer(i64::from(runs))));
    let config = Arc::new(global.config(runs.into_iter().collect())?);
    let app = App::open_for(Arc::clone(&config), config.http.runs).await?;
    work(&app).await;
    app.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Works until it is asked to stop: then runs pause, and the stores are left.
async fn work(app: &App) {
    let stop = stop_on_signals();
    let engine = app.engine();
    let mut parts = JoinSet::new();
    parts.spawn(Queue::new(engine.clone(), app.config.http.runs, app.prepare(&engine)).work(stop.clone()));
    parts.spawn(sweeps::sweep(app.postgres.clone(), stop.clone()));
    parts.spawn(projection::keep_in_step(app.projections(), stop.clone()));
    anstream::eprintln!("worker {} waits for runs; Ctrl-C stops it", engine.worker());
    while let Some(ended) = parts.join_next().await {
        if let Err(error) = ended {
            stop.cancel();
            tracing::error!(%error, "a part of the worker ended abnormally");
        }
    }
    engine.close().await;
}
