//! What the templates of schemas are given.

use std::collections::{BTreeMap, BTreeSet};

use heck::ToUpperCamelCase;
use serde_json::{Value, json};

use super::GenerateError;
use super::classes::{Class, Classes, references};
use super::project::{EntityNames, Project, attribute};
use super::python;
use super::shapes::{self, Travels};
use crate::model::entity::FieldType;
use crate::model::operation::{Behaviour, Operation, Status};
use crate::model::shape::{Additional, ObjectShape, Property, Shape, ShapeKind};

/// The context of one module of schemas.
pub(super) fn context(project: &Project<'_>, module: &str) -> Result<Value, GenerateError> {
    let rows = row_classes(project);
    let inputs = input_classes(project);
    let shown = shown_classes(project, inputs.keys());
    let mut classes = Vec::new();
    for class in project.classes.in_module(module) {
        classes.push(match class.object().filter(|object| !object.properties.is_empty()) {
            None => alias(&project.classes, class),
            Some(object) => {
                let mut value = object_context(project, class, object, shown.contains(class.name.as_str()));
                if let Some(names) = rows.get(&class.name).and_then(|entity| project.entity(entity)) {
                    value["row"] = from_row(project, class, object, names)?;
                }
                if let Some(names) = inputs.get(&class.name).and_then(|entity| project.entity(entity)) {
                    columns(project, object, names, &mut value);
                }
                value
            }
        });
    }
    let aliases = shared_types(project, module, &mut classes);
    Ok(json!({ "module": module, "title": super::units::module_title(project, module), "aliases": aliases, "classes": classes }))
}

/// Gives constrained types that several properties of a module share a name, and uses it.
fn shared_types(project: &Project<'_>, module: &str, classes: &mut [Value]) -> Vec<Value> {
    let mut uses: Vec<(String, String, usize)> = Vec::new();
    for class in project.classes.in_module(module) {
        for property in class.object().into_iter().flat_map(|object| &object.properties) {
            let base = shapes::base(&project.classes, &property.shape, Travels::Json);
            let owner =
                class.entity.as_deref().and_then(|name| project.entity(name)).map_or(class.class.as_str(), |names| names.class.as_str());
            match uses.iter_mut().find(|(known, ..)| *known == base) {
                Some((_, _, count)) => *count += 1,
                None => uses.push((base, format!("{owner}{}", property.ident.to_upper_camel_case()), 1)),
            }
        }
    }
    let mut taken: BTreeSet<String> = project.classes.all.iter().map(|class| class.class.clone()).collect();
    let mut found = Vec::new();
    for (base, name, count) in uses {
        let constrained = base.starts_with("Annotated[") || base.starts_with("Literal[");
        if count < 2 || !constrained || !taken.insert(name.clone()) {
            continue;
        }
        for field in classes.iter_mut().filter_map(|class| class.get_mut("fields")).filter_map(Value::as_array_mut).flatten() {
            if let Some(text) = field.as_str().filter(|text| text.contains(&base)) {
                *field = json!(text.replace(&base, &name));
            }
        }
        found.push(json!({ "name": name, "type": base }));
    }
    found
}

fn alias(classes: &Classes, class: &Class) -> Value {
    let annotation = shapes::annotation(classes, &class.shape, Travels::Json);
    json!({ "class": class.class, "alias": annotation, "description": class.description })
}

fn object_context(project: &Project<'_>, class: &Class, object: &ObjectShape, shown: bool) -> Value {
    let attributes = attributes(object);
    let fields: Vec<String> = object
        .properties
        .iter()
        .zip(&attributes)
        .map(|(property, attribute)| shapes::property(&project.classes, property, attribute, shown))
        .collect();
    let mut config = Vec::new();
    match &object.additional {
        Additional::Forbidden => config.push("extra=\"forbid\""),
        Additional::Values(_) => config.push("extra=\"allow\""),
        Additional::Ignored => {}
    }
    if shapes::patterns(&class.shape).into_iter().any(shapes::needs_python_regex) {
        config.push("regex_engine=\"python-re\"");
    }
    json!({ "class": class.class, "description": class.description, "config": config.join(", "), "fields": fields })
}

/// The attributes of an object's properties.
pub(super) fn attributes(object: &ObjectShape) -> Vec<String> {
    object.properties.iter().map(|property| attribute(&property.ident)).collect()
}

/// The attribute of one property.
pub(super) fn attribute_of(object: &ObjectShape, name: &str) -> Option<String> {
    object.properties.iter().find(|property| property.name == name).map(|property| attribute(&property.ident))
}

