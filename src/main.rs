//! specwave: from a specification to a running, checked service.

use std::process::ExitCode;

use clap::Parser;
use specwave::cli::Cli;
use specwave::exec::supervise;
use specwave::telemetry;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == supervise::SUBCOMMAND) {
        std::process::exit(supervise::main());
    }
    let cli = Cli::parse();
    telemetry::install(&cli.logging());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return specwave::cli::report_failure(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    runtime.block_on(cli.run())
}
