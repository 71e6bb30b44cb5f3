//! Values that cannot exist: empty ranges, defaults outside of them, checks that leave nothing over.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::model::entity::Field;
use crate::model::rule::{Comparison, Condition, Expression};
use crate::model::{Entity, FieldType, Finding, Position, RuleKind, SpecDocument};

use super::consistency::mirrored;

/// What a number may be.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: f64,
    low_open: bool,
    high: f64,
    high_open: bool,
}

impl Range {
    const ALL: Self = Self { low: f64::NEG_INFINITY, low_open: false, high: f64::INFINITY, high_open: false };

    fn of(field: &Field) -> Self {
        let number = |value: &Option<Number>, none: f64| value.as_ref().and_then(Number::as_f64).unwrap_or(none);
        Self {
            low: number(&field.limits.min, f64::NEG_INFINITY),
            low_open: field.limits.min_exclusive,
            high: number(&field.limits.max, f64::INFINITY),
            high_open: field.limits.max_exclusive,
        }
    }

    fn narrowed(self, comparison: Comparison, value: f64) -> Self {
        let low = |open: bool| Self { low: value, low_open: open, ..Self::ALL };
        let high = |open: bool| Self { high: value, high_open: open, ..Self::ALL };
        let by = match comparison {
            Comparison::Equal => Self { low: value, low_open: false, high: value, high_open: false },
            Comparison::NotEqual => Self::ALL,
            Comparison::Less => high(true),
            Comparison::LessOrEqual => high(false),
            Comparison::Greater => low(true),
            Comparison::GreaterOrEqual => low(false),
        };
        self.and(by)
    }

    fn and(self, other: Self) -> Self {
        let (low, low_open) = match other.low.total_cmp(&self.low) {
            Ordering::Greater => (other.low, other.low_open),
            Ordering::Equal => (self.low, self.low_open || other.low_open),
            Ordering::Less => (self.low, self.low_open),
        };
        let (high, high_open) = match other.high.total_cmp(&self.high) {
            Ordering::Less => (other.high, other.high_open),
            Ordering::Equal => (self.high, self.high_open || other.high_open),
            Ordering::Greater => (self.high, self.high_open),
        };
        Self { low, low_open, high, high_open }
    }

    fn empty(self) -> bool {
        self.low > self.high || (self.low >= self.high && (self.low_open || self.high_open))
    }

    fn holds(self, value: f64) -> bool {
        !self.and(Self { low: value, low_open: false, high: value, high_open: false }).empty()
    }
}

/// Ranges without a value, and defaults that their own field refuses.
pub(super) fn of_fields(entity: &Entity) -> Vec<Finding> {
    entity.fields.iter().flat_map(|field| field_findings(entity, field)).collect()
}

fn field_findings(entity: &Entity, field: &Field) -> Vec<Finding> {
    let name = format!("{}.{}", entity.name, field.name);
    let mut found = Vec::new();
    let length = (field.limits.length_min, field.limits.length_max);
    if Range::of(field).empty() || matches!(length, (Some(min), Some(max)) if min > max) {
        let message = format!("no value of {name} is within its limits");
        found.push(Finding::error("empty-range", message, field.position, "the least value must not be above the greatest"));
    }
    if let Some(default) = &field.default
        && refuses(field, default)
    {
        let message = format!("the default of {name}, {default}, is not one of its values");
        found.push(Finding::error("default-out-of-range", message, field.position, "choose a default that the field allows"));
    }
    found
}

fn refuses(field: &Field, value: &Value) -> bool {
    match value {
        Value::Null => field.required,
        Value::Number(number) => number.as_f64().is_some_and(|number| !Range::of(field).holds(number)),
        Value::String(text) => {
            let length = text.chars().count() as u64;
            let too_long = field.limits.length_max.is_some_and(|max| length > max);
            let too_short = field.limits.length_min.is_some_and(|min| length < min);
            let foreign = matches!(&field.field_type, FieldType::Enum(values) if !values.contains(text));
            let textual = matches!(field.field_type, FieldType::Text | FieldType::Email | FieldType::Url);
            foreign || textual && (too_long || too_short)
        }
        _ => false,
    }
}

/// Unconditional checks of one field that, together with its limits, leave no value over.
pub(super) fn of_rules(document: &SpecDocument, entity: &Entity) -> Vec<Finding> {
    let mut found = Vec::new();
    for field in &entity.fields {
        let mut range = Range::of(field);
        let mut equals: Option<&Value> = None;
        for rule in document.rules.iter().filter(|rule| rule.entity == entity.name) {
            let RuleKind::Check(condition) = &rule.kind else { continue };
            for (comparison, value) in demands(condition, &field.name) {
                let before = range;
                if let Some(number) = value.as_f64() {
                    range = range.narrowed(comparison, number);
                }
                let other = comparison == Comparison::Equal && equals.is_some_and(|known| known != value);
                if comparison == Comparison::Equal {
                    equals = Some(value);
                }
                if other || range.empty() && !before.empty() {
                    found.push(nothing_left(entity, field, &rule.text, rule.position));
                }
            }
        }
    }
    found
}

fn nothing_left(entity: &Entity, field: &Field, rule: &str, position: Position) -> Finding {
    let message = format!("“{rule}” and what else is said about {}.{} leave no value over", entity.name, field.name);
    Finding::error("contradictory-rules", message, Some(position), "change one of them, or say when each holds")
}

/// What a condition always demands of one field's value.
fn demands<'a>(condition: &'a Condition, name: &str) -> Vec<(Comparison, &'a Value)> {
    let mut found = Vec::new();
    let mut open = vec![condition];
    while let Some(condition) = open.pop() {
        match condition {
            Condition::All(parts) => open.extend(parts),
            Condition::Compare { left: Expression::Field(field), comparison, right: Expression::Literal(value) } if field == name => {
                found.push((*comparison, value));
            }
            Condition::Compare { left: Expression::Literal(value), comparison, right: Expression::Field(field) } if field == name => {
                found.push((mirrored(*comparison), value));
            }
            _ => {}
        }
    }
    found
}
