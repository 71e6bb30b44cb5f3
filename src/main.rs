//! specwave: from a specification to a running, checked service.

use std::process::ExitCode;

use clap::Parser;
use specwave::cli::Cli;
use specwave::telemetry;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::install(&cli.logging());
    cli.run().await
}
