//! Values for requests: the n-th valid one of a shape, values that a shape refuses, values to search among.
//!
//! Deterministic: the same document and the same n give the same value. What cannot be derived is none, never a guess:
//! every value is checked against its shape before it is handed out.

use serde_json::{Map, Number, Value, json};
use time::macros::{date, format_description};
use time::{Date, Duration};
use uuid::Uuid;

use super::pattern;
use super::shape_check::{Side, check};
use crate::model::entity::Limits;
use crate::model::{Shape, ShapeKind, SpecDocument};

/// How deep nested shapes are filled.
const DEPTH_MAX: usize = 8;
/// Longer texts than this are not sent just to reach a limit.
const TEXT_CHARS_MAX: u64 = 100_000;
/// More items than this are not sent just to reach a limit.
const ITEMS_MAX: u64 = 2_000;

/// How much of an object is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// Every property.
    All,
    /// Only those that may not be absent.
    Required,
}

/// The n-th valid value of a shape.
pub(super) fn valid(document: &SpecDocument, shape: &Shape, n: u64, fill: Fill) -> Option<Value> {
    let fits = |value: &Value| check(document, shape, value, Side::Request).is_empty();
    let stated = || [&shape.example, &shape.default].into_iter().flatten().find(|value| fits(value)).cloned();
    make(document, shape, n, fill, 0).filter(fits).or_else(stated)
}

/// A value that a shape refuses, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refused {
    /// What is wrong, as part of a case's name: `too long`.
    pub(super) what: &'static str,
    /// The value.
    pub(super) value: Value,
}

