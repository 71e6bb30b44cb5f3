//! The HTTP interface from outside: the real binary, the real database.

use serde_json::{Value, json};

use crate::http_serving::Serving;
use crate::installation::{Installation, NOTES, STEPS, fresh_name};

#[tokio::test]
async fn a_submitted_specification_is_built_and_proved() {
    let serving = Serving::fresh().await;
    let name = fresh_name("built");
    let answer = serving.call("POST /specs", &[]).query("name", &name).body("text/markdown", NOTES).send().await;
    let submitted = answer.expect(202);
    let run = submitted["run"]["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/api/v1/runs/{run}"));
    assert_eq!((&submitted["how"], &submitted["spec"]["slug"]), (&json!("new"), &json!(name)));
    let ended = serving.ended(run).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}\n{}", serving.said());
    let out = ended["output_dir"].as_str().unwrap();
    assert!(std::path::Path::new(out).ends_with(&name) && std::path::Path::new(out).join("pyproject.toml").is_file(), "{out}");
}

#[tokio::test]
async fn a_document_is_taken_raw_or_in_an_envelope() {
    let serving = Serving::fresh().await;
    let check = async |name: &str, kind: &str, body: String, expect: Result<&str, (u16, &str)>| {
        let mut call = serving.call("POST /specs", &[]).query("run", "false").body(kind, body);
        if kind != "application/json" {
            call = call.query("name", name);
        }
        let answer = call.send().await;
        match expect {
            Ok(slug) => {
                let submitted = answer.expect(201);
                assert_eq!((&submitted["spec"]["slug"], &submitted["run"]), (&json!(slug), &Value::Null));
                let id = submitted["spec"]["id"].as_str().unwrap();
                assert_eq!(answer.header("location"), format!("/api/v1/specs/{id}"));
                assert_eq!(serving.call("GET /specs/{id}", &[id]).send().await.expect(200), submitted["spec"]);
            }
            Err((status, kind)) => drop(answer.problem(status, kind)),
        }
    };
    let name = fresh_name("taken");
    let openapi = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths:\n  /a:\n    get: {responses: {'200': {description: x}}}\n";
    check(&name, "text/markdown", NOTES.to_owned(), Ok(&name)).await;
    check(&name, "text/markdown; charset=utf-8", NOTES.to_owned(), Ok(&name)).await;
    check(&name, "application/yaml", openapi.to_owned(), Ok(&name)).await;
    check(&name, "application/json", json!({"name": name, "content": NOTES}).to_string(), Ok(&name)).await;
    check(&name, "application/json", json!({"name": name, "content": STEPS, "format": "prose"}).to_string(), Ok(&name)).await;
    check("No Name", "text/markdown", NOTES.to_owned(), Err((422, "unprocessable"))).await;
    check(&name, "text/markdown", String::new(), Err((422, "unprocessable"))).await;
    check(&name, "application/json", "{".to_owned(), Err((400, "bad-request"))).await;
    check(&name, "application/json", json!({"name": name}).to_string(), Err((422, "unprocessable"))).await;
    check(&name, "application/json", json!({"content": NOTES, "more": 1}).to_string(), Err((422, "unprocessable"))).await;
    check(&name, "application/json", json!({"content": NOTES, "target": "cobol"}).to_string(), Err((422, "unprocessable"))).await;
    check(&name, "text/html", NOTES.to_owned(), Err((415, "unsupported-media-type"))).await;
}

