//! What persons do with units over HTTP: decide, ask, answer, hand in; and looking at the agents.

use serde_json::{Value, json};

use crate::http_serving::Serving;
use crate::installation::{STEPS, fresh_name};

const NOBODY: &str = "01900000-0000-7000-8000-000000000000";
/// Every operation on a unit, and a body that it takes.
const OPERATIONS: [(&str, &str); 9] = [
    ("POST /tasks/{id}/approve", ""),
    ("POST /tasks/{id}/reject", ""),
    ("POST /tasks/{id}/retry", ""),
    ("POST /tasks/{id}/reopen", ""),
    ("GET /tasks/{id}/questions", ""),
    ("POST /tasks/{id}/questions", r#"{"question": "Which currency?"}"#),
    ("POST /tasks/{id}/answers", r#"{"answer": "EUR"}"#),
    ("POST /tasks/{id}/files", r#"{"files": [{"path": "src/storage.py", "content": "A = 1\n"}]}"#),
    ("GET /tasks/{id}/status", ""),
];

/// A run of three units of which two wait and the third depends on them: its id, and theirs.
async fn waiting(serving: &Serving) -> (String, [String; 3]) {
    let submitted = serving.submit(&fresh_name("units"), STEPS).await;
    let id = |what: &str| submitted[what]["id"].as_str().unwrap().to_owned();
    assert_eq!(serving.ended(&id("run")).await["state"], "partial");
    let tasks = serving.call("GET /specs/{id}/tasks", &[&id("spec")]).query("limit", "200").send().await.expect(200);
    let unit = |number: &str| {
        let task =
            tasks["items"].as_array().unwrap().iter().find(|task| task["key"].as_str().unwrap().ends_with(number) && !task["id"].is_null());
        task.unwrap_or_else(|| panic!("{number} in {tasks:#}"))["id"].as_str().unwrap().to_owned()
    };
    (id("run"), ["/1", "/2", "/3"].map(unit))
}

async fn state(serving: &Serving, unit: &str) -> String {
    serving.call("GET /tasks/{id}/status", &[unit]).send().await.expect(200)["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_approves_rejects_retries_and_reopens() {
    let serving = Serving::fresh().await;
    let (run, [first, second, third]) = waiting(&serving).await;
    let seen = serving.call("GET /tasks/{id}/status", &[&first]).send().await;
    let approve =
        || serving.call("POST /tasks/{id}/approve", &[&first]).query("reason", "looked at it").header("idempotency-key", "approve-1");
    approve().header("if-match", "\"0\"").send().await.problem(412, "precondition-failed");
    let approved = approve().header("if-match", seen.header("etag")).send().await;
    assert_eq!(approved.expect(200)["state"], "succeeded");
    assert_eq!(approve().header("if-match", seen.header("etag")).send().await.header("idempotency-replayed"), "true");
    assert_eq!(serving.ended(&run).await["state"], "partial");
    serving.call("POST /tasks/{id}/approve", &[&first]).send().await.problem(409, "conflict");

    let rejected = serving.call("POST /tasks/{id}/reject", &[&second]).query("reason", "not so").send().await;
    assert_eq!(rejected.expect(200)["state"], "failed");
    assert_eq!(state(&serving, &third).await, "blocked");
    serving.call("POST /tasks/{id}/reject", &[&second]).query("reason", &"x".repeat(501)).send().await.problem(400, "bad-request");
    let detail = serving.call("GET /tasks/{id}", &[&second]).send().await.expect(200);
    assert_eq!(detail["attempts"].as_array().unwrap().last().unwrap()["error"], "not so", "{detail:#}");

    let retried = serving.call("POST /tasks/{id}/retry", &[&second]).send().await;
    assert_eq!(
        (&retried.expect(202)["state"], retried.header("location")),
        (&json!("ready"), format!("/api/v1/tasks/{second}/status").as_str())
    );
    serving.ended(&run).await;
    assert_eq!((state(&serving, &second).await, state(&serving, &third).await), ("waiting".to_owned(), "pending".to_owned()));

    assert_eq!(serving.call("POST /tasks/{id}/reopen", &[&first]).send().await.expect(202)["state"], "ready");
    serving.call("POST /tasks/{id}/reopen", &[&third]).send().await.problem(409, "conflict");
    serving.ended(&run).await;
    assert_eq!(state(&serving, &first).await, "waiting", "nobody can do it, and its approval was taken back");
}

#[tokio::test]
async fn questions_are_asked_answered_and_told_to_whoever_follows() {
    let serving = Serving::fresh().await;
    let (run, [first, second, _]) = waiting(&serving).await;
    let ask = |text: &str| serving.call("POST /tasks/{id}/questions", &[&first]).json(&json!({"question": text}));
    let asked = ask("Which currency?").send().await;
    let question = asked.expect(201);
    assert_eq!((&question["number"], &question["answer"]), (&json!(1), &Value::Null));
    assert_eq!(asked.header("location"), format!("/api/v1/tasks/{first}/questions"));
    assert_eq!(ask("Which currency?").send().await.expect(201), question, "asked once");
    let other = ask("Is api_key=abc123 right?").send().await.expect(201);
    assert_eq!(other["question"], "Is api_key=[redacted] right?");
    for wrong in ["", " \n", &"x".repeat(2_001)] {
        ask(wrong).send().await.problem(422, "unprocessable");
    }
    serving.call("POST /tasks/{id}/questions", &[&first]).json(&json!({"text": "?"})).send().await.problem(422, "unprocessable");

    let answer = |body: Value| serving.call("POST /tasks/{id}/answers", &[&first]).json(&body);
    answer(json!({"answer": "EUR"})).send().await.problem(409, "conflict");
    answer(json!({"answer": "EUR", "question": NOBODY})).send().await.problem(422, "unprocessable");
    let one = answer(json!({"answer": "EUR", "question": question["id"]})).header("idempotency-key", "answer-1").send().await;
    assert_eq!((&one.expect(202)["offered"], &one.json()["question"]["answer"]), (&json!(false), &json!("EUR")));
    let again = answer(json!({"answer": "EUR", "question": question["id"]})).header("idempotency-key", "answer-1").send().await;
    assert_eq!((again.text.as_str(), again.header("idempotency-replayed")), (one.text.as_str(), "true"));
    answer(json!({"answer": "USD", "question": question["id"]})).send().await.problem(409, "conflict");
    let before = serving.call("GET /tasks/{id}", &[&first]).send().await.expect(200)["attempts"].as_array().unwrap().len();
    assert_eq!(answer(json!({"answer": "Yes"})).send().await.expect(202)["offered"], true);
    assert_eq!(serving.ended(&run).await["state"], "partial");
    let after = serving.call("GET /tasks/{id}", &[&first]).send().await.expect(200)["attempts"].as_array().unwrap().len();
    assert_eq!(after, before + 1, "it was tried once more");
    let listed = serving.call("GET /tasks/{id}/questions", &[&first]).send().await.expect(200);
    let answers: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|question| &question["answer"]).collect();
    assert_eq!(answers, [&json!("EUR"), &json!("Yes")]);
    assert_eq!(serving.call("GET /tasks/{id}/questions", &[&second]).send().await.expect(200)["items"], json!([]));

    // What was answered is part of what whoever comes next is told.
    let context = serving.call("GET /tasks/{id}/context", &[&first]).send().await.expect(200);
    let told = context["parts"].as_array().unwrap().iter().filter(|part| part["section"] == "What was asked and answered");
    assert_eq!(told.count(), 2, "{context:#}");
    let events = serving.call("GET /runs/{id}/events", &[&run]).send().await.text;
    for (name, count) in [("question_asked", 2), ("question_answered", 2)] {
        assert_eq!(events.lines().filter(|line| line.trim() == format!("event: {name}")).count(), count, "{events}");
    }
    assert!(!events.contains("abc123"));
}

#[tokio::test]
async fn files_are_handed_in_within_limits_and_judged() {
    let serving = Serving::fresh().await;
    let (run, [first, _, third]) = waiting(&serving).await;
    let hand_in = |unit: &str, body: &Value| serving.call("POST /tasks/{id}/files", &[unit]).json(body);
    let one = |path: &str, content: &str| json!({"files": [{"path": path, "content": content}]});
    for unsafe_path in ["../up.py", "/etc/passwd", "", "a//b", "a\u{7}b"] {
        hand_in(&first, &one(unsafe_path, "A = 1\n")).send().await.problem(422, "unprocessable");
    }
    let twice = json!({"files": [{"path": "a.py", "content": ""}, {"path": "a.py", "content": ""}]});
    let no_base64 = json!({"files": [{"path": "a.py", "content": "?", "encoding": "base64"}]});
    for wrong in [json!({"files": []}), twice, no_base64, json!({"files": [], "odd": 1}), json!({"files": [{"path": "a.py"}]})] {
        hand_in(&first, &wrong).send().await.problem(422, "unprocessable");
    }
    hand_in(&third, &one("src/a.py", "A = 1\n")).send().await.problem(409, "conflict");
    let raw = serving.call("POST /tasks/{id}/files", &[&first]).body("text/plain", "A = 1\n").send().await;
    raw.problem(415, "unsupported-media-type");
    assert_eq!(state(&serving, &first).await, "waiting", "nothing of that changed anything");

    let module = "\"\"\"Storage.\"\"\"\n\n\ndef store() -> int:\n    \"\"\"Say where it is stored.\"\"\"\n    return 1\n";
    let broken = hand_in(&first, &one("src/storage.py", "def broken(:\n")).send().await;
    assert_eq!(
        (&broken.expect(202)["state"], broken.header("location")),
        (&json!("ready"), format!("/api/v1/tasks/{first}/status").as_str())
    );
    serving.ended(&run).await;
    assert_eq!(state(&serving, &first).await, "waiting", "what does not pass its checks goes back");
    let encoded = json!({"files": [{"path": "src/storage.py", "content": base64(module), "encoding": "base64"}], "note": "by hand"});
    hand_in(&first, &encoded).header("idempotency-key", "files-1").send().await.expect(202);
    assert_eq!(hand_in(&first, &encoded).header("idempotency-key", "files-1").send().await.header("idempotency-replayed"), "true");
    serving.ended(&run).await;
    let detail = serving.call("GET /tasks/{id}", &[&first]).send().await.expect(200);
    assert_eq!(detail["status"]["state"], "succeeded", "{detail:#}");
    assert!(detail["attempts"].as_array().unwrap().last().unwrap()["agent"].as_str().unwrap().starts_with("person/"), "{detail:#}");
}

#[tokio::test]
async fn what_there_is_not_and_what_belongs_to_another_organization_is_not_found() {
    let serving = Serving::fresh().await;
    let (run, [first, ..]) = waiting(&serving).await;
    let call = async |operation: &str, body: &str, unit: &str| {
        let call = serving.call(operation, &[unit]);
        if body.is_empty() { call.send().await } else { call.body("application/json", body.to_owned()).send().await }
    };
    let asked = call("POST /tasks/{id}/questions", r#"{"question": "Which currency?"}"#, &first).await.expect(201);
    for (operation, body) in OPERATIONS {
        call(operation, body, NOBODY).await.problem(404, "not-found");
        call(operation, body, "1").await.problem(400, "bad-request");
    }
    // The same rows in the hands of somebody else.
    let tables = ["runs", "run_tasks", "questions", "task_attempts"];
    let moves: String = tables.map(|table| format!("update {table} set organization_id = '{NOBODY}';")).concat();
    serving
        .sql(&format!(
            "begin; set local session_replication_role = replica; set local row_security = off; \
             insert into organizations (id, slug, name) values ('{NOBODY}', 'other', 'Other'); {moves} commit"
        ))
        .await;
    for (operation, body) in OPERATIONS {
        let problem = call(operation, body, &first).await.problem(404, "not-found");
        assert!(!problem.to_string().contains(asked["question"].as_str().unwrap()), "{problem:#}");
    }
    serving.call("GET /runs/{id}", &[&run]).send().await.problem(404, "not-found");
}

#[tokio::test]
async fn agents_are_shown_and_cannot_be_added_from_afar() {
    let serving = Serving::fresh().await;
    let agents = serving.call("GET /agents", &[]).send().await.expect(200);
    let names: Vec<&str> = agents["items"].as_array().unwrap().iter().map(|agent| agent["profile"]["name"].as_str().unwrap()).collect();
    for built_in in ["general", "reviewer", "test-writer", "code-analyst", "performance-optimizer"] {
        assert!(names.contains(&built_in), "{names:?}");
    }
    let general = serving.call("GET /agents/{name}", &["general"]).send().await;
    assert_eq!(
        &general.expect(200),
        agents["items"].as_array().unwrap().iter().find(|agent| agent["profile"]["name"] == "general").unwrap()
    );
    assert_eq!((&general.json()["ready"], &general.json()["behind"]), (&json!(false), &Value::Null));
    assert!(general.json()["unavailable"].as_str().unwrap().contains("no model is set"), "{general:?}");
    assert!(general.header("etag").starts_with('"'));
    serving.call("GET /agents/{name}", &["nobody"]).send().await.problem(404, "not-found");
    serving.call("POST /agents", &[]).json(&json!({"name": "evil", "kind": "command"})).send().await.problem(405, "method-not-allowed");
}

/// RFC 4648, with padding.
fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
