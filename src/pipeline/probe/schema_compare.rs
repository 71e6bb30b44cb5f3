//! A shape of the specification beside the JSON Schema by which the service describes the same thing.
//!
//! Compared by meaning, for OpenAPI 3.0 and 3.1 alike: `nullable`, `type: [.., "null"]` and `anyOf` with null are one thing.
//! What the service promises beyond the specification (a bound that follows from its storage) is not a difference.

use serde_json::{Map, Value};

use crate::model::entity::Limits;
use crate::model::shape::{Additional, ObjectShape};
use crate::model::{Shape, ShapeKind, SpecDocument};

/// How deep shapes are compared.
const DEPTH_MAX: usize = 6;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The outermost property that it is about; empty for the value itself.
    pub(super) property: String,
    /// What differs, as a phrase.
    pub(super) message: String,
}

/// Compares shapes with the schemas of one description.
pub(super) struct Comparer<'a> {
    pub(super) document: &'a SpecDocument,
    pub(super) description: &'a Value,
}

impl Comparer<'_> {
    /// Every difference between a shape and a schema.
    pub(super) fn compare(&self, shape: &Shape, schema: &Value) -> Vec<Difference> {
        let mut found = Vec::new();
        self.shape(shape, schema, "", 0, &mut found);
        found
    }

    fn shape(&self, shape: &Shape, schema: &Value, path: &str, depth: usize, found: &mut Vec<Difference>) {
        if depth > DEPTH_MAX {
            return;
        }
        let (schema, nullable) = self.plain(schema);
        let mut differs = |message: String| found.push(difference(path, message));
        let shape = &Shape { nullable: shape.nullable, ..super::samples::resolve(self.document, shape).clone() };
        if matches!(shape.kind, ShapeKind::Any) {
            return;
        }
        if shape.nullable != nullable && !matches!(shape.kind, ShapeKind::OneOf { .. }) {
            differs(if nullable {
                "may be null only in the service".to_owned()
            } else {
                "may be null only in the specification".to_owned()
            });
        }
        if let Some(default) = &shape.default {
            let described = schema.get("default");
            if described.is_some_and(|described| !super::creating::same(described, default)) || (described.is_none() && !default.is_null())
            {
                differs(format!("has the default {default} in the specification and {} in the service", shown(described)));
            }
        }
        match &shape.kind {
            ShapeKind::Boolean => types(&schema, &["boolean"], path, found),
            ShapeKind::Integer { limits, values, .. } => {
                types(&schema, &["integer"], path, found);
                enumeration(&schema, &values.iter().map(|value| Value::from(*value)).collect::<Vec<_>>(), path, found);
                numbers(&schema, limits, path, found);
            }
            ShapeKind::Number { limits, .. } => {
                types(&schema, &["number"], path, found);
                numbers(&schema, limits, path, found);
            }
            ShapeKind::Text { format, limits, values } => {
                types(&schema, &["string"], path, found);
                enumeration(&schema, &values.iter().map(|value| Value::from(value.as_str())).collect::<Vec<_>>(), path, found);
                lengths(&schema, limits, ["minLength", "maxLength"], path, found);
                let stated = [("format", format.as_ref()), ("pattern", limits.pattern.as_ref())];
                for (name, value) in stated.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                    if schema.get(name).and_then(Value::as_str) != Some(value) {
                        found.push(difference(
                            path,
                            format!("has the {name} {value} in the specification and {} in the service", shown(schema.get(name))),
                        ));
                    }
                }
            }
            ShapeKind::Array { items, limits, .. } => {
                types(&schema, &["array"], path, found);
                lengths(&schema, limits, ["minItems", "maxItems"], path, found);
                if let Some(described) = schema.get("items") {
                    self.shape(items, described, &format!("{path}[]"), depth + 1, found);
                }
            }
            ShapeKind::Object(object) => self.object(object, &schema, path, depth, found),
            ShapeKind::Any | ShapeKind::Reference(_) | ShapeKind::OneOf { .. } => {}
        }
    }

    fn object(&self, object: &ObjectShape, schema: &Map<String, Value>, path: &str, depth: usize, found: &mut Vec<Difference>) {
        types(schema, &["object"], path, found);
        let empty = Map::new();
        let described = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for property in &object.properties {
            let below = if path.is_empty() { property.name.clone() } else { format!("{path}.{}", property.name) };
            let Some(schema) = described.get(&property.name) else {
                found.push(difference(&below, "is missing in the service".to_owned()));
                continue;
            };
            if property.required != required.contains(&property.name.as_str()) {
                let side = if property.required { "specification" } else { "service" };
                found.push(difference(&below, format!("is required only in the {side}")));
            }
            self.shape(&property.shape, schema, &below, depth + 1, found);
        }
        for name in described.keys().filter(|name| !object.properties.iter().any(|property| property.name == **name)) {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            found.push(difference(&below, "is there only in the service".to_owned()));
        }
        if object.additional == Additional::Forbidden && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            found.push(difference(path, "forbids other properties only in the specification".to_owned()));
        }
    }

    /// A schema with its references followed and the ways to say "or null" taken out.
    fn plain(&self, schema: &Value) -> (Map<String, Value>, bool) {
        let mut plain = schema.as_object().cloned().unwrap_or_default();
        let mut nullable = false;
        for _ in 0..DEPTH_MAX {
            if let Some(target) =
                plain.get("$ref").and_then(Value::as_str).and_then(|reference| self.description.pointer(reference.strip_prefix('#')?))
            {
                plain.shift_remove("$ref");
                plain = merged(target.as_object().cloned().unwrap_or_default(), plain);
                continue;
            }
            let alternatives = ["anyOf", "oneOf", "allOf"].into_iter().find_map(|name| Some((name, plain.get(name)?.as_array()?.clone())));
            let Some((name, alternatives)) = alternatives else { break };
            let (nulls, others): (Vec<_>, Vec<_>) =
                alternatives.into_iter().partition(|schema| schema.get("type") == Some(&Value::from("null")));
            if others.len() != 1 {
                break;
            }
            nullable |= !nulls.is_empty();
            plain.shift_remove(name);
            plain = merged(others[0].as_object().cloned().unwrap_or_default(), plain);
        }
        nullable |= plain.get("nullable") == Some(&Value::Bool(true));
        if let Some(Value::Array(types)) = plain.get("type").cloned() {
            nullable |= types.contains(&Value::from("null"));
            let types: Vec<Value> = types.into_iter().filter(|name| *name != "null").collect();
            plain.insert("type".to_owned(), if types.len() == 1 { types[0].clone() } else { Value::Array(types) });
        }
        if let Some(Value::Array(values)) = plain.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        (plain, nullable)
    }
}

