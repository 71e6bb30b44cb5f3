//! The walker: sends requests, records each with its judgement, and remembers the rows it made.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::{Date, OffsetDateTime};

use super::call::ProbeCall;
use super::client::{Answer, Client, Payload, encode, encode_pairs};
use super::condition::Row;
use super::judge::{Expect, judge};
use super::legality::Legality;
use super::samples::{Fill, resolve, valid};
use super::shape_check::{Side, check};
use crate::model::operation::{Binding, Location, Parameter, RowBehaviour};
use crate::model::{Behaviour, Entity, Operation, Shape, ShapeKind, SpecDocument, Subject, Verdict};

/// After so many requests in a row without an answer the service counts as gone.
const UNANSWERED_MAX: u32 = 3;
/// The most calls of one probe; a specification that needs more gets a skipped call that says so.
const CALLS_MAX: usize = 20_000;
/// The longest detail, in characters.
const DETAIL_CHARS_MAX: usize = 4_000;

/// Walks through the operations of one running service.
pub(super) struct Walk<'d> {
    pub(super) document: &'d SpecDocument,
    pub(super) calls: Vec<ProbeCall>,
    pub(super) today: Date,
    /// One row of each entity for others to refer to.
    pub(super) shared: BTreeMap<String, Row>,
    client: Client,
    /// How many values of each entity were made, and, under no name, of anything else.
    counters: BTreeMap<String, u64>,
    unanswered: u32,
}

/// A request to be made.
pub(super) struct Try<'d> {
    pub(super) operation: &'d Operation,
    pub(super) case: String,
    pub(super) expect: Expect,
    /// Values of path parameters: by the field that a parameter is bound to.
    pub(super) row: Row,
    /// Values of path parameters by their own names; they go before `row`.
    pub(super) path: Row,
    pub(super) query: Vec<(String, String)>,
    pub(super) payload: Payload,
    /// What it is evidence of, whatever the outcome.
    pub(super) subjects: Vec<Subject>,
    /// What it is evidence of as well when it passes.
    pub(super) proves: Vec<Subject>,
}

impl<'d> Try<'d> {
    /// A request to an operation, as evidence of it.
    pub(super) fn new(operation: &'d Operation, case: impl Into<String>, expect: Expect) -> Self {
        Self {
            operation,
            case: case.into(),
            expect,
            row: Row::new(),
            path: Row::new(),
            query: Vec::new(),
            payload: Payload::None,
            subjects: vec![Subject::Operation(operation.key.clone())],
            proves: Vec::new(),
        }
    }

    /// About this row.
    pub(super) fn about(mut self, row: &Row) -> Self {
        self.row.clone_from(row);
        self
    }

    /// With this body.
    pub(super) fn carrying(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// As evidence of this, too.
    pub(super) fn also(mut self, subject: Option<Subject>) -> Self {
        self.subjects.extend(subject);
        self
    }
}

impl<'d> Walk<'d> {
    pub(super) fn new(document: &'d SpecDocument, client: Client) -> Self {
        let today = OffsetDateTime::now_utc().date();
        Self { document, calls: Vec::new(), today, shared: BTreeMap::new(), client, counters: BTreeMap::new(), unanswered: 0 }
    }

    /// True when it makes no sense to go on.
    pub(super) fn gone(&self) -> bool {
        self.unanswered >= UNANSWERED_MAX || self.calls.len() >= CALLS_MAX
    }

    /// A number that was not used before for values of this entity: small, since short texts have only so many values.
    pub(super) fn next_of(&mut self, entity: &Entity) -> u64 {
        let counter = self.counters.entry(entity.name.clone()).or_default();
        *counter += 1;
        *counter
    }

