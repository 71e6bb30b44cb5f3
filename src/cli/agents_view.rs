//! What agents were told and used, as a person reads it.

use super::output::{money, print_table, say};
use crate::model::report::{AgentsReport, EffectReport, UnitReport};
use crate::pipeline::validate::counted;

const BOLD: anstyle::Style = anstyle::Style::new().bold();

/// The part of the report that speaks of them.
pub fn print(agents: &AgentsReport, units: &[UnitReport]) {
    say!("\n{BOLD}Agents{BOLD:#}");
    let row = |unit: &UnitReport| {
        let sent = unit.sent.as_ref()?;
        let tokens = format!("{} read, {} written", sent.input_tokens, sent.output_tokens);
        let arm = sent.arm.as_deref().unwrap_or(if sent.withheld { "demoted" } else { "no trial" }).replace('_', " ");
        Some(vec![unit.key.clone(), sent.agent.clone(), tries(sent.tries), tokens, cost(sent.cost_micros), arm])
    };
    print_table(&["unit", "agent", "", "tokens", "cost", "similar work"], &units.iter().filter_map(row).collect::<Vec<_>>());
    say!("{}", used(agents));
    say!("{}", saved(agents));
    say!("similar work told in {} of {} from which it was not withheld", agents.reusing, counted(agents.eligible, "unit"));
    say!("{}", effect(&agents.effect));
}

/// What they used, in a line.
pub fn used(agents: &AgentsReport) -> String {
    let unreported = match agents.unreported {
        0 => String::new(),
        count => format!(", {} without a report of its use", counted(count, "request")),
    };
    format!(
        "agents  {}, {}, {} tokens read and {} written, {}{unreported}",
        counted(agents.units, "unit"),
        counted(agents.calls, "request"),
        agents.input_tokens,
        agents.output_tokens,
        cost(agents.cost_micros)
    )
}

/// What was told, and what telling everything would have taken, in a line.
pub fn saved(agents: &AgentsReport) -> String {
    let (told, whole) = (agents.told_bytes, agents.whole_bytes);
    let part = if whole == 0 { String::new() } else { format!(", {:.0} %", percent(told, whole)) };
    format!("context {told} bytes told where the whole specification and plan have {whole}{part}")
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn percent(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64 * 100.0
}

fn tries(count: usize) -> String {
    if count == 1 { "1 try".to_owned() } else { format!("{count} tries") }
}

fn cost(micros: Option<u64>) -> String {
    micros.map_or_else(|| "cost unknown".to_owned(), money)
}

fn effect(effect: &EffectReport) -> String {
    let said = match effect.verdict.as_str() {
        "helps" => "similar work helps",
        "harms" => "similar work harms",
        _ => "the effect of similar work: not enough evidence",
    };
    let stands = if effect.campaign > 1 { format!("{}\n", effect.stands) } else { String::new() };
    let passed = format!(
        "{stands}{said}; first tries passed {} of {} with it and {} of {} without",
        effect.shown_passed, effect.shown, effect.held_out_passed, effect.held_out
    );
    // What was never compared has no difference.
    if effect.shown == 0 || effect.held_out == 0 {
        return passed;
    }
    format!(
        "{passed}, difference {:+.2} ({:+.2} to {:+.2} at {:.0} %, at every look)",
        effect.uplift,
        effect.lower,
        effect.upper,
        effect.level * 100.0
    )
}
