//! Whether a JSON value is what a shape allows: the judge of bodies, and the proof that a sample is valid or is not.

use regex::Regex;
use serde_json::{Number, Value};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::model::entity::Limits;
use crate::model::shape::{Additional, ObjectShape};
use crate::model::{Shape, ShapeKind, SpecDocument};

/// How deep shapes are followed; deeper parts count as fine.
const DEPTH_MAX: usize = 32;
/// The most violations that are reported of one value.
const VIOLATIONS_MAX: usize = 20;

/// Which way a value travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// To the service: it holds nothing that only answers carry.
    Request,
    /// From the service: it holds nothing that only requests carry.
    Response,
}

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// Where, as `items[0].name`; empty for the value itself.
    pub(super) path: String,
    /// What, as a phrase.
    pub(super) message: String,
}

/// What is wrong with a value; empty when nothing is.
pub(super) fn check(document: &SpecDocument, shape: &Shape, value: &Value, side: Side) -> Vec<Violation> {
    let mut checker = Checker { document, side, found: Vec::new() };
    checker.value(shape, value, "", 0);
    checker.found.truncate(VIOLATIONS_MAX);
    checker.found
}

/// The violations on one line.
pub(super) fn describe(violations: &[Violation]) -> String {
    let one = |violation: &Violation| {
        if violation.path.is_empty() { violation.message.clone() } else { format!("`{}` {}", violation.path, violation.message) }
    };
    violations.iter().map(one).collect::<Vec<_>>().join("; ")
}

struct Checker<'d> {
    document: &'d SpecDocument,
    side: Side,
    found: Vec<Violation>,
}

