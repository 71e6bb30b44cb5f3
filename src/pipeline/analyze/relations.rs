//! Contradictions between references: what nothing could ever be stored with, and deletions that undo a rule.

use crate::dag::{Defect, Edge, Graph, Node};
use crate::model::{Entity, FieldType, Finding, OnDelete, RuleKind, SpecDocument};

/// Everything contradictory about references.
pub(super) fn contradictions(document: &SpecDocument) -> Vec<Finding> {
    let mut found = Vec::new();
    for (entity, field, target, on_delete) in references(document) {
        let name = format!("{}.{}", entity.name, field.name);
        if document.entity(target).is_none() {
            let message = format!("{name} refers to {target}, which is no entity");
            found.push(Finding::error("unknown-entity", message, field.position, "name an entity of the document"));
        }
        if field.required && on_delete == OnDelete::SetNull {
            let message = format!("{name} is required, but is emptied when its {target} is deleted");
            found.push(Finding::error(
                "required-set-null",
                message,
                field.position,
                "drop `required`, or use `on delete restrict` or `cascade`",
            ));
        }
        if on_delete == OnDelete::Cascade {
            found.extend(past_guard(document, entity, &name, target));
        }
    }
    found.extend(never_storable(document));
    found
}

fn references(document: &SpecDocument) -> impl Iterator<Item = (&Entity, &crate::model::Field, &str, OnDelete)> {
    document.entities.iter().flat_map(|entity| {
        entity.fields.iter().filter_map(move |field| match &field.field_type {
            FieldType::Reference { entity: target, on_delete } => Some((entity, field, target.as_str(), *on_delete)),
            _ => None,
        })
    })
}

/// A row that may be deleted only sometimes goes with its parent at any time.
fn past_guard(document: &SpecDocument, entity: &Entity, name: &str, target: &str) -> Option<Finding> {
    let guarded = |kind: &RuleKind| matches!(kind, RuleKind::DeleteOnlyWhen(_));
    let rule = document.rules.iter().find(|rule| rule.entity == entity.name && guarded(&rule.kind))?;
    let message = format!("deleting a {target} deletes its {} rows through {name}, past the rule “{}”", entity.name, rule.text);
    Some(Finding::warning("cascade-past-rule", message, Some(rule.position), "use `on delete restrict` if the rule shall hold then, too"))
}

/// Required references in a ring: none of the rows could be the first.
fn never_storable(document: &SpecDocument) -> Option<Finding> {
    let nodes = document.entities.iter().map(|entity| Node { key: entity.name.clone(), weight: 1, effort: 1 }).collect();
    let required = references(document).filter(|(_, field, target, _)| field.required && document.entity(target).is_some());
    let mut edges: Vec<Edge> =
        required.map(|(entity, _, target, _)| Edge { task: entity.name.clone(), depends_on: target.to_owned() }).collect();
    edges.sort();
    edges.dedup();
    let defects = Graph::build(nodes, &edges).err()?;
    let names = defects.into_iter().find_map(|defect| match defect {
        Defect::SelfDependency(name) => Some(vec![name]),
        Defect::Cycle(names) => Some(names),
        _ => None,
    })?;
    let position = document.entity(&names[0]).and_then(|entity| entity.position);
    let ring = names.iter().chain(names.first()).map(String::as_str).collect::<Vec<_>>().join(" -> ");
    let message = format!("required references form a ring ({ring}), so no first row can be stored");
    Some(Finding::error("required-ring", message, position, "let one of the references be optional"))
}
