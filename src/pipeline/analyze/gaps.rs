//! Gaps: what a specification leaves out, as far as a machine can see.

use crate::model::operation::Behaviour;
use crate::model::{Entity, FieldType, Finding, Operation, RuleKind, SpecDocument};

/// Everything that seems to be missing.
pub(super) fn gaps(document: &SpecDocument) -> Vec<Finding> {
    let mut found = Vec::new();
    for entity in &document.entities {
        found.extend(entity_gap(document, entity));
    }
    found.extend(document.operations.iter().filter_map(underivable));
    found.extend(rule_gaps(document));
    found
}

fn operations_on<'a>(document: &'a SpecDocument, entity: &'a Entity) -> impl Iterator<Item = &'a Operation> {
    document.operations.iter().filter(|operation| operation.behaviour.entity() == Some(entity.name.as_str()))
}

fn entity_gap(document: &SpecDocument, entity: &Entity) -> Option<Finding> {
    let mut operations = operations_on(document, entity).peekable();
    if operations.peek().is_none() {
        let message = format!("{} is stored, but no endpoint works on it", entity.name);
        let hint = format!("add its rows under `## Endpoints`, for example `GET /{}`", entity.table.replace('_', "-"));
        return Some(Finding::warning("entity-without-endpoint", message, entity.position, hint));
    }
    let created = operations.any(|operation| matches!(operation.behaviour, Behaviour::Create(_)));
    (!created).then(|| {
        let message = format!("no endpoint creates a {}", entity.name);
        Finding::info("entity-never-created", message, entity.position, "add one, unless its rows come from elsewhere")
    })
}

fn underivable(operation: &Operation) -> Option<Finding> {
    let Behaviour::Underivable { reason } = &operation.behaviour else { return None };
    let message = format!("{} cannot be derived: {reason}", operation.key);
    let hint = "it becomes a route that answers 501 and a unit that waits for an agent or a person";
    Some(Finding::warning("underivable-operation", message, operation.position, hint))
}

/// Rules that no endpoint could ever come across.
fn rule_gaps(document: &SpecDocument) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in &document.rules {
        let Some(entity) = document.entity(&rule.entity) else { continue };
        let any = |wanted: &dyn Fn(&Behaviour) -> bool| operations_on(document, entity).any(|operation| wanted(&operation.behaviour));
        let missing = match &rule.kind {
            RuleKind::DeleteOnlyWhen(_) if !any(&|behaviour| matches!(behaviour, Behaviour::Delete(_))) => "deletes",
            RuleKind::ChangeOnlyWhen(_) | RuleKind::Transitions { .. } | RuleKind::Immutable { .. } if !any(&changes) => "changes",
            _ => continue,
        };
        let message = format!("the rule “{}” is never met: no endpoint {missing} a {}", rule.text, entity.name);
        found.push(Finding::info("rule-without-endpoint", message, Some(rule.position), "add the endpoint, or drop the rule"));
    }
    for entity in &document.entities {
        found.extend(stuck_states(document, entity));
    }
    found
}

fn changes(behaviour: &Behaviour) -> bool {
    matches!(behaviour, Behaviour::Replace(_) | Behaviour::Patch(_) | Behaviour::Act { .. })
}

/// Values of a moving enum that no move reaches.
fn stuck_states(document: &SpecDocument, entity: &Entity) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in document.rules.iter().filter(|rule| rule.entity == entity.name) {
        let RuleKind::Transitions { field, edges } = &rule.kind else { continue };
        let Some(FieldType::Enum(states)) = entity.field(field).map(|field| &field.field_type) else { continue };
        let initial = edges.first().map(|(from, _)| from);
        let lost = states.iter().filter(|state| Some(*state) != initial && !edges.iter().any(|(_, to)| to == *state));
        found.extend(lost.map(|state| {
            let message = format!("no move leads to {field} = {state} of {}", entity.name);
            Finding::warning("unreachable-state", message, Some(rule.position), "add the move, or drop the value")
        }));
    }
    found
}
