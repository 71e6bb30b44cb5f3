//! How the documented error schema is filled: which property says what, judged by name and type.

use serde_json::{Value, json};

use super::classes::{Class, Classes};
use super::project::Project;
use super::python;
use crate::model::SpecDocument;
use crate::model::operation::Status;
use crate::model::shape::{Property, Shape, ShapeKind};
use crate::model::spec::ErrorStyle;

/// How deep nested error objects are filled.
const DEPTH_MAX: u32 = 6;

/// The context of the module of errors.
pub(super) fn context(project: &Project<'_>) -> Value {
    let classes = &project.classes;
    let Some(class) = classes.error(&project.doc.errors) else {
        return Value::Null;
    };
    let list = class.object().and_then(|object| object.properties.iter().find_map(|property| places(classes, property)));
    json!({ "module": class.module, "class": class.class, "body": telling(body(classes, class, 0)), "list": list })
}

/// A body with room for one text only holds what happened rather than the name of the status.
fn telling(body: String) -> String {
    if body.contains(": detail") { body } else { body.replace("HTTPStatus(status).phrase", "detail") }
}

/// True when errors travel as problem documents, in the shape of RFC 9457 or in one of the source's own.
pub(super) fn problem(doc: &SpecDocument) -> bool {
    let ErrorStyle::Schema(name) = &doc.errors else {
        return true;
    };
    let contents = doc.operations.iter().flat_map(|operation| &operation.responses).filter_map(|response| response.content.as_ref());
    let mut errors = contents.filter(|content| content.shape.kind == ShapeKind::Reference(name.clone()));
    errors.next().is_some_and(|content| content.media_type == "application/problem+json")
}

/// True when an operation leaves out an error status that it needs.
pub(super) fn remap(project: &Project<'_>) -> bool {
    project.doc.operations.iter().any(|operation| {
        let named = |code: u16| {
            operation.responses.iter().any(|response| match response.status {
                Status::Code(status) => status == code,
                Status::Range(hundred) => u16::from(hundred) == code / 100,
                Status::Default => true,
            })
        };
        let needs = match operation.behaviour.verb() {
            "underivable" => &[][..],
            "read" => &[404],
            "list" => &[422],
            "create" => &[422, 409],
            _ => &[404, 409],
        };
        project.doc.errors != ErrorStyle::Problem && needs.iter().any(|code| !named(*code))
    })
}

fn body(classes: &Classes, class: &Class, depth: u32) -> String {
    let pairs = class.object().into_iter().flat_map(|object| &object.properties).filter_map(|property| {
        let value = value(classes, property, depth)?;
        Some(format!("{}: {value}", python::text(&property.name)))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

/// What a property of an error is set to; none when it is left out.
fn value(classes: &Classes, property: &Property, depth: u32) -> Option<String> {
    let name = property.name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match &property.shape.kind {
        ShapeKind::Integer { .. } | ShapeKind::Number { .. } if has(&["status", "code"]) => Some("status".to_owned()),
        ShapeKind::Text { values, .. } if values.is_empty() => text(property, &name),
        _ if !property.required => places(classes, property).is_none().then(|| related(classes, property, depth)).flatten(),
        other => required(classes, other, depth),
    }
}

fn text(property: &Property, name: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let value = if name == "type" {
        "\"about:blank\""
    } else if has(&["title", "error", "name"]) {
        "HTTPStatus(status).phrase"
    } else if has(&["status", "code"]) {
        "str(status)"
    } else if has(&["detail", "message", "msg", "reason", "description"]) || property.required {
        "detail"
    } else {
        return None;
    };
    Some(value.to_owned())
}

/// An optional list of texts that speaks of errors.
fn related(classes: &Classes, property: &Property, depth: u32) -> Option<String> {
    let name = property.name.to_lowercase();
    let speaks = ["error", "detail", "message"].iter().any(|word| name.contains(word));
    if speaks { required(classes, &property.shape.kind, depth) } else { None }
}

fn required(classes: &Classes, kind: &ShapeKind, depth: u32) -> Option<String> {
    match kind {
        _ if depth > DEPTH_MAX => Some("{}".to_owned()),
        ShapeKind::Boolean => Some("False".to_owned()),
        ShapeKind::Integer { limits, values, .. } => {
            let least = limits.min.as_ref().and_then(serde_json::Number::as_i64).unwrap_or(0);
            Some(values.first().copied().unwrap_or(least).to_string())
        }
        ShapeKind::Number { .. } => Some("0.0".to_owned()),
        ShapeKind::Text { values, .. } => Some(values.first().map_or_else(|| "detail".to_owned(), |value| python::text(value))),
        ShapeKind::Array { items, .. } => {
            let item = required(classes, &items.kind, depth + 1)?;
            Some(format!("[{item}]"))
        }
        ShapeKind::Reference(name) => {
            let class = classes.get(name)?;
            if class.object().is_some() { Some(body(classes, class, depth + 1)) } else { required(classes, &class.shape.kind, depth + 1) }
        }
        ShapeKind::OneOf { variants, .. } => variants.first().and_then(|variant| required(classes, &variant.kind, depth + 1)),
        ShapeKind::Object(_) => Some("{\"detail\": detail}".to_owned()),
        ShapeKind::Any => Some("detail".to_owned()),
    }
}

/// A property that lists invalid values, each with its place and what is wrong.
fn places(classes: &Classes, property: &Property) -> Option<Value> {
    let ShapeKind::Array { items, .. } = &property.shape.kind else {
        return None;
    };
    let ShapeKind::Reference(name) = &items.kind else {
        return None;
    };
    let object = classes.get(name)?.object()?;
    let mut pairs = Vec::new();
    for inner in &object.properties {
        let lower = inner.name.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let plain = matches!(&inner.shape, Shape { kind: ShapeKind::Text { values, .. }, .. } if values.is_empty());
        let value = match () {
            () if plain && has(&["field", "loc", "path", "property", "pointer", "param", "place"]) => "place",
            () if plain && has(&["message", "msg", "detail", "reason", "error", "description"]) => "message",
            () if inner.required => return None,
            () => continue,
        };
        pairs.push(format!("{}: {value}", python::text(&inner.name)));
    }
    (!property.required && pairs.len() > 1)
        .then(|| json!({ "name": python::text(&property.name), "item": format!("{{{}}}", pairs.join(", ")) }))
}
