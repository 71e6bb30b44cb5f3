//! Values for tests from shapes: valid ones, and ones that must be refused.

use serde_json::{Value, json};

use super::classes::Classes;
use super::context_schema::resolve;
use super::python;
use super::samples::{self, Sample};
use crate::model::FieldType;
use crate::model::entity::Limits;
use crate::model::shape::{Shape, ShapeKind};

/// How deep samples of nested shapes go.
const DEPTH_MAX: u32 = 6;
/// Below this depth, samples of nested shapes hold only what is required.
const OPTIONAL_DEPTH_MAX: u32 = 2;

/// A valid value of a shape; none when it is beyond the sampler.
pub(super) fn valid(classes: &Classes, shape: &Shape) -> Option<Value> {
    nested(classes, shape, 0)
}

fn nested(classes: &Classes, shape: &Shape, depth: u32) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    if let Some(example) = shape.default.as_ref().filter(|default| !default.is_null()) {
        return Some(example.clone());
    }
    match &resolve(classes, shape).kind {
        ShapeKind::Any => Some(json!("anything")),
        ShapeKind::Boolean => Some(json!(true)),
        ShapeKind::Integer { limits, values, .. } => {
            values.first().map(|value| json!(value)).or_else(|| fixed(&FieldType::Integer, limits))
        }
        ShapeKind::Number { limits, .. } => fixed(&FieldType::Float, limits),
        ShapeKind::Text { format, limits, values } => match (values.first(), format.as_deref()) {
            (Some(value), _) => Some(json!(value)),
            (None, Some("date")) => fixed(&FieldType::Date, limits),
            (None, Some("date-time")) => fixed(&FieldType::DateTime, limits),
            (None, Some("time")) => fixed(&FieldType::Time, limits),
            (None, Some("uuid")) => fixed(&FieldType::Uuid, limits),
            (None, Some("email")) => fixed(&FieldType::Email, limits),
            (None, Some("uri" | "url")) => fixed(&FieldType::Url, limits),
            _ => fixed(&FieldType::Text, limits),
        },
        ShapeKind::Array { items, limits, .. } => {
            let count = usize::try_from(limits.length_min.unwrap_or(0).min(20)).ok()?;
            if count == 0 { Some(json!([])) } else { Some(Value::Array(vec![nested(classes, items, depth + 1)?; count])) }
        }
        ShapeKind::Reference(name) => {
            let properties = &classes.get(name)?.object()?.properties;
            let mut object = serde_json::Map::new();
            for property in properties.iter().filter(|property| !property.shape.read_only) {
                match nested(classes, &property.shape, depth + 1) {
                    Some(value) if property.required || depth < OPTIONAL_DEPTH_MAX => object.insert(property.name.clone(), value),
                    None if property.required => return None,
                    _ => continue,
                };
            }
            Some(Value::Object(object))
        }
        ShapeKind::Object(_) => Some(json!({})),
        ShapeKind::OneOf { variants, .. } => variants.iter().find_map(|variant| nested(classes, variant, depth + 1)),
    }
}

fn fixed(field_type: &FieldType, limits: &Limits) -> Option<Value> {
    match samples::of_type(field_type, limits, "value", false)? {
        Sample::Fixed(value) => Some(value),
        _ => None,
    }
}

/// Python literals of JSON values that a shape refuses.
pub(super) fn invalid(classes: &Classes, shape: &Shape) -> Vec<String> {
    let mut found = Vec::new();
    if !shape.nullable && !matches!(shape.kind, ShapeKind::Any) {
        found.push("None".to_owned());
    }
    match &resolve(classes, shape).kind {
        ShapeKind::Boolean => found.push("\"true\"".to_owned()),
        ShapeKind::Integer { limits, .. } => {
            found.extend(["\"1\"".to_owned(), "1.5".to_owned(), "2**63".to_owned()]);
            found.extend(outside(limits));
        }
        ShapeKind::Number { limits, .. } => {
            found.push("\"1.5\"".to_owned());
            found.extend(outside(limits));
        }
        ShapeKind::Text { format, limits, values } => {
            found.push("1".to_owned());
            found.extend(refused_texts(format.as_deref(), limits, values));
        }
        ShapeKind::Array { items, limits, .. } => {
            found.push("\"text\"".to_owned());
            if limits.length_min.unwrap_or(0) > 0 {
                found.push("[]".to_owned());
            }
            match resolve(classes, items).kind {
                ShapeKind::Text { .. } => found.push("[1]".to_owned()),
                ShapeKind::Integer { .. } | ShapeKind::Number { .. } | ShapeKind::Boolean => found.push("[\"1\"]".to_owned()),
                _ => {}
            }
        }
        ShapeKind::Reference(_) | ShapeKind::Object(_) => found.push("\"text\"".to_owned()),
        ShapeKind::Any | ShapeKind::OneOf { .. } => {}
    }
    found
}

/// Whole numbers just outside of the limits.
fn outside(limits: &Limits) -> Vec<String> {
    let low = limits.min.as_ref().and_then(serde_json::Number::as_f64).map(|min| if limits.min_exclusive { min } else { min - 1.0 });
    let high = limits.max.as_ref().and_then(serde_json::Number::as_f64).map(|max| if limits.max_exclusive { max } else { max + 1.0 });
    low.into_iter()
        .chain(high)
        .filter(|value| value.abs() < 1e15)
        .map(|value| if value.fract() == 0.0 { format!("{value:.0}") } else { value.to_string() })
        .collect()
}

fn refused_texts(format: Option<&str>, limits: &Limits, values: &[String]) -> Vec<String> {
    if !values.is_empty() {
        return vec!["\"no such value\"".to_owned()];
    }
    if let Some(name @ ("date" | "date-time" | "time" | "uuid" | "email" | "uri" | "url")) = format {
        return vec![python::text(&format!("no {name}"))];
    }
    let mut found = Vec::new();
    if limits.length_min.unwrap_or(0) > 0 {
        found.push("\"\"".to_owned());
    }
    if let Some(most) = limits.length_max.filter(|most| *most < 100_000) {
        found.push(format!("\"x\" * {}", most + 1));
    }
    match &limits.pattern {
        Some(pattern) => {
            let matcher = regex::Regex::new(pattern).ok();
            let other = ["no match", "", "0", "?"].into_iter().find(|text| matcher.as_ref().is_some_and(|matcher| !matcher.is_match(text)));
            found.extend(other.map(python::text));
        }
        None => found.push("\"\\0\"".to_owned()),
    }
    found.sort();
    found.dedup();
    found
}

/// Texts of a parameter that are refused.
pub(super) fn invalid_texts(shape: &Shape) -> Vec<String> {
    match &shape.kind {
        ShapeKind::Boolean => vec!["\"maybe\"".to_owned()],
        ShapeKind::Integer { limits, .. } => {
            let mut found = vec!["\"1.0\"".to_owned(), "\"one\"".to_owned()];
            found.extend(outside(limits).into_iter().map(|value| format!("\"{value}\"")));
            found
        }
        ShapeKind::Number { .. } => vec!["\"one\"".to_owned(), "\"inf\"".to_owned()],
        ShapeKind::Text { format, limits, values } => {
            let mut found = refused_texts(format.as_deref(), limits, values);
            found.retain(|text| text != "\"\"");
            found
        }
        _ => Vec::new(),
    }
}
