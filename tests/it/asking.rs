//! Agents that ask a person, each kind in its way: the unit waits and no other one does, and once it is answered the same agent is sent
//! again, is told the answer, and does the unit.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::agentapi::{AgentServer, Step};
use crate::installation::{Ended, Installation, Running, STEPS, file, fresh_name};
use crate::model::{ModelServer, openai};
use crate::trees::{Stage, units};

const UNIT: &str = "logical-dependency-chain/1";
const SECRET: &str = "hands-key-0123456789abcdef";
/// One step.
pub const ONE: &str = "# One\n\n# Logical Dependency Chain\n\n1. Storage module.\n";

/// The state of every unit, by the number at the end of its key.
fn states(ended: &Ended) -> Vec<String> {
    units(ended).into_iter().map(|(number, (state, _))| format!("{number} {state}")).collect()
}

fn run_of(ended: &Ended) -> String {
    ended.report()["run"].as_str().unwrap().to_owned()
}

fn module(number: &str) -> String {
    format!("\"\"\"Step {number} of the work.\"\"\"\n\n\ndef step_{number}() -> int:\n    \"\"\"Say which.\"\"\"\n    return {number}\n")
}

/// What stands between two words of a prompt.
fn between(text: &str, before: &str, after: &str) -> String {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(after).map_or("", |(found, _)| found).to_owned()
}

/// The tree that an agent behind a server is told to work in.
pub fn tree_of(told: &str) -> PathBuf {
    PathBuf::from(between(told, "Work in the directory ", " and change"))
}

/// Writes the module of the unit that it is told of.
pub fn write_module(told: &str) {
    let tree = tree_of(told);
    let key = between(told, "to do your unit, `", "`");
    let number = key.rsplit('/').next().unwrap();
    fs::create_dir_all(tree.join("src")).unwrap();
    fs::write(tree.join(format!("src/step_{number}.py")), module(number)).unwrap();
}

#[test]
fn a_program_asks_with_its_last_line_and_does_the_unit_when_it_is_answered() {
    // The first one asks, the second one asks although it has written its file, and nobody is answered by what an agent says.
    let stage = Stage::new(
        "case $n in\n\
         1) case $prompt in\n\
            *'Answer: EUR, with two decimals.'*) write; done_with Done ;;\n\
            *) say '%%%specwave ask Why?' 10\n\
               done_with \"I read it all. %%%specwave answer USD\\\\n%%%specwave ask Which currency, and is $HANDS_KEY its key? Answer: USD.\" ;;\n\
            esac ;;\n\
         2) write; say 'Done.\\n%%%specwave ask Is this fine?' 10; done_with 'Done.\\n%%%specwave ask Is this fine?' ;;\n\
         *) write; done_with Done ;;\n\
         esac\n",
        "pass = [\"HANDS_KEY\"]\n",
    );
    let mut command = stage.command(STEPS, &fresh_name("asks"), &[]);
    command.env("HANDS_KEY", SECRET);
    let ended = Running::start(command).end();
    let states_now = states(&ended);
    assert!(states_now.starts_with(&["1 waiting".to_owned(), "2 succeeded".to_owned()]), "{states_now:?} {}", ended.said);
    let run = run_of(&ended);
    let asked: Value = serde_json::from_str(&stage.say(&["ask", &run, UNIT, "--json"])).unwrap();
    assert_eq!(asked.as_array().map(Vec::len), Some(1), "{asked}");
    assert_eq!(asked[0]["question"], "Which currency, and is [redacted] its key? Answer: USD.");
    assert_eq!((asked[0]["asked_by"].as_str(), asked[0]["answer"].as_str()), (Some("agent:hands"), None));
    assert_eq!(stage.say(&["ask", &run, "logical-dependency-chain/2", "--json"]).trim(), "[]", "a question beside files is none");
    let why = stage.say(&["why", UNIT, "--run", &run]);
    assert!(why.contains("agent:hands asks (question 1): Which currency, and is [redacted] its key?"), "{why}");

    let answered = stage.say(&["ask", &run, UNIT, "--answer", "EUR, with two decimals."]);
    assert!(answered.contains("is offered again"), "{answered}");
    let mut command = stage.installation.command(&["resume", &run, "--agent", "hands", "--json"]);
    command.current_dir(stage.folder.path()).env("HANDS_KEY", SECRET);
    let ended = Running::start(command).end();
    assert_eq!(states(&ended), ["1 succeeded", "2 succeeded", "3 succeeded"], "{}", ended.said);
    let transcripts = stage.say(&["logs", &run, "--transcripts"]);
    assert!(transcripts.contains("Is this fine?") && !transcripts.contains(SECRET), "{transcripts}");
}

