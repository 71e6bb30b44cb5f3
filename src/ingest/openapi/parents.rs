//! Rows below other rows: the parameters of a collection's path, and the fields that hold their values.

use std::collections::BTreeSet;

use super::entities::{Draft, hidden};
use super::fields::compatible;
use super::operations::{parameter, segments};
use super::resources::{Resource, folded, path_parameter};
use crate::ingest::names;
use crate::model::entity::FieldSource;
use crate::model::operation::Binding;
use crate::model::{Entity, Field, FieldType, OnDelete, SpecDocument};

/// Gives the entity a field for every parent that the collection's path names.
pub(super) fn bind_parents(
    document: &SpecDocument,
    path: &str,
    index: usize,
    resources: &[Resource],
    drafts: &mut [Draft],
    required: bool,
) {
    for (name, parent) in parents(path, resources) {
        if bound_field(&drafts[index].entity, &name, parent.map(|parent| &drafts[parent.entity].entity)).is_some() {
            continue;
        }
        let (field_name, field_type) = if let Some(parent) = parent {
            let owner = &drafts[parent.entity].entity;
            let reference = FieldType::Reference { entity: owner.name.clone(), on_delete: OnDelete::Cascade };
            (hidden_name(owner), reference)
        } else {
            let described = document
                .operations
                .iter()
                .filter(|operation| operation.path.starts_with(path))
                .find_map(|operation| path_parameter(operation, &name));
            (name.clone(), described.map_or(FieldType::Text, |parameter| super::fields::field_type(document, &parameter.shape)))
        };
        let mut field = hidden(&field_name, field_type, FieldSource::Client, required);
        field.indexed = true;
        let entity = &mut drafts[index].entity;
        let mut idents: BTreeSet<String> = entity.fields.iter().map(|field| field.ident.clone()).collect();
        field.ident = names::unique(field.ident, &mut idents);
        entity.fields.push(field);
    }
}

/// The parameters of a collection's path, each with the collection that it names a row of.
pub(super) fn parents<'a>(path: &str, resources: &'a [Resource]) -> Vec<(String, Option<&'a Resource>)> {
    let mut prefix = String::new();
    let mut found = Vec::new();
    for segment in segments(path) {
        if let Some(name) = parameter(segment) {
            found.push((name.to_owned(), resources.iter().find(|resource| resource.path == prefix)));
        }
        prefix = format!("{prefix}/{segment}");
    }
    found
}

/// `pet_id` of the pet's `id`; a key that is called so already keeps its name.
fn hidden_name(owner: &Entity) -> String {
    let (owner, key) = (owner.ident.trim_end_matches('_'), owner.key().ident.trim_end_matches('_'));
    if key.starts_with(&format!("{owner}_")) { key.to_owned() } else { format!("{owner}_{key}") }
}

/// The field that holds the value of a parent's parameter.
pub(super) fn bound_field<'a>(entity: &'a Entity, parameter: &str, owner: Option<&Entity>) -> Option<&'a Field> {
    let wanted = folded(parameter);
    let hidden = owner.map(|owner| folded(&hidden_name(owner)));
    let scalar =
        |field: &&Field| !matches!(field.field_type, FieldType::List(_) | FieldType::Object(_) | FieldType::Json) && !field.primary_key;
    let matches = |field: &&Field| {
        let name = folded(&field.name);
        Some(&name) == hidden.as_ref()
            || (name == wanted && (owner.is_none() || !["id", "slug", "name", "key", "code"].contains(&name.as_str())))
    };
    let typed = |field: &&Field| match (&field.field_type, owner) {
        (FieldType::Reference { entity, .. }, Some(owner)) => *entity == owner.name,
        (FieldType::Reference { .. }, None) => false,
        (kind, Some(owner)) => compatible(kind, &owner.key().field_type),
        (_, None) => true,
    };
    entity.fields.iter().filter(scalar).filter(typed).find(matches)
}

/// The binding of a parent's parameter.
pub(super) fn parent_binding(entity: &Entity, parameter: &str, owner: Option<&Entity>) -> Option<Binding> {
    let field = bound_field(entity, parameter, owner)?;
    Some(Binding { parameter: parameter.to_owned(), field: field.name.clone() })
}