    pub(super) fn legality(&self, entity: &'d Entity) -> Legality<'d> {
        Legality { document: self.document, entity, today: self.today }
    }

    /// Sends, judges, records. Gives the answer back, also when it is not the one expected.
    pub(super) async fn send(&mut self, attempt: Try<'d>) -> Option<Answer> {
        if self.gone() {
            return None;
        }
        let (path, headers) = self.address(&attempt);
        let (answer, duration_ms) = self.client.send(attempt.operation.method, &path, &headers, &attempt.payload).await;
        let mut call = ProbeCall {
            operation: attempt.operation.key.clone(),
            case: attempt.case,
            method: attempt.operation.method.to_string(),
            path,
            request: request_body(&attempt.payload),
            status: answer.as_ref().ok().map(|answer| answer.status),
            expected: "an answer".to_owned(),
            verdict: Verdict::Passed,
            detail: String::new(),
            duration_ms,
            subjects: attempt.subjects,
        };
        match &answer {
            Ok(answer) => {
                self.unanswered = 0;
                let judgement = judge(self.document, attempt.operation, &attempt.expect, answer);
                call.expected = judgement.expected;
                call.detail = judgement.problems.join("; ");
            }
            Err(error) => {
                self.unanswered += 1;
                call.detail.clone_from(error);
            }
        }
        if call.detail.is_empty() {
            call.subjects.extend(attempt.proves);
        } else {
            call.verdict = Verdict::Failed;
            call.detail = crate::exec::capture::shorten(&call.detail, DETAIL_CHARS_MAX);
        }
        self.calls.push(call);
        answer.ok()
    }

    /// Sends, and gives the answer back when it is a success, if perhaps not quite the documented one: a missing header is
    /// no reason to try nothing else.
    pub(super) async fn succeed(&mut self, attempt: Try<'d>) -> Option<Answer> {
        let answer = self.send(attempt).await;
        answer.filter(|answer| (200..300).contains(&answer.status))
    }

    /// True when the last call passed.
    pub(super) fn passed(&self) -> bool {
        self.calls.last().is_some_and(|call| call.verdict == Verdict::Passed)
    }

    /// Notes that the last answer, although of the expected form, does not say what it should.
    pub(super) fn fail_last(&mut self, problem: String, also: Option<Subject>) {
        if let Some(call) = self.calls.last_mut() {
            call.verdict = Verdict::Failed;
            call.detail = if call.detail.is_empty() { problem } else { format!("{}; {problem}", call.detail) };
            call.subjects.extend(also.filter(|subject| !call.subjects.contains(subject)));
        }
    }

    /// Records what could not be tried.
    pub(super) fn skip(&mut self, operation: Option<&Operation>, case: impl Into<String>, subjects: Vec<Subject>, why: impl Into<String>) {
        self.calls.push(ProbeCall {
            operation: operation.map(|operation| operation.key.clone()).unwrap_or_default(),
            case: case.into(),
            method: operation.map(|operation| operation.method.to_string()).unwrap_or_default(),
            path: operation.map(|operation| operation.path.clone()).unwrap_or_default(),
            request: None,
            status: None,
            expected: String::new(),
            verdict: Verdict::Skipped,
            detail: why.into(),
            duration_ms: 0,
            subjects,
        });
    }

    /// Path with query, and headers.
    fn address(&mut self, attempt: &Try<'d>) -> (String, Vec<(String, String)>) {
        let bindings = bindings(&attempt.operation.behaviour);
        let mut path = attempt.operation.path.clone();
        let (mut query, mut headers) = (attempt.query.clone(), Vec::new());
        for parameter in &attempt.operation.parameters {
            let bound = bindings.iter().find(|binding| binding.parameter == parameter.name).map(|binding| binding.field.as_str());
            match parameter.location {
                Location::Path => {
                    let value = attempt.path.get(&parameter.name).or_else(|| attempt.row.get(bound?)).cloned();
                    let value = value.filter(|value| !value.is_null()).or_else(|| self.sample(&parameter.shape));
                    path = path.replace(&format!("{{{}}}", parameter.name), &encode(&as_text(&value.unwrap_or_default())));
                }
                Location::Query if parameter.required && !query.iter().any(|(name, _)| *name == parameter.name) => {
                    let value = self.sample(&parameter.shape).unwrap_or_default();
                    query.extend(query_pairs(parameter, &value));
                }
                Location::Header if parameter.required => {
                    headers.push((parameter.name.clone(), as_text(&self.sample(&parameter.shape).unwrap_or_default())));
                }
                _ => {}
            }
        }
        let query = if query.is_empty() { String::new() } else { format!("?{}", encode_pairs(&query)) };
        (format!("{path}{query}"), headers)
    }

    /// A valid value that was not sampled before.
    pub(super) fn sample(&mut self, shape: &Shape) -> Option<Value> {
        let counter = self.counters.entry(String::new()).or_default();
        *counter += 1;
        let n = *counter;
        valid(self.document, shape, n, Fill::All)
    }

    /// A value of a path parameter that no row has.
    pub(super) fn missing(&self, shape: &Shape) -> Option<Value> {
        let candidates =
            [json!(2_000_000_011), json!(97), json!("00000000-0000-7000-8000-00000000dead"), json!("probe-not-there"), json!("zzzz")];
        let fits = |value: &Value| check(self.document, shape, value, Side::Request).is_empty();
        candidates.into_iter().find(fits).or_else(|| valid(self.document, shape, 399_999, Fill::All))
    }
}

/// The fields that path parameters carry.
pub(super) fn bindings(behaviour: &Behaviour) -> &[Binding] {
    match behaviour {
        Behaviour::List(list) => &list.path,
        Behaviour::Underivable { .. } => &[],
        _ => row_of(behaviour).map_or(&[], |row| &row.path),
    }
}

/// How a behaviour finds its one row.
pub(super) fn row_of(behaviour: &Behaviour) -> Option<&RowBehaviour> {
    match behaviour {
        Behaviour::Create(row)
        | Behaviour::Read(row)
        | Behaviour::Replace(row)
        | Behaviour::Patch(row)
        | Behaviour::Delete(row)
        | Behaviour::Act { row, .. } => Some(row),
        Behaviour::List(_) | Behaviour::Underivable { .. } => None,
    }
}

/// A scalar as a path or query carries it.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A parameter's value as a query carries it.
pub(super) fn query_pairs(parameter: &Parameter, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Array(items) if parameter.explode => items.iter().map(|item| (parameter.name.clone(), as_text(item))).collect(),
        Value::Array(items) => vec![(parameter.name.clone(), items.iter().map(as_text).collect::<Vec<_>>().join(","))],
        value => vec![(parameter.name.clone(), as_text(value))],
    }
}

fn request_body(payload: &Payload) -> Option<Value> {
    match payload {
        Payload::None => None,
        Payload::Json(value) => Some(value.clone()),
        Payload::Form(fields) => Some(fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect()),
        Payload::Raw(text) => Some(json!(text)),
    }
}

/// The shape of the row inside a request body: behind the envelope, when there is one.
pub(super) fn body_shape<'d>(document: &'d SpecDocument, operation: &'d Operation) -> Option<&'d Shape> {
    let shape = &operation.body.as_ref()?.shape;
    let Some(envelope) = row_of(&operation.behaviour).and_then(|row| row.request_envelope.as_ref()) else { return Some(shape) };
    match &resolve(document, shape).kind {
        ShapeKind::Object(object) => object.properties.iter().find(|property| property.name == *envelope).map(|property| &property.shape),
        _ => None,
    }
}

/// The properties of a row's shape; none when it is not an object.
pub(super) fn properties<'d>(document: &'d SpecDocument, shape: &'d Shape) -> &'d [crate::model::shape::Property] {
    match &resolve(document, shape).kind {
        ShapeKind::Object(object) => &object.properties,
        _ => &[],
    }
}

/// The body of a request that carries this row.
pub(super) fn wrap(operation: &Operation, row: Row) -> Payload {
    let envelope = row_of(&operation.behaviour).and_then(|row| row.request_envelope.clone());
    let media_type = operation.body.as_ref().map(|body| body.media_type.as_str()).unwrap_or_default();
    if media_type.contains("form-urlencoded") {
        return Payload::Form(row.iter().map(|(name, value)| (name.clone(), as_text(value))).collect());
    }
    match envelope {
        Some(envelope) => Payload::Json(json!({ envelope: Value::Object(row) })),
        None => Payload::Json(Value::Object(row)),
    }
}

/// The row inside an answer: behind the envelope, when there is one.
pub(super) fn shown(operation: &Operation, answer: &Answer) -> Option<Row> {
    let value = answer.json.as_ref()?;
    let envelope = row_of(&operation.behaviour).and_then(|row| row.response_envelope.as_ref());
    let value = match envelope {
        Some(envelope) => value.get(envelope)?,
        None => value,
    };
    value.as_object().cloned()
}

/// The subject of an entity's field, when it has such a field.
pub(super) fn field_subject(entity: &Entity, name: &str) -> Option<Subject> {
    entity.field(name).map(|field| Subject::Field(format!("{}.{}", entity.name, field.name)))
}
