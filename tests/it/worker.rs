//! Several processes on one installation: who finishes what another one began, who helps, and what a person decides meanwhile.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use crate::installation::{Installation, NOTES, Running, STEPS, file, until};

/// Entities of the document whose units several processes share.
const SHARED_ENTITIES: usize = 10;

/// A worker that runs until it is dropped.
struct Worker(Option<Running>);

impl Worker {
    fn start(installation: &Installation) -> Self {
        let worker = Running::start(installation.command(&["worker"]));
        until("the worker waits for runs", || worker.said().contains("waits for runs"));
        Self(Some(worker))
    }

    fn stop(mut self) {
        let worker = self.0.take().unwrap();
        worker.interrupt();
        let ended = worker.end();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(worker) = &self.0 {
            worker.signal(rustix::process::Signal::KILL);
        }
    }
}

fn json(installation: &Installation, arguments: &[&str]) -> Value {
    let output = installation.call(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The exit code, and what was said.
fn say(installation: &Installation, arguments: &[&str]) -> (Option<i32>, String) {
    let output = installation.call(arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A document with so many entities that do not need each other.
fn with_entities(count: usize) -> String {
    let entity =
        |number: usize| format!("### Other{number}\n\n| field | type | rules |\n| --- | --- | --- |\n| title | string | required |\n\n");
    let routes =
        |number: usize| format!("| GET | /others{number} | list | Other{number} |\n| POST | /others{number} | create | Other{number} |\n");
    let (entities, routes): (String, String) = ((0..count).map(entity).collect(), (0..count).map(routes).collect());
    format!(
        "# Others\n\n## Entities\n\n{entities}## Endpoints\n\n| method | path | purpose | entity |\n| --- | --- | --- | --- |\n{routes}"
    )
}

#[test]
fn a_worker_finishes_what_a_killed_run_began_and_workers_share_units() {
    let (installation, scratch) = (Installation::own(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "notes.md", NOTES);
    let mut killed = installation.run(&spec, &scratch.path().join("out"), "notes");
    let run = killed.id();
    killed.until_built(2);
    killed.signal(rustix::process::Signal::KILL);
    killed.end();
    let mut watching = Running::start(installation.command(&["status", &run, "--watch", "--json"]));
    watching.until("it is shown as running", |view| view["state"] == "running");
    let (first, second) = (Worker::start(&installation), Worker::start(&installation));
    let watched = watching.end();
    assert_eq!((watched.code, watched.events.last().map(|view| view["state"].clone())), (Some(0), Some("succeeded".into())));
    let drivers: BTreeSet<_> = watched.events.iter().filter_map(|view| view["driver"].as_str()).collect();
    assert!(!drivers.is_empty(), "a worker drove it: {:#?}", watched.events);
    assert!(scratch.path().join("out").exists());

    // A run with nothing to reuse, and long enough to be noticed by the others: one of the three drives it, the others help.
    let spec = file(scratch.path(), "other.md", with_entities(SHARED_ENTITIES));
    let ended = installation.run(&spec, &scratch.path().join("others"), "others").end();
    let other = ended.expect(0, "succeeded")["run"].as_str().unwrap().to_owned();
    let attempts = json(&installation, &["logs", &other, "--json"]);
    let workers: BTreeSet<_> = attempts["attempts"].as_array().unwrap().iter().filter_map(|attempt| attempt["worker"].as_str()).collect();
    assert!(workers.len() > 1, "only {workers:?} worked on it: {attempts:#}");
    let trees = ["out", "others"].map(|out| std::fs::read_dir(scratch.path().join(out)).unwrap().count());
    assert_eq!(trees[0], trees[1]);
    first.stop();
    second.stop();
}

/// Run, phase, unit, attempt: the spans of what is logged when a unit is settled.
fn every_attempt_stands_below_its_unit(log: &str) {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let settled: Vec<Value> = lines.filter(|line| line["fields"]["message"] == "settled").collect();
    assert!(!settled.is_empty(), "something was settled: {log}");
    for line in settled {
        let spans = line["spans"].as_array().unwrap();
        let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["run", "phase", "unit", "attempt"], "{line:#}");
        let fields = [&spans[0]["run"], &spans[1]["phase"], &spans[2]["unit"], &spans[3]["outcome"]];
        assert!(fields.iter().all(|field| field.is_string()) && spans[3]["token"].is_number(), "{line:#}");
    }
}

#[test]
fn a_person_decides_about_units_and_runs() {
    let (installation, scratch) = (Installation::own(), TempDir::new().unwrap());
    let spec = file(scratch.path(), "steps.md", STEPS);
    let logging = ["--log", "specwave=debug", "--log-json"];
    let ended = installation.run_with(&spec, &scratch.path().join("out"), "steps", &logging).end();
    let run = ended.expect(3, "partial")["run"].as_str().unwrap().to_owned();
    every_attempt_stands_below_its_unit(&ended.said);
    let watched = Running::start(installation.command(&["status", "--watch", "--json"])).end();
    assert_eq!((watched.code, watched.events.len()), (Some(3), 1), "it has ended: {:#?}", watched.events);
    let units = |wanted: &str| -> Vec<String> {
        let report = json(&installation, &["report", &run, "--json"]);
        let units = report["units"].as_array().unwrap().iter().filter(|unit| unit["state"] == wanted);
        units.map(|unit| unit["key"].as_str().unwrap().to_owned()).collect()
    };
    let waiting = units("waiting");
    let first = waiting.first().expect("a unit waits").as_str();

    let (code, said) = say(&installation, &["reject", &run, first, "--reason", "not wanted"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(units("failed").contains(&first.to_owned()));
    let (code, said) = say(&installation, &["approve", &run, first]);
    assert_eq!(code, Some(2), "it does not wait any more: {said}");
    let (code, said) = say(&installation, &["retry", &run, first]);
    assert_eq!((code, said.contains("is tried again"), said.contains("specwave resume")), (Some(0), true, true), "{said}");
    let resumed = Running::start(installation.command(&["resume", &run, "--json"])).end();
    resumed.expect(3, "partial");
    assert!(units("waiting").contains(&first.to_owned()), "nobody is configured for it yet");

    let before = waiting.len();
    let (code, said) = say(&installation, &["approve", &run, first, "--note", "built by hand"]);
    assert_eq!(code, Some(0), "{said}");
    Running::start(installation.command(&["resume", &run, "--json"])).end().expect(3, "partial");
    assert!(units("succeeded").contains(&first.to_owned()));
    assert!(units("waiting").len() <= before, "what waited for it went on");

    let (code, said) = say(&installation, &["reset", &run]);
    assert_eq!((code, said.contains("cannot be reset")), (Some(2), true), "{said}");
    let (code, said) = say(&installation, &["retry", &run, "no/such"]);
    assert_eq!((code, said.contains("has no unit"), said.contains("hint: ")), (Some(2), true, true), "{said}");

    // A newer plan: one more unit before what still waits, which nobody but a person can settle.
    let last = units("waiting").last().expect("one still waits").clone();
    let change = serde_json::json!({"add": [{"key": "review/design", "title": "Look at the design", "before": [last]}]});
    let path = file(scratch.path(), "change.json", change.to_string());
    let (code, said) = say(&installation, &["change", &run, path.to_str().unwrap()]);
    assert_eq!((code, said.contains("1 added")), (Some(0), true), "{said}");
    let why = json(&installation, &["why", &last, "--run", &run, "--json"]);
    assert_eq!((why["state"].as_str(), why["reason"].as_str()), (Some("pending"), Some("it waits for review/design")), "{why:#}");
    Running::start(installation.command(&["resume", &run, "--json"])).end().expect(3, "partial");
    assert_eq!(say(&installation, &["approve", &run, "review/design"]).0, Some(0));
    Running::start(installation.command(&["resume", &run, "--json"])).end().expect(3, "partial");
    assert!(units("waiting").contains(&last) && units("succeeded").contains(&"review/design".to_owned()));
    let cycle = serde_json::json!({"depend": [{"task": "review/design", "depends_on": last}]});
    let path = file(scratch.path(), "cycle.json", cycle.to_string());
    let (code, said) = say(&installation, &["change", &run, path.to_str().unwrap()]);
    assert_eq!((code, said.contains("cycle")), (Some(2), true), "{said}");
}
