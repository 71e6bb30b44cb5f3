//! Claude Code's `--output-format stream-json`: one event a line, the last one a `result` with the totals.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::reading::{number, text};
use super::report::{Ended, Report, Usage};

/// Tools that write files.
const EDITING: [&str; 4] = ["Edit", "MultiEdit", "Write", "NotebookEdit"];
/// What a tool is used on, by the names that tools give it.
const ABOUT: [&str; 8] = ["/file_path", "/notebook_path", "/command", "/pattern", "/path", "/description", "/url", "/query"];
/// More messages than any session has; beyond it usage is not counted before the end.
const MESSAGES_MAX: usize = 20_000;

/// What is remembered between events.
#[derive(Debug, Default)]
pub(super) struct Claude {
    /// Each message's usage: a message comes in several events that repeat it.
    messages: BTreeMap<String, [u64; 3]>,
}

impl Claude {
    pub(super) fn event(&mut self, event: &Value, worktree: &Path, report: &mut Report) {
        match text(event, "/type") {
            "system" if text(event, "/subtype") == "init" => report.started(text(event, "/session_id")),
            "assistant" => self.assistant(event, worktree, report),
            "result" => result(event, report),
            // What tools answered, what is only about the terminal, and pieces of what comes whole later.
            "user" | "system" | "stream_event" | "rate_limit_event" | "keep_alive" => {}
            _ => report.counts.unknown += 1,
        }
    }

    fn assistant(&mut self, event: &Value, worktree: &Path, report: &mut Report) {
        let blocks = event.pointer("/message/content").and_then(Value::as_array);
        for block in blocks.into_iter().flatten() {
            match text(block, "/type") {
                "text" => report.text(text(block, "/text")),
                "tool_use" => {
                    let (name, input) = (text(block, "/name"), block.get("input").unwrap_or(&Value::Null));
                    let about = ABOUT.iter().map(|pointer| text(input, pointer)).find(|about| !about.is_empty()).unwrap_or_default();
                    if EDITING.contains(&name) { report.edit(about, worktree) } else { report.tool(name, about) }
                }
                _ => {}
            }
        }
        if text(event, "/message/stop_reason") == "refusal" {
            report.ended = Some(Ended::Refused(report.message.clone().unwrap_or_default()));
        }
        // An error that the program met on its way to the model; it says in words which.
        if event.get("error").is_some_and(|error| !error.is_null()) {
            let said = [text(event, "/error"), report.message.as_deref().unwrap_or_default()].join(" ");
            report.complain(&said);
        }
        if let Some(usage) = event.pointer("/message/usage") {
            let id = text(event, "/message/id").to_owned();
            if self.messages.len() < MESSAGES_MAX || self.messages.contains_key(&id) {
                self.messages.insert(id, tokens(usage));
            }
            let sum = |at: usize| self.messages.values().map(|tokens| tokens[at]).fold(0_u64, u64::saturating_add);
            let turns = Some(self.messages.len() as u64);
            report.usage =
                Usage { input: Some(sum(0)), cached: Some(sum(1)), output: Some(sum(2)), cost_micros: None, turns, complete: false };
        }
    }
}

fn result(event: &Value, report: &mut Report) {
    let said = text(event, "/result");
    report.started(text(event, "/session_id"));
    let failed = event.get("is_error").and_then(Value::as_bool).unwrap_or(false);
    let refused = matches!(report.ended, Some(Ended::Refused(_))) || text(event, "/stop_reason") == "refusal";
    report.ended = Some(match text(event, "/subtype") {
        "error_max_turns" => Ended::MaxTurns,
        _ if refused => Ended::Refused(said.to_owned()),
        "success" if !failed => Ended::Done,
        subtype => Ended::Failed(failure(event, said, subtype)),
    });
    if !said.trim().is_empty() {
        // It repeats the last message, or is an error's only words.
        let counted = report.counts.texts;
        report.text(said);
        report.counts.texts = counted;
        report.news.pop();
    }
    if let Some(usage) = event.get("usage") {
        let [input, cached, output] = tokens(usage);
        let cost_micros = event.get("total_cost_usd").and_then(Value::as_f64).and_then(micros);
        let turns = number(event, "/num_turns");
        report.usage = Usage { input: Some(input), cached: Some(cached), output: Some(output), cost_micros, turns, complete: true };
    }
}

fn failure(event: &Value, said: &str, subtype: &str) -> String {
    let errors = event.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let words: Vec<&str> = [said, subtype].into_iter().chain(errors).filter(|words| !words.is_empty() && *words != "success").collect();
    words.join(": ")
}

/// Read in all, read from the cache, written. What was read from or written into the cache is not part of its own `input_tokens`.
fn tokens(usage: &Value) -> [u64; 3] {
    let of = |pointer| number(usage, pointer).unwrap_or(0);
    let (cached, stored) = (of("/cache_read_input_tokens"), of("/cache_creation_input_tokens"));
    [of("/input_tokens").saturating_add(cached).saturating_add(stored), cached, of("/output_tokens")]
}

/// Dollars as millionths; none when it is no sensible amount.
pub(super) fn micros(dollars: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0..1e9).contains(&dollars).then(|| (dollars * 1e6).round() as u64)
}
