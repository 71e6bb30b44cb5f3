//! The probe against a service that interprets the specification, right and with one thing wrong at a time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use specwave::exec::Recorder;
use specwave::ingest;
use specwave::model::operation::{Location, Status};
use specwave::model::shape::Additional;
use specwave::model::{Shape, ShapeKind, SpecDocument, Subject, Verdict};
use specwave::pipeline::analyze::analyze;
use specwave::pipeline::compliance::{Compliance, Standing};
use specwave::pipeline::probe::{ProbeError, ProbeReport, ServicePlan, probe};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn bookstore() -> SpecDocument {
    read(include_bytes!("../../examples/bookstore.md"), "bookstore.md")
}

pub(crate) fn read(bytes: &[u8], name: &str) -> SpecDocument {
    let ingested = ingest::read(bytes, Some(name), None);
    ingested.document.unwrap_or_else(|| panic!("{:?}", ingested.findings))
}

/// Everything that the server needs, in a directory.
fn plan(dir: &Path, document: &SpecDocument, bug: &str) -> ServicePlan {
    std::fs::write(dir.join("document.json"), serde_json::to_vec(document).unwrap()).unwrap();
    std::fs::write(dir.join("description.json"), serde_json::to_vec(&describe(document)).unwrap()).unwrap();
    std::fs::write(dir.join("server.py"), include_str!("probe_server.py")).unwrap();
    let prefix =
        std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable); print(sys.base_prefix)"]).output().unwrap();
    let prefix = String::from_utf8(prefix.stdout).unwrap();
    let (python, prefix) = prefix.trim().split_once('\n').unwrap();
    let start = [python, "server.py", "document.json", "description.json", "{port}", bug];
    ServicePlan {
        dir: dir.to_owned(),
        migrate: Vec::new(),
        start: start.iter().filter(|word| !word.is_empty()).map(|word| (*word).to_owned()).collect(),
        env: [("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())].into(),
        readable: vec![PathBuf::from(prefix)],
        ready_path: "/ready".to_owned(),
        live_path: "/ready".to_owned(),
        openapi_path: "/openapi.json".to_owned(),
        wall: Duration::from_mins(5),
        weaker_sandbox: false,
        supervisor: Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave"))),
    }
}

async fn probed(document: &SpecDocument, bug: &str) -> ProbeReport {
    let dir = TempDir::new().unwrap();
    probe(document, &plan(dir.path(), document, bug), &Recorder::nowhere(), &CancellationToken::new()).await.unwrap()
}

/// What went wrong, for messages.
pub(crate) fn failures(report: &ProbeReport) -> Vec<String> {
    let calls = report.calls.iter().filter(|call| call.verdict == Verdict::Failed);
    let checks = report.description_checks.iter().filter(|check| check.verdict == Verdict::Failed);
    let calls =
        calls.map(|call| format!("{} {} {:?}: {} (expected {})", call.operation, call.case, call.request, call.detail, call.expected));
    calls.chain(checks.map(|check| format!("{} {}: {}", check.subject, check.place, check.detail))).collect()
}

pub(crate) fn skipped(report: &ProbeReport) -> Vec<String> {
    report
        .calls
        .iter()
        .filter(|call| call.verdict == Verdict::Skipped)
        .map(|call| format!("{} {}: {}", call.operation, call.case, call.detail))
        .collect()
}

#[tokio::test]
async fn a_service_that_fulfils_its_specification_passes_and_proves_every_requirement() {
    let document = bookstore();
    let report = probed(&document, "").await;
    assert_eq!(failures(&report), Vec::<String>::new());
    assert_eq!(skipped(&report), Vec::<String>::new());
    let requirements = analyze(&document).requirements;
    let compliance = Compliance::judge(&requirements, &report.evidence());
    let unproved =
        compliance.requirements.iter().filter(|judgement| judgement.standing != Standing::Passed && judgement.class.needs_evidence());
    let unproved: Vec<_> = unproved.filter(|judgement| !matches!(judgement.subject, Subject::Statement(_) | Subject::Project(_))).collect();
    assert!(unproved.is_empty(), "{unproved:#?}");
    for operation in &document.operations {
        assert!(report.calls.iter().any(|call| call.operation == operation.key && call.verdict == Verdict::Passed), "{}", operation.key);
    }
}

/// A bug of the service and a failed call that names it.
async fn check(bug: &str, operation: &str, case: &str, subject: Subject) {
    let report = probed(&bookstore(), bug).await;
    let named = report.calls.iter().any(|call| {
        call.verdict == Verdict::Failed && call.operation == operation && call.case.contains(case) && call.subjects.contains(&subject)
    });
    assert!(named, "{bug}: {:#?}", failures(&report));
}

#[tokio::test]
async fn each_fault_of_a_service_is_found() {
    let operation = |key: &str| Subject::Operation(key.to_owned());
    let field = |name: &str| Subject::Field(name.to_owned());
    check("limits", "POST /books", "price below the minimum", field("Book.price")).await;
    check("pattern", "POST /books", "isbn against the pattern", field("Book.isbn")).await;
    check("unique", "POST /books", "isbn taken", field("Book.isbn")).await;
    check("restrict", "DELETE /authors/{id}", "a Book refers to it", field("Book.author_id")).await;
    check("rules", "DELETE /books/{id}", "may be deleted only", Subject::Rule("Book/may-be-deleted-only-when-status-draft".to_owned()))
        .await;
    check("echo", "POST /books", "create", field("Book.title")).await;
    check("filters", "GET /books", "filter title_contains", operation("GET /books")).await;
    check("order", "GET /books", "sort title", operation("GET /books")).await;
    check("status", "GET /books/{id}", "not found", operation("GET /books/{id}")).await;
    check("header", "POST /books", "create", operation("POST /books")).await;
    check("shape", "GET /books/{id}", "read", operation("GET /books/{id}")).await;
}

#[tokio::test]
async fn documents_from_openapi_are_probed_by_their_own_contract() {
    let Some(inputs) = std::env::var_os("SPECWAVE_REAL_INPUTS") else {
        return println!("skipped: SPECWAVE_REAL_INPUTS is not set");
    };
    for name in ["petstore.yaml", "petstore-expanded.yaml", "realworld.yaml"] {
        let document = read(&std::fs::read(Path::new(&inputs).join("openapi").join(name)).unwrap(), name);
        let report = probed(&document, "").await;
        assert_eq!(failures(&report), Vec::<String>::new(), "{name}");
        assert_eq!(skipped(&report), Vec::<String>::new(), "{name}");
        let waiting = document.operations.iter().filter(|operation| !operation.derivable());
        for operation in waiting {
            let subject = Subject::Operation(operation.key.clone());
            assert!(report.evidence().iter().all(|evidence| evidence.subject != subject), "a 501 proves nothing: {}", operation.key);
        }
    }
}

#[tokio::test]
async fn a_waiting_operation_must_name_its_unit() {
    let mut document = bookstore();
    let operation = document.operations.iter_mut().find(|operation| operation.key == "POST /books/{id}/publish").unwrap();
    operation.behaviour = specwave::model::Behaviour::Underivable { reason: "a test".to_owned() };
    let failed = |report: &ProbeReport| {
        report
            .calls
            .iter()
            .any(|call| call.operation == "POST /books/{id}/publish" && call.verdict == Verdict::Failed && call.case == "waiting")
    };
    assert!(!failed(&probed(&document, "").await));
    assert!(failed(&probed(&document, "pending").await));
}

#[tokio::test]
async fn a_service_that_does_not_start_is_an_error_with_what_it_printed() {
    let (dir, document) = (TempDir::new().unwrap(), bookstore());
    let error = probe(&document, &plan(dir.path(), &document, "crash"), &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&error, ProbeError::Ended { log, .. } if log.contains("this service ends at once")), "{error}");
    let mut migrating = plan(dir.path(), &document, "");
    migrating.migrate = vec!["sh".into(), "-c".into(), "echo no such table; exit 3".into()];
    let error = probe(&document, &migrating, &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "the migration failed: exit code 3: no such table");
}

