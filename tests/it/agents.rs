//! Agents that read: models behind profiles, at work on what no generator builds. The model is a stand-in that answers by script.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::installation::{Ended, Installation, STEPS, file, fresh_name};
use crate::model::{Asked, ModelServer, Reply, anthropic, openai};

const KEY: &str = "sk-loopback-0123456789abcdef0123456789";

/// What was asked for, as one text.
fn told(asked: &Asked) -> String {
    asked.body["messages"].as_array().unwrap().iter().map(|message| message["content"].to_string()).collect()
}

/// The unit that a request is about.
fn unit_of(asked: &Asked) -> String {
    let told = told(asked);
    let key = told.split("Write the unit `").nth(1).unwrap_or_default();
    key.split('`').next().unwrap_or_default().to_owned()
}

/// An answer with that one file.
fn answer(path: &str, content: &str) -> Reply {
    let text = format!("%%%specwave file {path}\n{content}%%%specwave end {path}\n%%%specwave done 1\n");
    openai(&text, "stop", Some((1_000, 0, 100)))
}

/// A module as the standards want it.
fn content(number: &str) -> String {
    let module = format!("\"\"\"Step {number} of the work.\"\"\"\n\n\n");
    format!("{module}def step_{number}() -> int:\n    \"\"\"Say which step this is.\"\"\"\n    return {number}\n")
}

/// A module of its own for every unit, named after its number.
fn module(asked: &Asked) -> Reply {
    let number = unit_of(asked).rsplit('/').next().unwrap().to_owned();
    answer(&format!("src/step_{number}.py"), &content(&number))
}

/// A folder with the settings of a model that answers there.
fn project(server: &ModelServer, more: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let url = server.base_url();
    let settings = format!(
        "[llm]\nprovider = \"openai-compatible\"\nmodel = \"scripted\"\nbase_url = \"{url}\"\nprices = [\"scripted = 3 / 1 / - / 15\"]\n{more}"
    );
    fs::write(folder.path().join("specwave.toml"), settings).unwrap();
    folder
}

/// Runs the document with these settings and arguments.
fn run(installation: &Installation, folder: &Path, spec: &str, name: &str, arguments: &[&str]) -> Ended {
    let (spec, out) = (file(folder, "spec.md", spec), folder.join("out"));
    let mut all = vec!["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--name", name, "--json"];
    all.extend(arguments);
    let mut command = installation.command(&all);
    command.current_dir(folder).env("SPECWAVE_LLM_API_KEY", KEY);
    crate::installation::Running::start(command).end()
}

fn report(ended: &Ended) -> &Value {
    ended.events.last().unwrap_or_else(|| panic!("no report: {}", ended.said))
}

/// State and agent of every unit.
fn units(ended: &Ended) -> BTreeMap<String, String> {
    let units = report(ended)["units"].as_array().unwrap_or_else(|| panic!("no report: {}", ended.said));
    let shown = |unit: &Value| format!("{} by {}", unit["state"].as_str().unwrap(), unit["agent"].as_str().unwrap_or("nobody"));
    units.iter().map(|unit| (unit["key"].as_str().unwrap().to_owned(), shown(unit))).collect()
}

