//! What a probe saw of the service as a whole: its log, its pages, its errors, its health, its settings.
//!
//! Each piece of evidence has a name of [`PROJECT_CHECKS`](crate::pipeline::analyze::PROJECT_CHECKS). What could not be
//! seen gives none, so that the demand stays unverified.

use std::collections::BTreeMap;

use serde_json::Value;

use super::call::{DescriptionCheck, ProbeCall};
use crate::exec::capture::Captured;
use crate::model::operation::Behaviour;
use crate::model::{SpecDocument, Subject, Verdict};
use crate::pipeline::compliance::{Evidence, EvidenceKind};

/// Calls that show that a list is read page by page; the walk names them so.
pub(super) const ONE_ROW_A_PAGE: &str = "one row a page";
/// See [`ONE_ROW_A_PAGE`].
pub(super) const SECOND_PAGE: &str = "the second page";

/// What was seen besides the calls.
pub(super) struct Seen<'a> {
    /// True when a migration built the database.
    pub(super) migrated: bool,
    /// Size of the database that the environment named, in bytes; none when there is no such file.
    pub(super) database_bytes: Option<u64>,
    /// What the liveness path answered; none when it did not.
    pub(super) live_status: Option<u16>,
    /// What the service wrote to standard error.
    pub(super) log: &'a Captured,
}

/// The evidence.
pub(super) fn evidence(document: &SpecDocument, calls: &[ProbeCall], descriptions: &[DescriptionCheck], seen: &Seen<'_>) -> Vec<Evidence> {
    let found = [
        seen.migrated.then(|| passed("migrations", "the migrations built an empty database".to_owned())),
        seen.database_bytes.filter(|bytes| *bytes > 0).map(|bytes| {
            passed("configuration", format!("the service kept its rows in the database that DATABASE_URL named ({bytes} bytes)"))
        }),
        seen.live_status.map(health),
        documentation(descriptions),
        errors(calls),
        paging(document, calls),
        log(calls, seen.log),
    ];
    found.into_iter().flatten().collect()
}

fn piece(name: &str, verdict: Verdict, source: String, detail: String) -> Evidence {
    Evidence { subject: Subject::Project(name.to_owned()), kind: EvidenceKind::Check, source, verdict, detail }
}

fn passed(name: &str, source: String) -> Evidence {
    piece(name, Verdict::Passed, source, String::new())
}

fn failed(name: &str, source: &str, detail: String) -> Evidence {
    piece(name, Verdict::Failed, source.to_owned(), detail)
}

/// The probe begins when readiness answers 200, so only liveness is left to judge.
fn health(live_status: u16) -> Evidence {
    if live_status == 200 {
        passed("health", "liveness and readiness answered 200".to_owned())
    } else {
        failed("health", "liveness", format!("answered {live_status}, expected 200"))
    }
}

fn documentation(descriptions: &[DescriptionCheck]) -> Option<Evidence> {
    let wrong = descriptions.iter().filter(|check| check.verdict == Verdict::Failed).count();
    match (descriptions.len(), wrong) {
        (0, _) => None,
        (all, 0) => Some(passed("documentation", format!("{all} places of its own description agree with the specification"))),
        (all, wrong) => Some(failed("documentation", "its own description", format!("{wrong} of {all} places differ"))),
    }
}

/// The body of every refusal was compared with the documented one when the call was judged.
fn errors(calls: &[ProbeCall]) -> Option<Evidence> {
    let refused = || calls.iter().filter(|call| call.status.is_some_and(|status| (400..500).contains(&status)));
    let wrong = refused().find(|call| call.verdict == Verdict::Failed);
    match (refused().count(), wrong) {
        (0, _) => None,
        (count, None) => Some(passed("errors", format!("{count} refused calls were answered with the documented body"))),
        (_, Some(call)) => Some(failed("errors", &format!("{} {}", call.method, call.path), call.detail.clone())),
    }
}