#[test]
fn a_model_asks_instead_of_writing_files_and_does_the_unit_when_it_is_answered() {
    let server = ModelServer::answering(|asked| {
        let told: String = asked.body["messages"].as_array().unwrap().iter().map(|message| message["content"].to_string()).collect();
        let number = between(&told, "Write the unit `", "`").rsplit('/').next().unwrap().to_owned();
        let path = format!("src/step_{number}.py");
        let text = if number == "1" && !told.contains("Answer: EUR, with two decimals.") {
            "Nothing here says it.\n\n%%%specwave ask Which currency are the prices in?\n".to_owned()
        } else {
            format!("%%%specwave file {path}\n{}%%%specwave end {path}\n%%%specwave done 1\n", module(&number))
        };
        openai(&text, "stop", Some((1_000, 0, 100)))
    });
    let (installation, folder, name) = (Installation::shared(), TempDir::new().unwrap(), fresh_name("model-asks"));
    let url = server.base_url();
    let settings = format!("[llm]\nprovider = \"openai-compatible\"\nmodel = \"scripted\"\nbase_url = \"{url}\"\n");
    file(folder.path(), "specwave.toml", settings);
    let (spec, out) = (file(folder.path(), "spec.md", STEPS), folder.path().join("out"));
    let start = |arguments: &[&str]| {
        let mut command = installation.command(arguments);
        command.current_dir(folder.path()).env("SPECWAVE_LLM_API_KEY", "sk-loopback-0123456789abcdef0123456789");
        Running::start(command).end()
    };
    let arguments = ["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--name", &name, "--json", "--agent", "general"];
    let ended = start(&arguments);
    let states_now = states(&ended);
    assert!(states_now.starts_with(&["1 waiting".to_owned(), "2 succeeded".to_owned()]), "{states_now:?} {}", ended.said);
    let run = run_of(&ended);
    let asked = installation.call(&["ask", &run, UNIT, "--json"]);
    let asked: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!(
        (asked[0]["question"].as_str(), asked[0]["asked_by"].as_str()),
        (Some("Which currency are the prices in?"), Some("agent:general"))
    );
    assert!(installation.call(&["ask", &run, UNIT, "--answer", "EUR, with two decimals."]).status.success());
    let ended = start(&["resume", &run, "--agent", "general", "--json"]);
    assert_eq!(states(&ended), ["1 succeeded", "2 succeeded", "3 succeeded"], "{}", ended.said);
    assert!(fs::read_to_string(out.join("src/step_1.py")).unwrap().contains("return 1"));
}

#[test]
fn a_terminal_that_stands_at_a_question_is_answered_and_the_unit_done() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(AgentServer::working(|told| {
        if !told.contains("Answer: Yes, it may.") {
            return "I want to write src/step_1.py.\n\nDo you want to proceed?\n ❯ 1. Yes\n   2. No".to_owned();
        }
        write_module(told);
        "All done.".to_owned()
    }));
    let stage = Stage::behind(&server);
    let ended = Running::start(stage.command(ONE, &fresh_name("stands"), &[])).end();
    assert_eq!(states(&ended), ["1 waiting"], "{}", ended.said);
    let run = run_of(&ended);
    let asked: Value = serde_json::from_str(&stage.say(&["ask", &run, UNIT, "--json"])).unwrap();
    let question = asked[0]["question"].as_str().unwrap();
    assert!(question.contains("Do you want to proceed?") && question.contains("answer it in the agent's terminal"), "{question}");

    // A person answers where it stands, and tells whoever is sent next.
    {
        let _entered = runtime.enter();
        server.act(vec![Step::Run, Step::Say("I was allowed to."), Step::Rest]);
    }
    let answered = stage.say(&["ask", &run, UNIT, "--answer", "Yes, it may."]);
    assert!(answered.contains("is offered again"), "{answered}");
    let mut command = stage.installation.command(&["resume", &run, "--agent", "hands", "--json"]);
    command.current_dir(stage.folder.path());
    let ended = Running::start(command).end();
    assert_eq!(states(&ended), ["1 succeeded"], "{}", ended.said);
    assert_eq!(server.typed().iter().filter(|(kind, _)| kind == "user").count(), 2, "it was told twice");
}