/// The outer keywords stand beside a reference and go before its own.
fn merged(mut inner: Map<String, Value>, outer: Map<String, Value>) -> Map<String, Value> {
    inner.extend(outer);
    inner
}

fn difference(path: &str, message: String) -> Difference {
    let property = path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let message = if path.is_empty() { message } else { format!("`{path}` {message}") };
    Difference { property, message }
}

fn types(schema: &Map<String, Value>, expected: &[&str], path: &str, found: &mut Vec<Difference>) {
    let described = schema.get("type").and_then(Value::as_str);
    // An enum or const needs no type.
    if described.is_none() && (schema.contains_key("enum") || schema.contains_key("const")) {
        return;
    }
    if !described.is_some_and(|described| expected.contains(&described)) {
        found.push(difference(
            path,
            format!("is {} in the specification and {} in the service", expected.join(" or "), shown(schema.get("type"))),
        ));
    }
}

fn enumeration(schema: &Map<String, Value>, values: &[Value], path: &str, found: &mut Vec<Difference>) {
    let constant = schema.get("const").map(|value| vec![value.clone()]);
    let described = schema.get("enum").and_then(Value::as_array).cloned().or(constant).unwrap_or_default();
    if described.len() != values.len() || !values.iter().all(|value| described.contains(value)) {
        found.push(difference(path, format!("has other values in the service: {}", Value::Array(described))));
    }
}

