//! The command line as scripts and people meet it: valid JSON, no colour where none is wanted, readers that go away, wrong requests.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::installation::{Installation, STEPS, file, fresh_name};

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command whose reader takes one line, or none, and goes.
fn with_a_hasty_reader(mut command: Command, lines: usize, code: i32) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let read = BufReader::new(child.stdout.take().unwrap()).lines().take(lines).map_while(Result::ok).count();
    assert_eq!(read, lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output).contains("panicked")), (Some(code), false), "{command:?}\n{}", said(&output));
}

#[test]
fn every_command_answers_in_valid_json_without_colour_and_survives_a_hasty_reader() {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "steps.md", STEPS);
    let (spec, out, name) = (spec.to_str().unwrap(), scratch.path().join("out"), fresh_name("terminal"));
    let run = ["run", spec, "--out", out.to_str().unwrap(), "--name", &name, "--json"];
    with_a_hasty_reader(installation.command(&run), 1, 3);

    let commands: [&[&str]; 10] = [
        &["plan", spec, "--json"],
        &["status", "--json"],
        &["status", &name, "--json"],
        &["report", &name, "--json"],
        &["logs", &name, "--json"],
        &["patterns", "list", "--json"],
        &["patterns", "search", "list endpoint", "--json"],
        &["doctor", "--json"],
        &["config", "--json"],
        &["migrate", "status", "--json"],
    ];
    for arguments in commands {
        let output = installation.call(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        let plain = installation.command(&arguments[..arguments.len() - 1]).env("NO_COLOR", "1").output().unwrap();
        assert_eq!(plain.status.code(), Some(0), "{arguments:?}: {}", said(&plain));
        assert!(!plain.stdout.is_empty() && !plain.stdout.contains(&0x1b) && !plain.stderr.contains(&0x1b), "{arguments:?}");
    }
    for arguments in [&["plan", spec, "--json"][..], &["report", &name, "--json"], &["logs", &name], &["completions", "bash"]] {
        with_a_hasty_reader(installation.command(arguments), 0, 0);
    }
}

#[test]
fn wrong_requests_are_exit_2_with_a_hint() {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "steps.md", STEPS);
    let name = fresh_name("wrong");
    installation.run(&spec, &scratch.path().join("out"), &name).end().expect(3, "partial");
    let check = |arguments: &[&str], expect: &str| {
        let output = installation.call(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expect) && said.contains("hint: "), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    };
    for command in ["status", "report", "logs", "resume", "cancel"] {
        check(&[command, "no-such-run"], "no run is called \"no-such-run\"");
    }
    check(&["logs", &name, "no-such-unit"], "no unit or check whose name contains \"no-such-unit\"");
    check(&["patterns", "show", "00000000-0000-0000-0000-000000000000"], "no pattern is called");
    check(&["undo", scratch.path().to_str().unwrap()], "has nothing to undo");
    check(&["undo", spec.to_str().unwrap()], "is not a directory");
    check(&["run", spec.to_str().unwrap(), "--concurrency", "0"], "setting `run.concurrency` from flag is 0");
    assert_eq!(installation.call(&["cancel", &name]).status.code(), Some(0));
    check(&["cancel", &name], "is cancelled, it cannot be cancelled");
    check(&["resume", &name], "is cancelled, it cannot go on");
}

#[test]
fn specwaves_beside_each_other_on_one_data_directory_all_work() {
    let (installation, scratch) = (Installation::own(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "notes.md", crate::installation::NOTES);
    let mut one = installation.run(&spec, &scratch.path().join("one"), "one");
    let mut other = installation.run(&spec, &scratch.path().join("other"), "other");
    one.until_phase("validate");
    other.until_phase("validate");
    // The runs hold the vectors: one of them the shard itself, the other its copy; a third and a fourth process find them taken.
    let searches: Vec<_> = (0..2).map(|_| installation.command(&["patterns", "search", "list endpoint", "--json"])).collect();
    let searches: Vec<_> = searches.into_iter().map(|mut search| search.stdout(Stdio::piped()).spawn().unwrap()).collect();
    for search in searches {
        let output = search.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(serde_json::from_slice::<Value>(&output.stdout).unwrap().is_array());
    }
    let (one, other) = (one.end(), other.end());
    timed_from_its_beginning(&one.events);
    let logs = installation.call(&["logs", "one", "model/note"]);
    let logs = String::from_utf8(logs.stdout).unwrap();
    for part in ["generator/fastapi wrote src/notes/models/note.py", "ruff format --check", "1 file already formatted", "exit code 0"] {
        assert!(logs.contains(part), "{part:?} is missing from\n{logs}");
    }
    assert_eq!(one.expect(0, "succeeded")["tree_hash"], other.expect(0, "succeeded")["tree_hash"]);
    let found = installation.call(&["patterns", "search", "list endpoint", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!(!found.as_array().unwrap().is_empty(), "what both learned is found");
    assert_eq!(installation.postmaster(), None, "the last one out stopped the server");
}

/// The execute phase begins before the first unit, and its time is at least that of the longest one.
fn timed_from_its_beginning(events: &[Value]) {
    let of_execute = |event: &&Value, kind: &str| event["event"] == kind && event["phase"] == "execute";
    let began = events.iter().position(|event| of_execute(&event, "phase_started")).unwrap();
    let first = events.iter().position(|event| event["event"] == "unit").unwrap();
    assert!(began < first, "the phase begins with event {began}, the first unit is event {first}");
    let ended = events.iter().find(|event| of_execute(event, "phase_finished")).unwrap();
    let longest = events.iter().filter(|event| event["event"] == "unit").filter_map(|event| event["duration_ms"].as_u64()).max().unwrap();
    assert!(ended["duration_ms"].as_u64().unwrap() >= longest, "{ended} is shorter than a unit of {longest} ms");
}

#[test]
fn a_full_disk_behind_stdout_is_told() {
    for arguments in [&["config"][..], &["config", "--json"], &["completions", "zsh"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Installation::shared().command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains("No space left") && !said.contains("panicked"), "{arguments:?}: {said}");
    }
}