impl Checker<'_> {
    fn add(&mut self, path: &str, message: impl Into<String>) {
        self.found.push(Violation { path: path.to_owned(), message: message.into() });
    }

    fn value(&mut self, shape: &Shape, value: &Value, path: &str, depth: usize) {
        if depth > DEPTH_MAX || (value.is_null() && shape.nullable) {
            return;
        }
        match &shape.kind {
            ShapeKind::Any => {}
            ShapeKind::Boolean if value.is_boolean() => {}
            ShapeKind::Boolean => self.add(path, format!("is {} instead of true or false", kind_of(value))),
            ShapeKind::Integer { format, limits, values } => self.integer(format.as_deref(), limits, values, value, path),
            ShapeKind::Number { limits, .. } => match value {
                Value::Number(number) => self.range(limits, number, path),
                _ => self.add(path, format!("is {} instead of a number", kind_of(value))),
            },
            ShapeKind::Text { format, limits, values } => match value {
                Value::String(text) => self.text(format.as_deref(), limits, values, text, path),
                _ => self.add(path, format!("is {} instead of text", kind_of(value))),
            },
            ShapeKind::Array { items, limits, unique } => match value {
                Value::Array(list) => self.array(items, limits, *unique, list, path, depth),
                _ => self.add(path, format!("is {} instead of a list", kind_of(value))),
            },
            ShapeKind::Object(object) => match value {
                Value::Object(_) => self.object(object, value, path, depth),
                _ => self.add(path, format!("is {} instead of an object", kind_of(value))),
            },
            ShapeKind::Reference(name) => {
                if let Some(schema) = self.document.schema(name) {
                    self.value(&schema.shape, value, path, depth + 1);
                }
            }
            ShapeKind::OneOf { variants, .. } => {
                let fits = |variant: &Shape| check(self.document, variant, value, self.side).is_empty();
                if !variants.is_empty() && !variants.iter().any(fits) {
                    self.add(path, "fits none of the documented alternatives");
                }
            }
        }
    }

    fn integer(&mut self, format: Option<&str>, limits: &Limits, values: &[i64], value: &Value, path: &str) {
        let Value::Number(number) = value else {
            return self.add(path, format!("is {} instead of a whole number", kind_of(value)));
        };
        let whole = number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0);
        if !whole {
            return self.add(path, format!("is {number}, not a whole number"));
        }
        let range = match format {
            Some("int32") => i64::from(i32::MIN)..=i64::from(i32::MAX),
            _ => i64::MIN..=i64::MAX,
        };
        if format.is_some() && number.as_i64().is_none_or(|number| !range.contains(&number)) {
            self.add(path, format!("is {number}, beyond the format {}", format.unwrap_or_default()));
        }
        if !values.is_empty() && number.as_i64().is_none_or(|number| !values.contains(&number)) {
            self.add(path, format!("is {number}, not one of the documented values"));
        }
        self.range(limits, number, path);
    }

    fn range(&mut self, limits: &Limits, number: &Number, path: &str) {
        let Some(value) = number.as_f64() else { return };
        if let Some(min) = limits.min.as_ref().and_then(Number::as_f64)
            && (value < min || (limits.min_exclusive && value <= min))
        {
            self.add(path, format!("is {number}, below {min}"));
        }
        if let Some(max) = limits.max.as_ref().and_then(Number::as_f64)
            && (value > max || (limits.max_exclusive && value >= max))
        {
            self.add(path, format!("is {number}, above {max}"));
        }
        if let Some(step) = limits.multiple_of.as_ref().and_then(Number::as_f64).filter(|step| *step > 0.0) {
            let steps = value / step;
            if (steps - steps.round()).abs() > 1e-6 {
                self.add(path, format!("is {number}, not a multiple of {step}"));
            }
        }
    }

    fn text(&mut self, format: Option<&str>, limits: &Limits, values: &[String], text: &str, path: &str) {
        if !values.is_empty() && !values.iter().any(|value| value == text) {
            self.add(path, format!("is {text:?}, not one of {}", values.join(", ")));
        }
        self.count(limits, text.chars().count() as u64, "characters", path);
        if let Some(pattern) = limits.pattern.as_deref().and_then(|pattern| Regex::new(pattern).ok())
            && !pattern.is_match(text)
        {
            self.add(path, format!("does not match {pattern}"));
        }
        if let Some(format) = format.filter(|format| !has_format(format, text)) {
            self.add(path, format!("is {text:?}, not of the format {format}"));
        }
    }

    fn array(&mut self, items: &Shape, limits: &Limits, unique: bool, list: &[Value], path: &str, depth: usize) {
        self.count(limits, list.len() as u64, "items", path);
        if unique && list.iter().enumerate().any(|(at, item)| list[..at].contains(item)) {
            self.add(path, "holds an item twice");
        }
        for (at, item) in list.iter().enumerate() {
            if self.found.len() >= VIOLATIONS_MAX {
                return;
            }
            self.value(items, item, &format!("{path}[{at}]"), depth + 1);
        }
    }

    fn count(&mut self, limits: &Limits, count: u64, what: &str, path: &str) {
        if limits.length_min.is_some_and(|min| count < min) {
            self.add(path, format!("has {count} {what}, fewer than {}", limits.length_min.unwrap_or_default()));
        }
        if limits.length_max.is_some_and(|max| count > max) {
            self.add(path, format!("has {count} {what}, more than {}", limits.length_max.unwrap_or_default()));
        }
    }

    fn object(&mut self, object: &ObjectShape, value: &Value, path: &str, depth: usize) {
        let Some(members) = value.as_object() else { return };
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for property in &object.properties {
            let hidden = match self.side {
                Side::Request => property.shape.read_only,
                Side::Response => property.shape.write_only,
            };
            match members.get(&property.name) {
                Some(_) if hidden && self.side == Side::Response => {
                    self.add(&below(&property.name), "is shown although only requests carry it");
                }
                Some(member) => self.value(&property.shape, member, &below(&property.name), depth + 1),
                None if property.required && !hidden => self.add(&below(&property.name), "is missing"),
                None => {}
            }
        }
        let unknown = members.iter().filter(|(name, _)| !object.properties.iter().any(|property| property.name == **name));
        match &object.additional {
            Additional::Ignored => {}
            Additional::Forbidden => {
                for (name, _) in unknown {
                    self.add(&below(name), "is not documented");
                }
            }
            Additional::Values(shape) => {
                for (name, member) in unknown {
                    self.value(shape, member, &below(name), depth + 1);
                }
            }
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// True for text of that format; unknown formats demand nothing.
fn has_format(format: &str, text: &str) -> bool {
    match format {
        "date" => Date::parse(text, format_description!("[year]-[month]-[day]")).is_ok(),
        "date-time" => OffsetDateTime::parse(text, &Rfc3339).is_ok(),
        "time" => text.split(':').count() >= 2 && text.starts_with(|c: char| c.is_ascii_digit()),
        "uuid" => text.len() == 36 && Uuid::parse_str(text).is_ok(),
        "email" => text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !text.contains(' ')),
        "uri" | "url" => text.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty() && !text.contains(' ')),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{document_with, text};
    use super::*;
    use crate::model::shape::Property;

    fn check_value(shape: &Shape, value: &Value, expected: &str) {
        let document = document_with(vec![]);
        assert_eq!(describe(&check(&document, shape, value, Side::Response)), expected);
    }

    #[test]
    fn numbers_have_limits() {
        let limits = Limits { min: Some(1.into()), max: Some(5.into()), ..Limits::default() };
        let rating = Shape::of(ShapeKind::Integer { format: Some("int32".into()), limits, values: vec![] });
        check_value(&rating, &json!(3), "");
        check_value(&rating, &json!(6), "is 6, above 5");
        check_value(&rating, &json!(2.5), "is 2.5, not a whole number");
        check_value(&rating, &json!("3"), "is text instead of a whole number");
        check_value(&rating, &Value::Null, "is null instead of a whole number");
        let limits = Limits { multiple_of: serde_json::Number::from_f64(0.01), ..Limits::default() };
        let price = Shape::of(ShapeKind::Number { format: None, limits });
        check_value(&price, &json!(19.99), "");
        check_value(&price, &json!(19.999), "is 19.999, not a multiple of 0.01");
    }

    #[test]
    fn texts_have_formats() {
        for (format, good, bad) in [
            ("date", "2024-02-29", "2023-02-29"),
            ("date-time", "2024-01-01T00:00:00Z", "2024-01-01"),
            ("uuid", "0190aaaa-0000-7000-8000-000000000001", "x"),
            ("email", "a@b.example", "a.example"),
            ("uri", "https://a.example", "a"),
        ] {
            assert!(has_format(format, good) && !has_format(format, bad), "{format}");
        }
    }

    #[test]
    fn objects_hold_what_is_documented() {
        let property = |name: &str, required| Property { name: name.into(), ident: name.into(), required, shape: text() };
        let mut object = ObjectShape { properties: vec![property("a", true), property("b", false)], additional: Additional::Forbidden };
        object.properties[1].shape.write_only = true;
        let shape =
            Shape::of(ShapeKind::Array { items: Box::new(Shape::of(ShapeKind::Object(object))), limits: Limits::default(), unique: false });
        check_value(&shape, &json!([{"a": "x"}]), "");
        check_value(
            &shape,
            &json!([{"b": "x", "c": 1}]),
            "`[0].a` is missing; `[0].b` is shown although only requests carry it; `[0].c` is not documented",
        );
    }
}