/// Values that a shape refuses for certain, at most one of each kind.
pub(super) fn refused(document: &SpecDocument, shape: &Shape) -> Vec<Refused> {
    let Some(good) = valid(document, shape, 0, Fill::All) else { return Vec::new() };
    let resolved = resolve(document, shape);
    let mut candidates = vec![("null", Value::Null)];
    candidates.push(("of the wrong type", if good.is_string() { json!(12345) } else { json!("probe") }));
    match &resolved.kind {
        ShapeKind::Text { format, limits, values } => refused_texts(format.as_deref(), limits, values, &mut candidates),
        ShapeKind::Integer { limits, .. } | ShapeKind::Number { limits, .. } => refused_numbers(&resolved.kind, limits, &mut candidates),
        ShapeKind::Array { items, limits, .. } => {
            let list = |count: u64| (0..count).filter_map(|n| make(document, items, n, Fill::All, 0)).collect::<Vec<_>>();
            candidates.extend(limits.length_min.filter(|min| *min > 0).map(|min| ("with too few items", json!(list(min - 1)))));
            candidates.extend(limits.length_max.filter(|max| *max < ITEMS_MAX).map(|max| ("with too many items", json!(list(max + 1)))));
            candidates.extend(refused(document, items).into_iter().next_back().map(|item| ("with a refused item", json!([item.value]))));
        }
        _ => {}
    }
    let certain = |(_, value): &(&'static str, Value)| !check(document, shape, value, Side::Request).is_empty();
    candidates.into_iter().filter(certain).map(|(what, value)| Refused { what, value }).collect()
}

/// Distinct valid values to search among: usual ones and those at the limits; null where it is allowed.
pub(super) fn pool(document: &SpecDocument, shape: &Shape, today: Date) -> Vec<Value> {
    let resolved = resolve(document, shape);
    let mut values: Vec<Value> = (0..3).filter_map(|n| valid(document, shape, n, Fill::All)).collect();
    values.extend(shape.default.clone());
    match &resolved.kind {
        ShapeKind::Boolean => values.extend([json!(true), json!(false)]),
        ShapeKind::Integer { limits, values: named, .. } => {
            values.extend(named.iter().map(|value| json!(value)));
            values.extend([limits.min.clone(), limits.max.clone()].into_iter().flatten().map(Value::Number));
            values.extend([json!(0), json!(1), json!(2), json!(100)]);
        }
        ShapeKind::Number { limits, .. } => {
            values.extend([limits.min.clone(), limits.max.clone()].into_iter().flatten().map(Value::Number));
            values.extend([json!(0), json!(1), json!(10), json!(100)]);
        }
        ShapeKind::Text { values: named, .. } if !named.is_empty() => values.extend(named.iter().map(|value| json!(value))),
        ShapeKind::Text { format: Some(format), .. } if format == "date" => {
            values.extend([-400, -1, 0, 1, 400].map(|days| json!(day(today.saturating_add(Duration::days(days))))));
        }
        ShapeKind::Text { format: Some(format), .. } if format == "time" => {
            values.extend(["00:30:00", "08:00:00", "12:00:00", "23:00:00"].map(|time| json!(time)));
        }
        ShapeKind::Text { format: Some(format), .. } if format == "date-time" => {
            values.extend([-400, -1, 1, 400].map(|days| json!(format!("{}T12:00:00Z", day(today.saturating_add(Duration::days(days)))))));
        }
        _ => {}
    }
    values.push(Value::Null);
    let mut distinct: Vec<Value> = Vec::new();
    for value in values {
        if !distinct.contains(&value) && check(document, shape, &value, Side::Request).is_empty() {
            distinct.push(value);
        }
    }
    distinct
}

/// The shape behind references.
pub(super) fn resolve<'a>(document: &'a SpecDocument, shape: &'a Shape) -> &'a Shape {
    let mut shape = shape;
    for _ in 0..DEPTH_MAX {
        match &shape.kind {
            ShapeKind::Reference(name) => match document.schema(name) {
                Some(schema) => shape = &schema.shape,
                None => break,
            },
            _ => break,
        }
    }
    shape
}

fn make(document: &SpecDocument, shape: &Shape, n: u64, fill: Fill, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    match &shape.kind {
        ShapeKind::Any => Some(json!(word(n, 9))),
        ShapeKind::Boolean => Some(json!(n.is_multiple_of(2))),
        ShapeKind::Integer { values, limits, .. } => match values.get(index(n, values.len())) {
            Some(value) => Some(json!(value)),
            None => whole(limits, n).map(|value| json!(value)),
        },
        ShapeKind::Number { limits, .. } => number(limits, n).map(Value::Number),
        ShapeKind::Text { format, limits, values } => match values.get(index(n, values.len())) {
            Some(value) => Some(json!(value)),
            None => text_of(format.as_deref(), limits, n).map(|text| json!(text)),
        },
        ShapeKind::Array { items, limits, .. } => {
            let count = limits.length_min.unwrap_or(0).max(1).min(limits.length_max.unwrap_or(u64::MAX)).min(ITEMS_MAX);
            let list: Vec<Value> = (0..count).filter_map(|at| make(document, items, n + at, fill, depth + 1)).collect();
            Some(json!(list))
        }
        ShapeKind::Object(object) => {
            let mut members = Map::new();
            for property in
                object.properties.iter().filter(|property| !property.shape.read_only && (property.required || fill == Fill::All))
            {
                match make(document, &property.shape, n, fill, depth + 1) {
                    Some(value) => members.insert(property.name.clone(), value),
                    None if property.required => return None,
                    None => None,
                };
            }
            Some(Value::Object(members))
        }
        ShapeKind::Reference(name) => make(document, &document.schema(name)?.shape, n, fill, depth + 1),
        ShapeKind::OneOf { variants, .. } => variants.iter().find_map(|variant| make(document, variant, n, fill, depth + 1)),
    }
}

fn index(n: u64, count: usize) -> usize {
    usize::try_from(n % (count.max(1) as u64)).unwrap_or(0)
}

/// A word of lower-case letters, different for each n below 26^4, of at most `chars_max` characters.
fn word(n: u64, chars_max: u64) -> String {
    let letters: String = (0..4).rev().map(|at| char::from(b'a' + u8::try_from(n / 26_u64.pow(at) % 26).unwrap_or(0))).collect();
    let word = format!("probe{letters}");
    let surplus = word.len().saturating_sub(usize::try_from(chars_max).unwrap_or(usize::MAX));
    word[surplus..].to_owned()
}

fn text_of(format: Option<&str>, limits: &Limits, n: u64) -> Option<String> {
    let (min, max) = (limits.length_min.unwrap_or(0), limits.length_max.unwrap_or(TEXT_CHARS_MAX));
    if let Some(pattern) = &limits.pattern {
        return pattern::matching(pattern, n, min, max);
    }
    let days = Duration::days(i64::try_from(n % 3_000).unwrap_or(0));
    let date = day(date!(2020 - 01 - 01).saturating_add(days));
    Some(match format {
        Some("email") => format!("{}@example.com", word(n, 9)),
        Some("uri" | "url" | "uri-reference" | "iri") => format!("https://example.com/{}", word(n, 9)),
        Some("uuid") => Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(n)).to_string(),
        Some("date") => date,
        Some("date-time") => format!("{date}T12:00:00Z"),
        Some("time") => format!("{:02}:{:02}:00", n / 60 % 24, n % 60),
        Some("ipv4") => format!("192.0.2.{}", n % 255),
        Some("ipv6") => format!("2001:db8::{:x}", n % 65_535 + 1),
        Some("hostname") => format!("{}.example.com", word(n, 9)),
        Some("byte") => "cHJvYmU=".to_owned(),
        _ => {
            let mut text = word(n, max);
            let missing = usize::try_from(min.min(TEXT_CHARS_MAX)).unwrap_or(0).saturating_sub(text.len());
            text.extend(std::iter::repeat_n('x', missing));
            text
        }
    })
}

