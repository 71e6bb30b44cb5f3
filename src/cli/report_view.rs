//! A run's report as a person reads it.

use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::output::{duration, print_table, say};
use super::{agents_view, ask};
use crate::model::report::{CommandsReport, FailureReport, PhaseReport, RunReport, UnitReport};
use crate::model::{RunState, Severity, UnitState, Verdict};
use crate::pipeline::compliance::{Compliance, Judgement, Standing};
use crate::pipeline::validate::counted;

/// Unmet requirements that the end of a run names; the report has them all.
const UNMET_SHOWN_MAX: usize = 20;
const BOLD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const CARE: Style = AnsiColor::Yellow.on_default();
const QUIET: Style = Style::new().dimmed();

/// Prints the whole report.
pub fn print(report: &RunReport, compliance: Option<&Compliance>) {
    let style = state_style(report.state);
    // Where nothing can be generated, as from prose, the target says nothing.
    let generated = report.units.iter().any(|unit| unit.agent.as_deref().is_some_and(|agent| agent.starts_with("generator/")));
    let target = if generated { format!(" on {}", report.target) } else { String::new() };
    say!("{BOLD}{}{BOLD:#} version {}{target}: {style}{}{style:#}", report.title, report.spec_version, report.state.as_str());
    say!("run {} · {}", report.run, report.summary);
    section("Phases");
    print_phases(&report.phases);
    section("Units");
    print_units(&report.units);
    print_failures(&report.units);
    print_undeclared(&report.units);
    print_contexts(&report.units);
    if let Some(agents) = &report.agents {
        agents_view::print(agents, &report.units);
    }
    print_questions(&report.units);
    if !report.checks.is_empty() {
        section("Checks");
        for check in &report.checks {
            let (style, mark) = verdict(check.verdict);
            let detail = check.detail.lines().next().unwrap_or_default();
            say!("  {style}{mark}{style:#} {:24} {:>9}  {detail}", check.name, millis(check.duration_ms));
        }
    }
    if let Some(compliance) = compliance {
        print_compliance(compliance);
    }
    print_findings(report);
    print_commands(report);
    for line in &report.degraded {
        say!("{CARE}degraded{CARE:#}: {line}");
    }
    if let Some(branch) = &report.branch {
        section("Branch");
        say!("  {} of {}", branch.branch, branch.repository);
        say!("  {QUIET}from {}{QUIET:#}", branch.start);
    }
    if report.branch.as_ref().is_none_or(|branch| branch.repository != report.out) {
        section("Files");
        say!("  {}", report.out);
    }
    if let Some(hash) = &report.tree_hash {
        say!("  {QUIET}tree {hash}{QUIET:#}");
    }
}

/// Prints how many commands were executed, and what became of those that did not simply end.
fn print_commands(report: &RunReport) {
    let CommandsReport { all, not_run, unfinished, denied } = report.commands;
    if all == 0 {
        return;
    }
    let parts = [(not_run, "did not run"), (unfinished, "did not end"), (denied, "were denied something")];
    let parts: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    section("Commands");
    say!("  {all} executed{parts}; `specwave logs {} --commands` lists them", report.run);
}

/// Prints what a person wants to know when a run ends: compliance, what waits, where the files are.
pub fn print_ending(report: &RunReport, compliance: Option<&Compliance>) {
    if let Some(compliance) = compliance {
        say!("{}", compliance_line(compliance));
        for judgement in compliance.unmet().take(UNMET_SHOWN_MAX) {
            print_judgement(judgement);
        }
        let more = compliance.unmet().count().saturating_sub(UNMET_SHOWN_MAX);
        if more > 0 {
            say!("  and {more} more");
        }
    }
    print_unfinished(&report.units);
    let undeclared: usize = report.units.iter().map(|unit| unit.undeclared.len()).sum();
    if undeclared > 0 {
        say!("{CARE}undeclared{CARE:#} {} changed that no unit declares; the report names them", counted(undeclared, "file"));
    }
    if let Some(agents) = &report.agents {
        say!("{}", agents_view::used(agents));
        say!("{}", agents_view::saved(agents));
    }
    if let Some(branch) = &report.branch {
        say!("branch  {} of {}", branch.branch, branch.repository);
        let (repository, range) = (shell_path(Path::new(&branch.repository)), format!("{}..{}", branch.start, branch.branch));
        say!("        git -C {repository} log --stat {range}");
    }
    if report.tree_hash.is_some() {
        say!("files   {}", report.out);
        if !report.start.is_empty() {
            say!("start   cd {}", shell_path(Path::new(&report.out)));
            report.start.iter().for_each(|line| say!("        {line}"));
        }
    }
    say!("report  specwave report {}", report.run);
}

