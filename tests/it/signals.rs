//! Ctrl-C, SIGTERM and SIGKILL in the middle of a run: nothing is lost, nobody is left behind, and the same command goes on.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::installation::{Installation, NOTES, Running, alive, children, command_line, file, fresh_name, until};

/// What an undisturbed run of the notes delivers.
fn undisturbed(installation: &Installation, scratch: &Path) -> String {
    static HASH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let hash = || {
        let spec = file(scratch, "notes.md", NOTES);
        let ended = installation.run(&spec, &scratch.join("undisturbed"), &fresh_name("undisturbed")).end();
        ended.expect(0, "succeeded")["tree_hash"].as_str().unwrap().to_owned()
    };
    HASH.get_or_init(hash).clone()
}

/// Waits until nothing runs for it any more, and every process that did is gone.
fn nobody_is_left(installation: &Installation, run: &str, family: &[i32]) {
    until("the tools of the run ended", || installation.working_on(run).is_empty());
    for pid in family {
        until(&format!("process {pid} ended"), || !alive(*pid));
    }
}

/// The supervisors of what a process has started, while they run.
fn supervisors(running: &Running) -> Vec<i32> {
    children(running.pid()).into_iter().filter(|pid| command_line(*pid).contains("__supervise")).collect()
}

#[test]
fn a_run_pauses_when_it_is_asked_to_and_the_same_command_goes_on() {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "notes.md", NOTES);
    let (out, name) = (scratch.path().join("out"), fresh_name("signals"));

    // Ctrl-C while units are built.
    let mut running = installation.run(&spec, &out, &name);
    let run = running.id();
    running.until_built(3);
    running.interrupt();
    let ended = running.end();
    ended.expect(4, "paused");
    assert_eq!(ended.events.iter().filter(|event| event["event"] == "run_finished").count(), 1, "told once");
    assert!(ended.said.contains("stopping"), "{}", ended.said);
    assert!(!out.exists(), "a paused run has delivered nothing");
    nobody_is_left(&installation, &run, &[]);
    let built: Vec<String> = keys(&ended.events, "succeeded");

    // SIGTERM while the whole project is checked.
    let mut running = installation.run(&spec, &out, &name);
    running.until_checked("format");
    running.signal(Signal::TERM);
    let ended = running.end();
    ended.expect(4, "paused");
    assert!(ended.how().contains("resumed where it stopped"), "{}", ended.how());
    let again: Vec<String> = keys(&ended.events, "running");
    assert!(built.iter().all(|key| !again.contains(key)), "{built:?} were built before, {again:?} now");
    let refused: Vec<_> = ended.events.iter().filter(|event| event["event"] == "check" && event["passed"] == false).collect();
    assert!(refused.is_empty(), "a check that was called off has not failed: {refused:?}");
    nobody_is_left(&installation, &run, &[]);

    // Two signals while a tool does not react: the end at once.
    let mut running = installation.run(&spec, &out, &name);
    running.until_phase("validate");
    until("a tool runs", || !installation.working_on(&run).is_empty());
    let family = supervisors(&running);
    let stopped = Pid::from_raw(family[0]).unwrap();
    kill_process(stopped, Signal::STOP).unwrap();
    running.signal(Signal::INT);
    until("the first signal was understood", || running.said().contains("stopping"));
    running.signal(Signal::INT);
    assert_eq!(running.end().code, Some(4));
    kill_process(stopped, Signal::CONT).unwrap();
    nobody_is_left(&installation, &run, &family);

    let ended = installation.run(&spec, &out, &name).end();
    let report = ended.expect(0, "succeeded");
    assert!(ended.how().contains("resumed where it stopped"), "{}", ended.how());
    assert_eq!(report["tree_hash"], undisturbed(&installation, scratch.path()));
    assert_eq!(report["run"], run.as_str());
}

#[test]
fn a_killed_run_leaves_no_service_behind_and_goes_on() {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "notes.md", NOTES);
    let (out, name) = (scratch.path().join("out"), fresh_name("killed"));
    let mut running = installation.run(&spec, &out, &name);
    let run = running.id();
    running.until_phase("validate");
    until("the service runs", || installation.working_on(&run).iter().any(|(_, line)| line.contains("uvicorn")));
    let mut family = supervisors(&running);
    family.extend(installation.working_on(&run).iter().map(|(pid, _)| pid));
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    nobody_is_left(&installation, &run, &family);
    assert!(!out.exists());

    let ended = installation.run(&spec, &out, &name).end();
    assert!(ended.how().contains("resumed where it stopped"), "{}", ended.how());
    assert_eq!(ended.expect(0, "succeeded")["tree_hash"], undisturbed(&installation, scratch.path()));
    assert!(keys(&ended.events, "running").is_empty(), "every unit was settled before");
}

#[test]
fn a_run_that_is_called_off_from_elsewhere_stops_and_says_so() {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "notes.md", NOTES);
    let check = |wait: fn(&mut Running)| {
        let (out, name) = (scratch.path().join("out"), fresh_name("cancelled"));
        let mut running = installation.run(&spec, &out, &name);
        let run = running.id();
        wait(&mut running);
        let cancelled = installation.call(&["cancel", &name, "--reason", "not needed"]);
        assert_eq!(cancelled.status.code(), Some(0), "{}", String::from_utf8_lossy(&cancelled.stderr));
        let ended = running.end();
        ended.expect(4, "cancelled");
        let finished: Vec<_> = ended.events.iter().filter(|event| event["event"] == "run_finished").collect();
        assert_eq!(finished.len(), 1, "{finished:?}");
        assert_eq!(finished[0]["summary"], "not needed");
        nobody_is_left(&installation, &run, &[]);
        assert!(!out.exists());
    };
    check(|running| running.until_built(3));
    check(|running| running.until_checked("format"));
}

fn keys(events: &[serde_json::Value], state: &str) -> Vec<String> {
    let units = events.iter().filter(|event| event["event"] == "unit" && event["state"] == state);
    units.map(|event| event["key"].as_str().unwrap().to_owned()).collect()
}
