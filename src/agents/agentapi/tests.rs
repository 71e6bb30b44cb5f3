//! The client against a server that is made of the contract, well-behaved and otherwise.

use std::time::Duration;

use regex::Regex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::standin::{AgentServer, Faults, Step};
use super::*;
use crate::engine::ErrorClass;

/// Long enough to never be what a test waits for, and short enough to end one that hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than events that follow one another at once are apart, on a loaded machine too.
const SETTLE: Duration = Duration::from_millis(250);

fn client(server: &AgentServer, change: impl FnOnce(&mut AgentApiSettings)) -> AgentApi {
    let mut settings = AgentApiSettings::new(&server.url);
    settings.settle = SETTLE;
    change(&mut settings);
    AgentApi::new(settings).unwrap()
}

fn task(prompt: &str) -> AgentApiTask {
    AgentApiTask { prompt: prompt.to_owned(), uploads: Vec::new() }
}

async fn perform(server: &AgentServer, change: impl FnOnce(&mut AgentApiSettings)) -> Result<AgentApiOutcome, AgentApiError> {
    client(server, change).perform(&task("do it"), &CancellationToken::new(), Instant::now() + PATIENCE).await
}

/// What the agent last said, or why there is nothing.
async fn check(steps: Vec<Step>, faults: Faults, expected: Result<&str, Cause>) -> (AgentServer, Transcript) {
    let server = AgentServer::start([steps], faults).await;
    let (last, transcript) = match perform(&server, |_| {}).await {
        Ok(outcome) => (Ok(outcome.last.content), outcome.transcript),
        Err(error) => (Err(error.cause), *error.transcript),
    };
    assert_eq!(last, expected.map(str::to_owned), "{transcript:?}");
    (server, transcript)
}

fn working() -> Vec<Step> {
    let pause = Step::Pass(Duration::from_millis(20));
    vec![Step::Run, Step::Say("thin"), pause.clone(), Step::Grow("thinking"), pause, Step::Grow("thinking, done"), Step::Rest]
}

fn typed(server: &AgentServer) -> Vec<String> {
    server.typed().into_iter().map(|(kind, content)| format!("{kind} {content}")).collect()
}

#[tokio::test]
async fn every_call_does_what_the_contract_says() {
    let server = AgentServer::start([working()], Faults::default()).await;
    let api = client(&server, |_| {});
    assert_eq!(api.status().await, Ok(Status::Stable));
    let welcome = Message { id: 0, role: Role::Agent, content: "welcome".into(), time: "t".into() };
    assert_eq!(api.messages().await.as_deref(), Ok([welcome.clone()].as_slice()));
    assert_eq!(api.upload("notes.md", b"hello".to_vec()).await.as_deref(), Ok("/tmp/uploads/notes.md"));
    assert!(server.uploads()[0].contains("name=\"file\"; filename=\"notes.md\"") && server.uploads()[0].contains("hello"));
    let mut events = api.events().await.unwrap();
    assert_eq!(events.next().await, Ok(Some(Event::Message(welcome))));
    assert_eq!(events.next().await, Ok(Some(Event::Status(Status::Stable))));
    api.send("\u{1b}", MessageKind::Raw).await.unwrap();
    api.send("go", MessageKind::User).await.unwrap();
    assert!(matches!(events.next().await, Ok(Some(Event::Message(Message { id: 1, role: Role::User, .. })))));
    assert_eq!(typed(&server), ["raw \u{1b}", "user go"]);
}

#[tokio::test]
async fn a_refusal_carries_the_reason_of_its_first_error() {
    let server = AgentServer::start([vec![Step::Run, Step::Await("never")]], Faults::default()).await;
    server.act(vec![Step::Run]);
    let api = client(&server, |_| {});
    while api.status().await != Ok(Status::Running) {
        tokio::task::yield_now().await;
    }
    let refused = api.send("go", MessageKind::User).await.unwrap_err();
    let reason = "message can only be sent when the agent is waiting for user input".to_owned();
    assert_eq!(refused, Cause::Refused { call: "POST /message", status: 500, reason });
}

#[tokio::test]
async fn a_task_ends_when_the_agent_has_worked_and_rests() {
    let (server, transcript) = check(working(), Faults::default(), Ok("thinking, done")).await;
    assert_eq!(typed(&server), ["user do it"]);
    let entries: Vec<(&str, &str)> = transcript.entries.iter().map(|entry| (entry.kind, entry.text.as_str())).collect();
    assert_eq!(entries, [("user", "do it"), ("agent", "thinking, done")]);
}

