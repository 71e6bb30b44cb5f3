//! Conditions of rules on one row, with absent values unknown, as a CHECK has it.

use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, UtcOffset};

use super::samples::day;
use crate::model::rule::{Comparison, Condition, Expression};

/// Field values by name.
pub(super) type Row = Map<String, Value>;

/// Whether a row fulfils a condition; none when that cannot be told because something is absent.
pub(super) fn fulfils(row: &Row, condition: &Condition, today: Date) -> Option<bool> {
    match condition {
        Condition::Compare { left, comparison, right } => {
            let ordering = compare(&value_of(row, left, today)?, &value_of(row, right, today)?)?;
            Some(match comparison {
                Comparison::Equal => ordering.is_eq(),
                Comparison::NotEqual => ordering.is_ne(),
                Comparison::Less => ordering.is_lt(),
                Comparison::LessOrEqual => ordering.is_le(),
                Comparison::Greater => ordering.is_gt(),
                Comparison::GreaterOrEqual => ordering.is_ge(),
            })
        }
        Condition::OneOf { field, values } => {
            let value = present(row, field)?;
            Some(values.iter().any(|allowed| compare(value, allowed).is_some_and(std::cmp::Ordering::is_eq)))
        }
        Condition::Present(field) => Some(present(row, field).is_some()),
        Condition::Absent(field) => Some(present(row, field).is_none()),
        Condition::All(all) => {
            let parts: Vec<_> = all.iter().map(|condition| fulfils(row, condition, today)).collect();
            if parts.contains(&Some(false)) { Some(false) } else { (!parts.contains(&None)).then_some(true) }
        }
        Condition::Any(any) => {
            let parts: Vec<_> = any.iter().map(|condition| fulfils(row, condition, today)).collect();
            if parts.contains(&Some(true)) { Some(true) } else { (!parts.contains(&None)).then_some(false) }
        }
    }
}

/// The fields that a condition reads.
pub(super) fn fields_of(condition: &Condition) -> Vec<&str> {
    match condition {
        Condition::Compare { left, right, .. } => [left, right].into_iter().flat_map(fields_of_expression).collect(),
        Condition::OneOf { field, .. } | Condition::Present(field) | Condition::Absent(field) => vec![field],
        Condition::All(conditions) | Condition::Any(conditions) => conditions.iter().flat_map(fields_of).collect(),
    }
}

fn fields_of_expression(expression: &Expression) -> Vec<&str> {
    match expression {
        Expression::Field(field) => vec![field],
        Expression::Literal(_) | Expression::Today | Expression::Now => Vec::new(),
        Expression::Arithmetic { left, right, .. } => [left, right].into_iter().flat_map(|side| fields_of_expression(side)).collect(),
    }
}

/// The constants that a condition names, for values worth trying.
pub(super) fn constants_of(condition: &Condition) -> Vec<Value> {
    match condition {
        Condition::Compare { left, right, .. } => [left, right]
            .into_iter()
            .filter_map(|side| if let Expression::Literal(value) = side { Some(value.clone()) } else { None })
            .collect(),
        Condition::OneOf { values, .. } => values.clone(),
        Condition::Present(_) | Condition::Absent(_) => Vec::new(),
        Condition::All(conditions) | Condition::Any(conditions) => conditions.iter().flat_map(constants_of).collect(),
    }
}

/// Values that bring a field near to the other side of a comparison: equal to it, a little more, a little less.
pub(super) fn suggestions(row: &Row, condition: &Condition, today: Date) -> Vec<(String, Value)> {
    let Condition::Compare { left, right, .. } = condition else {
        return match condition {
            Condition::All(conditions) | Condition::Any(conditions) => {
                conditions.iter().flat_map(|part| suggestions(row, part, today)).collect()
            }
            _ => Vec::new(),
        };
    };
    let mut found = Vec::new();
    for (side, other) in [(left, right), (right, left)] {
        if let (Expression::Field(field), Some(value)) = (side, value_of(row, other, today)) {
            found.extend(around(&value).into_iter().map(|value| (field.clone(), value)));
        }
    }
    found
}

