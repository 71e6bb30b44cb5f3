//! Demands on the whole project that its checks cover: which words they use, and what the check is called.

use crate::model::operation::Behaviour;
use crate::model::{SpecDocument, Subject};

use super::link::Link;
use super::words::{any_stem, numbers};

/// The names that `Subject::Project` takes when a demand on the whole project is linked to its check. Evidence with the
/// same name proves it; without such evidence it stays unverified.
pub const PROJECT_CHECKS: &[&str] =
    &["paging", "logs", "health", "errors", "tests", "types", "lint", "format", "documentation", "migrations", "configuration"];

/// A check and the words of a demand that it covers: one of each group.
struct Check {
    name: &'static str,
    groups: &'static [&'static [&'static str]],
    because: &'static str,
}

const CHECKS: &[Check] = &[
    Check { name: "paging", groups: &[&["page", "pages", "paginated", "pagination", "paged"]], because: "lists are read page by page" },
    Check {
        name: "logs",
        groups: &[&["log", "logs", "logged", "logging"], &["structured", "json", "request", "requests"]],
        because: "the service's log is read after the probe",
    },
    Check { name: "health", groups: &[&["health", "liveness", "readiness"]], because: "liveness and readiness are called" },
    Check {
        name: "errors",
        groups: &[&["error", "errors"], &["problem", "body", "bodies", "9457", "7807"]],
        because: "the bodies of refused calls are read",
    },
    Check {
        name: "tests",
        groups: &[&["test", "tests", "tested", "coverage"]],
        because: "the project's own tests are run, and their line coverage is measured",
    },
    Check { name: "types", groups: &[&["typed", "types", "typing", "mypy"]], because: "the type checker is run" },
    Check { name: "lint", groups: &[&["lint", "linted", "linter", "ruff"]], because: "the linter is run" },
    Check { name: "format", groups: &[&["formatted", "formatter"]], because: "the formatter is run in its checking mode" },
    Check {
        name: "documentation",
        groups: &[&["documented", "documentation", "openapi"]],
        because: "the running service's own description is read",
    },
    Check { name: "migrations", groups: &[&["migration", "migrations"]], because: "migrations are applied to an empty database" },
    Check {
        name: "configuration",
        groups: &[&["environment"], &["variable", "variables", "configured", "configuration", "settings"]],
        because: "the service is started with settings from its environment",
    },
];

/// The least line coverage, in per cent, that the tests demand; a demand for more is not covered by them.
const COVERAGE_PERCENT: u32 = 90;

/// Links a demand on the whole project to its check, if its numbers are those of the check.
pub(super) fn link(document: &SpecDocument, words: &[String]) -> Link {
    let spoken = |group: &&[&str]| words.iter().any(|word| group.contains(&word.as_str()));
    let Some(check) = CHECKS.iter().find(|check| check.groups.iter().all(spoken)) else { return Link::None };
    let stated: Vec<u32> = numbers(words).filter_map(|number| number.parse().ok()).collect();
    let holds = match check.name {
        "paging" => paging_holds(document, words, &stated),
        "tests" => stated.iter().all(|percent| *percent <= COVERAGE_PERCENT),
        "errors" => stated.iter().all(|number| matches!(number, 9457 | 7807)),
        "documentation" => stated.len() <= 1,
        _ => stated.is_empty(),
    };
    match (holds, check.name) {
        (true, name) => Link::To { subject: Subject::Project(name.to_owned()), because: check.because.to_owned() },
        (false, "paging") if !stated.is_empty() => {
            Link::Contradicts { what: format!("the documented page limits ({})", limits_text(document)) }
        }
        (false, _) => Link::None,
    }
}

/// True when every list is paged and no page is longer than the number stated.
fn paging_holds(document: &SpecDocument, words: &[String], stated: &[u32]) -> bool {
    let limits = page_limits(document);
    let all_paged = limits.iter().all(Option::is_some);
    let most = stated.iter().copied().max();
    let bounded = most.is_none_or(|most| limits.iter().flatten().all(|limit| *limit <= most));
    let default_only = any_stem(words, &["default"]);
    !limits.is_empty() && all_paged && bounded && !default_only
}

fn page_limits(document: &SpecDocument) -> Vec<Option<u32>> {
    let lists = document.operations.iter().filter_map(|operation| match &operation.behaviour {
        Behaviour::List(list) => Some(list.paging.as_ref().map(|paging| paging.limit_max)),
        _ => None,
    });
    lists.collect()
}

fn limits_text(document: &SpecDocument) -> String {
    let mut texts: Vec<String> =
        page_limits(document).into_iter().map(|limit| limit.map_or("none".to_owned(), |limit| limit.to_string())).collect();
    texts.sort();
    texts.dedup();
    texts.join(", ")
}
