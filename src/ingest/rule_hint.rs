//! The documented form that a rule outside of the syntax probably meant.

use super::field;
use crate::model::{Entity, FieldType};

/// An example in the documented syntax, with fields of the entity.
pub(super) fn nearest_form(text: &str, entity: &Entity) -> String {
    let lower = text.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let mentioned = mentioned(&lower, entity);
    let field = mentioned.first().copied().or_else(|| own_field(entity)).unwrap_or("field");
    let other = mentioned.get(1).copied().unwrap_or("other_field");
    if any(&["->", "→", "moves", "transition", "goes from", "change from"]) {
        let (name, values) = states(entity).unwrap_or((field, "draft -> published".to_owned()));
        format!("{name} moves {values}")
    } else if any(&["unique", "only one", "duplicate", "twice"]) {
        format!("({field}, {other}) is unique")
    } else if any(&["at most", "no more than", "maximum of", "up to"]) && any(&[" per ", " each ", " every "]) {
        format!("at most 5 per {field}")
    } else if any(&["delet", "remov"]) {
        format!("may be deleted only when {field} is absent")
    } else if any(&["never chang", "immutable", "cannot be changed", "fixed"]) && !mentioned.is_empty() {
        format!("{field} never changes")
    } else if any(&["chang", "updat", "edit"]) {
        format!("may be changed only when {field} is absent")
    } else if any(&["require", "mandatory", "must have", "needs a"]) {
        format!("{field} is required when {other} is present")
    } else if any(&["one of", "either"]) {
        format!("{field} is one of a, b")
    } else {
        format!("{field} >= 0")
    }
}

/// The fields that a sentence names, in its order; a reference may be named without its key.
fn mentioned<'e>(lower: &str, entity: &'e Entity) -> Vec<&'e str> {
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut found: Vec<&str> =
        words.into_iter().filter_map(|word| field::named(&entity.fields, word)).map(|field| field.name.as_str()).collect();
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|name| seen.insert(*name));
    found
}

fn own_field(entity: &Entity) -> Option<&str> {
    let own = entity.fields.iter().find(|field| !field.primary_key && field.position.is_some());
    own.map(|field| field.name.as_str())
}

fn states(entity: &Entity) -> Option<(&str, String)> {
    entity.fields.iter().find_map(|field| match &field.field_type {
        FieldType::Enum(values) => Some((field.name.as_str(), values.join(" -> "))),
        _ => None,
    })
}
