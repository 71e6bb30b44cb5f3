//! What the programs print, and what is read from it.

use std::path::Path;

use super::lines::Line;
use super::reading::Reading;
use super::report::{Counts, Ended, Progress, Report, Usage};
use super::settings::Preset;

fn read(preset: Preset, output: &str) -> Report {
    let (mut reading, mut report) = (Reading::new(preset), Report::default());
    for line in output.lines() {
        reading.line(&Line::Whole(line.to_owned()), Path::new("/w"), &mut report);
    }
    report
}

fn text(text: &str) -> Progress {
    Progress::Text(text.to_owned())
}

fn tool(name: &str, about: &str) -> Progress {
    Progress::Tool { name: name.to_owned(), about: about.to_owned() }
}

fn edit(path: &str) -> Progress {
    Progress::Edit { path: path.to_owned() }
}

fn started(session: &str) -> Progress {
    Progress::Started { session: session.to_owned() }
}

const CLAUDE: &str = r#"{"type":"system","subtype":"init","session_id":"s-1","model":"claude-x","tools":["Edit"],"cwd":"/w"}
{"type":"assistant","message":{"id":"m1","content":[{"type":"thinking","thinking":"…"},{"type":"text","text":"I will edit."}],"usage":{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":5,"output_tokens":1}},"session_id":"s-1"}
{"type":"assistant","message":{"id":"m1","content":[{"type":"tool_use","id":"t1","name":"Edit","input":{"file_path":"/w/src/a.py","old_string":"a","new_string":"b"}}],"usage":{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":5,"output_tokens":7}}}
{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"}]}}
{"type":"assistant","message":{"id":"m2","content":[{"type":"tool_use","id":"t2","name":"Bash","input":{"command":"pytest"}},{"type":"tool_use","id":"t3","name":"Write","input":{"file_path":"/elsewhere/x"}}],"usage":{"input_tokens":20,"output_tokens":3}}}
{"type":"brand_new_event","x":1}"#;

#[test]
fn claude_tells_what_it_does_and_what_it_used_so_far() {
    let report = read(Preset::Claude, CLAUDE);
    let news = [started("s-1"), text("I will edit."), edit("src/a.py"), tool("Bash", "pytest"), edit("/elsewhere/x")];
    assert_eq!(report.news, news);
    assert_eq!(report.counts, Counts { lines: 6, texts: 1, tools: 1, edits: 2, unknown: 1, ..Counts::default() });
    // The first message came in two events, of which the later one counts.
    let usage = Usage { input: Some(135), cached: Some(100), output: Some(10), cost_micros: None, turns: Some(2), complete: false };
    assert_eq!((report.usage, report.ended), (usage, None));
}

#[test]
fn claudes_result_sums_up() {
    let result = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":4,"result":"Done.","session_id":"s-1","total_cost_usd":0.0123456,"usage":{"input_tokens":30,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":50}}"#;
    let report = read(Preset::Claude, &format!("{CLAUDE}\n{result}"));
    let usage = Usage { input: Some(135), cached: Some(100), output: Some(50), cost_micros: Some(12_346), turns: Some(4), complete: true };
    assert_eq!((report.usage, report.ended), (usage, Some(Ended::Done)));
    assert_eq!((report.message.as_deref(), report.session.as_deref(), report.counts.texts), (Some("Done."), Some("s-1"), 1));
}

#[test]
fn claude_says_why_it_ended() {
    let check = |event: &str, ended: Ended| assert_eq!(read(Preset::Claude, event).ended, Some(ended), "{event}");
    check(r#"{"type":"result","subtype":"error_max_turns","is_error":true,"num_turns":3}"#, Ended::MaxTurns);
    let limit = "Claude AI usage limit reached|1764300000";
    check(&format!(r#"{{"type":"result","subtype":"success","is_error":true,"result":"{limit}"}}"#), Ended::Failed(limit.to_owned()));
    check(
        r#"{"type":"result","subtype":"error_during_execution","is_error":true,"errors":["boom","bang"]}"#,
        Ended::Failed("error_during_execution: boom: bang".to_owned()),
    );
    let refusal = "{\"type\":\"assistant\",\"message\":{\"id\":\"m\",\"stop_reason\":\"refusal\",\"content\":[{\"type\":\"text\",\"text\":\"I can't.\"}]}}\n\
                   {\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"I can't.\"}";
    check(refusal, Ended::Refused("I can't.".to_owned()));
}

#[test]
fn amounts_that_cannot_be_are_not_taken() {
    let cost = |cost: &str| {
        let event =
            format!(r#"{{"type":"result","subtype":"success","total_cost_usd":{cost},"usage":{{"input_tokens":-1,"output_tokens":1e3}}}}"#);
        let usage = read(Preset::Claude, &event).usage;
        (usage.cost_micros, usage.input, usage.output)
    };
    for wrong in ["-1", "1e300", "\"free\"", "null"] {
        assert_eq!(cost(wrong), (None, Some(0), Some(0)), "{wrong}");
    }
    let most = u64::MAX;
    let message =
        format!(r#"{{"type":"assistant","message":{{"id":"ID","usage":{{"input_tokens":{most},"cache_read_input_tokens":{most}}}}}}}"#);
    let report = read(Preset::Claude, &(message.replace("ID", "1") + "\n" + &message));
    assert_eq!(report.usage.input, Some(most));
}

const CODEX: &str = r#"{"type":"thread.started","thread_id":"t-1"}
{"type":"turn.started"}
{"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"bash -lc ls","status":"in_progress"}}
{"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"bash -lc ls","exit_code":0}}
{"type":"item.completed","item":{"id":"item_1","type":"reasoning","text":"**Thinking**"}}
{"type":"item.completed","item":{"id":"item_2","type":"file_change","changes":[{"path":"/w/a.py","kind":"add"},{"path":"b.py","kind":"update"}]}}
{"type":"error","message":"Reconnecting... 1/5"}
{"type":"item.completed","item":{"id":"item_3","type":"holodeck"}}
{"type":"item.completed","item":{"id":"item_4","type":"agent_message","text":"Done."}}"#;

#[test]
fn codex_tells_what_it_does() {
    let open = read(Preset::Codex, CODEX);
    assert_eq!(open.news, [started("t-1"), tool("command", "bash -lc ls"), edit("a.py"), edit("b.py"), text("Done.")]);
    assert_eq!((open.ended, open.problem.as_deref(), open.counts.unknown), (None, Some("Reconnecting... 1/5"), 1));
    let completed = r#"{"type":"turn.completed","usage":{"input_tokens":24763,"cached_input_tokens":24448,"output_tokens":122}}"#;
    let done = read(Preset::Codex, &format!("{CODEX}\n{completed}\n{{\"type\":\"turn.started\"}}\n{completed}"));
    let usage = Usage { input: Some(49_526), cached: Some(48_896), output: Some(244), cost_micros: None, turns: Some(2), complete: true };
    assert_eq!((done.usage, done.ended, done.problem), (usage, Some(Ended::Done), None));
    let failed = read(Preset::Codex, r#"{"type":"turn.failed","error":{"message":"stream disconnected"}}"#);
    assert_eq!(failed.ended, Some(Ended::Failed("stream disconnected".to_owned())));
}

#[test]
fn aider_tells_tokens_edits_and_errors_in_words() {
    let output = "Aider v0.86\nApplied edit to src/a.py\nTokens: 2.3k sent, 1.0k cache write, 12k cache hit, 145 received. Cost: $0.01 message, $0.01 session.\n\
                  Tokens: 700 sent, 55 received. Cost: $0.02 message, $0.03 session.";
    let report = read(Preset::Aider, output);
    assert_eq!(report.news, [text("Aider v0.86"), edit("src/a.py")]);
    let usage =
        Usage { input: Some(16_000), cached: Some(12_000), output: Some(200), cost_micros: Some(30_000), turns: Some(2), complete: true };
    assert_eq!(report.usage, usage);
    let free = read(Preset::Aider, "Tokens: 10 sent, 5 received.");
    assert_eq!((free.usage.input, free.usage.cost_micros), (Some(10), None));
    let failed =
        read(Preset::Aider, "litellm.AuthenticationError: no key\nThe API provider is not able to authenticate you. Check your API key.");
    assert!(failed.problem.unwrap().contains("authenticate you"));
    let recovered = read(Preset::Aider, "litellm.InternalServerError: overloaded\nTokens: 10 sent, 5 received.");
    assert_eq!(recovered.problem, None);
}

#[test]
fn whatever_is_no_event_is_counted_and_passed_over() {
    let deep = format!("{{\"type\":\"assistant\",\"x\":{}", "[".repeat(100_000));
    let output = format!(
        "not json\n{{\"type\":\n[1,2]\n{{\"type\":3}}\n\"text\"\n\n{deep}\n{{\"type\":\"assistant\",\"message\":7}}\n{{\"type\":\"result\"}}"
    );
    for preset in [Preset::Claude, Preset::Codex] {
        let report = read(preset, &output);
        assert_eq!((report.counts.lines, report.counts.broken), (9, 6), "{preset:?}");
    }
    let mut report = Report::default();
    Reading::new(Preset::Claude).line(&Line::TooLong(5), Path::new("/w"), &mut report);
    assert_eq!((report.counts.lines, report.counts.too_long), (1, 1));
}

#[test]
fn any_other_program_just_talks() {
    let report = read(Preset::Any, "one\n\n{\"type\":\"result\"}\n");
    assert_eq!(report.news, [text("one"), text("{\"type\":\"result\"}")]);
    assert_eq!((report.usage, report.ended), (Usage::default(), None));
}