/// The units that were not built, those with the same reason together.
fn print_unfinished(units: &[UnitReport]) {
    let mut reasons: Vec<(UnitState, &str, Vec<&str>)> = Vec::new();
    for unit in units.iter().filter(|unit| matches!(unit.state, UnitState::Waiting | UnitState::Failed | UnitState::Blocked)) {
        let reason = unit.evidence.first().map(String::as_str).unwrap_or_default();
        match reasons.iter_mut().find(|(state, known, _)| *state == unit.state && *known == reason) {
            Some((.., keys)) => keys.push(&unit.key),
            None => reasons.push((unit.state, reason, vec![&unit.key])),
        }
    }
    for (state, reason, keys) in reasons {
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        say!("  {CARE}{}{CARE:#} {}{reason}", state.as_str(), keys.join(", "));
    }
}

fn section(title: &str) {
    say!("\n{BOLD}{title}{BOLD:#}");
}

fn print_phases(phases: &[PhaseReport]) {
    for phase in phases {
        let round = if phase.round > 1 { format!(" ({})", phase.round) } else { String::new() };
        let time = phase.duration_ms.map_or_else(|| phase.state.clone(), millis);
        let style = if phase.state == "failed" { BAD } else { Style::new() };
        say!("  {style}{:14}{style:#} {time:>12}  {}", format!("{}{round}", phase.phase.as_str()), phase.summary);
    }
}

fn print_units(units: &[UnitReport]) {
    let row = |unit: &UnitReport| {
        let agent = unit.agent.clone().unwrap_or_default();
        let time = unit.duration_ms.map(millis).unwrap_or_default();
        let wave = if unit.wave == 0 { String::new() } else { unit.wave.to_string() };
        vec![wave, unit.state.as_str().to_owned(), unit.key.clone(), agent, time, unit.evidence.join(", ")]
    };
    print_table(&["wave", "state", "unit", "agent", "time", "evidence"], &units.iter().map(row).collect::<Vec<_>>());
}

/// The tries that failed: which unit, who was sent, how often, and why it was for nothing.
fn print_failures(units: &[UnitReport]) {
    let mut rows: Vec<(&str, &FailureReport, usize)> = Vec::new();
    for (unit, failure) in units.iter().flat_map(|unit| unit.failures.iter().map(|failure| (unit.key.as_str(), failure))) {
        let same =
            |row: &&mut (&str, &FailureReport, usize)| row.0 == unit && row.1.agent == failure.agent && row.1.reason == failure.reason;
        match rows.iter_mut().find(same) {
            Some((.., tries)) => *tries += 1,
            None => rows.push((unit, failure, 1)),
        }
    }
    let row = |(unit, failure, tries): &(&str, &FailureReport, usize)| {
        vec![(*unit).to_owned(), failure.agent.clone(), tries.to_string(), failure.reason.clone()]
    };
    if !rows.is_empty() {
        section("Tries that came to nothing");
        print_table(&["unit", "agent", "tries", "reason"], &rows.iter().map(row).collect::<Vec<_>>());
    }
}

/// What units changed beyond their own files, all of it.
fn print_undeclared(units: &[UnitReport]) {
    let rows: Vec<Vec<String>> =
        units.iter().flat_map(|unit| unit.undeclared.iter().map(|file| vec![unit.key.clone(), file.clone()])).collect();
    if !rows.is_empty() {
        section("Files that no unit declares");
        print_table(&["changed by", "file"], &rows);
    }
}

