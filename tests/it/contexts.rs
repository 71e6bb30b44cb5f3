//! What is told about a unit that no generator can build: similar work that earlier runs proved, within a budget.

use serde_json::Value;
use tempfile::TempDir;

use crate::installation::{Installation, file};
use crate::run::{report, specwave, units};

const LIBRARY: &str = "# Library

## Tech stack

- Target: fastapi

## Entities

### Title

| field | type | rules |
| --- | --- | --- |
| name | string | required, length 1..200 |
| status | enum(shelf, lent) | required, default shelf |

## Endpoints

| method | path | purpose | entity |
| --- | --- | --- | --- |
| GET | /titles | list; filter status; search name; sort name | Title |
| GET | /titles/recommended | list recommended titles; filter status; search name; sort name | Title |
";

fn run(scratch: &TempDir, name: &str) -> Value {
    let spec = scratch.path().join("library.md");
    std::fs::write(&spec, LIBRARY).unwrap();
    let out = scratch.path().join(name);
    let output = specwave(&["run", &spec.to_string_lossy(), "--out", &out.to_string_lossy(), "--name", name, "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    report(&output)
}

#[test]
fn what_an_earlier_run_proved_is_told_about_similar_work() {
    let scratch = TempDir::new().unwrap();
    let first = run(&scratch, &format!("library-{}", std::process::id()));
    assert_eq!((&first["state"], units(&first, "waiting")), (&Value::from("partial"), 1), "{first:#}");

    let second = run(&scratch, &format!("library-{}-b", std::process::id()));
    let unit = second["units"].as_array().unwrap().iter().find(|unit| unit["state"] == "waiting").unwrap();
    assert_eq!(unit["key"], "api/GET /titles/recommended#implement");
    let context = &unit["context"];
    assert!(context["bytes"].as_u64().unwrap() <= context["bytes_max"].as_u64().unwrap(), "{context}");
    let shown: Vec<&str> = context["patterns"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(!shown.is_empty(), "{unit:#}");

    let titles = |id: &&str| {
        let shown = specwave(&["patterns", "show", id, "--json"]).output().unwrap();
        let row: Value = serde_json::from_slice(&shown.stdout).unwrap();
        (row["pattern"]["title"].as_str().unwrap().to_owned(), row["uses"].as_u64().unwrap())
    };
    let titles: Vec<(String, u64)> = shown.iter().map(titles).collect();
    assert!(titles.iter().any(|(title, _)| title.starts_with("GET /titles")), "{titles:?}");
    assert!(titles.iter().all(|(_, uses)| *uses > 0), "{titles:?}");
    let generated = second["units"].as_array().unwrap().iter().filter(|unit| unit["state"] == "succeeded");
    assert!(generated.into_iter().all(|unit| unit["context"].is_null()), "generators read the specification itself");
    shown_to_a_person(second["run"].as_str().unwrap(), context);
    taken_over_by_another_installation();
}

/// What was learned here is found where it was taken over, once.
fn taken_over_by_another_installation() {
    let (other, scratch) = (Installation::own(), TempDir::new().unwrap());
    let exported = specwave(&["patterns", "export"]).output().unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let lines = String::from_utf8(exported.stdout).unwrap();
    let written = lines.lines().count() - 1;
    let path = file(scratch.path(), "patterns.jsonl", &lines);
    let import = || -> Value {
        let imported = other.call(&["patterns", "import", path.to_str().unwrap(), "--json"]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        serde_json::from_slice(&imported.stdout).unwrap()
    };
    let first = import();
    assert!(written > 0 && first["new"].as_u64() == Some(written as u64), "{written}: {first}");
    assert_eq!(import()["known"].as_u64(), Some(written as u64));
    let found = other.call(&["patterns", "search", "list with a filter of titles", "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found[0]["pattern"]["evidence"][0], "imported", "{found:#}");

    let broken = file(scratch.path(), "broken.jsonl", format!("{lines}nonsense\n"));
    let refused = other.call(&["patterns", "import", broken.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("line {}: ", written + 2)) && said.contains("hint:"), "{said}");
}

/// The command shows what the worker was told, and says what was meant by a misspelt key.
fn shown_to_a_person(run: &str, told: &Value) {
    let key = "api/GET /titles/recommended#implement";
    let shown = specwave(&["context", key, "--run", run, "--json"]).output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let receipt = &shown["receipt"];
    assert_eq!((&shown["unit"], &shown["level"]), (&Value::from(key), &told["level"]));
    assert_eq!(receipt["bytes"].as_u64().unwrap(), shown["text"].as_str().unwrap().len() as u64);
    assert!(receipt["bytes_whole"].as_u64() > receipt["bytes"].as_u64(), "{receipt}");
    let sources: Vec<&str> = receipt["parts"].as_array().unwrap().iter().filter_map(|part| part["source"].as_str()).collect();
    assert!(sources.iter().any(|source| source.starts_with("pattern ")), "{sources:?}");

    let extended = specwave(&["context", key, "--run", run, "--level", "extended"]).output().unwrap();
    let text = String::from_utf8(extended.stdout).unwrap();
    assert!(text.contains("Receipt of api/GET /titles/recommended#implement") && text.contains("extended: "), "{text}");

    let misspelt = specwave(&["context", "api/GET /titles/recomended#implement", "--run", run]).output().unwrap();
    let said = String::from_utf8_lossy(&misspelt.stderr).into_owned();
    assert_eq!(misspelt.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("did you mean {key:?}?")), "{said}");
}
