//! What the service says of itself: its OpenAPI document beside the specification.

use serde_json::Value;

use super::call::DescriptionCheck;
use super::client::{Client, Payload};
use super::schema_compare::{Comparer, Difference};
use super::walk::{body_shape, field_subject, properties};
use crate::model::operation::{Location, Response, Status};
use crate::model::{Method, Operation, SpecDocument, Subject, Verdict};

/// Compares every operation of the specification with the service's description.
pub(super) async fn compare(document: &SpecDocument, client: &Client, path: &str) -> Vec<DescriptionCheck> {
    let (answer, _) = client.send(Method::Get, path, &[], &Payload::None).await;
    let description = match answer {
        Ok(answer) if answer.status == 200 => answer.json.ok_or_else(|| format!("{path} is not JSON")),
        Ok(answer) => Err(format!("{path} answered {}", answer.status)),
        Err(error) => Err(error),
    };
    let description = match description {
        Ok(description) => description,
        Err(why) => {
            let check =
                |operation: &Operation| judged(Subject::Operation(operation.key.clone()), &operation.key, std::slice::from_ref(&why));
            return document.operations.iter().map(check).collect();
        }
    };
    let comparer = Comparer { document, description: &description };
    document.operations.iter().flat_map(|operation| operation_checks(document, &comparer, operation)).collect()
}

fn judged(subject: Subject, place: &str, problems: &[String]) -> DescriptionCheck {
    let verdict = if problems.is_empty() { Verdict::Passed } else { Verdict::Failed };
    DescriptionCheck { subject, place: place.to_owned(), verdict, detail: problems.join("; ") }
}

fn operation_checks(document: &SpecDocument, comparer: &Comparer<'_>, operation: &Operation) -> Vec<DescriptionCheck> {
    let subject = Subject::Operation(operation.key.clone());
    let method = operation.method.to_string().to_lowercase();
    let described = comparer.description.get("paths").and_then(|paths| paths.get(&operation.path)).and_then(|path| path.get(&method));
    let Some(described) = described else {
        return vec![judged(subject, &operation.key, &["is missing in the service's description".to_owned()])];
    };
    let mut problems = parameter_problems(comparer, operation, described);
    problems.extend(response_problems(comparer, operation, described));
    let named = described.get("operationId").and_then(Value::as_str);
    if named.is_some_and(|named| named != operation.operation_id) {
        problems.push(format!("is called {} instead of {}", named.unwrap_or_default(), operation.operation_id));
    }
    let (body, fields) = body_checks(document, comparer, operation, described);
    problems.extend(body);
    let mut checks = fields;
    // That an operation is described does not mean that anybody has implemented it.
    if operation.derivable() || !problems.is_empty() {
        checks.insert(0, judged(subject, &operation.key, &problems));
    }
    checks
}

fn parameter_problems(comparer: &Comparer<'_>, operation: &Operation, described: &Value) -> Vec<String> {
    let listed: Vec<&Value> = described.get("parameters").and_then(Value::as_array).into_iter().flatten().collect();
    let mut problems = Vec::new();
    for parameter in &operation.parameters {
        let place = match parameter.location {
            Location::Path => "path",
            Location::Query => "query",
            Location::Header => "header",
            Location::Cookie => "cookie",
        };
        let same = |found: &&&Value| {
            found.get("name").and_then(Value::as_str) == Some(&parameter.name) && found.get("in").and_then(Value::as_str) == Some(place)
        };
        let Some(found) = listed.iter().find(same) else {
            problems.push(format!("the {place} parameter {} is missing", parameter.name));
            continue;
        };
        let required = found.get("required").and_then(Value::as_bool).unwrap_or(false);
        if required != parameter.required {
            problems.push(format!("the parameter {} is {} required", parameter.name, if required { "" } else { "not" }).replace("  ", " "));
        }
        let schema = found.get("schema").cloned().unwrap_or_default();
        // An optional parameter is often described as "or null", which a query cannot even say.
        let shape = crate::model::Shape { nullable: parameter.shape.nullable, ..parameter.shape.clone() };
        let differences = comparer
            .compare(&shape, &schema)
            .into_iter()
            .filter(|difference| !difference.message.contains("may be null only in the service"));
        problems.extend(differences.map(|difference| format!("the parameter {} {}", parameter.name, difference.message)));
    }
    let unknown = listed
        .iter()
        .filter_map(|found| found.get("name").and_then(Value::as_str))
        .filter(|name| !operation.parameters.iter().any(|parameter| parameter.name == *name));
    problems.extend(unknown.map(|name| format!("the parameter {name} is not in the specification")));
    problems
}

