//! The keywords of one schema as a shape: types, values, limits, properties.

use super::reader::Reader;
use super::shapes::Draft;
use super::tree::{Content, Node, shorten};
use crate::ingest::limits::FIELDS_MAX;
use crate::ingest::names;
use crate::model::entity::Limits;
use crate::model::shape::{Additional, ObjectShape, Property};
use crate::model::{Finding, Shape, ShapeKind};

/// Keywords of JSON Schema that the shapes cannot express.
const INEXPRESSIBLE: &[&str] = &[
    "not",
    "if",
    "then",
    "else",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "minProperties",
    "maxProperties",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
    "contentSchema",
];

impl<'a> Reader<'a> {
    /// The keywords of the schema itself, without `$ref`, `allOf`, `oneOf` and `anyOf`.
    pub(super) fn keywords(&mut self, node: &'a Node, hint: &str) -> Draft {
        self.check_keywords(node);
        let (types, mut nullable) = self.types(node);
        let values: Option<Vec<&Node>> = match (node.get("const"), node.get("enum")) {
            (Some(only), _) => Some(vec![only]),
            (None, Some(list)) => Some(list.items().iter().collect()),
            (None, None) => None,
        };
        if let Some(values) = &values {
            nullable |= values.iter().any(|value| value.is_null()) && (types.is_empty() || self.modern || node.flag("nullable"));
        }
        let types = if types.is_empty() { inferred(node, values.as_deref()) } else { types };
        let required: Vec<String> =
            node.get("required").map(Node::items).unwrap_or_default().iter().filter_map(Node::text).map(str::to_owned).collect();
        let mut kinds: Vec<ShapeKind> = Vec::new();
        for name in &types {
            if let Some(kind) = self.typed(name, node, values.as_deref(), hint) {
                kinds.push(kind);
            }
        }
        let object = types.iter().any(|name| name == "object");
        let required = if object || types.is_empty() { required } else { Vec::new() };
        let kind = match kinds.len() {
            0 if !required.is_empty() => ShapeKind::Object(ObjectShape::default()),
            0 => ShapeKind::Any,
            1 => kinds.remove(0),
            _ => ShapeKind::OneOf {
                variants: kinds.into_iter().map(|kind| self.named(Shape::of(kind), hint, node)).collect(),
                discriminator: None,
            },
        };
        let mut draft = Draft { shape: Shape::of(kind), required };
        draft.shape.nullable = nullable;
        draft
    }

    fn types(&mut self, node: &Node) -> (Vec<String>, bool) {
        let Some(stated) = node.get("type") else { return (Vec::new(), node.flag("nullable")) };
        let stated: Vec<&str> = match &stated.content {
            Content::Text(name) => vec![name.as_str()],
            Content::List(items) => items.iter().filter_map(Node::text).collect(),
            _ => Vec::new(),
        };
        let mut types = Vec::new();
        let mut nullable = node.flag("nullable");
        for name in stated {
            match name {
                "null" => nullable = true,
                "string" | "integer" | "number" | "boolean" | "array" | "object" => types.push(name.to_owned()),
                other => {
                    let message = format!("`{}` is not a type of OpenAPI", shorten(other));
                    let hint = "use string, integer, number, boolean, array or object";
                    self.find(Finding::error("unknown-type", message, node.get("type").map(|node| node.position), hint));
                }
            }
        }
        (types, nullable)
    }

