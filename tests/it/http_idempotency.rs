//! The same request again: done once, answered alike, whatever happens in between.

use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::http_serving::{Answer, Serving};
use crate::installation::{Installation, STEPS, fresh_name};
use crate::server::Server;

async fn submit(serving: &Serving, key: &str, name: &str, document: &str) -> Answer {
    let call = serving.call("POST /specs", &[]).query("name", name).body("text/markdown", document.to_owned());
    call.header("idempotency-key", key).send().await
}

async fn runs_of(serving: &Serving, answer: &Answer) -> Vec<Value> {
    let spec = answer.json()["spec"]["id"].as_str().unwrap().to_owned();
    let runs = serving.call("GET /runs", &[]).query("spec", &spec).send().await.expect(200);
    runs["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_alike() {
    let serving = Serving::fresh().await;
    let (name, key) = (fresh_name("again"), fresh_name("key"));
    let first = submit(&serving, &key, &name, STEPS).await;
    first.expect(202);
    assert_eq!(first.header("idempotency-replayed"), "");
    serving.ended(first.json()["run"]["id"].as_str().unwrap()).await;
    let second = submit(&serving, &key, &name, STEPS).await;
    assert_eq!((second.status, &second.text, second.header("location")), (202, &first.text, first.header("location")));
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(runs_of(&serving, &first).await.len(), 1);

    submit(&serving, &key, &name, &STEPS.replace("Storage", "Stock")).await.problem(422, "unprocessable");
    submit(&serving, &key, &fresh_name("other"), STEPS).await.problem(422, "unprocessable");
    submit(&serving, "two words", &name, STEPS).await.problem(400, "bad-request");
    submit(&serving, &"k".repeat(256), &name, STEPS).await.problem(400, "bad-request");
    let other = submit(&serving, &fresh_name("key"), &name, STEPS).await;
    other.expect(202);
    assert_eq!(runs_of(&serving, &first).await.len(), 2, "another key is another request");
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let serving = Serving::fresh().await;
    let (run, key) = (serving.submit(&fresh_name("refused"), STEPS).await["run"]["id"].as_str().unwrap().to_owned(), fresh_name("key"));
    let resume = || serving.call("POST /runs/{id}/resume", &[&run]).header("idempotency-key", &key).header("if-match", "\"old\"").send();
    resume().await.problem(412, "precondition-failed");
    resume().await.problem(412, "precondition-failed");
    serving.ended(&run).await;
    let cancel = || serving.call("POST /runs/{id}/cancel", &[&run]).header("idempotency-key", &key).send();
    cancel().await.expect(200);
    let again = cancel().await;
    again.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true", "cancelling twice is refused without a key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_equal_requests_at_once_make_one_run() {
    let serving = Arc::new(Serving::fresh().await);
    let check = async |keyed: bool| {
        let (name, key) = (fresh_name("hundred"), fresh_name("key"));
        let mut calls = JoinSet::new();
        for count in 0..100 {
            let (serving, name) = (Arc::clone(&serving), name.clone());
            let key = if keyed { key.clone() } else { format!("{key}-{count}") };
            calls.spawn(async move { submit(&serving, &key, &name, STEPS).await });
        }
        let answers = calls.join_all().await;
        let busy = answers.iter().filter(|answer| answer.status != 202);
        for answer in busy.clone() {
            assert!(matches!(answer.status, 409 | 503) && !answer.header("retry-after").is_empty(), "{answer:?}");
        }
        assert!(busy.count() < 100);
        let first = answers.iter().find(|answer| answer.status == 202).unwrap();
        let runs = runs_of(&serving, first).await;
        if keyed {
            assert_eq!(runs.len(), 1, "{runs:#?}");
            assert!(answers.iter().filter(|answer| answer.status == 202).all(|answer| answer.text == first.text));
            assert_eq!(answers.iter().filter(|answer| answer.status == 202 && answer.header("idempotency-replayed").is_empty()).count(), 1);
        } else {
            // Those that came after its end begin another one; never two unfinished ones.
            let unfinished = runs.iter().filter(|run| run["finished_at"].is_null()).count();
            assert!(unfinished <= 1, "{runs:#?}");
        }
    };
    check(true).await;
    check(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_between_makes_one_run_and_answers_alike() {
    let (database, installation) = (Server::start().await, Installation::own());
    let start = || {
        let mut command = installation.command(&["serve", "--port", "0"]);
        command.env("DATABASE_URL", database.url("specwave", "secret", "specwave"));
        Serving::start_with(command)
    };
    let (name, key) = (fresh_name("killed"), fresh_name("key"));

    // Killed within the transaction: a lock of ours keeps it from inserting the run.
    let mut serving = start();
    let options = database.url("specwave", "secret", "specwave");
    let mut ours = <sqlx::PgConnection as sqlx::Connection>::connect(&options).await.unwrap();
    sqlx::raw_sql("begin; lock table run_leases in exclusive mode").execute(&mut ours).await.unwrap();
    let waiting = async {
        let waits = "select count(*) from pg_locks where not granted and relation = 'run_leases'::regclass";
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut ours).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let call = serving.call("POST /specs", &[]).query("name", &name).body("text/markdown", STEPS).header("idempotency-key", &key);
    tokio::select! {
        _ = call.open() => panic!("it was answered although its transaction cannot go on"),
        () = waiting => {}
    }
    serving.signal(Signal::KILL);
    assert_eq!(serving.end(), None);
    sqlx::raw_sql("rollback").execute(&mut ours).await.unwrap();

    // Killed after it: what was answered is answered again by the next server.
    let mut serving = start();
    let first = submit(&serving, &key, &name, STEPS).await;
    first.expect(202);
    assert_eq!(first.header("idempotency-replayed"), "", "nothing of the killed one was kept");
    serving.signal(Signal::KILL);
    assert_eq!(serving.end(), None);
    let serving = start();
    let second = submit(&serving, &key, &name, STEPS).await;
    assert_eq!((second.status, &second.text, second.header("idempotency-replayed")), (202, &first.text, "true"));
    assert_eq!(runs_of(&serving, &first).await.len(), 1);
    let run = first.json()["run"]["id"].as_str().unwrap().to_owned();
    assert_eq!(serving.ended(&run).await["state"], "partial", "the run of the killed server goes on");
}
