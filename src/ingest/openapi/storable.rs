//! What the document allows and a database cannot hold: named once, with the fields; what is built refuses such values.

use super::resources::object;
use crate::model::{FieldType, Finding, ShapeKind, SpecDocument};

/// Most fields that one finding names.
const NAMED_MAX: usize = 20;

/// Notes texts that may contain NUL, and whole numbers beyond 64 bits.
pub(super) fn note(document: &SpecDocument, findings: &mut Vec<Finding>) {
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    for entity in &document.entities {
        for field in entity.fields.iter().filter(|field| field.source == crate::model::entity::FieldSource::Client) {
            let name = format!("{}.{}", entity.name, field.name);
            match &field.field_type {
                FieldType::Text if field.limits.pattern.is_none() => texts.push(name),
                FieldType::List(inner) if matches!(**inner, FieldType::Text) => texts.push(name),
                FieldType::Json | FieldType::Object(_) => texts.push(name),
                FieldType::BigInteger if !bounded(document, &entity.name, &field.name) => numbers.push(name),
                _ => {}
            }
        }
    }
    let hint = "nothing to do, unless callers really send such values";
    if !texts.is_empty() {
        let message = format!("a database cannot hold the character NUL, so texts that contain it are refused: {}", listed(&texts));
        findings.push(Finding::info("nul-refused", message, None, hint));
    }
    if !numbers.is_empty() {
        let message = format!("whole numbers beyond 64 bits cannot be stored and are refused: {}", listed(&numbers));
        findings.push(Finding::info("large-number-refused", message, None, hint));
    }
}

/// True when every schema that carries the field keeps it within 64 bits.
fn bounded(document: &SpecDocument, entity: &str, field: &str) -> bool {
    let schemas = document.schemas.iter().filter(|schema| schema.entity.as_deref() == Some(entity));
    let mut properties = schemas
        .filter_map(|schema| object(document, &schema.name))
        .flat_map(|object| &object.properties)
        .filter(|property| property.name == field);
    properties.all(|property| match &property.shape.kind {
        ShapeKind::Integer { format, limits, values } => {
            format.is_some() || !values.is_empty() || (limits.min.is_some() && limits.max.is_some())
        }
        _ => true,
    })
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED_MAX { format!("{shown} and {} more", names.len() - NAMED_MAX) } else { shown }
}