/// How a row of an entity becomes an object.
fn from_row(project: &Project<'_>, class: &Class, object: &ObjectShape, names: &EntityNames<'_>) -> Result<Value, GenerateError> {
    let mut pairs = Vec::new();
    let mut optional = Vec::new();
    let mut by_keyword = true;
    for (property, attribute) in object.properties.iter().zip(attributes(object)) {
        let Some(field) = names.entity.field(&property.name) else {
            if property.required && !property.shape.nullable {
                let subject = format!("property `{}` of schema `{}`", property.name, class.class);
                let reason = format!("{} stores no such field", names.entity.name);
                return Err(GenerateError::Unsupported { subject, reason });
            }
            if property.required {
                pairs.push((property.name.clone(), attribute, "None".to_owned()));
            }
            continue;
        };
        let stored = python::stored_type(project, &field.field_type);
        let value = shown(project, &property.shape, stored, &format!("row.{}", names.attribute(&field.name)), !field.required);
        by_keyword &= attribute == property.name && plain(&property.shape, stored);
        if field.required || property.required || property.shape.nullable {
            pairs.push((property.name.clone(), attribute, value));
        } else {
            // It may be absent but not null, so a row without a value leaves it out.
            optional.push(format!("{}: {value}", python::text(&property.name)));
        }
    }
    let mut lines: Vec<String> = pairs
        .iter()
        .map(
            |(name, attribute, value)| if by_keyword { format!("{attribute}={value}") } else { format!("{}: {value}", python::text(name)) },
        )
        .collect();
    if !optional.is_empty() {
        lines.push(format!("**present({{{}}})", optional.join(", ")));
    }
    let _ = project;
    Ok(json!({ "model": names.class, "lines": lines, "by_keyword": by_keyword }))
}

/// True when type checkers see that the stored value suits the property.
fn plain(shape: &Shape, stored: &FieldType) -> bool {
    match &shape.kind {
        ShapeKind::Text { values, .. } if !values.is_empty() => matches!(stored, FieldType::Enum(_)),
        ShapeKind::Text { .. } | ShapeKind::Boolean | ShapeKind::Number { .. } => {
            !matches!(stored, FieldType::Json | FieldType::List(_) | FieldType::Object(_))
        }
        ShapeKind::Integer { values, .. } => values.is_empty() && matches!(stored, FieldType::Integer | FieldType::BigInteger),
        ShapeKind::Array { items, .. } => match (&items.kind, stored) {
            (ShapeKind::Text { format, values, .. }, FieldType::List(item)) => {
                values.is_empty()
                    && !matches!(format.as_deref(), Some("date" | "date-time" | "time" | "uuid"))
                    && matches!(**item, FieldType::Text | FieldType::Email | FieldType::Url)
            }
            (ShapeKind::Integer { values, .. }, FieldType::List(item)) => {
                values.is_empty() && matches!(**item, FieldType::Integer | FieldType::BigInteger)
            }
            _ => false,
        },
        ShapeKind::Any => true,
        _ => false,
    }
}

/// A stored value as a property shows it.
fn shown(project: &Project<'_>, shape: &Shape, stored: &FieldType, value: &str, nullable: bool) -> String {
    let _ = project;
    let convert = match (&shape.kind, stored) {
        (ShapeKind::Text { format, values, .. }, FieldType::Uuid) if values.is_empty() && format.as_deref() != Some("uuid") => Some("str"),
        (ShapeKind::Text { .. }, FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal { .. }) => Some("str"),
        (ShapeKind::Number { format, .. }, FieldType::Decimal { .. }) if format.as_deref() != Some("decimal") => Some("float"),
        (ShapeKind::Text { format, .. }, FieldType::Date | FieldType::DateTime | FieldType::Time)
            if !matches!(format.as_deref(), Some("date" | "date-time" | "time")) =>
        {
            return if nullable { format!("{value}.isoformat() if {value} is not None else None") } else { format!("{value}.isoformat()") };
        }
        _ => None,
    };
    match convert {
        None => value.to_owned(),
        Some(convert) if nullable => format!("{convert}({value}) if {value} is not None else None"),
        Some(convert) => format!("{convert}({value})"),
    }
}

