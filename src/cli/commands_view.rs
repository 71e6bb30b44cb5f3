//! The commands of a run for people, for `specwave logs --commands`: what ran, where, how it was confined, how it ended.

use super::output::say;
use crate::pipeline::executed::Executed;

/// Prints one.
pub(super) fn print(command: &Executed) {
    let bold = anstyle::Style::new().bold();
    let place = command.unit.as_deref().or(command.phase.as_deref()).unwrap_or("the run");
    let ended = match (&command.outcome, command.duration_ms) {
        (Some(outcome), Some(duration_ms)) => format!("{outcome} after {duration_ms} ms"),
        _ => "runs, or was ended with the process that ran it".to_owned(),
    };
    let peak = command.peak_rss_bytes.map(|bytes| format!(", up to {} MiB", bytes >> 20)).unwrap_or_default();
    say!("{bold}{place}{bold:#} {ended}{peak}\n  $ {}", crate::exec::command::line(&command.argv));
    let limits = command.limits;
    say!(
        "  in {}; at most {} s, {} MiB of memory, {} processes; network: {}",
        command.directory,
        limits.wall_ms / 1_000,
        limits.memory_bytes >> 20,
        limits.processes,
        command.network
    );
    if let Some(sandbox) = &command.sandbox {
        say!("  {sandbox}");
    }
    for denial in &command.denials {
        say!("  denied: {denial}");
    }
}