    fn typed(&mut self, name: &str, node: &'a Node, values: Option<&[&'a Node]>, hint: &str) -> Option<ShapeKind> {
        let format = node.text_at("format").map(str::to_owned);
        Some(match name {
            "string" => {
                let values: Option<Vec<String>> =
                    values.map(|values| values.iter().filter_map(|value| value.text()).map(str::to_owned).collect());
                if values.as_ref().is_some_and(Vec::is_empty) {
                    return None;
                }
                ShapeKind::Text { format, limits: self.limits(node, "minLength", "maxLength"), values: values.unwrap_or_default() }
            }
            "integer" => {
                let values: Option<Vec<i64>> = values.map(|values| values.iter().filter_map(|value| value.number()?.as_i64()).collect());
                if values.as_ref().is_some_and(Vec::is_empty) {
                    return None;
                }
                ShapeKind::Integer { format, limits: self.limits(node, "", ""), values: values.unwrap_or_default() }
            }
            "number" => {
                if values.is_some() {
                    self.inexpressible(node, "enum of numbers");
                }
                ShapeKind::Number { format, limits: self.limits(node, "", "") }
            }
            "boolean" => {
                let both =
                    |values: &[&Node]| [true, false].iter().all(|wanted| values.iter().any(|value| value.boolean() == Some(*wanted)));
                if values.is_some_and(|values| !both(values)) {
                    self.inexpressible(node, "enum of one boolean");
                }
                ShapeKind::Boolean
            }
            "array" => {
                let items = match node.get("items") {
                    Some(items) => self.shape(items, &format!("{hint}Item")),
                    None => Shape::of(ShapeKind::Any),
                };
                ShapeKind::Array {
                    items: Box::new(items),
                    limits: self.limits(node, "minItems", "maxItems"),
                    unique: node.flag("uniqueItems"),
                }
            }
            _ => ShapeKind::Object(self.object(node, hint)),
        })
    }

    fn object(&mut self, node: &'a Node, hint: &str) -> ObjectShape {
        let required: Vec<&str> = node.get("required").map(Node::items).unwrap_or_default().iter().filter_map(Node::text).collect();
        let entries = node.get("properties").map(Node::entries).unwrap_or_default();
        if entries.len() > FIELDS_MAX {
            let message = format!("an object has {} properties, more than {FIELDS_MAX}", entries.len());
            self.find(Finding::error("too-many-properties", message, Some(node.position), "split the object"));
        }
        let mut properties = Vec::new();
        for entry in entries.iter().take(FIELDS_MAX) {
            if !self.check_name("property", entry) {
                continue;
            }
            let inner = self.shape(&entry.value, &format!("{hint} {}", entry.key));
            let required = required.contains(&entry.key.as_str());
            properties.push(Property { name: entry.key.clone(), ident: names::ident(&entry.key), required, shape: inner });
        }
        let additional = match node.get("additionalProperties") {
            Some(Node { content: Content::Bool(false), .. }) => Additional::Forbidden,
            Some(inner) if inner.is_map() && !inner.entries().is_empty() => {
                Additional::Values(Box::new(self.shape(inner, &format!("{hint} Value"))))
            }
            _ if properties.is_empty() => Additional::Values(Box::new(Shape::of(ShapeKind::Any))),
            _ => Additional::Ignored,
        };
        ObjectShape { properties, additional }
    }

    fn limits(&mut self, node: &Node, least: &str, most: &str) -> Limits {
        let mut limits = Limits {
            length_min: self.length(node, least),
            length_max: self.length(node, most),
            min: node.get("minimum").and_then(Node::number).cloned(),
            max: node.get("maximum").and_then(Node::number).cloned(),
            min_exclusive: node.flag("exclusiveMinimum"),
            max_exclusive: node.flag("exclusiveMaximum"),
            multiple_of: node.get("multipleOf").and_then(Node::number).cloned(),
            pattern: node.text_at("pattern").map(str::to_owned),
        };
        if let Some(number) = node.get("exclusiveMinimum").and_then(Node::number)
            && limits.min.as_ref().and_then(serde_json::Number::as_f64) <= number.as_f64()
        {
            (limits.min, limits.min_exclusive) = (Some(number.clone()), true);
        }
        if let Some(number) = node.get("exclusiveMaximum").and_then(Node::number)
            && (limits.max.is_none() || limits.max.as_ref().and_then(serde_json::Number::as_f64) >= number.as_f64())
        {
            (limits.max, limits.max_exclusive) = (Some(number.clone()), true);
        }
        limits
    }

    fn length(&mut self, node: &Node, keyword: &str) -> Option<u64> {
        let stated = node.get(keyword)?;
        let length = stated.number().and_then(serde_json::Number::as_u64);
        if length.is_none() {
            let message = format!("`{keyword}` is not a whole number from 0 on");
            self.find(Finding::error("malformed-schema", message, Some(stated.position), "write a number such as 0 or 100"));
        }
        length
    }

    fn check_keywords(&mut self, node: &Node) {
        for keyword in INEXPRESSIBLE {
            if node.get(keyword).is_some() {
                self.inexpressible(node, keyword);
            }
        }
    }

    fn inexpressible(&mut self, node: &Node, what: &str) {
        let message = format!("`{what}` is not enforced by what is built");
        self.find(Finding::warning(
            "unsupported-keyword",
            message,
            Some(node.position),
            "state it with the plain keywords, or check it by hand",
        ));
    }
}

/// The type that keywords speak of when none is stated.
fn inferred(node: &Node, values: Option<&[&Node]>) -> Vec<String> {
    let has = |keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
    if let Some(values) = values {
        let mut types = Vec::new();
        for value in values {
            let name = match &value.content {
                Content::Text(_) => "string",
                Content::Number(number) if number.is_i64() => "integer",
                Content::Number(_) => "number",
                Content::Bool(_) => "boolean",
                _ => continue,
            };
            if !types.contains(&name.to_owned()) {
                types.push(name.to_owned());
            }
        }
        return types;
    }
    let name = if has(&["properties", "additionalProperties"]) {
        "object"
    } else if has(&["items", "minItems", "maxItems", "uniqueItems"]) {
        "array"
    } else if has(&["pattern", "minLength", "maxLength"]) {
        "string"
    } else if has(&["minimum", "maximum", "multipleOf"]) {
        "number"
    } else {
        return Vec::new();
    };
    vec![name.to_owned()]
}