/// How the properties of a request become values of columns.
fn columns(project: &Project<'_>, object: &ObjectShape, names: &EntityNames<'_>, value: &mut Value) {
    let (mut renamed, mut as_json, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
    for (property, attribute) in object.properties.iter().zip(attributes(object)) {
        let Some(field) = names.entity.field(&property.name) else {
            ignored.push(python::text(&attribute));
            continue;
        };
        let column = names.attribute(&field.name);
        if column != attribute {
            renamed.push(format!("{}: {}", python::text(&attribute), python::text(column)));
        }
        let stored = python::stored_type(project, &field.field_type);
        let json_column = matches!(stored, FieldType::List(_) | FieldType::Object(_) | FieldType::Json);
        if json_column && !plain(&property.shape, stored) {
            as_json.push(python::text(&attribute));
        }
    }
    value["renamed"] = json!(renamed.join(", "));
    value["as_json"] = json!(as_json.join(", "));
    value["ignored"] = json!(ignored.join(", "));
}

/// The class that a shape shows a row as, below an envelope if there is one; also its name in the envelope.
pub(super) fn row_class<'c>(classes: &'c Classes, shape: &Shape, envelope: Option<&str>) -> Option<&'c Class> {
    let shape = resolve(classes, shape);
    match (&shape.kind, envelope) {
        (ShapeKind::Reference(name), Some(envelope)) => {
            let property = property(classes.get(name)?.object()?, envelope)?;
            row_class(classes, &property.shape, None)
        }
        (ShapeKind::Reference(name), None) => classes.get(name).filter(|class| class.object().is_some()),
        (ShapeKind::Array { items, .. }, None) => row_class(classes, items, None),
        _ => None,
    }
}

/// Follows references to aliases until a class or another shape is reached.
pub(super) fn resolve<'c>(classes: &'c Classes, shape: &'c Shape) -> &'c Shape {
    let mut shape = shape;
    for _ in 0..16 {
        match &shape.kind {
            ShapeKind::Reference(name) => match classes.get(name) {
                Some(class) if class.object().is_none_or(|object| object.properties.is_empty()) => shape = &class.shape,
                _ => break,
            },
            _ => break,
        }
    }
    shape
}

pub(super) fn property<'o>(object: &'o ObjectShape, name: &str) -> Option<&'o Property> {
    object.properties.iter().find(|property| property.name == name)
}

/// The number of the response that says it went well.
pub(super) fn success_number(operation: &Operation) -> Option<usize> {
    let exact = operation.responses.iter().position(|response| matches!(response.status, Status::Code(200..=299)));
    exact.or_else(|| operation.responses.iter().position(|response| response.status == Status::Range(2)))
}

/// The shape of the answer when all went well.
pub(super) fn success_shape<'p>(project: &'p Project<'_>, operation: &Operation) -> Option<&'p Shape> {
    project.classes.response(&operation.key, success_number(operation)?)
}

/// The property that holds the row or rows in an operation's answer.
pub(super) fn response_envelope(operation: &Operation) -> Option<&str> {
    match &operation.behaviour {
        Behaviour::List(list) => list.envelope.as_ref().map(|envelope| envelope.items.as_str()),
        Behaviour::Create(row) | Behaviour::Read(row) | Behaviour::Replace(row) | Behaviour::Patch(row) | Behaviour::Delete(row) => {
            row.response_envelope.as_deref()
        }
        Behaviour::Act { row, .. } => row.response_envelope.as_deref(),
        Behaviour::Underivable { .. } => None,
    }
}

/// The property that holds the row in an operation's request.
pub(super) fn request_envelope(operation: &Operation) -> Option<&str> {
    match &operation.behaviour {
        Behaviour::Create(row) | Behaviour::Replace(row) | Behaviour::Patch(row) => row.request_envelope.as_deref(),
        _ => None,
    }
}

/// Classes that are made from rows, and the entity of the rows.
fn row_classes(project: &Project<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for operation in project.doc.operations.iter().filter(|operation| operation.derivable()) {
        if let (Some(entity), Some(shape)) = (operation.behaviour.entity(), success_shape(project, operation))
            && let Some(class) = row_class(&project.classes, shape, response_envelope(operation))
        {
            found.insert(class.name.clone(), entity.to_owned());
        }
    }
    found
}

/// Classes that become values of columns, and the entity of the columns.
fn input_classes(project: &Project<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for operation in project.doc.operations.iter().filter(|operation| operation.derivable()) {
        if let (Some(entity), Some(shape)) = (operation.behaviour.entity(), project.classes.body(&operation.key))
            && let Some(class) = row_class(&project.classes, shape, request_envelope(operation))
        {
            found.insert(class.name.clone(), entity.to_owned());
        }
    }
    found
}

/// Classes that answers contain or columns hold as JSON, at any depth: what is absent in them stays absent.
fn shown_classes<'a>(project: &'a Project<'_>, inputs: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<&str> = project
        .doc
        .operations
        .iter()
        .flat_map(|operation| (0..operation.responses.len()).filter_map(|number| project.classes.response(&operation.key, number)))
        .flat_map(references)
        .collect();
    pending.extend(project.classes.error(&project.doc.errors).map(|class| class.name.as_str()));
    pending.extend(inputs.filter_map(|name| project.classes.get(name)).flat_map(|class| references(&class.shape)));
    while let Some(name) = pending.pop() {
        if found.insert(name.to_owned())
            && let Some(class) = project.classes.get(name)
        {
            pending.extend(references(&class.shape));
        }
    }
    found
}
