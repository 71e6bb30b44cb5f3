//! `specwave serve`: the HTTP interface, and a worker for what is submitted over it.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::output::say;
use super::signals::stop_on_signals;
use super::{Failure, Global};
use crate::app::App;
use crate::http::{self, Api, Limits};
use crate::runner::queue::Queue;
use crate::runner::{projection, sweeps};

/// Serve the HTTP interface and build what is submitted
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Where to listen [default: the setting http.address]; anything but loopback needs the setting http.token
    #[arg(long, value_name = "IP:PORT", conflicts_with = "port")]
    address: Option<SocketAddr>,
    /// The port on 127.0.0.1; 0 takes a free one, which the first line of the output names
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

/// Runs the command.
pub async fn run(args: ServeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let port = args.port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let address = args.address.or(port).map(|address| ("http.address", toml::Value::String(address.to_string())));
    let config = Arc::new(global.config(address.into_iter().collect())?);
    let address = config.http.address;
    if !address.ip().is_loopback() && config.http.token.is_none() {
        let message = format!("{address} can be reached from elsewhere, and no token is set");
        return Err(Failure::usage(message).hint("set http.token (SPECWAVE_HTTP_TOKEN, 32 bytes or more), or listen on 127.0.0.1").into());
    }
    // Before anything is started: a taken port is the commonest mistake.
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::usage(format!("cannot listen on {address}: {error}")).hint("`--port 0` takes a free port"))?;
    let app = App::open_for(Arc::clone(&config), config.http.runs).await?;
    let served = serve(&app, listener).await;
    app.close().await;
    served.map(|()| ExitCode::SUCCESS)
}

/// Serves until it is asked to stop: then requests finish, runs pause, and the stores are left.
async fn serve(app: &App, listener: TcpListener) -> anyhow::Result<()> {
    let stop = stop_on_signals();
    let engine = app.engine();
    let recorded = http::metrics::record()?;
    let api = Api::new(app.clone(), engine.clone(), recorded.clone(), stop.clone()).await?;
    let address = listener.local_addr()?;
    let mut parts = JoinSet::new();
    let queue = Queue::new(engine.clone(), app.config.http.runs, app.prepare(&engine));
    parts.spawn(queue.work(stop.clone()));
    parts.spawn(sweeps::sweep(app.postgres.clone(), stop.clone()));
    parts.spawn(projection::keep_in_step(app.projections(), stop.clone()));
    parts.spawn(http::metrics::keep(recorded, stop.clone()));
    parts.spawn(http::serve(listener, http::router::router(api), Limits::default(), stop.clone()));
    say!("listening on http://{address}");
    while let Some(ended) = parts.join_next().await {
        if let Err(error) = ended {
            stop.cancel();
            tracing::error!(%error, "a part of the server ended abnormally");
        }
    }
    engine.close().await;
    Ok(())
}
