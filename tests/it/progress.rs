//! What agents tell while they work, seen by whoever looks: in the events of the run as they come, and in how it stands.

use serde_json::Value;

use crate::agentapi::{AgentServer, Faults, Step};
use crate::asking::{ONE, write_module};
use crate::installation::{Running, file, fresh_name};
use crate::trees::Stage;

const UNIT: &str = "logical-dependency-chain/1";

/// Starts a run, looks at it until that is told, lets the agent go on, and looks at it to its end.
fn check(stage: &Stage, expected: &str, go_on: impl FnOnce()) {
    let mut running = Running::start(stage.command(ONE, &fresh_name("progress"), &[]));
    let run = running.id();
    let mut followed = Running::start(stage.installation.command(&["logs", &run, "--follow", "--json"]));
    let told = followed.until("it is told", |event| event["event"] == "unit_progress" && event["step"] == expected);
    assert_eq!((told["key"].as_str(), told["agent"].as_str()), (Some(UNIT), Some("hands")), "{told}");
    let status = stage.say(&["status", &run]);
    assert!(status.contains(&format!("running   {UNIT} [hands: {expected}")), "{status}");
    let status: Value = serde_json::from_str(&stage.say(&["status", &run, "--json"])).unwrap();
    assert_eq!((&status["progress"][0]["unit"], &status["progress"][0]["step"]), (&Value::from(UNIT), &Value::from(expected)), "{status}");
    go_on();
    let ended = running.end();
    assert_eq!(ended.report()["units"][0]["state"], "succeeded", "{}", ended.said);
    let events = followed.end().events;
    assert!(events.iter().any(|event| event["event"] == "unit_succeeded" && event["key"] == UNIT), "{events:?}");
    assert!(!stage.say(&["status", &run]).contains("[hands:"), "nobody works any more");
}

#[test]
fn what_a_program_tells_is_seen_while_it_works() {
    let stage = Stage::new("say 'Reads the plan' 10; while [ ! -e \"${0%/*}/go\" ]; do sleep 0.1; done; write; done_with Done\n", "");
    check(&stage, "Reads the plan", || {
        file(stage.folder.path(), "go", "");
    });
}

#[test]
fn what_an_agent_behind_a_server_tells_is_seen_while_it_works() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let steps = vec![Step::Run, Step::Say("Reads the plan"), Step::Grow("Reads the plan\n\nWrites a module\n")];
    let server = runtime.block_on(AgentServer::start([steps], Faults::default()));
    let stage = Stage::behind(&server);
    check(&stage, "Writes a module", || {
        let typed = server.typed();
        write_module(&typed.iter().find(|(kind, _)| kind == "user").unwrap().1);
        let _entered = runtime.enter();
        server.act(vec![Step::Say("All done."), Step::Rest]);
    });
}