fn numbers(schema: &Map<String, Value>, limits: &Limits, path: &str, found: &mut Vec<Difference>) {
    let sides = [
        ("minimum", "exclusiveMinimum", &limits.min, limits.min_exclusive),
        ("maximum", "exclusiveMaximum", &limits.max, limits.max_exclusive),
    ];
    for (inclusive, exclusive, limit, excluded) in sides {
        let Some(limit) = limit.as_ref().and_then(serde_json::Number::as_f64) else { continue };
        let (described, described_excluded) = match (schema.get(exclusive), schema.get(inclusive)) {
            (Some(Value::Bool(excluded)), value) => (value, *excluded),
            (Some(value), _) => (Some(value), true),
            (None, value) => (value, false),
        };
        let close = described.and_then(Value::as_f64).is_some_and(|described| (described - limit).abs() <= limit.abs() * 1e-9);
        if !close || described_excluded != excluded {
            found.push(difference(
                path,
                format!("has the {inclusive} {limit} in the specification and {} in the service", shown(described)),
            ));
        }
    }
    if let Some(step) = limits.multiple_of.as_ref().and_then(serde_json::Number::as_f64) {
        let described = schema.get("multipleOf").and_then(Value::as_f64);
        if !described.is_some_and(|described| (described - step).abs() < 1e-12) {
            found.push(difference(
                path,
                format!("is a multiple of {step} in the specification and of {} in the service", shown(schema.get("multipleOf"))),
            ));
        }
    }
}

fn lengths(schema: &Map<String, Value>, limits: &Limits, names: [&str; 2], path: &str, found: &mut Vec<Difference>) {
    for (name, limit) in names.into_iter().zip([limits.length_min.filter(|min| *min > 0), limits.length_max]) {
        if limit.is_some() && schema.get(name).and_then(Value::as_u64) != limit {
            found.push(difference(
                path,
                format!("has {name} {} in the specification and {} in the service", limit.unwrap_or_default(), shown(schema.get(name))),
            ));
        }
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), std::string::ToString::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{document_with, text};
    use super::*;
    use crate::model::shape::Property;

    fn check(shape: &Shape, schema: &Value, expected: &[&str]) {
        let document = document_with(vec![]);
        let description = json!({"components": {"schemas": {"Text": {"type": "string"}}}});
        let found = Comparer { document: &document, description: &description }.compare(shape, schema);
        assert_eq!(found.iter().map(|difference| difference.message.as_str()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_way_to_say_or_null_is_one() {
        let shape = Shape { nullable: true, ..text() };
        check(&shape, &json!({"type": ["string", "null"]}), &[]);
        check(&shape, &json!({"type": "string", "nullable": true}), &[]);
        check(&shape, &json!({"anyOf": [{"$ref": "#/components/schemas/Text"}, {"type": "null"}]}), &[]);
        check(&shape, &json!({"$ref": "#/components/schemas/Text"}), &["may be null only in the specification"]);
        check(&text(), &json!({"allOf": [{"$ref": "#/components/schemas/Text"}], "title": "T"}), &[]);
    }

    #[test]
    fn limits_and_properties_are_compared() {
        let limits = Limits { min: Some(0.into()), min_exclusive: true, max: Some(5.into()), ..Limits::default() };
        let number = Shape::of(ShapeKind::Integer { format: None, limits, values: vec![] });
        check(&number, &json!({"type": "integer", "exclusiveMinimum": 0, "maximum": 5}), &[]);
        check(&number, &json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 5.0}), &[]);
        check(
            &number,
            &json!({"type": "integer", "minimum": 0, "maximum": 5}),
            &["has the minimum 0 in the specification and 0 in the service"],
        );
        let property = |name: &str| Property { name: name.into(), ident: name.into(), required: name == "a", shape: text() };
        let object = ObjectShape { properties: vec![property("a"), property("b")], additional: Additional::Ignored };
        let schema = json!({"type": "object", "properties": {"b": {"type": "integer"}, "c": {}}, "required": ["b"]});
        let expected = [
            "`a` is missing in the service",
            "`b` is required only in the service",
            "`b` is string in the specification and \"integer\" in the service",
            "`c` is there only in the service",
        ];
        check(&Shape::of(ShapeKind::Object(object)), &schema, &expected);
    }
}