fn print_questions(units: &[UnitReport]) {
    if units.iter().any(|unit| !unit.questions.is_empty()) {
        section("Questions");
    }
    for unit in units.iter().filter(|unit| !unit.questions.is_empty()) {
        say!("  {BOLD}{}{BOLD:#}", unit.key);
        for question in &unit.questions {
            ask::print(question, "    ");
        }
    }
}

/// What agents are told of the units that need one, so that its cost can be seen before one is configured.
fn print_contexts(units: &[UnitReport]) {
    let row = |unit: &UnitReport| {
        let context = unit.context.as_ref()?;
        let share = format!("{} of at most {} bytes", context.bytes, context.bytes_max);
        let patterns = counted(context.patterns.len(), "pattern");
        Some(vec![unit.key.clone(), context.level.clone(), share, format!("{} bytes", context.bytes_whole), patterns])
    };
    let rows: Vec<Vec<String>> = units.iter().filter_map(row).collect();
    if !rows.is_empty() {
        section("Contexts");
        print_table(&["unit", "level", "context", "whole specification and plan", "similar work"], &rows);
    }
}

fn print_compliance(compliance: &Compliance) {
    section("Requirements");
    say!("{}", compliance_line(compliance));
    for judgement in &compliance.requirements {
        print_judgement(judgement);
    }
}

fn compliance_line(compliance: &Compliance) -> String {
    let score = compliance.score.map_or_else(|| "none verified".to_owned(), |score| format!("{:.0} %", score * 100.0));
    format!(
        "compliance {score}, coverage {:.0} %: {} passed, {} failed, {} unverified",
        compliance.coverage * 100.0,
        compliance.count(Standing::Passed),
        compliance.count(Standing::Failed),
        compliance.count(Standing::Unverified)
    )
}

fn print_judgement(judgement: &Judgement) {
    let (style, mark) = match judgement.standing {
        Standing::Passed => (GOOD, "✓"),
        Standing::Failed => (BAD, "✗"),
        Standing::Unverified => (CARE, "?"),
    };
    say!("  {style}{mark}{style:#} {} {}", judgement.key, judgement.text);
    if !judgement.proof.is_empty() {
        let counts: Vec<String> = judgement.witnesses.iter().map(|(kind, count)| counted(*count, kind.noun())).collect();
        let all: usize = judgement.witnesses.values().sum();
        let such_as = if all > judgement.proof.len() { ", such as" } else { ":" };
        say!("      {QUIET}{}{such_as} {}{QUIET:#}", counts.join(", "), judgement.proof.join("; "));
    }
}

fn print_findings(report: &RunReport) {
    if report.findings.is_empty() {
        return;
    }
    section("Findings");
    for finding in &report.findings {
        let (style, word) = match finding.severity {
            Severity::Error => (BAD, "error"),
            Severity::Warning => (CARE, "warning"),
            Severity::Info => (QUIET, "info"),
        };
        let place = finding.position.map(|position| format!(" {position}")).unwrap_or_default();
        say!("  {style}{word}{style:#}[{}]{place}: {}", finding.code, finding.message);
        say!("      {QUIET}hint: {}{QUIET:#}", finding.hint);
    }
}

fn state_style(state: RunState) -> Style {
    match state {
        RunState::Succeeded => GOOD,
        RunState::Failed | RunState::Cancelled => BAD,
        _ => CARE,
    }
}

fn verdict(verdict: Verdict) -> (Style, &'static str) {
    match verdict {
        Verdict::Passed => (GOOD, "✓"),
        Verdict::Failed => (BAD, "✗"),
        Verdict::Skipped => (CARE, "-"),
    }
}

fn millis(millis: u64) -> String {
    duration(Duration::from_millis(millis))
}

/// A path as a shell wants it.
fn shell_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = text.chars().all(|letter| letter.is_alphanumeric() || "/._-+@%".contains(letter));
    if plain { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
