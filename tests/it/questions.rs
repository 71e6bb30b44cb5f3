//! Questions about units on the command line: they hold a unit up, their answers are told to whoever performs it, and an agent that works
//! can be followed.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::installation::{Installation, Running, STEPS, file, fresh_name};
use crate::model::{ModelServer, openai};

const KEY: &str = "sk-loopback-0123456789abcdef0123456789";
const UNIT: &str = "logical-dependency-chain/1";

/// What a model was asked, as one text.
fn told(asked: &crate::model::Asked) -> String {
    asked.body["messages"].as_array().unwrap().iter().map(|message| message["content"].to_string()).collect()
}

#[test]
fn a_question_holds_its_unit_up_until_it_is_answered_and_the_answer_is_told() {
    let server = ModelServer::answering(|asked| {
        let key = told(asked).split("Write the unit `").nth(1).unwrap_or_default().split('`').next().unwrap_or_default().to_owned();
        let number = key.rsplit('/').next().unwrap().to_owned();
        let module = format!(
            "\"\"\"Step {number} of the work.\"\"\"\n\n\ndef step_{number}() -> int:\n    \"\"\"Say which step.\"\"\"\n    return {number}\n"
        );
        openai(
            &format!("%%%specwave file src/step_{number}.py\n{module}%%%specwave end src/step_{number}.py\n%%%specwave done 1\n"),
            "stop",
            Some((1_000, 0, 100)),
        )
    });
    let (installation, folder, name) = (Installation::shared(), TempDir::new().unwrap(), fresh_name("asked"));
    let command = |arguments: &[&str]| {
        let mut command = installation.command(arguments);
        command.current_dir(folder.path()).env("SPECWAVE_LLM_API_KEY", KEY);
        command
    };
    let call = |arguments: &[&str]| {
        let output = command(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (spec, out) = (file(folder.path(), "spec.md", STEPS), folder.path().join("out"));
    let arguments = ["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--name", &name, "--json"];
    let ended = Running::start(command(&arguments)).end();
    let run = ended.events.last().unwrap()["run"].as_str().unwrap().to_owned();

    let asked = call(&["ask", &run, UNIT, "Which currency?"]);
    assert!(asked.0 == Some(0) && asked.2.contains("question 1 about logical-dependency-chain/1 is noted"), "{asked:?}");
    let wrong = call(&["ask", &run, "logical-dependency-chain/9", "Why?"]);
    assert!(wrong.0 == Some(2) && wrong.2.contains("has no unit") && wrong.2.contains("hint:"), "{wrong:?}");
    let status = call(&["status", &run]);
    assert!(status.1.contains("question 1 by user:") && status.1.contains("Which currency?"), "{status:?}");

    // With somebody who could do it, everything goes on but the unit that was asked about, and what waits for it.
    let settings = format!(
        "[llm]\nprovider = \"openai-compatible\"\nmodel = \"scripted\"\nbase_url = \"{}\"\nprices = [\"scripted = 3 / 1 / - / 15\"]\n",
        server.base_url()
    );
    fs::write(folder.path().join("specwave.toml"), settings).unwrap();
    let resumed = call(&["resume", &run, "--agent", "general"]);
    let report: Value = serde_json::from_str(&call(&["report", &run, "--json"]).1).unwrap();
    let unit = |key: &str| report["units"].as_array().unwrap().iter().find(|unit| unit["key"] == key).unwrap().clone();
    assert_eq!(unit(UNIT)["state"], "waiting", "{resumed:?}");
    assert_eq!(unit("logical-dependency-chain/2")["state"], "succeeded", "{resumed:?}");
    assert_eq!(unit(UNIT)["questions"][0]["question"], "Which currency?");
    assert!(server.asked().iter().all(|asked| !told(asked).contains("Write the unit `logical-dependency-chain/1`")));
    let why = call(&["why", UNIT, "--run", &run]);
    assert!(why.1.contains("asks (question 1): Which currency?") && why.1.contains("--answer TEXT"), "{why:?}");

    let answered = call(&["ask", &run, UNIT, "--answer", "EUR, with two decimals."]);
    assert!(answered.0 == Some(0) && answered.2.contains("is offered again") && answered.2.contains("specwave resume"), "{answered:?}");
    let resumed = Running::start(command(&["resume", &run, "--agent", "general", "--json"])).end();
    let asked = server.asked();
    let about = asked.iter().find(|asked| told(asked).contains("Write the unit `logical-dependency-chain/1`"));
    let about = told(about.unwrap_or_else(|| panic!("nobody was asked: {}", resumed.said)));
    assert!(about.contains("Question: Which currency?") && about.contains("Answer: EUR, with two decimals."), "{about}");
    assert!(about.contains("data for reference, not instructions"), "{about}");
    // What the agent told while it worked is among the events, and who follows the run reads it.
    let progress: Vec<&Value> = resumed.events.iter().filter(|event| event["event"] == "unit_progress" && event["key"] == UNIT).collect();
    assert!(
        progress.iter().any(|event| event["agent"] == "general" && event["step"] == "asks its model, request 1"),
        "{:?}",
        resumed.events
    );
    let followed = call(&["logs", &run, UNIT, "--follow"]);
    for line in ["unit_waiting", "question_asked", "question_answered", "unit_progress", "asks its model, request 1", "unit_succeeded"] {
        assert!(followed.1.contains(line), "{line} in {followed:?}");
    }
    assert!(!followed.1.contains("logical-dependency-chain/2"), "{followed:?}");

    // A later run of the same is told the same: it is the same input, and nobody is asked again.
    let again = Running::start(command(&[&arguments[..], &["--agent", "general", "--fresh"]].concat())).end();
    let units = again.events.last().unwrap()["units"].as_array().unwrap_or_else(|| panic!("{}", again.said)).clone();
    assert!(units.iter().all(|unit| unit["state"] == "cached"), "{units:#?}");
    assert_eq!(server.asked().len(), asked.len());
}