#[tokio::test]
async fn a_cancelled_probe_leaves_no_process() {
    let (dir, document) = (TempDir::new().unwrap(), bookstore());
    let cancel = CancellationToken::new();
    let mut plan = plan(dir.path(), &document, "");
    // Never ready, so that it is cancelled while it starts.
    plan.ready_path = "/never".to_owned();
    plan.start = vec!["sh".into(), "-c".into(), "sleep 1000 & wait".into()];
    let cancelling = async {
        while processes_in(dir.path()) == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let nowhere = Recorder::nowhere();
    let (result, ()) = tokio::join!(probe(&document, &plan, &nowhere, &cancel), cancelling);
    assert!(matches!(result, Err(ProbeError::Cancelled)));
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes_in(dir.path()) > 0 {
        assert!(Instant::now() < deadline, "a process is left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many processes have that working directory.
fn processes_in(dir: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == dir)).count()
}

/// The OpenAPI 3.1 document that describes a specification exactly.
fn describe(document: &SpecDocument) -> Value {
    let mut paths = serde_json::Map::new();
    for operation in &document.operations {
        let place = |location: Location| match location {
            Location::Path => "path",
            Location::Query => "query",
            Location::Header => "header",
            Location::Cookie => "cookie",
        };
        let parameters: Vec<Value> = operation
            .parameters
            .iter()
            .map(|parameter| json!({"name": parameter.name, "in": place(parameter.location), "required": parameter.required, "schema": schema(&parameter.shape)}))
            .collect();
        let mut responses = serde_json::Map::new();
        for response in &operation.responses {
            let status = match response.status {
                Status::Code(code) => code.to_string(),
                Status::Range(hundred) => format!("{hundred}XX"),
                Status::Default => "default".to_owned(),
            };
            let headers: serde_json::Map<_, _> =
                response.headers.iter().map(|header| (header.name.clone(), json!({"schema": schema(&header.shape)}))).collect();
            let mut described = json!({"description": "", "headers": headers});
            if let Some(content) = &response.content {
                described["content"] = json!({ content.media_type.clone(): {"schema": schema(&content.shape)} });
            }
            responses.insert(status, described);
        }
        let mut described = json!({"operationId": operation.operation_id, "parameters": parameters, "responses": responses});
        if let Some(body) = &operation.body {
            described["requestBody"] =
                json!({"required": body.required, "content": { body.media_type.clone(): {"schema": schema(&body.shape)} }});
        }
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        path[operation.method.to_string().to_lowercase()] = described;
    }
    let schemas: serde_json::Map<_, _> = document.schemas.iter().map(|named| (named.name.clone(), schema(&named.shape))).collect();
    json!({"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}})
}

fn schema(shape: &Shape) -> Value {
    let mut described = match &shape.kind {
        ShapeKind::Any => json!({}),
        ShapeKind::Boolean => json!({"type": "boolean"}),
        ShapeKind::Integer { limits, .. } => {
            json!({"type": "integer", "minimum": limits.min, "maximum": limits.max, "multipleOf": limits.multiple_of})
        }
        ShapeKind::Number { limits, .. } => {
            json!({"type": "number", "minimum": limits.min, "maximum": limits.max, "multipleOf": limits.multiple_of})
        }
        ShapeKind::Text { format, limits, values } => {
            let values = (!values.is_empty()).then_some(values);
            json!({"type": "string", "format": format, "pattern": limits.pattern, "minLength": limits.length_min, "maxLength": limits.length_max, "enum": values})
        }
        ShapeKind::Array { items, limits, .. } => {
            json!({"type": "array", "items": schema(items), "minItems": limits.length_min, "maxItems": limits.length_max})
        }
        ShapeKind::Object(object) => {
            let properties: serde_json::Map<_, _> =
                object.properties.iter().map(|property| (property.name.clone(), schema(&property.shape))).collect();
            let required: Vec<_> = object.properties.iter().filter(|property| property.required).map(|property| &property.name).collect();
            let additional = (object.additional == Additional::Forbidden).then_some(false);
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": additional})
        }
        ShapeKind::Reference(name) => json!({"$ref": format!("#/components/schemas/{name}")}),
        ShapeKind::OneOf { variants, .. } => json!({"oneOf": variants.iter().map(schema).collect::<Vec<_>>()}),
    };
    if let Some(keywords) = described.as_object_mut() {
        keywords.retain(|_, value| !value.is_null());
        if let Some(default) = &shape.default {
            keywords.insert("default".to_owned(), default.clone());
        }
    }
    if shape.nullable { json!({"anyOf": [described, {"type": "null"}]}) } else { described }
}
