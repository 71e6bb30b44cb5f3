//! The OpenAPI document: collected from the handlers, with what holds for all of them added in one place.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::router::Document;

/// What holds for every operation below `/api/v1`, as status and description.
const EVERYWHERE: [(&str, &str); 4] = [
    ("400", "The request cannot be understood."),
    ("403", "Without a token, only loopback may call, and no page of another site may write."),
    ("500", "A defect of the server."),
    ("503", "Not now: too much to do, or the database is away. `Retry-After` says when to come back."),
];
/// Where to go on from an answer: operation and status, the link's name, the operation that it leads to, its parameter, and where in
/// the answer that is.
const LINKS: [(&str, &str, &str, &str, &str, &str); 26] = [
    ("submitSpec", "202", "progress", "getProgress", "spec_id", "/spec/id"),
    ("listSpecs", "200", "spec", "getSpec", "id", "/items/0/id"),
    ("listSpecs", "200", "findings", "getSpecFindings", "id", "/items/0/id"),
    ("listSpecs", "200", "plan", "getSpecPlan", "id", "/items/0/id"),
    ("listSpecs", "200", "tasks", "listTasks", "id", "/items/0/id"),
    ("listSpecs", "200", "progress", "getProgress", "spec_id", "/items/0/id"),
    ("listRuns", "200", "run", "getRun", "id", "/items/0/id"),
    ("listRuns", "200", "plan", "getRunPlan", "id", "/items/0/id"),
    ("listRuns", "200", "waves", "getWaves", "id", "/items/0/id"),
    ("listRuns", "200", "wave", "getCurrentWave", "run", "/items/0/id"),
    ("listRuns", "200", "report", "getReport", "id", "/items/0/id"),
    ("listRuns", "200", "pause", "pauseRun", "id", "/items/0/id"),
    ("listRuns", "200", "resume", "resumeRun", "id", "/items/0/id"),
    ("listRuns", "200", "cancel", "cancelRun", "id", "/items/0/id"),
    ("listTasks", "200", "context", "getTaskContext", "id", "/items/2/id"),
    ("listTasks", "200", "execute", "executeTask", "id", "/items/2/id"),
    ("listTasks", "200", "approve", "approveTask", "id", "/items/2/id"),
    ("listTasks", "200", "reject", "rejectTask", "id", "/items/2/id"),
    ("listTasks", "200", "retry", "retryTask", "id", "/items/2/id"),
    ("listTasks", "200", "reopen", "reopenTask", "id", "/items/2/id"),
    ("listTasks", "200", "questions", "listQuestions", "id", "/items/2/id"),
    ("listTasks", "200", "ask", "askQuestion", "id", "/items/2/id"),
    ("listTasks", "200", "answer", "answerQuestion", "id", "/items/2/id"),
    ("listTasks", "200", "files", "handInFiles", "id", "/items/2/id"),
    ("listAgents", "200", "agent", "getAgent", "name", "/items/0/profile/name"),
    ("listPatterns", "200", "pattern", "getPattern", "id", "/items/0/pattern/id"),
];
/// Schemas of requests: their fields are as the caller may leave them out. Those of answers are always there.
const REQUESTS: [&str; 7] = ["Envelope", "RunRequest", "Problem", "QuestionRequest", "AnswerRequest", "HandInRequest", "HandedFile"];

/// Describes every operation.
#[utoipa::path(get, path = "/api/openapi.json", tag = "Operation", operation_id = "openapi", security(()),
    responses((status = 200, description = "This document.", body = Value)))]
pub async fn document(State(document): State<Document>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document.0.to_vec())
}

/// The document as it is served: that of the handlers, made exact.
pub fn complete(collected: &OpenApi) -> Value {
    let mut document = serde_json::to_value(collected).expect("an OpenAPI document is JSON");
    document["info"] = json!({
        "title": "specwave",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "From a specification to a running, checked service",
        "description": "Work that goes on is answered with 202 and a Location. Errors are problem documents (RFC 9457). Lists come in \
                        parts with signed cursors. GET answers carry strong entity tags.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
    });
    document["security"] = json!([{ "token": [] }, {}]);
    document["components"]["securitySchemes"] = json!({ "token": {
        "type": "http", "scheme": "bearer",
        "description": "The setting http.token; not needed on loopback where none is set."
    }});
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (name, schema) in schemas {
            if !REQUESTS.contains(&name.as_str()) {
                require_all(schema);
            }
        }
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            parameters(operation);
            links(operation);
            answers(path, method, operation);
        }
    }
    document
}

/// An answer always names all its fields; what there is not is null.
fn require_all(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                let names: Vec<Value> = properties.keys().cloned().map(Value::String).collect();
                fields.insert("required".to_owned(), Value::Array(names));
            }
            fields.values_mut().for_each(require_all);
        }
        Value::Array(items) => items.iter_mut().for_each(require_all),
        _ => {}
    }
}

/// Adds where to go on from its answers.
fn links(operation: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    for (_, status, name, to, parameter, pointer) in LINKS.into_iter().filter(|link| link.0 == id) {
        let link = json!({ "operationId": to, "parameters": { parameter: format!("$response.body#{pointer}") } });
        operation["responses"][status]["links"][name] = link;
    }
}

/// A parameter that is left out is not null: a query string has no null.
fn parameters(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(schema) = parameter.get_mut("schema") {
            not_null(schema);
        }
    }
}

fn not_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = choices.as_slice() {
            *schema = only.clone();
        }
    }
    if let Some(fields) = schema.as_object_mut().filter(|fields| fields.is_empty()) {
        fields.insert("type".to_owned(), json!("string"));
    }
}

/// Adds the errors that every operation can answer with, those that follow from what it takes, and their form.
fn answers(path: &str, method: &str, operation: &mut Value) {
    let takes_body = operation.get("requestBody").is_some();
    let names_thing = path.contains('{');
    let mut more: Vec<(&str, &str)> = EVERYWHERE.to_vec();
    if operation["security"] != json!([{}]) {
        more.push(("401", "A token is set and was not sent."));
    }
    if names_thing {
        more.push(("404", "There is no such thing."));
    }
    if takes_body {
        more.extend([
            ("413", "The body is too large."),
            ("415", "The body is of another media type."),
            ("422", "The body is understood and cannot be done; `findings` says why where it is a document."),
        ]);
    }
    let once = operation["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["name"] == "Idempotency-Key");
    if once && !takes_body {
        more.push(("422", "The `Idempotency-Key` was used for another request."));
    }
    if method == "post" {
        more.push(("409", "It cannot be done in this state, or somebody is doing the same at this moment."));
    }
    if operation["responses"].is_null() {
        operation["responses"] = json!({});
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, description) in more {
        responses.entry(status).or_insert_with(|| json!({ "description": description }));
    }
    for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        if response.get("content").is_none() {
            response["content"] = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        }
        if status == "401" {
            response["headers"] = json!({ "WWW-Authenticate": { "schema": { "type": "string" } } });
        }
    }
    sort(responses);
}

fn sort(responses: &mut Map<String, Value>) {
    responses.sort_keys();
}
