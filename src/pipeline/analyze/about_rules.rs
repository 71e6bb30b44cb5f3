//! What a sentence about a rule sounds like.

use serde_json::Value;

use crate::model::rule::{Comparison, Condition, Expression};
use crate::model::{Entity, FieldType, Rule, RuleKind, SpecDocument, Subject};

use super::link::{Candidate, Sense, UNEXPLAINED_PERCENT, each_word, list};
use super::words::words;

const REFUSED: &[&str] = &["refused", "rejected", "error", "conflict", "409", "422", "invalid", "answer", "answered", "status"];

pub(super) fn candidates(document: &SpecDocument) -> Vec<Candidate> {
    let of = |rule: &Rule| document.entity(&rule.entity).map(|entity| candidate(document, entity, rule)).unwrap_or_default();
    document.rules.iter().flat_map(of).collect()
}

fn candidate(document: &SpecDocument, entity: &Entity, rule: &Rule) -> Vec<Candidate> {
    let base = |must: Vec<Vec<String>>, may: Vec<String>, explained_min: usize, sense: Sense| {
        let mut groups = each_word(&entity.name);
        groups.extend(must);
        let mut vocabulary = list(REFUSED);
        vocabulary.extend(may);
        let mut numbers: Vec<String> = super::words::numbers(&vocabulary).map(str::to_owned).collect();
        numbers.extend(literals(rule));
        Candidate {
            subject: Subject::Rule(rule.key.clone()),
            because: format!("it names what the rule “{}” is about", super::words::one_line(&rule.text)),
            must: groups,
            may: vocabulary,
            numbers,
            explained_min,
            unexplained_percent: UNEXPLAINED_PERCENT,
            sense,
        }
    };
    match &rule.kind {
        RuleKind::Check(condition) => {
            comparison(entity, condition).map(|(must, may, sense)| base(must, may, 3, sense)).into_iter().collect()
        }
        RuleKind::RequiredWhen { field, when } => {
            let mut may =
                list(&["set", "given", "filled", "required", "carry", "needs", "need", "present", "say", "state", "name", "show"]);
            may.extend(condition_words(entity, when));
            may.extend(field_words(entity, field));
            let must = vec![field_words(entity, field), values(when)];
            vec![base(must, may, 3, Sense::Affirmed)]
        }
        RuleKind::Implies { when, then } => {
            let mut may = condition_words(entity, when);
            may.extend(condition_words(entity, then));
            vec![base(vec![values(when), values(then)], may, 3, Sense::Affirmed)]
        }
        RuleKind::Unique(fields) => vec![unique(document, entity, fields, &base)],
        RuleKind::Transitions { field, edges } => {
            let mut states: Vec<String> = Vec::new();
            for state in edges.iter().flat_map(|(from, to)| [from, to]) {
                if !states.contains(state) {
                    states.push(state.clone());
                }
            }
            let mut may = field_words(entity, field);
            may.extend(list(&["move", "go", "become", "back", "change", "turn", "return", "again", "into", "state", "made", "set"]));
            vec![base(vec![states.clone()], states.iter().cloned().chain(may).collect(), 3, Sense::Moves { states, edges: edges.clone() })]
        }
        RuleKind::Immutable { field } => {
            let must = vec![field_words(entity, field), list(&["change", "edit", "modify", "update", "immutable", "fixed", "permanent"])];
            vec![base(must, list(&["created", "creation", "after", "once"]), 2, Sense::DeniedOr(&["immutable", "fixed", "permanent"]))]
        }
        RuleKind::ChangeOnlyWhen(condition) => guard(entity, condition, &["change", "edit", "modify", "update"], &base),
        RuleKind::DeleteOnlyWhen(condition) => guard(entity, condition, &["delete", "remove"], &base),
        RuleKind::AtMost { per, when, .. } => {
            let mut may = list(&["most", "more", "than", "maximum", "limit", "exceed", "same", "time", "once", "two"]);
            may.extend(when.iter().flat_map(|when| condition_words(entity, when)));
            let mut must = vec![field_words(entity, per)];
            must.extend(when.iter().map(values));
            vec![base(must, may, 3, Sense::DeniedOr(&["most", "maximum", "limit"]))]
        }
    }
}