/// A date as JSON carries it.
pub(super) fn day(date: Date) -> String {
    date.format(format_description!("[year]-[month]-[day]")).expect("years of four digits are representable")
}

fn whole(limits: &Limits, n: u64) -> Option<i64> {
    let step = limits.multiple_of.as_ref().and_then(Number::as_f64).filter(|step| *step >= 1.0).unwrap_or(1.0);
    let (low, high) = bounds(limits, step);
    let start = if low <= 1.0 && high >= 1.0 { 1.0_f64.max(low) } else { low.max(high.min(low)) };
    nth(start, high, step, n).filter(|value| value.abs() < 9e15).and_then(to_whole)
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^53")]
fn to_whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0).then_some(value as i64)
}

fn number(limits: &Limits, n: u64) -> Option<Number> {
    let step = limits.multiple_of.as_ref().and_then(Number::as_f64).filter(|step| *step > 0.0).unwrap_or(0.25);
    let (low, high) = bounds(limits, step);
    let start = if low <= 10.0 && high >= 1_000.0 { 10.0 } else { low };
    let value = nth(start, high, step, n + 1)?;
    // Binary fractions do not hold decimal ones: 0.1 + 0.2 must come out as 0.3.
    format!("{value:.6}").parse::<f64>().ok().and_then(Number::from_f64)
}

/// The least and the greatest value, exclusive limits moved inwards by a step.
fn bounds(limits: &Limits, step: f64) -> (f64, f64) {
    let value = |limit: &Option<Number>| limit.as_ref().and_then(Number::as_f64);
    let low = value(&limits.min).map(|low| if limits.min_exclusive { low + step } else { low });
    let high = value(&limits.max).map(|high| if limits.max_exclusive { high - step } else { high });
    match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + 1e6),
        (None, Some(high)) => (high.min(0.0) - if high <= 0.0 { 1e6 } else { 0.0 }, high),
        (None, None) => (0.0, 1e6),
    }
}

/// The n-th multiple of the step from `start` on, wrapping around at `high`.
#[expect(clippy::cast_precision_loss, reason = "n is far below 2^52")]
fn nth(start: f64, high: f64, step: f64, n: u64) -> Option<f64> {
    let first = (start / step - 1e-9).ceil();
    let count = (high / step + 1e-9).floor() - first + 1.0;
    (count >= 1.0).then(|| (first + (n as f64 % count)) * step)
}

