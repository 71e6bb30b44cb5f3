//! `specwave config`: every setting, its value, and where the value came from.

use std::process::ExitCode;

use super::{Global, output};

/// Show every setting and where it came from.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the settings.
pub fn run(args: &ConfigArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    if args.json {
        let entry =
            |entry: &crate::config::Entry| serde_json::json!({"key": entry.key, "value": entry.value, "origin": entry.origin.to_string()});
        output::print_json(&config.entries().iter().map(entry).collect::<Vec<_>>())?;
    } else {
        let row = |entry: &crate::config::Entry| vec![entry.key.clone(), entry.value.clone(), entry.origin.to_string()];
        output::print_table(&["setting", "value", "from"], &config.entries().iter().map(row).collect::<Vec<_>>());
    }
    Ok(ExitCode::SUCCESS)
}
