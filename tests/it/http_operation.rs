//! Operating the server: health, metrics, the document and its page, an outage of the database, the end.

use serde_json::{Value, json};

use crate::http_serving::Serving;
use crate::installation::{Installation, NOTES, STEPS, fresh_name, until};
use crate::server::Server;

#[tokio::test]
async fn health_metrics_and_document_are_served() {
    let serving = Serving::fresh().await;
    assert_eq!(serving.call("GET /health/live", &[]).send().await.expect(200)["status"], "live");
    let ready = serving.call("GET /health/ready", &[]).send().await.expect(200);
    assert_eq!((&ready["status"], &ready["stores"]["postgres"]), (&json!("ready"), &json!("up")), "{ready:#}");

    serving.call("GET /runs/{id}", &["01900000-0000-7000-8000-000000000000"]).send().await.problem(404, "not-found");
    let metrics = serving.call("GET /metrics", &[]).send().await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let line =
        |start: &str| metrics.text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {}", metrics.text));
    assert!(line("specwave_http_requests_total{method=\"GET\",route=\"/api/v1/runs/{id}\",status=\"404\"}").ends_with(" 1"));
    assert!(line("specwave_store_up{store=\"postgres\"}").ends_with(" 1"));
    line("specwave_http_request_seconds_bucket{method=\"GET\",route=\"/health/live\",le=\"0.025\"}");
    line("specwave_runs{state=\"queued\"}");
    line("specwave_runs_driven");
    line("specwave_units_ready");
    line("specwave_units_ready_oldest_seconds");
    line("specwave_units_running");
    line("specwave_http_streams");
    assert!(!metrics.text.contains("01900000"), "no id is a label");
}

#[tokio::test]
async fn the_document_is_whole_and_true_to_the_router() {
    let serving = Serving::fresh().await;
    let document = serving.call("GET /api/openapi.json", &[]).send().await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path} has a name of its own");
            assert!(operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2')), "{method} {path}");
            for status in ["500", "503"] {
                assert!(operation["responses"][status]["content"]["application/problem+json"].is_object(), "{method} {path} {status}");
            }
        }
        // The router answers to exactly the methods that the document names.
        let concrete = path.split('/').map(|part| if part.starts_with('{') { "01900000-0000-7000-8000-000000000000" } else { part });
        let options = serving.call(&format!("OPTIONS {}", concrete.collect::<Vec<_>>().join("/")), &[]).send().await;
        let mut allow: Vec<String> = options.header("allow").to_lowercase().split(", ").map(str::to_owned).collect();
        allow.retain(|method| method != "head" && method != "options");
        allow.sort_unstable();
        let mut described: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        described.sort_unstable();
        assert_eq!(allow, described, "{path}");
    }
    let view = &document["components"]["schemas"]["RunView"];
    assert!(view["required"].as_array().unwrap().contains(&json!("plan")), "a field of an answer is always there");
    assert_eq!(view["properties"]["started_at"]["type"], json!(["string", "null"]), "and null where there is nothing");
    let envelope = &document["components"]["schemas"]["Envelope"];
    assert_eq!((&envelope["required"], &envelope["additionalProperties"]), (&json!(["content"]), &json!(false)));
    let wrong = references(&document).into_iter().filter(|pointer| document.pointer(pointer).is_none()).collect::<Vec<_>>();
    assert_eq!(wrong, Vec::<String>::new(), "every reference leads somewhere");
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(|reference| reference.trim_start_matches('#').to_owned());
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn the_reference_page_comes_from_this_server_alone() {
    let serving = Serving::fresh().await;
    let page = serving.call("GET /docs/", &[]).send().await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
    let address = regex::Regex::new(r#"(?:src|href)="([^"]+)""#).unwrap();
    for address in address.captures_iter(&page.text).map(|found| found[1].to_owned()) {
        let part = serving.call("GET /docs/{part}", &[&address]).send().await;
        assert_eq!(part.status, 200, "{address}");
        assert!(part.text.len() > 100 && !part.header("content-security-policy").is_empty(), "{address}");
    }
    assert_eq!(serving.call("GET /docs", &[]).send().await.text, page.text, "it leads to the page");
    serving.call("GET /docs/{part}", &["swagger-initializer.js"]).send().await.problem(404, "not-found");
}

#[tokio::test]
async fn without_its_database_it_says_so_and_goes_on_when_it_is_back() {
    let (database, installation) = (Server::start().await, Installation::own());
    let mut command = installation.command(&["serve", "--port", "0"]);
    command.env("DATABASE_URL", database.url("specwave", "secret", "specwave"));
    let serving = Serving::start_with(command);
    let run = serving.submit(&fresh_name("before"), STEPS).await["run"]["id"].as_str().unwrap().to_owned();
    serving.ended(&run).await;
    database.ctl("stop", "immediate");
    let refused = serving.call("GET /runs/{id}", &[&run]).send().await;
    refused.problem(503, "unavailable");
    assert!(!refused.header("retry-after").is_empty());
    let away = serving.call("GET /health/ready", &[]).send().await.problem(503, "unavailable");
    assert_eq!((&away["stores"]["postgres"], &away["stores"]["graph"]), (&json!("down"), &json!("up")), "{away:#}");
    serving.call("GET /health/live", &[]).send().await.expect(200);
    assert!(serving.call("GET /metrics", &[]).send().await.text.contains("specwave_store_up{store=\"postgres\"} 0"));
    database.ctl("start", "");
    let deadline = std::time::Instant::now() + crate::installation::PATIENCE;
    while serving.call("GET /health/ready", &[]).send().await.status != 200 {
        assert!(std::time::Instant::now() < deadline, "{}", serving.said());
    }
    let run = serving.submit(&fresh_name("after"), STEPS).await["run"]["id"].as_str().unwrap().to_owned();
    assert_eq!(serving.ended(&run).await["state"], "partial", "the worker goes on too");
}

#[tokio::test]
async fn asked_to_end_it_pauses_its_runs_and_another_one_goes_on() {
    let installation = Installation::own();
    let mut serving = Serving::start(&installation);
    let run = serving.submit(&fresh_name("paused"), NOTES).await["run"]["id"].as_str().unwrap().to_owned();
    while serving.call("GET /runs/{id}", &[&run]).send().await.expect(200)["state"] != "running" {}
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.end(), Some(0), "{}", serving.said());
    until("what it started is gone", || installation.working_on(&run).is_empty());
    let serving = Serving::start(&installation);
    let paused = serving.call("GET /runs/{id}", &[&run]).send().await.expect(200);
    assert_eq!(paused["state"], "paused", "{paused:#}");
    serving.call("POST /runs/{id}/resume", &[&run]).send().await.expect(202);
    assert_eq!(serving.ended(&run).await["state"], "succeeded", "{}", serving.said());
}

#[tokio::test]
async fn a_run_is_paused_and_cancelled_in_its_middle() {
    let (installation, serving) = (Installation::served(), Serving::fresh().await);
    let run = serving.submit(&fresh_name("called-off"), NOTES).await["run"]["id"].as_str().unwrap().to_owned();
    while serving.call("GET /waves/current", &[]).send().await.status != 200 {}
    let paused = serving.call("POST /runs/{id}/pause", &[&run]).query("reason", "lunch").send().await.expect(200);
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("lunch")));
    let cancelled = serving.call("POST /runs/{id}/cancel", &[&run]).send().await.expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    until("its tools are gone", || installation.working_on(&run).is_empty());
    assert_eq!(serving.ended(&run).await["state"], "cancelled");
    serving.call("GET /waves/current", &[]).send().await.problem(404, "not-found");
}