#[tokio::test]
async fn files_are_handed_over_and_their_places_told() {
    let server = AgentServer::start([working()], Faults::default()).await;
    let task = AgentApiTask { prompt: "read them".into(), uploads: vec![("a.txt".into(), b"1".to_vec()), ("b.txt".into(), b"2".to_vec())] };
    let outcome = client(&server, |_| {}).perform(&task, &CancellationToken::new(), Instant::now() + PATIENCE).await.unwrap();
    let prompt = "read them\n\nFiles that were handed over:\n- /tmp/uploads/a.txt\n- /tmp/uploads/b.txt";
    assert_eq!((outcome.messages[0].content.as_str(), outcome.messages.len()), (prompt, 2));
}

#[tokio::test]
async fn resting_alone_is_not_being_done() {
    // It runs and rests without a word, runs again, and only then speaks.
    let pause = || Step::Pass(SETTLE.saturating_mul(3));
    let steps =
        vec![Step::Run, Step::Rest, pause(), Step::Run, Step::Say("now"), Step::Rest, Step::Run, Step::Grow("now done"), Step::Rest];
    check(steps, Faults::default(), Ok("now done")).await;
}

#[tokio::test]
async fn an_agent_that_is_busy_is_waited_for() {
    let server = AgentServer::start([working()], Faults::default()).await;
    server.act(vec![Step::Run, Step::Pass(Duration::from_millis(200)), Step::Grow("welcome back"), Step::Rest]);
    let outcome = perform(&server, |_| {}).await.unwrap();
    assert_eq!((outcome.last.content.as_str(), typed(&server)), ("thinking, done", vec!["user do it".to_owned()]));

    let (server, _) = check(working(), Faults { busy: 2, ..Faults::default() }, Ok("thinking, done")).await;
    assert_eq!(typed(&server), ["user do it"; 3]);
    check(working(), Faults { busy: 9, ..Faults::default() }, Err(Cause::Busy)).await;
}

#[tokio::test]
async fn sending_may_take_long_and_what_is_said_meanwhile_is_heard() {
    let faults = Faults { slow_send: Duration::from_millis(400), ..Faults::default() };
    check(working(), faults, Ok("thinking, done")).await;
}

#[tokio::test]
async fn a_prompt_that_was_taken_and_not_confirmed_is_not_sent_again() {
    let faults = Faults { unconfirmed: 1, ..Faults::default() };
    let (server, transcript) = check(working(), faults, Ok("thinking, done")).await;
    assert_eq!(typed(&server), ["user do it"]);
    assert!(transcript.entries.iter().any(|entry| entry.text.starts_with("sending was not confirmed")));
}

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again_and_repetitions_do_no_harm() {
    let steps = vec![Step::Run, Step::Say("one"), Step::Cut, Step::Grow("one, two"), Step::Pass(Duration::from_millis(50)), Step::Rest];
    let (server, _) = check(steps, Faults { doubled: true, ..Faults::default() }, Ok("one, two")).await;
    assert_eq!(server.streams(), 2);
}

#[tokio::test]
async fn a_stream_that_missed_something_is_noticed() {
    // The agent has come to rest while the stream was broken: nothing will ever be said on it again.
    let steps = vec![Step::Run, Step::Cut, Step::Say("done"), Step::Rest];
    check(steps, Faults::default(), Ok("done")).await;
}

#[tokio::test]
async fn a_question_goes_to_a_person_unless_an_answer_is_configured() {
    let question = "Run tests?\nDo you want to proceed?\n❯ 1. Yes";
    let steps = || vec![Step::Run, Step::Say(question), Step::Rest, Step::Await("1\r"), Step::Run, Step::Grow("tests pass"), Step::Rest];
    let (_, _) = check(steps(), Faults::default(), Err(Cause::NeedsInput(question.to_owned()))).await;
    let server = AgentServer::start([steps()], Faults::default()).await;
    let rule = PromptRule { pattern: Regex::new("proceed").unwrap(), answer: Some("1\r".into()) };
    let outcome = perform(&server, |settings| settings.prompts.insert(0, rule)).await.unwrap();
    assert_eq!((outcome.last.content.as_str(), typed(&server)), ("tests pass", vec!["user do it".to_owned(), "raw 1\r".to_owned()]));
    assert!(outcome.transcript.entries.iter().any(|entry| entry.kind == "keys" && entry.text.starts_with("1\\r to: Run tests?")));
    assert_eq!(Cause::NeedsInput(String::new()).class(), ErrorClass::NeedsInput);
}

#[tokio::test]
async fn a_fault_of_the_agent_ends_the_task_and_a_warning_does_not() {
    let steps = vec![Step::Run, Step::Fault("error", "the terminal is gone")];
    check(steps, Faults::default(), Err(Cause::Agent("the terminal is gone".into()))).await;
    let steps = [vec![Step::Fault("warning", "slow")], working()].concat();
    let (_, transcript) = check(steps, Faults::default(), Ok("thinking, done")).await;
    assert!(transcript.entries.iter().any(|entry| entry.text == "the agent reports (warning): slow"));
}

