//! Whether an answer is what the contract demands.

use super::client::Answer;
use super::shape_check::{Side, check, describe};
use crate::model::operation::{Response, Status};
use crate::model::{Method, Operation, SpecDocument};

/// What a request is meant to meet with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expect {
    /// A documented success.
    Success,
    /// The row is not there.
    NotFound,
    /// The request, or what it would make, is invalid.
    Invalid,
    /// What is stored stands against it.
    Conflict,
    /// A path that the contract refuses: either way of saying so.
    BadPath,
    /// It refers to a row that is not there: whichever way of saying so is documented.
    Dangling,
    /// Nobody has implemented it; the answer names the unit that waits.
    Pending(String),
}

/// What was demanded, and what is wrong with the answer (nothing when empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) expected: String,
    pub(super) problems: Vec<String>,
}

/// Judges an answer.
pub(super) fn judge(document: &SpecDocument, operation: &Operation, expect: &Expect, answer: &Answer) -> Judgement {
    if let Expect::Pending(unit) = expect {
        return pending(unit, answer);
    }
    let accepted = accepted(operation, expect);
    let expected = accepted.iter().map(std::string::ToString::to_string).collect::<Vec<_>>().join(" or ");
    let expected = if expected.is_empty() { "a refusal (4xx)".to_owned() } else { expected };
    let met = if accepted.is_empty() { (400..500).contains(&answer.status) } else { accepted.contains(&answer.status) };
    if !met {
        let said = shorten(&String::from_utf8_lossy(&answer.body));
        return Judgement { expected, problems: vec![format!("answered {}: {said}", answer.status)] };
    }
    let problems =
        documented(operation, answer.status).map_or_else(Vec::new, |response| body_problems(document, operation, response, answer));
    Judgement { expected, problems }
}

/// The statuses that meet an expectation, by what the operation documents; empty when it documents no fitting one.
fn accepted(operation: &Operation, expect: &Expect) -> Vec<u16> {
    let preferred: &[u16] = match expect {
        Expect::Success => {
            let codes = operation.responses.iter().filter_map(|response| match response.status {
                Status::Code(code @ 200..=299) => Some(code),
                _ => None,
            });
            let codes: Vec<u16> = codes.collect();
            return if codes.is_empty() { vec![200, 201, 202, 204] } else { codes };
        }
        Expect::NotFound => &[404],
        Expect::Invalid => &[422, 400],
        Expect::Conflict => &[409],
        Expect::BadPath => &[422, 404, 400],
        Expect::Dangling => &[422, 409, 404, 400],
        Expect::Pending(_) => &[501],
    };
    let known: Vec<u16> = preferred.iter().copied().filter(|status| documented(operation, *status).is_some()).collect();
    if !known.is_empty() {
        return known;
    }
    // Whatever refusal it documents: a contract without 404 says "not there" in another way.
    let codes = operation.responses.iter().filter_map(|response| match response.status {
        Status::Code(code @ 400..=499) => Some(code),
        _ => None,
    });
    codes.collect()
}

/// The response that documents a status: the exact one, its hundred, the default.
pub(super) fn documented(operation: &Operation, status: u16) -> Option<&Response> {
    let find = |wanted: Status| operation.responses.iter().find(|response| response.status == wanted);
    let hundred = u8::try_from(status / 100).unwrap_or(0);
    find(Status::Code(status)).or_else(|| find(Status::Range(hundred))).or_else(|| find(Status::Default))
}

fn body_problems(document: &SpecDocument, operation: &Operation, response: &Response, answer: &Answer) -> Vec<String> {
    let mut problems = Vec::new();
    for header in response.headers.iter().filter(|header| header.required) {
        if !answer.headers.contains_key(&header.name.to_ascii_lowercase()) {
            problems.push(format!("the header {} is missing", header.name));
        }
    }
    if operation.method == Method::Head {
        return problems;
    }
    let Some(content) = &response.content else {
        if matches!(answer.status, 204 | 304) && !answer.body.is_empty() {
            problems.push(format!("{} with a body", answer.status));
        }
        return problems;
    };
    let media_type = answer.media_type().unwrap_or_default();
    if media_type != content.media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase() {
        problems.push(format!("the body is {media_type:?} instead of {}", content.media_type));
    }
    if !content.media_type.contains("json") {
        return problems;
    }
    match &answer.json {
        Some(value) => {
            let violations = check(document, &content.shape, value, Side::Response);
            problems.extend((!violations.is_empty()).then(|| format!("the body: {}", describe(&violations))));
        }
        None => problems.push("the body is not JSON".to_owned()),
    }
    problems
}

fn pending(unit: &str, answer: &Answer) -> Judgement {
    let expected = format!("501 naming {unit}");
    let said = String::from_utf8_lossy(&answer.body);
    let problem = if answer.status != 501 {
        Some(format!("answered {}: {}", answer.status, shorten(&said)))
    } else if !said.contains(unit) {
        Some(format!("does not name the waiting unit: {}", shorten(&said)))
    } else {
        None
    };
    Judgement { expected, problems: problem.into_iter().collect() }
}

fn shorten(text: &str) -> String {
    crate::exec::capture::shorten(text.trim(), 400)
}
