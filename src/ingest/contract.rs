//! Derives the shapes of the HTTP contract from entities: what is shown, created, replaced, changed and listed.

use serde_json::Number;

use super::contract_operations::article;
use super::endpoint::Endpoint;
use crate::model::entity::{FieldSource, Limits};
use crate::model::shape::{Additional, ObjectShape, Property};
use crate::model::{Behaviour, Entity, Field, FieldType, Finding, Schema, SchemaRole, Shape, ShapeKind};

/// The name of the schema of every error answer.
pub(super) const PROBLEM: &str = "ProblemDetails";
/// Greatest whole number that every JSON reader keeps exactly.
const EXACT_MAX: i64 = 9_007_199_254_740_991;

/// The schemas that the endpoints need, entity by entity.
pub(super) fn schemas(entities: &[Entity], endpoints: &[Endpoint], findings: &mut Vec<Finding>) -> Vec<Schema> {
    let mut schemas: Vec<Schema> = Vec::new();
    for entity in entities {
        let has = |wanted: fn(&Behaviour) -> bool| {
            endpoints.iter().any(|endpoint| endpoint.behaviour.entity() == Some(&entity.name) && wanted(&endpoint.behaviour))
        };
        if has(|behaviour| !matches!(behaviour, Behaviour::Delete(_))) {
            schemas.push(schema(entity, "", SchemaRole::Read, read(entity, entities)));
        }
        for bound in created_within(entity, endpoints) {
            let suffix = create_suffix(entity, &bound, entities, endpoints);
            schemas.push(schema(entity, &suffix, SchemaRole::Create, written(entity, entities, Write::Create, &bound)));
        }
        if has(|behaviour| matches!(behaviour, Behaviour::Replace(_))) {
            schemas.push(schema(entity, "Update", SchemaRole::Update, written(entity, entities, Write::Replace, &[])));
        }
        if has(|behaviour| matches!(behaviour, Behaviour::Patch(_))) {
            schemas.push(schema(entity, "Patch", SchemaRole::Update, written(entity, entities, Write::Patch, &[])));
        }
        if has(|behaviour| matches!(behaviour, Behaviour::List(_))) {
            schemas.push(schema(entity, "Page", SchemaRole::Page, page(entity)));
        }
    }
    if !endpoints.is_empty() {
        schemas.push(problem());
    }
    refuse_same_names(&schemas, entities, findings);
    schemas
}

/// The sets of fields that paths give to new rows of an entity, each once.
fn created_within(entity: &Entity, endpoints: &[Endpoint]) -> Vec<Vec<String>> {
    let mut sets: Vec<Vec<String>> = Vec::new();
    for endpoint in endpoints {
        if let Behaviour::Create(row) = &endpoint.behaviour {
            let set: Vec<String> = row.path.iter().map(|binding| binding.field.clone()).collect();
            if row.entity == entity.name && !sets.contains(&set) {
                sets.push(set);
            }
        }
    }
    sets
}

/// What the name of the schema of a new row ends with: `Create`, or `CreateInBook` where rows are also made elsewhere.
pub(super) fn create_suffix(entity: &Entity, bound: &[String], entities: &[Entity], endpoints: &[Endpoint]) -> String {
    if bound.is_empty() || created_within(entity, endpoints).len() == 1 {
        return "Create".to_owned();
    }
    let targets = bound.iter().filter_map(|name| entity.field(name)).filter_map(super::field::target);
    let known = targets.filter(|target| entities.iter().any(|entity| entity.name == *target));
    format!("CreateIn{}", known.collect::<String>())
}

fn refuse_same_names(schemas: &[Schema], entities: &[Entity], findings: &mut Vec<Finding>) {
    for (index, schema) in schemas.iter().enumerate() {
        if let Some(other) = schemas[..index].iter().find(|other| other.name.eq_ignore_ascii_case(&schema.name)) {
            let named = |schema: &Schema| entities.iter().find(|entity| Some(&entity.name) == schema.entity.as_ref());
            let position = named(schema).or(named(other)).and_then(|entity| entity.position);
            let message = format!("the contract would have two schemas named `{}`", schema.name);
            let hint = "rename the entity that ends with Create, Update, Patch, Page or is called ProblemDetails";
            findings.push(Finding::error("same-name", message, position, hint));
        }
    }
}

