//! Shapes as the types of stored fields.

use crate::ingest::names;
use crate::model::entity::{FieldSource, Limits};
use crate::model::shape::{Additional, ObjectShape, Property};
use crate::model::{Field, FieldType, Shape, ShapeKind, SpecDocument};

/// Most values of a text that are stored as an enumeration.
const ENUM_VALUES_MAX: usize = 200;

/// The stored type of a shape. Objects within objects are stored as JSON; what contains itself is any JSON.
pub(super) fn field_type(document: &SpecDocument, shape: &Shape) -> FieldType {
    typed(document, shape, &mut Vec::new())
}

fn typed(document: &SpecDocument, shape: &Shape, open: &mut Vec<String>) -> FieldType {
    match &shape.kind {
        ShapeKind::Any | ShapeKind::OneOf { .. } => FieldType::Json,
        ShapeKind::Boolean => FieldType::Boolean,
        ShapeKind::Integer { format, .. } => match format.as_deref() {
            Some("int32" | "int16" | "int8") => FieldType::Integer,
            _ => FieldType::BigInteger,
        },
        ShapeKind::Number { .. } => FieldType::Float,
        ShapeKind::Text { format, values, .. } if values.is_empty() => match format.as_deref() {
            Some("email") => FieldType::Email,
            Some("uri" | "url") => FieldType::Url,
            Some("date") => FieldType::Date,
            Some("date-time") => FieldType::DateTime,
            Some("uuid") => FieldType::Uuid,
            _ => FieldType::Text,
        },
        ShapeKind::Text { values, .. } if values.len() <= ENUM_VALUES_MAX => FieldType::Enum(values.clone()),
        ShapeKind::Text { .. } => FieldType::Text,
        ShapeKind::Array { items, .. } => FieldType::List(Box::new(typed(document, items, open))),
        ShapeKind::Object(object) => of_object(document, object, open),
        ShapeKind::Reference(name) => {
            if open.contains(name) {
                return FieldType::Json;
            }
            let Some(schema) = document.schema(name) else { return FieldType::Json };
            open.push(name.clone());
            let stored = typed(document, &schema.shape, open);
            open.pop();
            stored
        }
    }
}

fn of_object(document: &SpecDocument, object: &ObjectShape, open: &mut Vec<String>) -> FieldType {
    if object.properties.is_empty() {
        return FieldType::Json;
    }
    FieldType::Object(
        object
            .properties
            .iter()
            .map(|property| {
                let field_type = typed(document, &property.shape, open);
                plain(property, field_type, limits(document, &property.shape))
            })
            .collect(),
    )
}

/// A field of a property that the caller writes.
pub(super) fn plain(property: &Property, field_type: FieldType, limits: Limits) -> Field {
    Field {
        name: property.name.clone(),
        ident: names::ident(&property.name),
        field_type,
        required: property.required && !property.shape.nullable,
        primary_key: false,
        unique: false,
        indexed: false,
        source: FieldSource::Client,
        default: property.shape.default.clone(),
        limits,
        write_only: false,
        immutable: false,
        description: property.shape.description.clone().unwrap_or_default(),
        position: None,
    }
}

/// The limits of a shape's values.
pub(super) fn limits(document: &SpecDocument, shape: &Shape) -> Limits {
    match &shape.kind {
        ShapeKind::Integer { limits, .. }
        | ShapeKind::Number { limits, .. }
        | ShapeKind::Text { limits, .. }
        | ShapeKind::Array { limits, .. } => limits.clone(),
        ShapeKind::Reference(name) => match document.schema(name) {
            Some(schema) if !matches!(schema.shape.kind, ShapeKind::Reference(_)) => limits(document, &schema.shape),
            _ => Limits::default(),
        },
        _ => Limits::default(),
    }
}

/// True when a value of one type can be stored in a column of the other without loss.
pub(super) fn compatible(one: &FieldType, two: &FieldType) -> bool {
    use FieldType as F;
    let text = |kind: &F| matches!(kind, F::Text | F::Email | F::Url | F::Enum(_));
    let whole = |kind: &F| matches!(kind, F::Integer | F::BigInteger);
    match (one, two) {
        (F::List(one), F::List(two)) => compatible(one, two),
        (F::Object(_) | F::Json, F::Object(_) | F::Json) | (F::Integer | F::BigInteger, F::Float) => true,
        _ => (text(one) && text(two)) || (whole(one) && whole(two)) || std::mem::discriminant(one) == std::mem::discriminant(two),
    }
}

/// How deep two nested shapes are compared; what is nested deeper counts as different.
const COMPARED_MAX: u32 = 16;

/// True when two shapes allow the same values apart from null, whatever their objects are called. What describes is not compared.
pub(super) fn same(document: &SpecDocument, one: &Shape, two: &Shape) -> bool {
    same_kinds(document, &one.kind, &two.kind, COMPARED_MAX)
}

fn same_within(document: &SpecDocument, one: &Shape, two: &Shape, depth: u32) -> bool {
    one.nullable == two.nullable && same_kinds(document, &one.kind, &two.kind, depth)
}

fn same_kinds(document: &SpecDocument, one: &ShapeKind, two: &ShapeKind, depth: u32) -> bool {
    use ShapeKind as K;
    let Some(depth) = depth.checked_sub(1) else { return false };
    match (one, two) {
        (K::Reference(first), K::Reference(second)) if first == second => true,
        (K::Reference(name), other) | (other, K::Reference(name)) => {
            document.schema(name).is_some_and(|schema| same_kinds(document, &schema.shape.kind, other, depth))
        }
        (K::Object(first), K::Object(second)) => same_objects(document, first, second, depth),
        (K::Array { items, limits, unique }, K::Array { items: others, limits: bounds, unique: set }) => {
            limits == bounds && unique == set && same_within(document, items, others, depth)
        }
        (first, second) => first == second,
    }
}

fn same_objects(document: &SpecDocument, one: &ObjectShape, two: &ObjectShape, depth: u32) -> bool {
    let additional = match (&one.additional, &two.additional) {
        (Additional::Values(first), Additional::Values(second)) => same_within(document, first, second, depth),
        (first, second) => first == second,
    };
    let twin = |property: &Property| two.properties.iter().find(|other| other.name == property.name);
    additional
        && one.properties.len() == two.properties.len()
        && one.properties.iter().all(|property| {
            twin(property)
                .is_some_and(|other| property.required == other.required && same_within(document, &property.shape, &other.shape, depth))
        })
}
