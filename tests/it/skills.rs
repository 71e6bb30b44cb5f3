//! `specwave skills` from outside, and ruff where the generator's environment has it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use specwave::exec::Recorder;
use specwave::exec::environment::{EnvironmentError, Installer};
use specwave::generate::TargetPack;
use specwave::skills::linters::{self, Tools};
use specwave::skills::{Judgement, registry};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::installation::Installation;

/// Calls the program with a data directory in which nothing is installed.
fn skills(arguments: &[&str]) -> Output {
    let data = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_specwave"));
    command.arg("skills").args(arguments).env("SPECWAVE_DATA_DIR", data.path()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A project with one file that fails and one that passes.
fn project() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("src")).unwrap();
    fs::create_dir_all(dir.path().join("node_modules/x")).unwrap();
    fs::write(dir.path().join("src/bad.py"), "try:\n    f()\nexcept:\n    g()\n").unwrap();
    fs::write(dir.path().join("src/good.py"), "\"\"\"Nothing to say.\"\"\"\n\nX = 1\n").unwrap();
    fs::write(dir.path().join("node_modules/x/index.js"), "eval(x);\n").unwrap();
    dir
}

#[test]
fn all_standards_are_listed_and_each_is_shown_whole() {
    let listed: Value = serde_json::from_slice(&skills(&["list", "--json"]).stdout).unwrap();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|skill| skill["name"].as_str().unwrap()).collect();
    assert_eq!(names, registry().all().map(|skill| skill.name.as_str()).collect::<Vec<_>>());
    assert_eq!(names.len(), 17);
    let shown = text(&skills(&["show", "backend-queries"]).stdout);
    assert!(shown.starts_with("backend-queries version 1 (backend, precedence 165)\n\n# Queries\n"), "{shown}");
    assert!(shown.ends_with("\nchecks: string-built-sql, query-in-loop, select-star\n"), "{shown}");
    let unknown = skills(&["show", "juggling"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("hint: `specwave skills list` shows the names"), "{unknown:?}");
}

#[test]
fn problems_are_lines_that_editors_jump_to() {
    let dir = project();
    let output = skills(&["check", dir.path().to_str().unwrap(), "--skill", "global-error-handling"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let expected = format!(
        "{}/src/bad.py:3:1: global-error-handling/bare-except: this catches everything, the interpreter's exit included\n    \
         name the exceptions that are expected here\n",
        dir.path().display()
    );
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "2 files: 7 checks passed, 1 failed (1 problems), 0 skipped\n");
}

#[test]
fn what_passes_is_quiet_and_what_was_not_checked_is_told() {
    let dir = project();
    let good = dir.path().join("src/good.py");
    let output = skills(&["check", good.to_str().unwrap(), "--skill", "global-coding-style", "--ruff", "/nowhere/ruff"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).starts_with("skipped 1: cannot run /nowhere/ruff"), "{output:?}");
    let document = skills(&["check", dir.path().to_str().unwrap(), "--json"]);
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    assert_eq!(document["counts"]["files"], 2);
    let failed = document["verdicts"].as_array().unwrap().iter().filter(|verdict| verdict["verdict"] == "failed");
    assert_eq!(failed.map(|verdict| verdict["check"].as_str().unwrap()).collect::<Vec<_>>(), ["bare-except"]);
}

#[test]
fn wrong_usage_is_told_apart_from_failed_checks() {
    assert_eq!(skills(&["check"]).status.code(), Some(2));
    let missing = skills(&["check", "/nowhere/at/all"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("cannot read /nowhere/at/all"), "{missing:?}");
}

/// Tools with the generator's ruff; none, after a line that says so, where it cannot be installed and nobody insists.
async fn tools() -> Option<Tools> {
    let pack = TargetPack::load("fastapi").unwrap();
    let mut installer = Installer::new(Installation::shared().data_dir()).inherit(std::env::vars());
    installer.supervisor = Some(env!("CARGO_BIN_EXE_specwave").into());
    let environment = match installer.prepare(pack.name(), pack.lock(), &Recorder::nowhere(), &CancellationToken::new()).await {
        Err(error @ EnvironmentError::Unreachable { .. }) if std::env::var_os("SPECWAVE_REQUIRE_SERVICES").is_none() => {
            println!("skipped: {error}");
            return None;
        }
        prepared => prepared.unwrap(),
    };
    let mut tools = Tools { supervisor: Some(env!("CARGO_BIN_EXE_specwave").into()), ..Tools::default() };
    tools.take_ruff(environment.dir.join("bin/ruff"));
    Some(tools)
}

fn judgements(verdicts: &[specwave::skills::FileVerdict]) -> Vec<(&str, Option<&str>)> {
    let first = |judgement: &'_ Judgement| match judgement {
        Judgement::Failed { problems, .. } => Some(problems[0].message.clone()),
        Judgement::Passed | Judgement::Skipped { .. } => None,
    };
    let told = verdicts.iter().map(|verdict| (verdict.path.as_str(), first(&verdict.judgement).map(|message| &*message.leak())));
    told.collect()
}

#[tokio::test]
async fn ruff_judges_and_mends_and_changes_nothing_else() {
    let Some(tools) = tools().await else { return };
    let dir = TempDir::new().unwrap();
    let write = |path: &str, text: &str| fs::write(dir.path().join(path), text).unwrap();
    write("ruff.toml", "[lint]\nselect = [\"F\"]\n");
    write("a.py", "import os\nx=1\n");
    write("b.py", "X = 1\n");
    write("c.css", "a{color:red}\n");
    let style = [registry().find("global-coding-style").unwrap()];
    let files = ["a.py", "b.py", "c.css"].map(str::to_owned);
    let cancel = CancellationToken::new();
    let found = linters::lint(&style, dir.path(), &files, &tools, &cancel).await;
    assert_eq!(judgements(&found), [("a.py", Some("F401 `os` imported but unused")), ("b.py", None)]);

    let applied = linters::apply(dir.path(), &files, &tools, &cancel).await;
    assert_eq!(applied.changed, ["a.py"]);
    assert_eq!(applied.ran, ["ruff check --fix", "ruff format"]);
    assert_eq!(applied.skipped, ["prettier: the project does not have it"]);
    assert_eq!(fs::read_to_string(dir.path().join("a.py")).unwrap(), "x = 1\n");
    assert_eq!(fs::read_to_string(dir.path().join("c.css")).unwrap(), "a{color:red}\n");
    let found = linters::lint(&style, dir.path(), &files, &tools, &cancel).await;
    assert_eq!(judgements(&found), [("a.py", None), ("b.py", None)]);
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_skipped_with_the_reason() {
    let style = [registry().find("global-coding-style").unwrap()];
    let files = ["a.py", "b.ts", "c.rs"].map(str::to_owned);
    let dir = TempDir::new().unwrap();
    let found = linters::lint(&style, Path::new(dir.path()), &files, &Tools::default(), &CancellationToken::new()).await;
    let reason = |judgement: &Judgement| match judgement {
        Judgement::Skipped { reason } => reason.clone(),
        other => panic!("{other:?}"),
    };
    let reasons: Vec<String> = found.iter().map(|verdict| reason(&verdict.judgement)).collect();
    assert_eq!(reasons, ["ruff is not installed", "the project has no configuration of eslint", "no Cargo project"]);
}