#[test]
fn a_model_builds_what_prose_asks_for_and_dependents_are_told_what_is_there() {
    let server = ModelServer::answering(module);
    let folder = project(&server, "");
    let installation = Installation::shared();
    let name = fresh_name("prose");
    let ended = run(&installation, folder.path(), STEPS, &name, &["--agent", "general"]);
    let built: Vec<String> = units(&ended).into_values().collect();
    assert_eq!(built, vec!["succeeded by general"; built.len()], "{}", ended.said);
    assert!(built.len() >= 3);
    // Nothing was generated, so there is no service to start, whatever the target.
    assert_eq!(report(&ended)["start"], json!([]));
    // Nothing proves what the prose demands, and the run says so.
    assert_eq!((ended.code, report(&ended)["state"].as_str()), (Some(3), Some("partial")), "{}", ended.said);
    let written = fs::read_to_string(folder.path().join("out/src/step_3.py")).unwrap();
    assert_eq!(written, content("3"));
    let asked = server.asked();
    let last = asked.iter().find(|asked| unit_of(asked).ends_with("/3")).unwrap();
    assert!(told(last).contains("src/step_1.py") && told(last).contains("def step_1"), "{}", told(last));
    assert_eq!(last.headers["authorization"], format!("Bearer {KEY}"));
    let agents = &report(&ended)["agents"];
    let requests = asked.len() as u64;
    assert_eq!((agents["calls"].as_u64(), agents["input_tokens"].as_u64()), (Some(requests), Some(requests * 1_000)));
    assert_eq!(agents["cost_micros"].as_u64(), Some(requests * 4_500));
    assert_eq!(agents["effect"]["verdict"], "not_enough_evidence");
    let standing: Value = serde_json::from_slice(&installation.call(&["patterns", "standing", "--json"]).stdout).unwrap();
    assert_eq!(
        (&agents["effect"]["standing"], &agents["effect"]["campaign"]),
        (&standing["campaign"]["standing"], &standing["campaign"]["number"])
    );
    let retried = installation.call(&["patterns", "retry"]);
    let said = String::from_utf8(retried.stderr).unwrap();
    assert!(retried.status.code() == Some(2) && said.contains("there is nothing to retry: patterns are on trial"), "{said}");
    assert!(agents["told_bytes"].as_u64() < agents["whole_bytes"].as_u64(), "{agents}");
    // The same again asks nobody.
    let again = run(&installation, folder.path(), STEPS, &name, &["--agent", "general", "--fresh"]);
    let cached: Vec<String> = units(&again).into_values().collect();
    assert_eq!((cached, server.asked().len()), (vec!["cached by general".to_owned(); built.len()], asked.len()), "{}", again.said);
    let why = installation.call(&["why", unit_of(last).as_str(), "--run", report(&ended)["run"].as_str().unwrap()]);
    let why = String::from_utf8(why.stdout).unwrap();
    assert!(why.contains("general was sent: it is the agent for what no generator builds"), "{why}");
    assert!(why.contains("    similar work: ") && why.contains(" by lot, at "), "{why}");
    assert!(!format!("{:?}{}", ended.events, ended.said).contains(KEY), "the key is nowhere");
}

#[test]
fn two_units_never_share_a_file_and_who_is_refused_is_told_why() {
    let server = ModelServer::answering(|asked| {
        let told = told(asked);
        // Both that may start at once want the same file; whoever is told that it is another one's gives way.
        if told.contains("belong") || unit_of(asked).ends_with("/3") { module(asked) } else { answer("src/app.py", &content("0")) }
    });
    let folder = project(&server, "");
    let ended = run(&Installation::shared(), folder.path(), STEPS, &fresh_name("shared-file"), &["--agent", "general"]);
    assert!(units(&ended).values().all(|unit| unit == "succeeded by general"), "{:?} {}", units(&ended), ended.said);
    let tries: Vec<u64> = report(&ended)["units"].as_array().unwrap().iter().filter_map(|unit| unit["sent"]["tries"].as_u64()).collect();
    let foreseen = server.asked().iter().any(|asked| told(asked).contains("belong to other units"));
    assert!(tries.contains(&2) || foreseen, "one of them was tried twice, or knew before: {tries:?}");
    assert_eq!(fs::read_to_string(folder.path().join("out/src/app.py")).unwrap(), content("0"));
}