/// A field compared with another field, with today or now, or with a sum: the sentence must compare them the same way.
fn comparison(entity: &Entity, condition: &Condition) -> Option<(Vec<Vec<String>>, Vec<String>, Sense)> {
    let Condition::Compare { left: Expression::Field(left), comparison, right } = condition else { return None };
    let first = field_words(entity, left);
    let second = match right {
        Expression::Field(right) => field_words(entity, right),
        Expression::Today | Expression::Now => list(&["today", "now", "past", "future", "present"]),
        Expression::Arithmetic { .. } if *comparison == Comparison::Equal => return arithmetic(entity, left, right),
        _ => return None,
    };
    let greater = match comparison {
        Comparison::Greater | Comparison::GreaterOrEqual => true,
        Comparison::Less | Comparison::LessOrEqual => false,
        Comparison::Equal | Comparison::NotEqual => return None,
    };
    let may = list(&["greater", "more", "above", "after", "later", "less", "below", "before", "earlier", "lie", "lies", "equal", "exceed"]);
    Some((vec![first.clone(), second.clone()], may, Sense::Greater { first, second, greater }))
}

/// A field that is computed from others: each is named by a word that the others do not share.
fn arithmetic(entity: &Entity, left: &str, right: &Expression) -> Option<(Vec<Vec<String>>, Vec<String>, Sense)> {
    let mut names = vec![left];
    let mut operators = Vec::new();
    let mut open = vec![right];
    while let Some(expression) = open.pop() {
        match expression {
            Expression::Field(field) => names.push(field),
            Expression::Arithmetic { left, operator, right } => {
                operators.push(*operator);
                open.extend([left.as_ref(), right.as_ref()]);
            }
            Expression::Literal(_) | Expression::Today | Expression::Now => return None,
        }
    }
    let all: Vec<Vec<String>> = names.iter().map(|name| field_words(entity, name)).collect();
    let own = |at: usize| {
        let others = || all.iter().enumerate().filter(move |(other, _)| *other != at).flat_map(|(_, words)| words);
        let own: Vec<String> = all[at].iter().filter(|word| !others().any(|other| other == *word)).cloned().collect();
        if own.is_empty() { all[at].clone() } else { own }
    };
    let must = (0..all.len()).map(own).collect();
    let mut may: Vec<String> = all.concat();
    may.extend(list(&["sum", "plus", "add", "times", "product", "multiplied", "minus", "difference", "equal"]));
    Some((must, may, Sense::Arithmetic { operators }))
}

fn unique(
    document: &SpecDocument,
    entity: &Entity,
    fields: &[String],
    base: &dyn Fn(Vec<Vec<String>>, Vec<String>, usize, Sense) -> Candidate,
) -> Candidate {
    let mut must: Vec<Vec<String>> = fields.iter().map(|field| field_words(entity, field)).collect();
    let target = |field: &String| match entity.field(field).map(|field| &field.field_type) {
        Some(FieldType::Reference { entity, .. }) => document.entity(entity).map(|entity| words(&entity.name)),
        _ => None,
    };
    for (group, field) in must.iter_mut().zip(fields) {
        group.extend(target(field).unwrap_or_default());
    }
    must.push(list(&["unique", "twice", "duplicate", "same", "once", "two", "second", "again"]));
    let may = list(&["share", "combination", "pair", "already", "exist", "per", "most", "more", "write", "leave", "created"]);
    base(must, may, 3, Sense::DeniedOr(&["unique", "once"]))
}

