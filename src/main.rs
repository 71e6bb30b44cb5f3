//! specwave: from a specification to a running, checked service.

use std::process::ExitCode;

use clap::Parser;
use specwave::cli::Cli;
use specwave::exec;
use specwave::telemetry;

fn main() -> ExitCode {
    if let Some(code) = std::env::args_os().nth(1).and_then(|argument| exec::hidden(&argument)) {
        std::process::exit(code);
    }
    let cli = Cli::parse();
    telemetry::install(&cli.logging());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return specwave::cli::report_failure(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    runtime.block_on(cli.run())
}
