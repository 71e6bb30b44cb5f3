//! The main job through the real binary and real stores: built, checked, delivered, probed; killed and resumed; refused.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// One installation for all runs of these tests: the managed PostgreSQL and the Python environment are made once.
fn data_dir() -> PathBuf {
    let root = rustix::process::geteuid().is_root();
    let cache = || directories::ProjectDirs::from("", "", "specwave").unwrap().cache_dir().to_owned();
    if root { PathBuf::from("/var/lib/specwave/tests-run") } else { cache().join("tests-run") }
}

pub(crate) fn specwave(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specwave"));
    command.args(arguments).env("SPECWAVE_DATA_DIR", data_dir()).env("SPECWAVE_LEASE_SECS", "5").stdin(Stdio::null());
    command
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).to_string_lossy().into_owned()
}

/// The last line of `--json` is the report.
pub(crate) fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn run(out: &Path, name: &str) -> Output {
    specwave(&["run", &example("bookstore.md"), "--out", &out.to_string_lossy(), "--name", name, "--json"]).output().unwrap()
}

pub(crate) fn units(report: &Value, state: &str) -> usize {
    report["units"].as_array().unwrap().iter().filter(|unit| unit["state"] == state).count()
}

#[test]
fn a_killed_run_goes_on_and_ends_like_an_undisturbed_one() {
    let scratch = TempDir::new().unwrap();
    let name = format!("resume-{}", std::process::id());
    let out = scratch.path().join("killed");
    let mut child = specwave(&["run", &example("bookstore.md"), "--out", &out.to_string_lossy(), "--name", &name, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let built = built_before_kill(&mut child, 6);
    let resumed = run(&out, &name);
    let first = report(&resumed);
    let events = String::from_utf8_lossy(&resumed.stdout).into_owned();
    assert_eq!(resumed.status.code(), Some(0), "{first:#}");
    assert!(events.contains("resumed where it stopped"), "{}", events.lines().next().unwrap_or_default());
    assert_eq!(first["state"], "succeeded");
    assert!(units(&first, "succeeded") >= built.len());
    for key in &built {
        let done_again = events.lines().any(|line| line.contains("\"state\":\"running\"") && line.contains(&format!("\"{key}\"")));
        assert!(!done_again, "{key} was settled before the kill and is not done again");
    }
    let again = report(&run(&scratch.path().join("undisturbed"), &format!("{name}-b")));
    assert_eq!(again["state"], "succeeded", "{again:#}");
    assert_eq!(again["tree_hash"], first["tree_hash"]);
    assert!(out.join("src/bookstore/app.py").is_file());

    let second = report(&run(&out, &name));
    assert_eq!(second["state"], "succeeded");
    assert_eq!(units(&second, "cached"), second["units"].as_array().unwrap().len() - 1, "only the migration looks at what is delivered");
    assert_eq!(second["tree_hash"], first["tree_hash"]);
}

/// Kills the process with SIGKILL once so many units are settled; returns their keys.
fn built_before_kill(child: &mut Child, count: usize) -> Vec<String> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut built = Vec::new();
    for line in lines {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if event["event"] == "unit" && event["state"] == "succeeded" {
            built.push(event["key"].as_str().unwrap().to_owned());
        }
        if built.len() == count {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(built.len(), count);
    built
}

#[test]
fn prose_ends_partial_with_its_steps_waiting() {
    let scratch = TempDir::new().unwrap();
    let spec = scratch.path().join("steps.md");
    let text = "# Shortener\n\nThe service must shorten addresses.\n\n# Logical Dependency Chain\n\n1. Storage module.\n2. Code generation.\n\
                3. Endpoint that shortens (depends on 1 & 2).\n";
    std::fs::write(&spec, text).unwrap();
    let out = scratch.path().join("out");
    let output = specwave(&["run", &spec.to_string_lossy(), "--out", &out.to_string_lossy(), "--json"]).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    assert_eq!(report["state"], "partial");
    assert_eq!((units(&report, "waiting"), units(&report, "pending")), (2, 1));
    assert!(!out.exists(), "nothing was built, so nothing is delivered");
}

#[test]
fn names_that_are_reserved_or_no_identifiers_are_built_and_proved() {
    let scratch = TempDir::new().unwrap();
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/names.yaml");
    let out = scratch.path().join("out");
    let output = specwave(&["run", &spec.to_string_lossy(), "--out", &out.to_string_lossy(), "--json"]).output().unwrap();
    let report = report(&output);
    assert_eq!((output.status.code(), report["state"].as_str()), (Some(0), Some("succeeded")), "{report:#}");
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["verdict"] == "passed"), "{report:#}");
    let inside = |path: &Path| path.components().all(|part| part.as_os_str().to_string_lossy().is_ascii());
    let strange: Vec<PathBuf> = files(&out).into_iter().filter(|path| !inside(path.strip_prefix(&out).unwrap())).collect();
    assert_eq!(strange, Vec::<PathBuf>::new(), "names become plain file names");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing is written beside the output directory");
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let scratch = TempDir::new().unwrap();
    let check = |content: &[u8], out: &str, expected: &str| {
        let spec = scratch.path().join("spec.md");
        std::fs::write(&spec, content).unwrap();
        let out = scratch.path().join(out);
        let output = specwave(&["run", &spec.to_string_lossy(), "--out", &out.to_string_lossy()]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!out.is_dir());
    };
    let bookstore = std::fs::read(example("bookstore.md")).unwrap();
    std::fs::write(scratch.path().join("file"), "mine").unwrap();
    check(b"", "out", "hint:");
    check(b"\x00\x01\x02", "out", "hint:");
    check(b"# A\n\n## Entities\n\n### B\n\n| field | type | rules |\n| --- | --- | --- |\n| c | strin | |\n", "out", "unknown-type");
    check(b"openapi: 3.0.3\npaths:\n  /a:\n    get: {responses: {'200': {$ref: 'other.yaml#/R'}}}\n", "out", "foreign-reference");
    check(b"openapi: 3.0.3\npaths:\n  /../a: {get: {responses: {'200': {description: x}}}}\n", "out", "unusable-path");
    check(&bookstore, "file", "hint:");
    assert_eq!(std::fs::read(scratch.path().join("file")).unwrap(), b"mine");
    let missing = specwave(&["run", "no-such-file.md"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}
