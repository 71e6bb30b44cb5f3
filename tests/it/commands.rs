//! What is written down of commands: each of them, whatever its end, without secrets, and while it still runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use specwave::exec::record::Outcome;
use specwave::exec::{self, Command, Confinement, Exit, Level, Record, Recorder, sandbox};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::installation::{Running, STEPS, fresh_name, until};
use crate::trees::Stage;

/// Looks like no secret, and is one.
const SECRET: &str = "correct horse battery staple";

/// A recorder, and what it was given.
fn recorder() -> (Recorder, Arc<Mutex<Vec<Record>>>) {
    let records = Arc::new(Mutex::new(Vec::new()));
    let write = Arc::clone(&records);
    (Recorder::new(move |record| write.lock().unwrap().push(record)), records)
}

fn shell(dir: &Path, script: &str) -> Command {
    let mut command = Command::new(["sh", "-c", script, "sh"], dir);
    command.supervisor = Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")));
    command
}

/// The two records of one command that was run like that.
async fn recorded(command: &Command, cancel: &CancellationToken) -> [Record; 2] {
    let (recorder, records) = recorder();
    let _ = exec::run(command, &recorder, cancel).await;
    let records = records.lock().unwrap().clone();
    records.try_into().unwrap_or_else(|records: Vec<Record>| panic!("{} records", records.len()))
}

