//! What each program prints, line by line. Whatever is not known is counted and passed over: these formats grow with every version.

use std::path::Path;

use serde_json::Value;

use super::aider::Aider;
use super::claude::Claude;
use super::codex::Codex;
use super::lines::Line;
use super::report::Report;
use super::settings::Preset;

/// The reader of one program's output.
#[derive(Debug)]
pub(super) enum Reading {
    /// Claude Code's `stream-json`.
    Claude(Claude),
    /// Codex's `exec --json`.
    Codex(Codex),
    /// aider's plain text.
    Aider(Aider),
    /// Anybody's text: every line is something said.
    Any,
}

impl Reading {
    pub(super) fn new(preset: Preset) -> Self {
        match preset {
            Preset::Claude => Self::Claude(Claude::default()),
            Preset::Codex => Self::Codex(Codex),
            Preset::Aider => Self::Aider(Aider::default()),
            Preset::Any => Self::Any,
        }
    }

    /// True for programs that say themselves that they ended: silence is a crash then, whatever the exit code.
    pub(super) fn says_its_end(&self) -> bool {
        matches!(self, Self::Claude(_) | Self::Codex(_))
    }

    /// Takes one line of standard output.
    pub(super) fn line(&mut self, line: &Line, worktree: &Path, report: &mut Report) {
        report.counts.lines += 1;
        let text = match line {
            Line::Whole(text) if text.trim().is_empty() => return,
            Line::Whole(text) => text,
            Line::TooLong(_) => {
                report.counts.too_long += 1;
                return;
            }
        };
        match self {
            Self::Claude(claude) => event(text, report, |event, report| claude.event(event, worktree, report)),
            Self::Codex(codex) => event(text, report, |event, report| codex.event(event, worktree, report)),
            Self::Aider(aider) => aider.line(text, worktree, report),
            Self::Any => report.text(text),
        }
    }
}

fn event(line: &str, report: &mut Report, take: impl FnOnce(&Value, &mut Report)) {
    match serde_json::from_str::<Value>(line) {
        Ok(event) if event.get("type").is_some_and(Value::is_string) => take(&event, report),
        _ => {
            report.counts.broken += 1;
            // Programs print plain words where they cannot even begin: not logged in, a wrong option.
            report.complain(line);
        }
    }
}

/// A text in an event; empty when it is not there.
pub(super) fn text<'v>(event: &'v Value, pointer: &str) -> &'v str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number in an event.
pub(super) fn number(event: &Value, pointer: &str) -> Option<u64> {
    event.pointer(pointer).and_then(Value::as_u64)
}
