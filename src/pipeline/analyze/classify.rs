//! The class and priority of a statement, from the section it stands in and the words it uses.

use crate::model::RequirementClass;
use crate::model::spec::{Statement, StatementOrigin};

use super::words::{any_stem, words};

/// What betrays a class, in the order in which they are asked.
const MARKERS: &[(RequirementClass, &[&str])] = &[
    (
        RequirementClass::Security,
        &[
            "password",
            "encrypted",
            "encryption",
            "authenticated",
            "authentication",
            "authorization",
            "authorized",
            "permission",
            "token",
            "secret",
            "injection",
            "malicious",
            "sanitize",
            "tls",
            "https",
        ],
    ),
    (
        RequirementClass::Performance,
        &[
            "latency",
            "throughput",
            "millisecond",
            "milliseconds",
            "ms",
            "seconds",
            "concurrent",
            "simultaneous",
            "scalability",
            "fast",
            "performance",
            "p95",
            "p99",
        ],
    ),
    (
        RequirementClass::Reliability,
        &["uptime", "availability", "backup", "recover", "recovery", "failover", "durable", "crash", "restart", "resilient"],
    ),
    (
        RequirementClass::Usability,
        &["usability", "accessible", "accessibility", "intuitive", "responsive", "keyboard", "readable", "screen"],
    ),
];

/// Words that make a sentence a demand.
const DEMANDS: &[&str] =
    &["must", "shall", "should", "needs", "need", "requires", "required", "can", "cannot", "may", "will", "allows", "supports"];

/// The class of a statement. Criteria, rules and user stories are functional unless their words say otherwise.
pub(super) fn class(statement: &Statement) -> RequirementClass {
    let words = words(&statement.text);
    let marked = MARKERS.iter().find(|(_, stems)| any_stem(&words, stems)).map(|(class, _)| *class);
    match statement.origin {
        StatementOrigin::Rule | StatementOrigin::UserStory => RequirementClass::Functional,
        StatementOrigin::Criterion => marked.unwrap_or(RequirementClass::Functional),
        StatementOrigin::NonFunctional => marked.unwrap_or_else(|| non_functional(&words)),
        StatementOrigin::Prose => marked.unwrap_or_else(|| prose(&words)),
    }
}

fn non_functional(words: &[String]) -> RequirementClass {
    let bounded = any_stem(words, &["most", "least", "only", "maximum", "minimum", "limit", "limited"]);
    if bounded { RequirementClass::Constraint } else { RequirementClass::NonFunctional }
}

fn prose(words: &[String]) -> RequirementClass {
    let demands = words.iter().any(|word| DEMANDS.contains(&word.as_str()));
    if demands { RequirementClass::Functional } else { RequirementClass::NonFunctional }
}

/// 1 (first) to 5 (last), from the modal verb (RFC 2119 and its everyday cousins).
pub(super) fn priority(text: &str) -> u8 {
    let words = words(text);
    let says = |stems: &[&str]| words.iter().any(|word| stems.contains(&word.as_str()));
    if says(&["critical", "essential"]) {
        1
    } else if says(&["must", "shall", "required"]) {
        2
    } else if says(&["could", "nice", "optionally", "optional", "eventually"]) {
        4
    } else {
        super::PRIORITY_DEFAULT
    }
}
