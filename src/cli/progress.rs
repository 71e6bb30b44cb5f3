//! A run as it happens, on stderr: a bar on a terminal, plain lines elsewhere, or JSON lines on stdout for machines.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::duration;
use crate::model::{Event, EventKind, Phase, RunState, UnitState};

/// Names of running units that the bar shows.
const RUNNING_SHOWN_MAX: usize = 3;
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const CARE: Style = AnsiColor::Yellow.on_default().bold();

/// Shows the events of one run.
#[derive(Debug)]
pub struct Progress {
    form: Form,
    states: BTreeMap<String, UnitState>,
    units: usize,
}

#[derive(Debug)]
enum Form {
    Bar(ProgressBar),
    Plain,
    Json,
}

impl Progress {
    /// The form that suits where stderr goes; `json` asks for JSON lines on stdout.
    pub fn new(json: bool) -> Self {
        let form = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Bar(bar()),
            (false, false) => Form::Plain,
        };
        Self { form, states: BTreeMap::new(), units: 0 }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        if matches!(self.form, Form::Json) {
            return print_json_line(event);
        }
        match &event.kind {
            EventKind::RunStarted { how } => self.line(GOOD, "Run", &format!("{} {how}", event.run)),
            EventKind::PhaseStarted { phase, round } => self.phase_started(*phase, *round),
            EventKind::PhaseFinished { phase, summary, duration_ms, recorded, .. } => {
                self.phase_finished(*phase, summary, *duration_ms, *recorded);
            }
            EventKind::UnitsPlanned { units, .. } => self.units = *units,
            EventKind::Unit { key, state, reason, .. } => self.unit(key, *state, reason.as_deref()),
            EventKind::UnitProgress { key, agent, step, .. } if matches!(self.form, Form::Plain) => {
                self.line(Style::new(), "Working", &format!("{key} {agent}: {step}"));
            }
            // The bar names who works, and has no room for more.
            EventKind::UnitProgress { .. } => {}
            EventKind::Check { name, passed, duration_ms, summary } => {
                let style = if *passed { GOOD } else { BAD };
                let verb = if *passed { "Checked" } else { "Failed" };
                self.line(style, verb, &format!("{name}: {summary} ({})", millis(*duration_ms)));
            }
            EventKind::Warning { message } => self.line(CARE, "Warning", message),
            EventKind::RunFinished { state, summary } => self.finished(*state, summary),
        }
    }

    fn phase_started(&mut self, phase: Phase, round: u32) {
        // Units go on beside it.
        if phase == Phase::Waves {
            return;
        }
        if let Form::Bar(bar) = &self.form {
            let round = if round > 1 { format!(", round {round}") } else { String::new() };
            bar.set_prefix(doing(phase));
            bar.set_message(round);
            bar.enable_steady_tick(Duration::from_millis(120));
        }
    }

    fn phase_finished(&mut self, phase: Phase, summary: &str, duration_ms: u64, recorded: bool) {
        let time = if recorded { "recorded earlier".to_owned() } else { millis(duration_ms) };
        self.line(GOOD, done(phase), &format!("{summary} ({time})"));
    }

    fn unit(&mut self, key: &str, state: UnitState, reason: Option<&str>) {
        self.states.insert(key.to_owned(), state);
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        match (&self.form, state) {
            (_, UnitState::Failed) => self.line(BAD, "Failed", &format!("{key}{reason}")),
            (_, UnitState::Waiting) => self.line(CARE, "Waiting", &format!("{key}{reason}")),
            (Form::Plain, UnitState::Succeeded) => self.line(GOOD, "Built", key),
            (Form::Plain, UnitState::Cached) => self.line(GOOD, "Cached", key),
            _ => {}
        }
        self.redraw();
    }

    fn redraw(&self) {
        let Form::Bar(bar) = &self.form else { return };
        let settled = |state: &&UnitState| !matches!(state, UnitState::Pending | UnitState::Ready | UnitState::Running);
        let done = self.states.values().filter(settled).count();
        let running: Vec<&str> =
            self.states.iter().filter(|(_, state)| **state == UnitState::Running).map(|(key, _)| key.as_str()).collect();
        let more = running.len().saturating_sub(RUNNING_SHOWN_MAX);
        let names = running.iter().take(RUNNING_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        bar.set_length(self.units.max(done) as u64);
        bar.set_position(done as u64);
        bar.set_message(if names.is_empty() { String::new() } else { format!(" {done}/{}: {names}{more}", self.units) });
    }

    fn finished(&mut self, state: RunState, summary: &str) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
        let style = match state {
            RunState::Succeeded => GOOD,
            RunState::Failed => BAD,
            _ => CARE,
        };
        self.line(style, "Finished", &format!("{}: {summary}", state.as_str()));
    }

    fn line(&self, style: Style, verb: &str, text: &str) {
        let line = format!("{style}{verb:>12}{style:#} {text}");
        match &self.form {
            Form::Bar(bar) if !bar.is_finished() => bar.suspend(|| anstream::eprintln!("{line}")),
            _ => anstream::eprintln!("{line}"),
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>12.cyan.bold} [{bar:30}]{wide_msg}")
        .expect("the template is a constant that every run on a terminal exercises")
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

fn print_json_line(event: &Event) {
    let mut stdout = std::io::stdout().lock();
    let written = serde_json::to_writer(&mut stdout, event)
        .map_err(std::io::Error::from)
        .and_then(|()| writeln!(stdout))
        .and_then(|()| stdout.flush());
    if let Err(error) = written {
        tracing::debug!(%error, "stdout is closed");
    }
}

fn millis(millis: u64) -> String {
    duration(Duration::from_millis(millis))
}

fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Ingest => "Reading",
        Phase::Analyze => "Analyzing",
        Phase::Plan | Phase::Atomize => "Planning",
        Phase::Schedule => "Scheduling",
        Phase::Branch => "Branching",
        Phase::Execute => "Building",
        Phase::Waves => "Checking",
        Phase::Repair => "Repairing",
        Phase::Validate => "Validating",
        Phase::Deploy => "Deploying",
        Phase::Health => "Probing",
        Phase::Learn => "Learning",
    }
}

fn done(phase: Phase) -> &'static str {
    match phase {
        Phase::Ingest => "Read",
        Phase::Analyze => "Analyzed",
        Phase::Plan => "Planned",
        Phase::Atomize => "Atomized",
        Phase::Schedule => "Scheduled",
        Phase::Branch => "Branched",
        Phase::Execute => "Built",
        Phase::Waves => "Checked",
        Phase::Repair => "Repaired",
        Phase::Validate => "Validated",
        Phase::Deploy => "Deployed",
        Phase::Health => "Probed",
        Phase::Learn => "Learned",
    }
}
