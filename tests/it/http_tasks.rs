//! Looking at what a run does: tasks, waves, plans, reports, progress, patterns; and having a unit done again.

use serde_json::{Value, json};

use crate::http_serving::Serving;
use crate::installation::{Installation, NOTES, STEPS, file, fresh_name};

const NOBODY: &str = "01900000-0000-7000-8000-000000000000";

/// A specification whose run has ended, as the ids of both.
async fn ended(serving: &Serving, document: &str, state: &str) -> (String, String) {
    let submitted = serving.submit(&fresh_name("tasks"), document).await;
    let id = |what: &str| submitted[what]["id"].as_str().unwrap().to_owned();
    let run = serving.ended(&id("run")).await;
    assert_eq!(run["state"], state, "{run:#}\n{}", serving.said());
    (id("spec"), id("run"))
}

/// Every unit of a specification by its key.
async fn unit(serving: &Serving, spec: &str, key: &str) -> Value {
    let page = serving.call("GET /specs/{id}/tasks", &[spec]).query("limit", "200").send().await.expect(200);
    page["items"].as_array().unwrap().iter().find(|task| task["key"] == key).unwrap_or_else(|| panic!("{key} in {page:#}")).clone()
}

#[tokio::test]
async fn a_finished_run_is_seen_from_every_side() {
    let serving = Serving::fresh().await;
    let (spec, run) = ended(&serving, NOTES, "succeeded").await;

    let plan = serving.call("GET /runs/{id}/plan", &[&run]).send().await.expect(200);
    assert_eq!(serving.call("GET /specs/{id}/plan", &[&spec]).send().await.expect(200), plan);
    let units: usize = plan["waves"].as_array().unwrap().iter().map(|wave| wave.as_array().unwrap().len()).sum();

    let waves = serving.call("GET /runs/{id}/waves", &[&run]).send().await.expect(200);
    assert_eq!((&waves["current"], waves["waves"].as_array().unwrap().len()), (&Value::Null, plan["waves"].as_array().unwrap().len()));
    let sum = |field: &str| waves["waves"].as_array().unwrap().iter().map(|wave| wave[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("units"), sum("done")), (units as u64, units as u64));

    let current = serving.call("GET /waves/current", &[]).query("run", &run).send().await.expect(200);
    assert_eq!((&current["run"], &current["progress"]["wave"]), (&json!(run), &json!(plan["waves"].as_array().unwrap().len())));
    assert_eq!(current["units"].as_array().unwrap().len() as u64, current["progress"]["units"].as_u64().unwrap());
    assert_eq!(serving.call("GET /api/waves/current", &[]).query("run", &run).send().await.expect(200), current);
    serving.call("GET /waves/current", &[]).query("run", NOBODY).send().await.problem(404, "not-found");

    let progress = serving.call("GET /progress/{spec_id}", &[&spec]).send().await.expect(200);
    assert_eq!((&progress["units"], &progress["done"], &progress["remaining_secs"]), (&json!(units), &json!(units), &Value::Null));
    assert_eq!(serving.call("GET /api/progress/{spec_id}", &[&spec]).send().await.expect(200), progress);
    serving.call("GET /progress/{spec_id}", &[NOBODY]).send().await.problem(404, "not-found");

    let (mut executed, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let call = serving.call("GET /runs/{id}/commands", &[&run]).query("part", "validate").query("limit", "2");
        let call = if let Some(cursor) = &cursor { call.query("cursor", cursor.as_str()) } else { call };
        let mut page = call.send().await.expect(200);
        executed.append(page["items"].as_array_mut().unwrap());
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let programs: Vec<String> = executed.iter().map(|command| command["argv"].to_string()).collect();
    assert!(programs.len() > 2 && programs.iter().any(|argv| argv.contains("pytest")), "{programs:?}");
    assert!(executed.iter().all(|command| command["phase"] == "validate" && command["duration_ms"].is_u64()), "{executed:#?}");
    serving.call("GET /runs/{id}/commands", &[NOBODY]).send().await.problem(404, "not-found");

    let report = serving.call("GET /runs/{id}/report", &[&run]).send().await.expect(200);
    assert_eq!((&report["state"], report["units"].as_array().unwrap().len()), (&json!("succeeded"), units));
    for missing in ["GET /runs/{id}/plan", "GET /runs/{id}/waves", "GET /runs/{id}/report", "GET /specs/{id}/plan", "GET /specs/{id}/tasks"]
    {
        serving.call(missing, &[NOBODY]).send().await.problem(404, "not-found");
    }

    let model = unit(&serving, &spec, "model/note").await;
    assert_eq!((&model["type"], &model["state"], &model["role"]), (&json!("model"), &json!("succeeded"), &json!("unit")));
    let id = model["id"].as_str().unwrap();
    let status = serving.call("GET /tasks/{id}/status", &[id]).send().await.expect(200);
    assert_eq!((&status["key"], &status["state"], &status["run"]), (&json!("model/note"), &json!("succeeded"), &json!(run)));
    assert_eq!(serving.call("GET /api/tasks/{id}/status", &[id]).send().await.expect(200), status);
    let detail = serving.call("GET /tasks/{id}", &[id]).send().await.expect(200);
    assert_eq!(detail["status"], status);
    let attempt = &detail["attempts"][0];
    assert!(["succeeded", "cached"].contains(&attempt["outcome"].as_str().unwrap()), "{detail:#}");
    serving.call("GET /tasks/{id}/context", &[id]).send().await.problem(404, "not-found");
    for missing in ["GET /tasks/{id}", "GET /tasks/{id}/status", "GET /tasks/{id}/context", "POST /tasks/{id}/execute"] {
        serving.call(missing, &[NOBODY]).send().await.problem(404, "not-found");
    }

    let over = serving.call("POST /tasks/{id}/execute", &[id]).send().await.problem(409, "conflict");
    assert!(over["detail"].as_str().unwrap().contains("succeeded"), "{over:#}");
}

#[tokio::test]
async fn tasks_are_filtered_and_read_in_parts() {
    let serving = Serving::fresh().await;
    let (spec, _) = ended(&serving, STEPS, "partial").await;
    let keys = async |filters: &[(&str, &str)]| {
        let mut call = serving.call("GET /specs/{id}/tasks", &[&spec]).query("limit", "200");
        for (name, value) in filters {
            call = call.query(name, value);
        }
        let page = call.send().await.expect(200);
        page["items"].as_array().unwrap().iter().map(|task| task["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = keys(&[]).await;
    let (waiting, pending) = (keys(&[("state", "waiting")]).await, keys(&[("state", "pending")]).await);
    assert_eq!((waiting.len(), pending.len()), (2, 1));
    assert_eq!(keys(&[("wave", "1")]).await, waiting);
    assert_eq!(keys(&[("wave", "2"), ("state", "pending")]).await, pending);
    assert_eq!(keys(&[("wave", "3")]).await, Vec::<String>::new());
    assert_eq!(keys(&[("type", "migration")]).await, Vec::<String>::new());
    assert!(keys(&[("phase", "3")]).await.len() < all.len() + 1);
    for (name, value) in [("wave", "0"), ("phase", "6"), ("state", "odd"), ("type", "odd"), ("limit", "201"), ("wave", "4294967295")] {
        serving.call("GET /api/specs/{id}/tasks", &[&spec]).query(name, value).send().await.problem(400, "bad-request");
    }
    let (mut parts, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut call = serving.call("GET /api/specs/{id}/tasks", &[&spec]).query("limit", "1");
        if let Some(cursor) = &cursor {
            call = call.query("cursor", cursor);
        }
        let page = call.send().await.expect(200);
        parts.extend(page["items"].as_array().unwrap().iter().map(|task| task["key"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = Some(next.to_owned());
    }
    assert_eq!(parts, all);
}

#[tokio::test]
async fn a_unit_that_waits_is_tried_again_and_one_behind_it_is_refused() {
    let serving = Serving::fresh().await;
    let (spec, run) = ended(&serving, STEPS, "partial").await;
    let tasks = serving.call("GET /specs/{id}/tasks", &[&spec]).send().await.expect(200);
    let id = |state: &str| {
        let task = tasks["items"].as_array().unwrap().iter().find(|task| task["state"] == state).unwrap();
        task["id"].as_str().unwrap().to_owned()
    };
    let behind = serving.call("POST /tasks/{id}/execute", &[&id("pending")]).send().await.problem(409, "conflict");
    assert!(behind["detail"].as_str().unwrap().contains("waits for 2"), "{behind:#}");
    let waiting = id("waiting");
    let detail = serving.call("GET /tasks/{id}", &[&id("pending")]).send().await.expect(200);
    assert_eq!(detail["depends_on"].as_array().unwrap().len(), 2, "{detail:#}");
    let before = serving.call("GET /tasks/{id}", &[&waiting]).send().await.expect(200)["attempts"].as_array().unwrap().len();

    let key = fresh_name("key");
    let execute = || serving.call("POST /api/tasks/{id}/execute", &[&waiting]).header("idempotency-key", &key).send();
    let accepted = execute().await;
    assert_eq!(accepted.expect(202)["state"], "ready");
    assert_eq!(accepted.header("location"), format!("/api/v1/tasks/{waiting}/status"));
    let again = execute().await;
    assert_eq!((again.text.as_str(), again.header("idempotency-replayed")), (accepted.text.as_str(), "true"));
    assert_eq!(serving.ended(&run).await["state"], "partial", "nothing can do it yet");
    let after = serving.call("GET /tasks/{id}", &[&waiting]).send().await.expect(200);
    assert_eq!(after["attempts"].as_array().unwrap().len(), before + 1, "it was tried once more: {after:#}");
    let context = serving.call("GET /tasks/{id}/context", &[&waiting]).send().await.expect(200);
    assert!(context["parts"].is_array() && context["bytes"].is_number(), "{context:#}");
}

#[tokio::test]
async fn a_document_is_planned_as_on_the_command_line_and_nothing_is_stored() {
    let (installation, serving) = (Installation::served(), Serving::fresh().await);
    let folder = tempfile::TempDir::new().unwrap();
    let spec = file(folder.path(), "spec.md", NOTES);
    let printed = installation.call(&["plan", spec.to_str().unwrap(), "--json"]);
    let expect: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let answer = serving.call("POST /orchestration/analyze", &[]).body("text/markdown", NOTES).send().await;
    assert_eq!(answer.expect(200), expect);
    let again = serving.call("POST /api/orchestration/analyze", &[]).json(&json!({ "content": NOTES })).send().await;
    assert_eq!(again.text, answer.text, "byte for byte");
    serving.call("POST /orchestration/analyze", &[]).body("text/markdown", "").send().await.problem(422, "unprocessable");
}

#[tokio::test]
async fn a_specification_that_was_never_built_has_a_plan_findings_and_no_progress() {
    let serving = Serving::fresh().await;
    let stored = serving.call("POST /specs", &[]).query("run", "false").query("name", &fresh_name("planned")).body("text/markdown", NOTES);
    let stored = stored.send().await.expect(201);
    let spec = stored["spec"]["id"].as_str().unwrap();
    let plan = serving.call("GET /specs/{id}/plan", &[spec]).send().await.expect(200);
    let tasks = serving.call("GET /specs/{id}/tasks", &[spec]).query("limit", "200").send().await.expect(200);
    assert!(tasks["items"].as_array().unwrap().iter().all(|task| task["id"].is_null() && task["state"].is_null()));
    let nodes = plan["tasks"].as_array().unwrap().iter().filter(|task| task["role"] != "gate").count();
    assert_eq!(tasks["items"].as_array().unwrap().len(), nodes);
    let findings = serving.call("GET /specs/{id}/findings", &[spec]).send().await.expect(200);
    assert_eq!(findings["findings"], stored["findings"]);
    serving.call("GET /specs/{id}/findings", &[NOBODY]).send().await.problem(404, "not-found");
    let progress = serving.call("GET /progress/{spec_id}", &[spec]).send().await.expect(200);
    assert_eq!((&progress["run"], &progress["units_per_minute"], &progress["units"]), (&Value::Null, &Value::Null, &json!(0)));
}

#[tokio::test]
async fn what_was_learned_is_listed_and_found() {
    let serving = Serving::fresh().await;
    ended(&serving, NOTES, "succeeded").await;
    let page = serving.call("GET /patterns", &[]).query("limit", "2").query("language", "python").send().await.expect(200);
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{page:#}");
    let next = page["next"].as_str().unwrap();
    let more =
        serving.call("GET /patterns", &[]).query("limit", "2").query("language", "python").query("cursor", next).send().await.expect(200);
    assert!(more["items"].as_array().unwrap().iter().all(|item| !items.contains(item)));
    let first = &items[0];
    let shown = serving.call("GET /patterns/{id}", &[first["pattern"]["id"].as_str().unwrap()]).send().await.expect(200);
    assert_eq!(shown["pattern"], first["pattern"]);
    serving.call("GET /patterns/{id}", &[NOBODY]).send().await.problem(404, "not-found");
    serving.call("GET /patterns", &[]).query("kind", "odd").send().await.problem(400, "bad-request");

    let search = async |pairs: &[(&str, &str)]| {
        let call = serving.call("GET /patterns/similar", &[]).query("q", "list endpoint of notes");
        pairs.iter().fold(call, |call, (name, value)| call.query(name, value)).send().await
    };
    let found = search(&[("limit", "5")]).await.expect(200);
    let scores: Vec<f64> = found["items"].as_array().unwrap().iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!(scores.len() == 5 && scores.is_sorted_by(|left, right| left >= right), "{scores:?}");
    assert_eq!((&found["neural"], &found["embedder"]), (&json!(false), &found["items"][0]["embedder"]));
    let strict = search(&[("threshold", "1"), ("success", "true")]).await.expect(200);
    assert!(strict["items"].as_array().unwrap().iter().all(|hit| hit["score"].as_f64().unwrap() >= 0.999), "{strict:#}");
    assert_eq!(search(&[("language", "cobol")]).await.expect(200)["items"], json!([]));
    assert_eq!(serving.call("GET /api/patterns/similar", &[]).query("q", "note").send().await.expect(200)["neural"], json!(false));
    for wrong in [("threshold", "2"), ("limit", "0"), ("success", "maybe"), ("odd", "1")] {
        search(&[wrong]).await.problem(400, "bad-request");
    }
    serving.call("GET /patterns/similar", &[]).query("q", " ").send().await.problem(400, "bad-request");
    serving.call("GET /patterns/similar", &[]).send().await.problem(400, "bad-request");
}
