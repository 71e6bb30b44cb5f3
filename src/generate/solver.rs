//! Finds values of a row that fulfil its rules, or break exactly one: a bounded search over a few candidates per field.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::Date;
use time::macros::format_description;

use super::conditions::fields_of;
use super::project::{EntityNames, Project};
use super::python;
use super::samples::{self, FUTURE, PAST, Sample};
use crate::model::rule::{Comparison, Condition, Expression};
use crate::model::{Field, FieldType, Rule, RuleKind};

/// How many combinations are tried.
const TRIES_MAX: usize = 50_000;

/// Values of some fields of a row, by field name.
pub(super) type Row = BTreeMap<String, Value>;

/// What a row is to fulfil.
#[derive(Clone, Copy)]
pub(super) enum Goal<'g> {
    /// All rules.
    Valid,
    /// All rules but this one.
    Breaks(&'g Rule),
    /// All rules, and this condition.
    Fulfils(&'g Condition),
    /// All rules, but certainly not this condition.
    Violates(&'g Condition),
}

/// Solves goals for one entity.
pub(super) struct Solver<'p, 'a> {
    pub(super) project: &'p Project<'a>,
    pub(super) names: &'p EntityNames<'a>,
}

impl Solver<'_, '_> {
    /// Values that reach the goal together with `fixed`, for the fields that matter to it; none when the search finds none.
    pub(super) fn solve(&self, goal: Goal<'_>, fixed: &Row) -> Option<Row> {
        let rules: Vec<&Rule> = self.project.rules_of(&self.names.entity.name).collect();
        let mut fields: Vec<String> = Vec::new();
        let mut add = |names: Vec<&str>| {
            for name in names {
                if !fields.iter().any(|field| field == name) {
                    fields.push(name.to_owned());
                }
            }
        };
        match goal {
            Goal::Valid => {}
            Goal::Breaks(rule) => add(rule_fields(&rule.kind)),
            Goal::Fulfils(condition) | Goal::Violates(condition) => add(fields_of(condition)),
        }
        for rule in &rules {
            add(rule_fields(&rule.kind));
        }
        fields.retain(|name| self.names.entity.field(name).is_some_and(|field| !matches!(field.field_type, FieldType::Reference { .. })));
        let choices: Vec<Vec<Value>> = fields.iter().map(|name| self.choices(name, &rules, fixed)).collect();
        let mut tries = 0;
        let mut row = Row::new();
        self.search(&fields, &choices, goal, &rules, &mut row, &mut tries).then_some(row)
    }

    fn search(&self, fields: &[String], choices: &[Vec<Value>], goal: Goal<'_>, rules: &[&Rule], row: &mut Row, tries: &mut usize) -> bool {
        let Some((name, rest)) = fields.split_first() else {
            *tries += 1;
            return self.reached(goal, rules, row);
        };
        for value in &choices[0] {
            if *tries > TRIES_MAX {
                return false;
            }
            row.insert(name.clone(), value.clone());
            if self.search(rest, &choices[1..], goal, rules, row, tries) {
                return true;
            }
        }
        row.remove(name);
        false
    }

    fn reached(&self, goal: Goal<'_>, rules: &[&Rule], row: &Row) -> bool {
        let target = if let Goal::Breaks(rule) = goal { Some(rule.key.as_str()) } else { None };
        let kept = rules.iter().all(|rule| self.breaks(&rule.kind, row) == (target == Some(rule.key.as_str())) || !checked(&rule.kind));
        kept && match goal {
            Goal::Fulfils(condition) => self.evaluate(condition, row) == Some(true),
            Goal::Violates(condition) => self.evaluate(condition, row) == Some(false),
            _ => true,
        }
    }

    /// Candidates of a field, the most ordinary one first.
    fn choices(&self, name: &str, rules: &[&Rule], fixed: &Row) -> Vec<Value> {
        if let Some(value) = fixed.get(name) {
            return vec![value.clone()];
        }
        let Some(field) = self.names.entity.field(name) else {
            return vec![Value::Null];
        };
        let mut found: Vec<Value> = Vec::new();
        match samples::of_field(field, false) {
            Some(Sample::Fixed(value)) if field.required || field.default.is_some() => found.push(value),
            Some(Sample::Fixed(value)) => found.extend([Value::Null, value]),
            _ => {}
        }
        match &field.field_type {
            FieldType::Enum(values) => found.extend(values.iter().map(|value| json!(value))),
            FieldType::Boolean => found.extend([json!(true), json!(false)]),
            FieldType::Date => found.extend([PAST, "2020-03-01", "2020-02-15", FUTURE].map(|day| json!(day))),
            FieldType::DateTime => found.extend([PAST, "2020-03-01", FUTURE].map(|day| json!(format!("{day}T12:30:00Z")))),
            FieldType::Time => found.extend(["08:00:00", "12:30:00", "18:00:00"].map(|time| json!(time))),
            FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal { .. } => {
                found.extend(numbers(field, rules));
            }
            _ => found.extend(literals(field, rules)),
        }
        if !field.required {
            found.push(Value::Null);
        }
        let mut kept: Vec<Value> = Vec::new();
        for value in found {
            if !kept.contains(&value) {
                kept.push(value);
            }
        }
        kept
    }

    /// True when a row certainly breaks a rule that concerns one row alone.
    fn breaks(&self, kind: &RuleKind, row: &Row) -> bool {
        match kind {
            RuleKind::Check(condition) => self.evaluate(condition, row) == Some(false),
            RuleKind::RequiredWhen { field, when } => self.evaluate(when, row) == Some(true) && absent(row, field),
            RuleKind::Implies { when, then } => self.evaluate(when, row) == Some(true) && self.evaluate(then, row) == Some(false),
            _ => false,
        }
    }

    /// The condition's truth; none when an absent value leaves it open.
    pub(super) fn evaluate(&self, condition: &Condition, row: &Row) -> Option<bool> {
        match condition {
            Condition::Compare { left, comparison, right } => {
                let (left, right) = (self.value(left, row)?, self.value(right, row)?);
                let order = match (&left, &right) {
                    (Value::String(left), Value::String(right)) => left.cmp(right),
                    (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
                    _ => number(&left)?.partial_cmp(&number(&right)?)?,
                };
                Some(match comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::GreaterOrEqual => order.is_ge(),
                })
            }
            Condition::OneOf { field, values } => (!absent(row, field)).then(|| row.get(field).is_some_and(|value| values.contains(value))),
            Condition::Present(field) => Some(!absent(row, field)),
            Condition::Absent(field) => Some(absent(row, field)),
            Condition::All(all) => {
                let truths: Vec<Option<bool>> = all.iter().map(|condition| self.evaluate(condition, row)).collect();
                if truths.contains(&Some(false)) {
                    Some(false)
                } else if truths.contains(&None) {
                    None
                } else {
                    Some(true)
                }
            }
            Condition::Any(any) => {
                let truths: Vec<Option<bool>> = any.iter().map(|condition| self.evaluate(condition, row)).collect();
                if truths.contains(&Some(true)) {
                    Some(true)
                } else if truths.contains(&None) {
                    None
                } else {
                    Some(false)
                }
            }
        }
    }

    #[expect(clippy::self_only_used_in_recursion, reason = "called like its siblings")]
    fn value(&self, expression: &Expression, row: &Row) -> Option<Value> {
        match expression {
            Expression::Field(field) => row.get(field).filter(|value| !value.is_null()).cloned(),
            Expression::Literal(value) => Some(value.clone()),
            Expression::Today => Some(json!("2050-01-01")),
            Expression::Now => Some(json!("2050-01-01T00:00:00Z")),
            Expression::Arithmetic { left, operator, right } => {
                let (left, right) = (number(&self.value(left, row)?)?, number(&self.value(right, row)?)?);
                Some(json!(match operator {
                    '+' => left + right,
                    '-' => left - right,
                    _ => left * right,
                }))
            }
        }
    }

    /// True when the values break none of the rules about one row.
    pub(super) fn valid(&self, row: &Row) -> bool {
        self.project.rules_of(&self.names.entity.name).all(|rule| !self.breaks(&rule.kind, row))
    }

    /// The values as a Python dictionary by column: `{"status": "draft"}`.
    pub(super) fn literal(&self, row: &Row) -> String {
        let pairs: Vec<String> =
            self.columns(row).into_iter().map(|(column, value)| format!("{}: {value}", python::text(column))).collect();
        format!("{{{}}}", pairs.join(", "))
    }

    /// The values as Python keyword arguments: `status="draft"`.
    pub(super) fn keywords(&self, row: &Row) -> Vec<String> {
        self.columns(row).into_iter().map(|(column, value)| format!("{column}={value}")).collect()
    }

    fn columns(&self, row: &Row) -> Vec<(&str, String)> {
        let known = row.iter().filter_map(|(name, value)| {
            let field = self.names.entity.field(name)?;
            let stored = python::stored_type(self.project, &field.field_type);
            Some((self.names.attribute(name), python::typed(value, stored)))
        });
        known.collect()
    }
}

fn checked(kind: &RuleKind) -> bool {
    matches!(kind, RuleKind::Check(_) | RuleKind::RequiredWhen { .. } | RuleKind::Implies { .. })
}

/// The fields that a rule about one row, or about its changes, speaks of.
pub(super) fn rule_fields(kind: &RuleKind) -> Vec<&str> {
    match kind {
        RuleKind::Check(condition) => fields_of(condition),
        RuleKind::RequiredWhen { field, when } => std::iter::once(field.as_str()).chain(fields_of(when)).collect(),
        RuleKind::Implies { when, then } => fields_of(when).into_iter().chain(fields_of(then)).collect(),
        _ => Vec::new(),
    }
}

fn absent(row: &Row, field: &str) -> bool {
    row.get(field).is_none_or(Value::is_null)
}

/// A number; a date counts its days.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let day = Date::parse(text.get(..10)?, format_description!("[year]-[month]-[day]")).ok()?;
            Some(f64::from(day.to_julian_day()))
        }
        _ => None,
    }
}