fn refused_texts(format: Option<&str>, limits: &Limits, values: &[String], candidates: &mut Vec<(&'static str, Value)>) {
    if !values.is_empty() {
        candidates.push(("outside the enum", json!("probe-none-of-these")));
    }
    if matches!(format, Some("email" | "uuid" | "date" | "date-time" | "time" | "uri" | "url")) {
        candidates.push(("of the wrong format", json!("not this format")));
    }
    if limits.pattern.is_some() {
        candidates.extend(["~~~", "probe", "0", "!!!!!!!!"].map(|text| ("against the pattern", json!(text))));
    }
    let of_length = |length: u64| json!("x".repeat(usize::try_from(length).unwrap_or(0)));
    candidates.extend(limits.length_min.filter(|min| *min > 0).map(|min| ("too short", of_length(min - 1))));
    candidates.extend(limits.length_max.filter(|max| *max < TEXT_CHARS_MAX).map(|max| ("too long", of_length(max + 1))));
    let mut seen = std::collections::BTreeSet::new();
    candidates.retain(|(what, _)| *what != "against the pattern" || seen.insert(*what));
}

fn refused_numbers(kind: &ShapeKind, limits: &Limits, candidates: &mut Vec<(&'static str, Value)>) {
    let step =
        if matches!(kind, ShapeKind::Integer { .. }) { 1.0 } else { limits.multiple_of.as_ref().and_then(Number::as_f64).unwrap_or(1.0) };
    let shown = |value: f64| match to_whole(value).filter(|_| value.abs() < 9e15) {
        Some(whole) => json!(whole),
        None => json!(value),
    };
    let beyond = |limit: &Option<Number>, exclusive: bool, step: f64| {
        limit.as_ref().and_then(Number::as_f64).map(|limit| shown(if exclusive { limit } else { limit + step }))
    };
    candidates.extend(beyond(&limits.min, limits.min_exclusive, -step).map(|value| ("below the minimum", value)));
    candidates.extend(beyond(&limits.max, limits.max_exclusive, step).map(|value| ("above the maximum", value)));
    if let Some(step) = limits.multiple_of.as_ref().and_then(Number::as_f64) {
        let good = number(limits, 1).and_then(|number| number.as_f64()).unwrap_or(0.0);
        candidates.push(("between two steps", json!(good + step / 2.0)));
    }
    if matches!(kind, ShapeKind::Integer { .. }) {
        candidates.push(("with a fraction", json!(1.5)));
    }
}

#[cfg(test)]
pub(super) fn text() -> Shape {
    Shape::of(ShapeKind::Text { format: None, limits: Limits::default(), values: vec![] })
}

/// A document that holds only these schemas.
#[cfg(test)]
pub(super) fn document_with(schemas: Vec<crate::model::Schema>) -> SpecDocument {
    let text = serde_json::json!({
        "title": "T", "slug": "t", "version": null, "summary": "", "format": "markdown", "content_hash": "", "entities": [], "schemas": [],
        "operations": [], "groups": [], "rules": [], "errors": "problem", "security_schemes": [], "statements": [], "stated_tasks": [],
        "tech_stack": [],
    });
    SpecDocument { schemas, ..serde_json::from_value(text).unwrap() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> impl Strategy<Value = Limits> {
        (prop::option::of(-50..50_i64), 0..60_i64, any::<bool>(), any::<bool>(), prop::option::of(0..12_u64), 0..30_u64).prop_map(
            |(min, span, min_exclusive, max_exclusive, length_min, length_span)| Limits {
                min: min.map(Number::from),
                max: min.map(|min| Number::from(min + span + 2)),
                min_exclusive,
                max_exclusive,
                length_min,
                length_max: length_min.map(|min| min + length_span),
                ..Limits::default()
            },
        )
    }

    proptest! {
        /// What is called valid is valid, and there is such a value wherever limits leave room for one.
        #[test]
        fn limits_leave_room(limits in limits(), n in 0..5_000_u64) {
            let document = document_with(vec![]);
            for kind in [
                ShapeKind::Integer { format: None, limits: limits.clone(), values: vec![] },
                ShapeKind::Number { format: None, limits: limits.clone() },
                ShapeKind::Text { format: None, limits: limits.clone(), values: vec![] },
                ShapeKind::Array { items: Box::new(text()), limits, unique: false },
            ] {
                let shape = Shape::of(kind);
                prop_assert!(valid(&document, &shape, n, Fill::All).is_some(), "{:?}", shape);
            }
        }
    }

    #[test]
    fn every_limit_is_overstepped() {
        let document = document_with(vec![]);
        let kinds = |kind: ShapeKind| refused(&document, &Shape::of(kind)).into_iter().map(|refused| refused.what).collect::<Vec<_>>();
        let limits = Limits { length_min: Some(1), length_max: Some(20), pattern: Some("^[a-z]+$".into()), ..Limits::default() };
        let texts = kinds(ShapeKind::Text { format: None, limits, values: vec![] });
        assert_eq!(texts, ["null", "of the wrong type", "against the pattern", "too short", "too long"]);
        let limits = Limits { min: Some(1.into()), max: Some(5.into()), ..Limits::default() };
        let integers = kinds(ShapeKind::Integer { format: None, limits, values: vec![] });
        assert_eq!(integers, ["null", "of the wrong type", "below the minimum", "above the maximum", "with a fraction"]);
        let decimals =
            kinds(ShapeKind::Number { format: None, limits: Limits { multiple_of: Number::from_f64(0.01), ..Limits::default() } });
        assert_eq!(decimals, ["null", "of the wrong type", "between two steps"]);
        let dates = kinds(ShapeKind::Text { format: Some("date".into()), limits: Limits::default(), values: vec![] });
        assert_eq!(dates, ["null", "of the wrong type", "of the wrong format"]);
    }

    #[test]
    fn values_differ_by_their_number() {
        let document = document_with(vec![]);
        for format in [None, Some("email"), Some("uuid"), Some("uri"), Some("date"), Some("hostname")] {
            let shape = Shape::of(ShapeKind::Text { format: format.map(str::to_owned), limits: Limits::default(), values: vec![] });
            let values: std::collections::BTreeSet<String> =
                (0..500).map(|n| valid(&document, &shape, n, Fill::All).unwrap().to_string()).collect();
            assert_eq!(values.len(), 500, "{format:?}");
        }
    }
}