fn guard(
    entity: &Entity,
    condition: &Condition,
    verbs: &[&str],
    base: &dyn Fn(Vec<Vec<String>>, Vec<String>, usize, Sense) -> Candidate,
) -> Vec<Candidate> {
    let (field, allowed) = match condition {
        Condition::Compare { left: Expression::Field(field), comparison: Comparison::Equal, right: Expression::Literal(value) } => {
            (field, vec![text(value)])
        }
        Condition::OneOf { field, values } => (field, values.iter().map(text).collect()),
        _ => return Vec::new(),
    };
    let Some(FieldType::Enum(states)) = entity.field(field).map(|field| &field.field_type) else { return Vec::new() };
    let refused: Vec<String> = states.iter().filter(|state| !allowed.contains(state)).cloned().collect();
    let mut may = field_words(entity, field);
    may.extend(list(&["once", "after", "unless", "except", "until", "other", "before"]));
    let must = vec![list(verbs), states.clone()];
    vec![base(must, may, 3, Sense::Guard { allowed, refused })]
}

/// The words that may stand for a field: those of its name, what it refers to, and what its type is called.
pub(super) fn field_words(entity: &Entity, field: &str) -> Vec<String> {
    let mut found = words(field);
    if found.len() > 1 {
        found.retain(|word| !matches!(word.as_str(), "on" | "at" | "is" | "id" | "has" | "of" | "by"));
    }
    let extra: &[&str] = match entity.field(field).map(|field| &field.field_type) {
        Some(FieldType::Date) => &["date", "day"],
        Some(FieldType::DateTime) => &["date", "time", "moment"],
        Some(FieldType::Time) => &["time"],
        Some(FieldType::Email) => &["email", "mail", "address"],
        Some(FieldType::Url) => &["url", "link", "address"],
        _ => &[],
    };
    found.extend(list(extra));
    if let Some(FieldType::Reference { entity, .. }) = entity.field(field).map(|field| &field.field_type) {
        found.extend(words(entity));
    }
    if found.iter().any(|word| word == "because" || word == "reason") {
        found.extend(list(&["why", "reason", "because"]));
    }
    found
}

fn condition_words(entity: &Entity, condition: &Condition) -> Vec<String> {
    let mut found = values(condition);
    let mut open = vec![condition];
    while let Some(condition) = open.pop() {
        match condition {
            Condition::Compare { left, right, .. } => {
                for expression in [left, right] {
                    if let Expression::Field(field) = expression {
                        found.extend(field_words(entity, field));
                    }
                }
            }
            Condition::OneOf { field, .. } | Condition::Present(field) | Condition::Absent(field) => {
                found.extend(field_words(entity, field));
            }
            Condition::All(parts) | Condition::Any(parts) => open.extend(parts),
        }
    }
    found
}

/// The words of the constants of a condition; of a bare field (present, absent, true) its name.
fn values(condition: &Condition) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![condition];
    while let Some(condition) = open.pop() {
        match condition {
            Condition::Compare { left, right, .. } => {
                for expression in [left, right] {
                    match expression {
                        Expression::Literal(Value::Bool(_)) => found.extend(field_of(left).map(words).unwrap_or_default()),
                        Expression::Literal(value) => found.extend(words(&text(value))),
                        _ => {}
                    }
                }
            }
            Condition::OneOf { values, .. } => found.extend(values.iter().flat_map(|value| words(&text(value)))),
            Condition::Present(field) | Condition::Absent(field) => found.extend(words(field)),
            Condition::All(parts) | Condition::Any(parts) => open.extend(parts),
        }
    }
    found
}

fn field_of(expression: &Expression) -> Option<&str> {
    if let Expression::Field(field) = expression { Some(field) } else { None }
}

/// The numbers that a rule states.
fn literals(rule: &Rule) -> Vec<String> {
    let mut found: Vec<String> = super::words::numbers(&words(&rule.text)).map(str::to_owned).collect();
    found.push(rule.kind.status().to_string());
    found
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