#[tokio::test]
async fn every_end_is_written_down() {
    let dir = TempDir::new().unwrap();
    let check = async |command: Command, expected: Outcome| {
        let [begun, ended] = recorded(&command, &CancellationToken::new()).await;
        assert_eq!((begun.id, begun.end.clone()), (ended.id, None));
        let end = ended.end.unwrap();
        assert_eq!(end.outcome, expected);
        let ran = !matches!(expected, Outcome::NotRun(_));
        assert_eq!(end.tier.is_some(), ran, "{:?}", end.tier);
        assert_eq!((begun.dir.as_path(), begun.limits), (command.dir.as_path(), command.limits));
        end
    };
    check(shell(dir.path(), "exit 3"), Outcome::Ended(Exit::Code(3))).await;
    check(shell(dir.path(), "kill -9 $$"), Outcome::Ended(Exit::Signal(9))).await;
    let mut slow = shell(dir.path(), "sleep 60");
    slow.limits.wall = Duration::from_millis(300);
    let end = check(slow, Outcome::Ended(Exit::TimedOut)).await;
    assert!(end.duration >= Duration::from_millis(300), "{:?}", end.duration);
    let mut missing = shell(dir.path(), "");
    missing.argv = vec!["no-such-program".to_owned()];
    let [_, ended] = recorded(&missing, &CancellationToken::new()).await;
    let end = ended.end.unwrap();
    assert!(matches!(&end.outcome, Outcome::NotRun(reason) if reason.contains("no-such-program")), "{end:?}");
    assert_eq!((end.tier, end.denials.as_slice()), (None, [].as_slice()), "nobody denied it anything");
    let stop = CancellationToken::new();
    stop.cancel();
    let [_, ended] = recorded(&shell(dir.path(), "sleep 60"), &stop).await;
    assert_eq!(ended.end.unwrap().outcome, Outcome::Ended(Exit::Cancelled));
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_any_more_was_given_up() {
    let dir = TempDir::new().unwrap();
    let (recorder, records) = recorder();
    let never = CancellationToken::new();
    let command = shell(dir.path(), "sleep 60");
    let running = exec::run(&command, &recorder, &never);
    assert!(tokio::time::timeout(Duration::from_millis(500), running).await.is_err());
    drop(exec::start(&command, &recorder).await.unwrap());
    let ends: Vec<Outcome> = records.lock().unwrap().iter().filter_map(|record| Some(record.end.as_ref()?.outcome.clone())).collect();
    assert_eq!(ends, [Outcome::GivenUp, Outcome::GivenUp]);
}

#[tokio::test]
async fn a_command_that_needs_more_confinement_than_there_is_was_denied_that() {
    if sandbox::offered().tier.level == Level::Bubblewrap {
        println!("skipped: everything is offered here");
        return;
    }
    let dir = TempDir::new().unwrap();
    let mut command = shell(dir.path(), "true");
    command.confinement = Confinement::Required(Level::Bubblewrap);
    let [_, ended] = recorded(&command, &CancellationToken::new()).await;
    let end = ended.end.unwrap();
    assert!(matches!(end.outcome, Outcome::NotRun(_)) && end.denials.len() == 1 && end.denials[0].contains("bubblewrap"), "{end:?}");
}

#[tokio::test]
async fn words_are_kept_without_secrets_and_in_part_when_they_are_long() {
    let dir = TempDir::new().unwrap();
    let mut command = shell(dir.path(), "true").env("HARMLESS_NAME", SECRET);
    command.argv.extend([format!("--say={SECRET}"), "postgres://app:hunter2@db/x".to_owned(), "x".repeat(9_000)]);
    command.argv.extend((0..300).map(|number| number.to_string()));
    let [_, ended] = recorded(&command, &CancellationToken::new()).await;
    let line = ended.argv.join(" ");
    assert!(!line.contains(SECRET) && !line.contains("hunter2") && line.contains("--say=[redacted]"), "{line}");
    assert!(line.len() < 3_000 && line.contains("8500 characters left out") && line.ends_with("[… 51 words left out …]"), "{line}");
}

/// The commands of a run, as `specwave logs` shows them.
fn executed(stage: &Stage, run: &str) -> Vec<Value> {
    let said = stage.installation.call(&["logs", run, "--commands", "--json"]);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
    document["commands"].as_array().cloned().unwrap_or_default()
}

#[test]
fn the_commands_of_a_run_are_listed_with_place_limits_and_end() {
    let stage = Stage::new("write; done_with Done\n", "pass = [\"HANDS_KEY\"]\n");
    let mut command = stage.command(STEPS, &fresh_name("commands"), &[]);
    command.env("HANDS_KEY", SECRET);
    let ended = Running::start(command).end();
    let report = ended.expect(3, "partial");
    let run = report["run"].as_str().unwrap();
    let commands = executed(&stage, run);
    let units: Vec<&str> = commands.iter().filter_map(|command| command["unit"].as_str()).collect();
    assert_eq!(units.len(), report["units"].as_array().unwrap().len(), "one for each unit: {commands:#?}");
    for command in &commands {
        assert_eq!((&command["outcome"], &command["exit_code"]), (&json!("exit code 0"), &json!(0)), "{command:#}");
        assert!(command["directory"].as_str().unwrap().contains("worktrees"), "{command:#}");
        assert_eq!((&command["network"], &command["phase"]), (&json!("none"), &Value::Null), "{command:#}");
        assert!(command["limits"]["wall_ms"].as_u64().unwrap() > 0 && command["sandbox"].as_str().unwrap().contains("Landlock"));
    }
    let count = commands.len();
    assert_eq!(report["commands"], json!({"all": count, "not_run": 0, "unfinished": 0, "denied": 0}));
    let told = stage.say(&["report", run]);
    assert!(told.contains(&format!("  {count} executed; `specwave logs {run} --commands` lists them")), "{told}");
    let said = stage.say(&["logs", run, units[0], "--commands"]);
    assert!(said.starts_with(units[0]) && said.contains("exit code 0 after") && said.contains("network: none"), "{said}");
    assert_eq!(said.matches("\n  $ ").count(), 1, "{said}");
    assert!(!said.contains(SECRET));
    let said = stage.say(&["logs", run, "nobody", "--commands"]);
    assert!(said.contains("no command was executed for nobody"), "{said}");
}

#[test]
fn a_command_is_listed_while_it_runs_and_after_its_process_was_killed() {
    let stage = Stage::new("sleep 600\n", "");
    let name = fresh_name("killed");
    let running = Running::start(stage.command(STEPS, &name, &[]));
    until("a command is written down", || !executed(&stage, &name).is_empty());
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    let commands = executed(&stage, &name);
    assert!(!commands.is_empty() && commands.iter().all(|command| command["outcome"] == Value::Null), "{commands:#?}");
    let said = stage.say(&["logs", &name, "--commands"]);
    assert!(said.contains("runs, or was ended with the process that ran it"), "{said}");
}
