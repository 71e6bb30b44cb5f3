//! Codex's `exec --json`: threads, turns and items. Its `turn.completed` tells the tokens; money it does not know.

use std::path::Path;

use serde_json::Value;

use super::reading::{number, text};
use super::report::{Ended, Report};

/// Nothing has to be remembered between events.
#[derive(Debug)]
pub(super) struct Codex;

impl Codex {
    #[expect(clippy::unused_self, reason = "readers are called alike")]
    pub(super) fn event(&mut self, event: &Value, worktree: &Path, report: &mut Report) {
        match text(event, "/type") {
            "thread.started" => report.started(text(event, "/thread_id")),
            "turn.started" => report.usage.turns = Some(report.usage.turns.unwrap_or(0).saturating_add(1)),
            "item.completed" => item(event, worktree, report),
            // The same items again, unfinished.
            "item.started" | "item.updated" => {}
            "turn.completed" => {
                let usage = &mut report.usage;
                for (sum, pointer) in [
                    (&mut usage.input, "/usage/input_tokens"),
                    (&mut usage.cached, "/usage/cached_input_tokens"),
                    (&mut usage.output, "/usage/output_tokens"),
                ] {
                    if let Some(more) = number(event, pointer) {
                        *sum = Some(sum.unwrap_or(0).saturating_add(more));
                    }
                }
                usage.complete = usage.input.is_some();
                report.problem = None;
                report.ended = Some(Ended::Done);
            }
            "turn.failed" => report.ended = Some(Ended::Failed(text(event, "/error/message").to_owned())),
            // Also a lost connection that it takes up again: only `turn.failed` is final.
            "error" => report.complain(text(event, "/message")),
            _ => report.counts.unknown += 1,
        }
    }
}

fn item(event: &Value, worktree: &Path, report: &mut Report) {
    let item = event.get("item").unwrap_or(&Value::Null);
    // Older versions call it `item_type`.
    let kind = [text(item, "/type"), text(item, "/item_type")].into_iter().find(|kind| !kind.is_empty()).unwrap_or_default();
    match kind {
        "agent_message" | "assistant_message" => report.text(text(item, "/text")),
        "command_execution" => report.tool("command", text(item, "/command")),
        "mcp_tool_call" => report.tool(text(item, "/tool"), text(item, "/server")),
        "web_search" => report.tool("web_search", text(item, "/query")),
        "file_change" => {
            let changes = item.get("changes").and_then(Value::as_array);
            for change in changes.into_iter().flatten() {
                report.edit(text(change, "/path"), worktree);
            }
        }
        "error" => report.complain(text(item, "/message")),
        "reasoning" | "todo_list" => {}
        _ => report.counts.unknown += 1,
    }
}