fn schema(entity: &Entity, suffix: &str, role: SchemaRole, shape: ShapeKind) -> Schema {
    let name = format!("{}{suffix}", entity.name);
    let description = match suffix {
        "" => entity.description.clone(),
        "Update" => format!("What replaces {}.", with_article(entity)),
        "Patch" => format!("What changes in {}; absent properties stay as they are.", with_article(entity)),
        "Page" => format!("A page of {}.", entity.table.replace('_', " ")),
        _ => format!("What a new {} is made from.", words(entity)),
    };
    Schema { class: name.clone(), name, description, shape: Shape::of(shape), role, entity: Some(entity.name.clone()), position: None }
}

fn with_article(entity: &Entity) -> String {
    let words = words(entity);
    format!("{} {words}", article(&words))
}

/// An entity's name in words.
pub(super) fn words(entity: &Entity) -> String {
    entity.ident.trim_end_matches('_').replace('_', " ")
}

/// What a row is shown as: every property is there, absent values are null.
fn read(entity: &Entity, entities: &[Entity]) -> ShapeKind {
    let visible = entity.fields.iter().filter(|field| !field.write_only);
    let properties = visible.map(|field| {
        let mut shape = shape(field, entities);
        shape.read_only = field.source != FieldSource::Client;
        Property { name: field.name.clone(), ident: field.ident.clone(), required: true, shape }
    });
    ShapeKind::Object(ObjectShape { properties: properties.collect(), additional: Additional::Ignored })
}

/// How a row is written.
#[derive(Clone, Copy, PartialEq)]
enum Write {
    Create,
    Replace,
    Patch,
}

/// What a request carries; fields that the path gives are left out.
fn written(entity: &Entity, entities: &[Entity], write: Write, bound: &[String]) -> ShapeKind {
    let given = |field: &&Field| field.source == FieldSource::Client && !bound.contains(&field.name);
    let fields = entity.fields.iter().filter(given).filter(|field| write == Write::Create || !field.primary_key);
    let properties = fields.map(|field| {
        let mut shape = shape(field, entities);
        shape.write_only = field.write_only;
        if write != Write::Patch {
            shape.default.clone_from(&field.default);
        }
        let required = write != Write::Patch && field.required && field.default.is_none();
        Property { name: field.name.clone(), ident: field.ident.clone(), required, shape }
    });
    ShapeKind::Object(ObjectShape { properties: properties.collect(), additional: Additional::Forbidden })
}

fn page(entity: &Entity) -> ShapeKind {
    let item = Shape::of(ShapeKind::Reference(entity.name.clone()));
    let items = Shape::of(ShapeKind::Array { items: Box::new(item), limits: Limits::default(), unique: false });
    let properties = vec![
        property("items", items, "The rows of this page."),
        property("total", count(0, EXACT_MAX), "How many rows match in all."),
        property("limit", count(1, EXACT_MAX), "The greatest number of rows on this page."),
        property("offset", count(0, EXACT_MAX), "How many rows were skipped."),
    ];
    ShapeKind::Object(ObjectShape { properties, additional: Additional::Ignored })
}

/// A problem document (RFC 9457) with the places of invalid values.
fn problem() -> Schema {
    let text = |format: Option<&str>| Shape::of(text(format, Limits::default(), Vec::new()));
    let optional = |name: &str, shape: Shape, description: &str| Property { required: false, ..property(name, shape, description) };
    let error = ObjectShape {
        properties: vec![
            property("field", text(None), "Where the value stands, for example `body.price`."),
            property("message", text(None), "What is wrong with it."),
        ],
        additional: Additional::Ignored,
    };
    let errors = ShapeKind::Array { items: Box::new(Shape::of(ShapeKind::Object(error))), limits: Limits::default(), unique: false };
    let properties = vec![
        property("type", text(Some("uri-reference")), "The kind of problem."),
        property("title", text(None), "The kind of problem in words."),
        property("status", count(400, 599), "The HTTP status."),
        optional("detail", text(None), "What went wrong this time."),
        optional("instance", text(Some("uri-reference")), "The request it happened in."),
        optional("errors", Shape::of(errors), "The values that are invalid."),
    ];
    Schema {
        name: PROBLEM.to_owned(),
        class: PROBLEM.to_owned(),
        description: "An error (RFC 9457).".to_owned(),
        shape: Shape::of(ShapeKind::Object(ObjectShape { properties, additional: Additional::Ignored })),
        role: SchemaRole::Error,
        entity: None,
        position: None,
    }
}

fn property(name: &str, shape: Shape, description: &str) -> Property {
    let shape = Shape { description: Some(description.to_owned()), ..shape };
    Property { name: name.to_owned(), ident: super::names::ident(name), required: true, shape }
}