#[test]
fn the_same_files_with_the_same_fault_end_the_rounds_and_the_debugging_agent_is_sent() {
    let asked_before = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked_before);
    let server = ModelServer::answering(move |asked| {
        let system = asked.body["messages"][0]["content"].to_string();
        if system.contains("You are called when others have failed") {
            return module(asked);
        }
        *count.lock().unwrap() += 1;
        answer("src/../app.py", "x = 1\n")
    });
    let folder = project(&server, "[run]\nescalation = \"debugging-agent\"\n");
    let spec = "# One\n\n# Logical Dependency Chain\n\n1. Storage module.\n";
    let ended = run(&Installation::shared(), folder.path(), spec, &fresh_name("debugged"), &["--agent", "general"]);
    assert!(units(&ended).values().all(|unit| unit == "succeeded by code-analyst"), "{:?} {}", units(&ended), ended.said);
    // One answer, and one that was corrected in vain.
    assert_eq!(*asked_before.lock().unwrap(), 2);
}

#[test]
fn what_does_not_meet_the_standards_goes_back_with_what_is_wrong() {
    let server = ModelServer::answering(|asked| {
        let told = told(asked);
        if told.contains("What the checks say") { module(asked) } else { answer("src/step_1.py", "def step_1(x=[]):\n    return x\n") }
    });
    let folder = project(&server, "");
    let spec = "# One\n\n# Logical Dependency Chain\n\n1. Storage module.\n";
    let ended = run(&Installation::shared(), folder.path(), spec, &fresh_name("standards"), &["--agent", "general"]);
    assert!(units(&ended).values().all(|unit| unit == "succeeded by general"), "{:?} {}", units(&ended), ended.said);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(told(&asked[0]).contains("global-coding-style") && told(&asked[1]).contains("mutable-default"), "{}", told(&asked[1]));
    assert_eq!(fs::read_to_string(folder.path().join("out/src/step_1.py")).unwrap(), content("1"));
    let history = Installation::shared().call(&["skills", "history", "global-coding-style", "--json"]);
    let history: Value = serde_json::from_slice(&history.stdout).unwrap();
    assert!(history.to_string().contains(report(&ended)["run"].as_str().unwrap()), "{history}");
}