#[tokio::test]
async fn the_deadline_and_a_stop_interrupt_the_agent() {
    let endless = || vec![Step::Run, Step::Say("working"), Step::Await("\x03"), Step::Rest];
    // A machine that is too slow to tell the agent anything before the deadline gets more time.
    let mut patience = Duration::from_millis(400);
    let (server, error) = loop {
        let server = AgentServer::start([endless()], Faults::default()).await;
        let deadline = Instant::now() + patience;
        let error = client(&server, |_| {}).perform(&task("do it"), &CancellationToken::new(), deadline).await.unwrap_err();
        if !server.typed().is_empty() || patience > PATIENCE {
            break (server, error);
        }
        patience *= 4;
    };
    assert_eq!((&error.cause, error.cause.class()), (&Cause::Deadline, ErrorClass::Timeout));
    assert_eq!(typed(&server), ["user do it", "raw \x03"]);
    assert!(error.transcript.entries.iter().any(|entry| entry.text == "Ctrl-C"));

    let server = AgentServer::start([endless()], Faults::default()).await;
    let stop = CancellationToken::new();
    let api = client(&server, |_| {});
    let told = async {
        while server.typed().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let task = task("do it");
    let (result, ()) = tokio::join!(api.perform(&task, &stop, Instant::now() + PATIENCE), told);
    assert_eq!(result.unwrap_err().cause, Cause::Cancelled);
    assert_eq!(typed(&server), ["user do it", "raw \x03"]);
}

#[tokio::test]
async fn an_agent_that_was_told_nothing_is_not_interrupted() {
    let server = AgentServer::start([], Faults::default()).await;
    server.act(vec![Step::Run, Step::Await("never")]);
    let api = client(&server, |_| {});
    while api.status().await != Ok(Status::Running) {
        tokio::task::yield_now().await;
    }
    let deadline = Instant::now() + Duration::from_millis(200);
    let error = api.perform(&task("do it"), &CancellationToken::new(), deadline).await.unwrap_err();
    assert_eq!((error.cause, server.typed()), (Cause::Deadline, Vec::new()));
}

#[tokio::test]
async fn what_breaks_the_protocol_is_refused() {
    let server = AgentServer::start([], Faults { status_as: Some("text/html"), ..Faults::default() }).await;
    let error = client(&server, |_| {}).status().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the agent's server does not keep to the protocol (GET /status): it answers with \"text/html\" instead of application/json"
    );

    let server = AgentServer::start([], Faults { events_as: Some("application/json"), ..Faults::default() }).await;
    assert!(matches!(perform(&server, |_| {}).await.unwrap_err().cause, Cause::Protocol { call: "GET /events", .. }));

    let server = AgentServer::start([], Faults { huge_bytes: 5 << 20, ..Faults::default() }).await;
    assert!(matches!(perform(&server, |_| {}).await.unwrap_err().cause, Cause::Protocol { call: "GET /events", .. }));

    let api = client(&server, |_| {});
    assert!(matches!(api.upload("big", vec![0; (10 << 20) + 1]).await, Err(Cause::TooLarge { .. })));
    assert!(matches!(api.send(&"x".repeat((1 << 20) + 1), MessageKind::User).await, Err(Cause::TooLarge { .. })));
    assert_eq!(server.typed(), []);
}

#[tokio::test]
async fn a_server_that_is_gone_is_named_and_may_come_back() {
    let server = AgentServer::start([], Faults::default()).await;
    let api = client(&server, |_| {});
    drop(server);
    let error = api.perform(&task("do it"), &CancellationToken::new(), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Unreachable { .. }) && error.cause.class() == ErrorClass::Transient, "{error}");
}

#[test]
fn only_this_machine_unless_the_settings_say_otherwise() {
    let check = |url: &str, remote, valid| {
        let mut settings = AgentApiSettings::new(url);
        (settings.remote, settings.call) = (remote, Duration::ZERO);
        let api = AgentApi::new(settings);
        assert_eq!(api.is_ok(), valid, "{url}: {api:?}");
        assert!(api.is_err() || api.is_ok_and(|api| api.settings.call == CALL_MIN));
    };
    check("http://127.0.0.1:3284", false, true);
    check("http://[::1]:3284/agent", false, true);
    check("http://localhost:3284", false, true);
    check("http://agents.example:3284", false, false);
    check("http://127.0.0.1.example:3284", false, false);
    check("https://agents.example", true, true);
    check("ftp://127.0.0.1", true, false);
    check("http://user:pass@127.0.0.1", true, false);
    check("127.0.0.1:3284", true, false);
}