/// Every list gave one row when asked for one, and another page when asked for the next.
fn paging(document: &SpecDocument, calls: &[ProbeCall]) -> Option<Evidence> {
    let paged = |operation: &&crate::model::Operation| matches!(&operation.behaviour, Behaviour::List(list) if list.paging.is_some());
    let lists: Vec<&str> = document.operations.iter().filter(paged).map(|operation| operation.key.as_str()).collect();
    let of_pages = |call: &&ProbeCall| [ONE_ROW_A_PAGE, SECOND_PAGE].contains(&call.case.as_str());
    if let Some(call) = calls.iter().filter(of_pages).find(|call| call.verdict == Verdict::Failed) {
        return Some(failed("paging", &format!("{} {}", call.method, call.path), call.detail.clone()));
    }
    let tried = |key: &str| calls.iter().filter(of_pages).any(|call| call.operation == key && call.verdict == Verdict::Passed);
    let all_tried = !lists.is_empty() && lists.iter().all(|key| tried(key));
    all_tried.then(|| passed("paging", format!("{} lists were read page by page", lists.len())))
}

/// One JSON line with method, path and status for each call. A log that was cut shows nothing either way.
fn log(calls: &[ProbeCall], captured: &Captured) -> Option<Evidence> {
    if captured.omitted_bytes > 0 {
        return None;
    }
    let text = captured.text();
    let mut lines: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in text.lines() {
        let Ok(Value::Object(line)) = serde_json::from_str(line) else { continue };
        if let (Some(method), Some(path), Some(_)) = (line.get("method"), line.get("path"), line.get("status")) {
            *lines.entry((as_text(method), as_text(path))).or_default() += 1;
        }
    }
    if lines.is_empty() {
        return None;
    }
    let answered: Vec<&ProbeCall> = calls.iter().filter(|call| call.status.is_some()).collect();
    for call in &answered {
        let line = lines.get_mut(&(call.method.clone(), logged_path(&call.path)));
        match line {
            Some(left) if *left > 0 => *left -= 1,
            _ => return Some(failed("logs", "the service's log", format!("has no line for {} {}", call.method, call.path))),
        }
    }
    (!answered.is_empty())
        .then(|| passed("logs", format!("the service's log has one structured line for each of {} calls", answered.len())))
}

/// The path as a server sees it: decoded and without the query.
fn logged_path(sent: &str) -> String {
    let path = sent.split('?').next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let decoded = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, path: &str, status: u16) -> ProbeCall {
        ProbeCall {
            operation: format!("{method} {path}"),
            case: "a case".to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            request: None,
            status: Some(status),
            expected: status.to_string(),
            verdict: Verdict::Passed,
            detail: String::new(),
            duration_ms: 1,
            subjects: Vec::new(),
        }
    }

    fn logged(text: &str) -> Captured {
        Captured { head: text.as_bytes().to_vec(), tail: Vec::new(), omitted_bytes: 0, lossless: true }
    }

    fn check_log(calls: &[ProbeCall], text: &str, expected: Option<Verdict>) {
        assert_eq!(log(calls, &logged(text)).map(|evidence| evidence.verdict), expected, "{text}");
    }

    #[test]
    fn every_call_has_its_own_line() {
        let line = r#"{"method": "GET", "path": "/a b", "status": 200}"#;
        let one = [call("GET", "/a%20b?x=1", 200)];
        let twice = [call("GET", "/a%20b", 200), call("GET", "/a%20b?x=2", 200)];
        check_log(&one, &format!("started\n{line}\n"), Some(Verdict::Passed));
        check_log(&twice, &format!("{line}\n"), Some(Verdict::Failed));
        check_log(&twice, &format!("{line}\n{line}\n"), Some(Verdict::Passed));
        check_log(&one, "GET /a 200\n", None);
    }

    #[test]
    fn a_log_that_was_cut_shows_nothing() {
        let cut = Captured { omitted_bytes: 1, ..logged(r#"{"method": "GET", "path": "/a", "status": 200}"#) };
        assert_eq!(log(&[call("GET", "/a", 200)], &cut), None);
    }

    #[test]
    fn one_refusal_with_another_body_speaks_against_all() {
        let wrong = ProbeCall { verdict: Verdict::Failed, detail: "no `title`".to_owned(), ..call("GET", "/b", 404) };
        assert_eq!(errors(&[call("GET", "/a", 200)]), None);
        assert_eq!(errors(&[call("GET", "/a", 404)]).map(|evidence| evidence.verdict), Some(Verdict::Passed));
        assert_eq!(errors(&[call("GET", "/a", 404), wrong]).map(|evidence| evidence.verdict), Some(Verdict::Failed));
    }
}