/// Values of the same field that rules name.
fn literals(field: &Field, rules: &[&Rule]) -> Vec<Value> {
    fn collect(condition: &Condition, name: &str, found: &mut Vec<Value>) {
        match condition {
            Condition::Compare { left, right, .. } => match (left, right) {
                (Expression::Field(field), Expression::Literal(value)) | (Expression::Literal(value), Expression::Field(field))
                    if field == name =>
                {
                    found.push(value.clone());
                }
                _ => {}
            },
            Condition::OneOf { field, values } if field == name => found.extend(values.iter().cloned()),
            Condition::All(all) | Condition::Any(all) => all.iter().for_each(|condition| collect(condition, name, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for rule in rules {
        match &rule.kind {
            RuleKind::Check(condition) | RuleKind::ChangeOnlyWhen(condition) | RuleKind::DeleteOnlyWhen(condition) => {
                collect(condition, &field.name, &mut found);
            }
            RuleKind::RequiredWhen { when, .. } => collect(when, &field.name, &mut found),
            RuleKind::Implies { when, then } => {
                collect(when, &field.name, &mut found);
                collect(then, &field.name, &mut found);
            }
            RuleKind::AtMost { when: Some(when), .. } => collect(when, &field.name, &mut found),
            _ => {}
        }
    }
    found
}

/// Numbers around the limits of a field and around the numbers that rules name.
fn numbers(field: &Field, rules: &[&Rule]) -> Vec<Value> {
    let bound = |limit: &Option<serde_json::Number>| limit.as_ref().and_then(serde_json::Number::as_f64);
    let (least, most) = (bound(&field.limits.min).unwrap_or(-1_000_000.0), bound(&field.limits.max).unwrap_or(1_000_000.0));
    let named = literals(field, rules);
    let mut found: Vec<f64> = named.iter().filter_map(Value::as_f64).flat_map(|value| [value, value + 1.0, value - 1.0]).collect();
    found.extend([1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 0.0, least, most]);
    let inside = |value: &f64| {
        (*value > least || (*value >= least && !field.limits.min_exclusive))
            && (*value < most || (*value <= most && !field.limits.max_exclusive))
    };
    let step = bound(&field.limits.multiple_of).filter(|step| *step >= 1.0);
    let kept = found.into_iter().filter(inside).filter(|value| step.is_none_or(|step| value % step == 0.0));
    kept.map(|value| if value.fract() == 0.0 { whole(value) } else { json!(value) }).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "candidates are small")]
fn whole(value: f64) -> Value {
    json!(value as i64)
}