fn around(value: &Value) -> Vec<Value> {
    let date = |text: &str| Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    match value {
        Value::Number(_) => {
            let exact = number(value).unwrap_or(0.0);
            [0.0, 1.0, -1.0].into_iter().filter_map(|step| shown_number(exact + step)).collect()
        }
        Value::String(text) => match (date(text), text.get(..10).and_then(date)) {
            (Some(exact), _) => [0, 1, -1].map(|days| Value::String(day(exact.saturating_add(Duration::days(days))))).to_vec(),
            (None, Some(start)) if text.len() > 10 => {
                let moved =
                    [1, -1].map(|days| Value::String(format!("{}{}", day(start.saturating_add(Duration::days(days))), &text[10..])));
                [value.clone()].into_iter().chain(moved).collect()
            }
            _ => vec![value.clone()],
        },
        other => vec![other.clone()],
    }
}

/// A number as people write it: `3`, not `3.0`; at most six digits after the point.
fn shown_number(value: f64) -> Option<Value> {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    serde_json::from_str(text).ok()
}

/// A field's value, when there is one.
pub(super) fn present<'r>(row: &'r Row, field: &str) -> Option<&'r Value> {
    row.get(field).filter(|value| !value.is_null())
}

fn value_of(row: &Row, expression: &Expression, today: Date) -> Option<Value> {
    match expression {
        Expression::Field(field) => present(row, field).cloned(),
        Expression::Literal(value) => Some(value.clone()),
        Expression::Today => Some(Value::String(day(today))),
        Expression::Now => Some(Value::String(format!("{}T12:00:00Z", day(today)))),
        Expression::Arithmetic { left, operator, right } => {
            let (left, right) = (number(&value_of(row, left, today)?)?, number(&value_of(row, right, today)?)?);
            let result = match operator {
                '+' => left + right,
                '-' => left - right,
                '*' => left * right,
                _ => return None,
            };
            serde_json::Number::from_f64(result).map(Value::Number)
        }
    }
}

/// How two values compare; numbers also when one travels as text, instants across offsets.
pub(super) fn compare(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return if (left - right).abs() < 1e-9 { Some(std::cmp::Ordering::Equal) } else { left.partial_cmp(&right) };
    }
    match (left, right) {
        (Value::String(left), Value::String(right)) => match (instant(left), instant(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => Some(left.cmp(right)),
        },
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => (left == right).then_some(std::cmp::Ordering::Equal),
    }
}

fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(|instant| instant.to_offset(UtcOffset::UTC))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        // Decimals may travel as text. A date or a code with leading zeros is not a number.
        Value::String(text) if text.contains('.') => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::date;

    use super::*;

    fn check(row: &Value, condition: &Condition, expected: Option<bool>) {
        assert_eq!(fulfils(row.as_object().unwrap(), condition, date!(2026 - 11 - 21)), expected);
    }

    fn less(left: Expression, right: Expression) -> Condition {
        Condition::Compare { left, comparison: Comparison::Less, right }
    }

    #[test]
    fn absent_values_are_unknown() {
        let field = |name: &str| Expression::Field(name.to_owned());
        let condition = less(field("from"), field("to"));
        check(&json!({"from": "2026-01-01", "to": "2026-01-02"}), &condition, Some(true));
        check(&json!({"from": "2026-01-01", "to": null}), &condition, None);
        let both = Condition::All(vec![condition.clone(), Condition::Present("to".into())]);
        check(&json!({"from": "2026-01-01"}), &both, Some(false));
        let either = Condition::Any(vec![condition, Condition::Absent("to".into())]);
        check(&json!({"from": "2026-01-01"}), &either, Some(true));
        check(&json!({"to": "2026-11-20"}), &less(field("to"), Expression::Today), Some(true));
        let sum = Expression::Arithmetic { left: Box::new(field("a")), operator: '+', right: Box::new(Expression::Literal(json!(2))) };
        check(&json!({"a": 1, "b": 4}), &less(sum, field("b")), Some(true));
    }

    #[test]
    fn values_compare_by_what_they_mean() {
        let equal = |left: Value, right: Value| compare(&left, &right) == Some(std::cmp::Ordering::Equal);
        assert!(equal(json!("1.50"), json!(1.5)));
        assert!(equal(json!("2026-01-01T12:00:00Z"), json!("2026-01-01T13:00:00+01:00")));
        assert!(!equal(json!("007"), json!(7)));
    }
}