#[tokio::test]
async fn a_document_that_cannot_be_built_is_refused_with_its_findings() {
    let serving = Serving::fresh().await;
    let document = "# A\n\n## Entities\n\n### B\n\n| field | type | rules |\n| --- | --- | --- |\n| c | strin | |\n";
    let answer = serving.call("POST /specs", &[]).body("text/markdown", document).send().await;
    let problem = answer.problem(422, "unprocessable");
    let finding = &problem["findings"][0];
    assert_eq!((&finding["code"], &finding["position"]["line"]), (&json!("unknown-type"), &json!(9)), "{problem:#}");
    assert!(!finding["hint"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let serving = Serving::fresh().await;
    let nobody = "01900000-0000-7000-8000-000000000000";
    serving.call("GET /nowhere", &[]).send().await.problem(404, "not-found");
    serving.call("GET /runs/{id}", &[nobody]).send().await.problem(404, "not-found");
    serving.call("GET /specs/{id}", &[nobody]).send().await.problem(404, "not-found");
    serving.call("GET /runs/{id}", &["x"]).send().await.problem(400, "bad-request");
    serving.call("GET /runs/{id}", &["%ff"]).send().await.problem(400, "bad-request");
    serving.call("GET /runs", &[]).query("limit", "0").send().await.problem(400, "bad-request");
    serving.call("GET /runs", &[]).query("state", "odd").send().await.problem(400, "bad-request");
    serving.call("GET /runs", &[]).query("unknown", "1").send().await.problem(400, "bad-request");
    serving.call("GET /specs", &[]).query("cursor", "7b.00").send().await.problem(400, "bad-request");
    let answer = serving.call("DELETE /specs", &[]).send().await;
    answer.problem(405, "method-not-allowed");
    let mut allow: Vec<&str> = answer.header("allow").split(", ").collect();
    allow.sort_unstable();
    assert_eq!(allow, ["GET", "HEAD", "OPTIONS", "POST"]);
    let options = serving.call("OPTIONS /specs", &[]).send().await;
    assert_eq!((options.status, options.header("allow"), options.text.as_str()), (204, answer.header("allow"), ""));
    let large = "a".repeat(13 * 1024 * 1024);
    serving.call("POST /specs", &[]).body("text/markdown", large).send().await.problem(413, "too-large");
    let long = "a".repeat(9_000);
    serving.call("GET /runs", &[]).query("cursor", &long[..3_000]).send().await.problem(414, "address-too-long");
    serving.call("GET /runs", &[]).header("x-long", &"a".repeat(40_000)).send().await.problem(431, "headers-too-large");
}

#[tokio::test]
async fn a_request_keeps_the_id_that_its_caller_gave_when_it_is_sane() {
    let serving = Serving::fresh().await;
    let check = async |given: &str, kept: bool| {
        let answer = serving.call("GET /health/live", &[]).header("x-request-id", given).send().await;
        answer.expect(200);
        assert_eq!(answer.header("x-request-id") == given, kept, "{given}");
        assert!(!answer.header("x-request-id").is_empty());
    };
    check("trace-7.a_B", true).await;
    check("with space", false).await;
    check(&"a".repeat(65), false).await;
}

#[tokio::test]
async fn head_says_what_get_says_and_sends_no_body() {
    let serving = Serving::fresh().await;
    let (get, head) = (serving.call("GET /health/live", &[]).send().await, serving.call("HEAD /health/live", &[]).send().await);
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    for name in ["content-type", "content-length"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    let head = serving.call("HEAD /nowhere", &[]).send().await;
    assert_eq!((head.status, head.text.as_str()), (404, ""));
}

#[tokio::test]
async fn lists_are_read_in_parts() {
    let serving = Serving::fresh().await;
    let mut names = Vec::new();
    for count in 0..5 {
        let name = format!("listed-{count}");
        serving.submit(&name, STEPS).await;
        names.push(name);
    }
    names.reverse();
    let check = async |list: &str, other: &str| {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut call = serving.call(list, &[]).query("limit", "2");
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let page = call.send().await.expect(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            found.extend(items.iter().map(|item| item["slug"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(found, names);
        let foreign = serving.call(other, &[]).query("cursor", &cursor.unwrap()).send().await;
        foreign.problem(400, "bad-request");
    };
    check("GET /specs", "GET /runs").await;
    check("GET /runs", "GET /specs").await;
    let specs = serving.call("GET /specs", &[]).send().await.expect(200);
    let spec = specs["items"][0]["id"].as_str().unwrap();
    let runs = serving.call("GET /runs", &[]).query("spec", spec).send().await.expect(200);
    assert_eq!((runs["items"].as_array().unwrap().len(), &runs["items"][0]["spec"]), (1, &json!(spec)));
}

#[tokio::test]
async fn only_loopback_names_are_answered_without_a_token() {
    let serving = Serving::fresh().await;
    serving.call("GET /runs", &[]).header("host", "rebound.example").send().await.problem(403, "forbidden");
    serving.call("GET /runs", &[]).header("host", "localhost").send().await.expect(200);
    let write = || serving.call("POST /specs", &[]).query("run", "false").body("text/markdown", NOTES);
    write().header("origin", "https://page.example").send().await.problem(403, "forbidden");
    write().header("sec-fetch-site", "cross-site").send().await.problem(403, "forbidden");
    write().header("origin", &serving.url).send().await.expect(201);
}

#[tokio::test]
async fn a_token_is_asked_of_every_call_but_the_open_ones() {
    let token = uuid::Uuid::new_v4().simple().to_string();
    let serving = Serving::fresh_with(&[("SPECWAVE_HTTP_TOKEN", &token)]).await;
    let refused = serving.call("GET /runs", &[]).send().await;
    refused.problem(401, "unauthorized");
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    serving.call("GET /runs", &[]).header("authorization", "Bearer no").send().await.problem(401, "unauthorized");
    serving.call("GET /runs", &[]).header("authorization", &format!("Bearer {token}")).send().await.expect(200);
    serving
        .call("GET /runs", &[])
        .header("host", "any.example")
        .header("authorization", &format!("Bearer {token}"))
        .send()
        .await
        .expect(200);
    for open in ["GET /health/live", "GET /health/ready", "GET /api/openapi.json"] {
        serving.call(open, &[]).send().await.expect(200);
    }
    assert!(!serving.said().contains(&token));
}

#[test]
fn without_a_token_it_listens_on_loopback_only() {
    let refused = Installation::served().call(&["serve", "--address", "0.0.0.0:0"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("no token is set") && said.contains("hint:"), "{said}");
}

#[tokio::test]
async fn the_aliases_lead_to_the_same_operations() {
    let serving = Serving::fresh().await;
    let answer = serving.call("POST /api/specs", &[]).query("run", "false").body("text/markdown", NOTES).send().await;
    let id = answer.expect(201)["spec"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/api/v1/specs/{id}"));
}

#[tokio::test]
async fn a_run_is_stopped_and_resumed_by_whoever_has_seen_it_as_it_is() {
    let serving = Serving::fresh().await;
    let submitted = serving.submit(&fresh_name("stopped"), STEPS).await;
    let run = submitted["run"]["id"].as_str().unwrap();
    assert_eq!(serving.ended(run).await["state"], "partial");
    let shown = serving.call("GET /runs/{id}", &[run]).send().await;
    let tag = shown.header("etag").to_owned();
    let unchanged = serving.call("GET /runs/{id}", &[run]).header("if-none-match", &tag).send().await;
    assert_eq!((unchanged.status, unchanged.text.as_str(), unchanged.header("etag")), (304, "", tag.as_str()));

    let refused = serving.call("POST /runs/{id}/pause", &[run]).send().await.problem(409, "conflict");
    assert!(refused["detail"].as_str().unwrap().contains("partial"), "{refused:#}");
    serving.call("POST /runs/{id}/resume", &[run]).header("if-match", "\"other\"").send().await.problem(412, "precondition-failed");
    let resumed = serving.call("POST /runs/{id}/resume", &[run]).header("if-match", &tag).send().await;
    assert_eq!((&resumed.expect(202)["state"], resumed.header("location")), (&json!("running"), shown_at(run).as_str()));
    assert_eq!(serving.ended(run).await["state"], "partial", "nothing new can be done");

    let cancelled = serving.call("POST /runs/{id}/cancel", &[run]).query("reason", "not needed").send().await.expect(200);
    assert_eq!((&cancelled["state"], &cancelled["reason"]), (&json!("cancelled"), &json!("not needed")));
    serving.call("POST /runs/{id}/resume", &[run]).send().await.problem(409, "conflict");
    let long = "a".repeat(501);
    serving.call("POST /runs/{id}/cancel", &[run]).query("reason", &long).send().await.problem(400, "bad-request");
    serving.call("POST /runs/{id}/cancel", &["01900000-0000-7000-8000-000000000000"]).send().await.problem(404, "not-found");
}

fn shown_at(run: &str) -> String {
    format!("/api/v1/runs/{run}")
}

#[tokio::test]
async fn a_stored_specification_is_built_when_it_is_asked_for() {
    let serving = Serving::fresh().await;
    let (name, start) = (fresh_name("stored"), async |body: Value| serving.call("POST /runs", &[]).json(&body).send().await);
    let stored = serving.call("POST /specs", &[]).query("run", "false").query("name", &name).body("text/markdown", STEPS).send().await;
    let spec = stored.expect(201)["spec"]["id"].as_str().unwrap().to_owned();
    let first = start(json!({"spec": spec})).await;
    let run = first.expect(202)["id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), shown_at(&run));
    assert_eq!(serving.ended(&run).await["state"], "partial");
    let second = start(json!({"spec": spec, "version": 1})).await.expect(202);
    assert_ne!(second["id"], json!(run), "a finished run is followed by a new one");
    start(json!({"spec": spec, "version": 2})).await.problem(422, "unprocessable");
    start(json!({"spec": spec, "odd": 2})).await.problem(422, "unprocessable");
    start(json!({"spec": spec, "target": null})).await.problem(422, "unprocessable");
    start(json!({"spec": "01900000-0000-7000-8000-000000000000"})).await.problem(422, "unprocessable");
    serving.call("POST /runs", &[]).body("text/plain", "{}").send().await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn an_answer_is_compressed_for_who_wants_it_and_keeps_a_tag_of_its_own() {
    let serving = Serving::fresh().await;
    let plain = serving.call("GET /api/openapi.json", &[]).send().await;
    let small = serving.call("GET /api/openapi.json", &[]).header("accept-encoding", "gzip").open().await;
    let header = |name: &str| small.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    assert_eq!((header("content-encoding").as_str(), header("vary").as_str()), ("gzip", "accept-encoding"));
    assert_ne!(header("etag"), plain.header("etag"));
    let again = serving.call("GET /api/openapi.json", &[]).header("if-none-match", &header("etag")).send().await;
    assert_eq!(again.status, 304);
    assert!(small.bytes().await.unwrap().len() < plain.text.len() / 2);
}