#[test]
fn secrets_of_a_specification_are_not_told_and_what_was_said_can_be_read() {
    let server = ModelServer::answering(module);
    let folder = project(&server, "");
    let spec = "# One\n\nIt MUST log in with password=hunter2hunter2hunter2.\n\n# Logical Dependency Chain\n\n1. Storage with password=hunter2hunter2hunter2.\n";
    let name = fresh_name("secret");
    let ended = run(&Installation::shared(), folder.path(), spec, &name, &["--agent", "general"]);
    assert!(units(&ended).values().all(|unit| unit == "succeeded by general"), "{:?} {}", units(&ended), ended.said);
    assert!(server.asked().iter().all(|asked| !asked.body.to_string().contains("hunter2")));
    let said = Installation::shared().call(&["logs", &name, "--transcripts"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("Write the unit `") && said.contains("%%%specwave done 1") && !said.contains(KEY), "{said}");
}

#[test]
fn what_waited_for_an_agent_is_taken_up_when_one_is_there() {
    let server = ModelServer::answering(module);
    let folder = project(&server, "");
    let (installation, name) = (Installation::shared(), fresh_name("waited"));
    let ended = run(&installation, folder.path(), STEPS, &name, &[]);
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(server.asked().is_empty(), "nobody is sent unless somebody says so");
    let id = report(&ended)["run"].as_str().unwrap().to_owned();
    let mut command = installation.command(&["resume", &id, "--agent", "general", "--json"]);
    command.current_dir(folder.path()).env("SPECWAVE_LLM_API_KEY", KEY);
    let resumed = crate::installation::Running::start(command).end();
    assert!(units(&resumed).values().all(|unit| unit == "succeeded by general"), "{:?} {}", units(&resumed), resumed.said);
    assert!(folder.path().join("out/src/step_1.py").is_file());
}

#[test]
fn a_budget_is_kept_before_anything_is_asked() {
    let server = ModelServer::answering(module);
    let folder = project(&server, "[budget]\nrun_tokens = 100\n");
    let ended = run(&Installation::shared(), folder.path(), STEPS, &fresh_name("poor"), &["--agent", "general"]);
    assert!(units(&ended).values().any(|unit| unit == "failed by general"), "{:?} {}", units(&ended), ended.said);
    let evidence = report(&ended)["units"].to_string();
    assert!(evidence.contains("the budget of the run is 100 tokens"), "{evidence}");
    assert!(server.asked().is_empty());
}

#[test]
fn a_model_that_hangs_is_cut_off_at_the_units_time() {
    let server = ModelServer::answering(|asked| module(asked).hang_after(2));
    let folder = project(&server, "[run]\nunit_timeout_secs = 2\n");
    let spec = "# One\n\n# Logical Dependency Chain\n\n1. Storage module.\n";
    let ended = run(&Installation::shared(), folder.path(), spec, &fresh_name("hung"), &["--agent", "general"]);
    assert!(
        units(&ended).values().all(|unit| unit == "failed by general" || unit == "failed by nobody"),
        "{:?} {}",
        units(&ended),
        ended.said
    );
    assert!(
        report(&ended)["units"].to_string().contains("2 s") || report(&ended)["units"].to_string().contains("deadline"),
        "{}",
        report(&ended)["units"]
    );
}

#[test]
fn agents_are_listed_tried_out_added_and_switched_off() {
    let server = ModelServer::answering(|_| {
        anthropic("%%%specwave file tryout.txt\nready\n%%%specwave end tryout.txt\n%%%specwave done 1\n", "end_turn", (50, 9))
    });
    let folder = TempDir::new().unwrap();
    let name = fresh_name("claude");
    let profile = json!({"provider": "anthropic", "model": "claude-haiku-4-5", "base_url": server.base_url()});
    let settings: Vec<String> = profile.as_object().unwrap().iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let toml = format!(
        "[[profile]]\nname = \"{name}\"\nkind = \"llm\"\ntask_types = [\"docs\"]\nrole = \"You write documents.\"\n[profile.settings]\n{}",
        settings.join("\n")
    );
    let added = file(folder.path(), "agents.toml", toml);
    let installation = Installation::shared();
    let call = |arguments: &[&str]| {
        let output = installation.command(arguments).current_dir(folder.path()).env("ANTHROPIC_API_KEY", KEY).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let listed = call(&["agents", "list"]);
    for built_in in ["general", "reviewer", "test-writer", "code-analyst", "performance-optimizer"] {
        assert!(listed.1.contains(built_in), "{listed:?}");
    }
    assert!(call(&["agents", "add", added.to_str().unwrap()]).2.contains("is registered, version 1"));
    let missing = call(&["agents", "add", "nowhere.toml"]);
    assert!(missing.0 == Some(2) && missing.2.contains("hint: give the path of a file with [[profile]] tables"), "{missing:?}");
    let tested = call(&["agents", "test", &name]);
    assert!(
        tested.0 == Some(0)
            && tested.1.contains("delivered tryout.txt")
            && tested.1.contains("50 tokens read, 9 written, for 0.000095 of money"),
        "{tested:?}"
    );
    assert_eq!(server.asked()[0].headers["x-api-key"], KEY);
    assert!(call(&["agents", "disable", &name]).2.contains("not sent any more"));
    let refused = call(&["agents", "test", &name]);
    assert!(refused.0 == Some(2) && refused.2.contains("it is switched off"), "{refused:?}");
    assert!(call(&["agents", "show", &name]).1.contains("You write documents."));
    assert_eq!(call(&["agents", "remove", &name]).0, Some(0));
    let gone = call(&["agents", "show", "genral"]);
    assert!(gone.0 == Some(2) && gone.2.contains("did you mean general?"), "{gone:?}");
}

#[test]
fn what_a_person_hands_in_is_judged_like_any_delivery() {
    let (installation, folder) = (Installation::shared(), TempDir::new().unwrap());
    let ended = run(&installation, folder.path(), STEPS, &fresh_name("by-hand"), &[]);
    let run = report(&ended)["run"].as_str().unwrap().to_owned();
    let key = "logical-dependency-chain/1";
    let hand_in = |content: &str| {
        let hand = TempDir::new().unwrap();
        fs::create_dir(hand.path().join("src")).unwrap();
        fs::write(hand.path().join("src/storage.py"), content).unwrap();
        let handed = installation.call(&["done", &run, key, "--from", hand.path().to_str().unwrap(), "--note", "by hand"]);
        assert!(handed.status.success(), "{}", String::from_utf8_lossy(&handed.stderr));
        let said = installation.call(&["resume", &run]);
        let report = installation.call(&["report", &run, "--json"]);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
        let unit = report["units"].as_array().unwrap().iter().find(|unit| unit["key"] == key).unwrap().clone();
        (unit["state"].as_str().unwrap().to_owned(), unit["agent"].as_str().unwrap_or_default().to_owned())
    };
    // What is no Python is refused, and the unit waits again, with what the checks said.
    let (state, _) = hand_in("def broken(:\n");
    assert_eq!(state, "waiting");
    let logs = String::from_utf8(installation.call(&["logs", &run, key]).stdout).unwrap();
    assert!(logs.contains("src/storage.py") && logs.contains("failed"), "{logs}");
    let (state, agent) = hand_in(&content("1"));
    assert!(state == "succeeded" && agent.starts_with("person/"), "{state} by {agent}");
    assert_eq!(fs::read_to_string(folder.path().join("out/src/storage.py")).unwrap(), content("1"));
    // Nothing can be handed in for what is done.
    let again = installation.call(&["done", &run, key, "--from", folder.path().to_str().unwrap()]);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(2) && said.contains("is succeeded") && said.contains("hint:"), "{said}");
}

#[test]
fn prompts_are_listed_and_replaced_by_files_that_say_what_they_must() {
    let (installation, folder) = (Installation::own(), TempDir::new().unwrap());
    let say = |arguments: &[&str]| {
        let output = installation.command(arguments).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let list = || -> Vec<Value> { serde_json::from_str(&say(&["prompts", "list", "--json"]).1).unwrap() };
    let built_in = list();
    assert_eq!(built_in.len(), 6);
    assert!(built_in.iter().all(|prompt| prompt["version"].as_u64() >= Some(1) && prompt["replaced_by"].is_null()), "{built_in:?}");
    let (_, text, _) = say(&["prompts", "show", "correction"]);
    assert!(text.starts_with("---\nversion: 1\n---\n") && text.contains("{{ problem }}"), "{text}");

    // What is shown, saved and changed takes its place.
    fs::create_dir(folder.path().join("prompts")).unwrap();
    file(folder.path(), "specwave.toml", "[llm]\nprompts = \"prompts\"\n");
    file(&folder.path().join("prompts"), "correction.md", text.replace("version: 1", "version: 2").replace("Change nothing else. ", ""));
    let replaced = list();
    let correction = |prompts: &[Value]| prompts.iter().find(|prompt| prompt["name"] == "correction").unwrap().clone();
    let (before, now) = (correction(&built_in), correction(&replaced));
    assert!(now["version"] == 2 && now["replaced_by"].as_str().unwrap().ends_with("correction.md"), "{now}");
    assert_ne!(before["hash"], now["hash"]);

    let (code, _, said) = say(&["prompts", "show", "corection"]);
    assert!(code == Some(2) && said.contains("did you mean correction?"), "{said}");
    file(&folder.path().join("prompts"), "correction.md", text.replace("{{ problem }}", "{{ everything }}"));
    let (code, _, said) = say(&["prompts", "list"]);
    assert!(code == Some(2) && said.contains("uses everything, it may use problem") && said.contains("hint:"), "{said}");
}