fn response_problems(comparer: &Comparer<'_>, operation: &Operation, described: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let responses = described.get("responses").and_then(Value::as_object).unwrap_or(&empty);
    let name = |response: &Response| match response.status {
        Status::Code(code) => code.to_string(),
        Status::Range(hundred) => format!("{hundred}XX"),
        Status::Default => "default".to_owned(),
    };
    let mut problems = Vec::new();
    for response in &operation.responses {
        let Some(found) = responses.get(&name(response)) else {
            problems.push(format!("the status {} is missing", name(response)));
            continue;
        };
        if let Some(content) = &response.content {
            match found.get("content").and_then(|found| found.get(&content.media_type)) {
                Some(body) => {
                    let schema = body.get("schema").cloned().unwrap_or_default();
                    // Only what is shown: a property that is never absent may well be described as optional, or the other way round.
                    let differences = comparer.compare(&content.shape, &schema);
                    problems
                        .extend(differences.into_iter().map(|difference| format!("the answer {} {}", name(response), difference.message)));
                }
                None => problems.push(format!("the answer {} has no {}", name(response), content.media_type)),
            }
        }
        let headers = found.get("headers").and_then(Value::as_object);
        for header in &response.headers {
            if !headers.is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case(&header.name))) {
                problems.push(format!("the answer {} has no header {}", name(response), header.name));
            }
        }
    }
    // A waiting operation says 501, which no specification does.
    let known = |code: &str| operation.responses.iter().any(|response| name(response) == code) || (code == "501" && !operation.derivable());
    problems.extend(responses.keys().filter(|code| !known(code)).map(|code| format!("the status {code} is not in the specification")));
    problems
}

/// Problems of the body as a whole, and one check for each stored field that it carries.
fn body_checks(
    document: &SpecDocument,
    comparer: &Comparer<'_>,
    operation: &Operation,
    described: &Value,
) -> (Vec<String>, Vec<DescriptionCheck>) {
    let Some(body) = &operation.body else {
        let surplus = described.get("requestBody").map(|_| "has a body that is not in the specification".to_owned());
        return (surplus.into_iter().collect(), Vec::new());
    };
    let found = described.get("requestBody");
    let schema = found.and_then(|found| found.get("content")?.get(&body.media_type)?.get("schema"));
    let Some(schema) = schema else { return (vec![format!("has no body of {}", body.media_type)], Vec::new()) };
    let mut problems = Vec::new();
    let required = found.and_then(|found| found.get("required")).and_then(Value::as_bool).unwrap_or(false);
    if required != body.required {
        problems.push("disagrees on whether a body is required".to_owned());
    }
    let differences = comparer.compare(&body.shape, schema);
    problems.extend(differences.iter().map(|difference| format!("the body: {}", difference.message)));
    let entity = operation.behaviour.entity().and_then(|name| document.entity(name));
    let row = body_shape(document, operation);
    let wrapped = super::walk::row_of(&operation.behaviour).is_some_and(|row| row.request_envelope.is_some());
    let mut checks = Vec::new();
    for property in row.into_iter().flat_map(|row| properties(document, row)) {
        let Some(subject) = entity.and_then(|entity| field_subject(entity, &property.name)) else { continue };
        let about = |difference: &&Difference| {
            if wrapped { difference.message.contains(&format!(".{}`", property.name)) } else { difference.property == property.name }
        };
        let problems: Vec<String> = differences.iter().filter(about).map(|difference| difference.message.clone()).collect();
        checks.push(judged(subject, &format!("{} request body", operation.key), &problems));
    }
    (problems, checks)
}