/// A whole number between two bounds.
pub(super) fn count(min: i64, max: i64) -> Shape {
    let limits = Limits { min: Some(min.into()), max: Some(max.into()), ..Limits::default() };
    let format = if i32::try_from(max).is_ok() { "int32" } else { "int64" };
    Shape::of(ShapeKind::Integer { format: Some(format.to_owned()), limits, values: Vec::new() })
}

fn text(format: Option<&str>, limits: Limits, values: Vec<String>) -> ShapeKind {
    ShapeKind::Text { format: format.map(str::to_owned), limits, values }
}

/// The shape of a field's value, nullable when the field may be empty.
pub(super) fn shape(field: &Field, entities: &[Entity]) -> Shape {
    let mut shape = Shape::of(kind(&field.field_type, &field.limits, entities));
    shape.nullable = !field.required;
    shape.description = (!field.description.is_empty()).then(|| field.description.clone());
    shape
}

/// The kind of a field's value. Numbers carry the limits of their storage, so that what a contract allows can be stored.
pub(super) fn kind(field_type: &FieldType, limits: &Limits, entities: &[Entity]) -> ShapeKind {
    match field_type {
        FieldType::Text => text(None, limits.clone(), Vec::new()),
        FieldType::Email => text(Some("email"), limits.clone(), Vec::new()),
        FieldType::Url => text(Some("uri"), limits.clone(), Vec::new()),
        FieldType::Integer => integer("int32", limits, i64::from(i32::MIN), i64::from(i32::MAX)),
        FieldType::BigInteger => integer("int64", limits, i64::MIN, i64::MAX),
        FieldType::Float => ShapeKind::Number { format: Some("double".to_owned()), limits: limits.clone() },
        FieldType::Decimal { precision, scale } => {
            ShapeKind::Number { format: Some("decimal".to_owned()), limits: decimal(limits, *precision, *scale) }
        }
        FieldType::Boolean => ShapeKind::Boolean,
        FieldType::Date => text(Some("date"), Limits::default(), Vec::new()),
        FieldType::Time => text(Some("time"), Limits::default(), Vec::new()),
        FieldType::DateTime => text(Some("date-time"), Limits::default(), Vec::new()),
        FieldType::Uuid => text(Some("uuid"), Limits::default(), Vec::new()),
        FieldType::Enum(values) => text(None, Limits::default(), values.clone()),
        FieldType::Reference { entity, .. } => match entities.iter().find(|other| other.name == *entity).map(Entity::key) {
            Some(key) => kind(&key.field_type, &key.limits, entities),
            None => ShapeKind::Any,
        },
        FieldType::List(item) => {
            let item = Shape::of(kind(item, &Limits::default(), entities));
            ShapeKind::Array { items: Box::new(item), limits: limits.clone(), unique: false }
        }
        FieldType::Object(fields) => {
            let properties = fields.iter().map(|field| {
                let mut shape = shape(field, entities);
                shape.default.clone_from(&field.default);
                let required = field.required && field.default.is_none();
                Property { name: field.name.clone(), ident: field.ident.clone(), required, shape }
            });
            ShapeKind::Object(ObjectShape { properties: properties.collect(), additional: Additional::Forbidden })
        }
        FieldType::Json => ShapeKind::Any,
    }
}

fn integer(format: &str, limits: &Limits, min: i64, max: i64) -> ShapeKind {
    let mut limits = limits.clone();
    limits.min.get_or_insert(min.into());
    limits.max.get_or_insert(max.into());
    ShapeKind::Integer { format: Some(format.to_owned()), limits, values: Vec::new() }
}

/// The limits of a decimal: at most its digits before the point, and a multiple of its last place.
fn decimal(limits: &Limits, precision: u32, scale: u32) -> Limits {
    let mut limits = limits.clone();
    let digits = |text: String| text.parse::<f64>().ok().and_then(Number::from_f64);
    let nines = |count: u32| "9".repeat(count as usize);
    let greatest = digits(format!("{}.{}", nines(precision - scale), nines(scale.max(1))));
    let greatest = if scale == 0 { digits(nines(precision)) } else { greatest };
    if limits.max.is_none() {
        limits.max.clone_from(&greatest);
    }
    if limits.min.is_none() {
        limits.min = greatest.and_then(|greatest| greatest.as_f64()).and_then(|greatest| Number::from_f64(-greatest));
    }
    if limits.multiple_of.is_none() {
        limits.multiple_of = if scale == 0 { Some(1.into()) } else { digits(format!("0.{}1", "0".repeat(scale as usize - 1))) };
    }
    limits
}
