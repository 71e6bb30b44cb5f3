//! Contradictions: parts of a specification that cannot both hold.

use crate::model::operation::{Behaviour, FilterComparison};
use crate::model::rule::{Comparison, Condition, Expression};
use crate::model::{Entity, FieldType, Finding, Operation, Rule, RuleKind, SpecDocument};

use super::{bounds, relations};

/// Everything contradictory, entities first.
pub(super) fn contradictions(document: &SpecDocument) -> Vec<Finding> {
    let mut found = Vec::new();
    for entity in &document.entities {
        found.extend(bounds::of_fields(entity));
        found.extend(bounds::of_rules(document, entity));
    }
    found.extend(relations::contradictions(document));
    for rule in &document.rules {
        found.extend(rule_findings(document, rule));
    }
    for operation in &document.operations {
        found.extend(operation_findings(document, operation));
    }
    found
}

fn rule_findings(document: &SpecDocument, rule: &Rule) -> Vec<Finding> {
    let Some(entity) = document.entity(&rule.entity) else {
        let message = format!("the rule “{}” is about {}, which is no entity", rule.text, rule.entity);
        return vec![Finding::error("unknown-entity", message, Some(rule.position), "name an entity of the document")];
    };
    let mut found: Vec<Finding> = fields_of(&rule.kind)
        .into_iter()
        .filter(|field| entity.field(field).is_none())
        .map(|field| unknown_field(rule, entity, field))
        .collect();
    for condition in conditions_of(&rule.kind) {
        found.extend(unknown_values(rule, entity, condition));
    }
    if let RuleKind::Transitions { field, edges } = &rule.kind {
        found.extend(transition_findings(rule, entity, field, edges));
    }
    found
}

fn unknown_field(rule: &Rule, entity: &Entity, field: &str) -> Finding {
    let message = format!("the rule “{}” names {field}, which {} does not have", rule.text, entity.name);
    Finding::error("unknown-field", message, Some(rule.position), known_fields(entity))
}

fn known_fields(entity: &Entity) -> String {
    let names: Vec<&str> = entity.fields.iter().map(|field| field.name.as_str()).collect();
    format!("{} has {}", entity.name, names.join(", "))
}

/// Comparisons of an enum field with something that is none of its values: such a condition never holds.
fn unknown_values(rule: &Rule, entity: &Entity, condition: &Condition) -> Vec<Finding> {
    let mut found = Vec::new();
    for leaf in leaves(condition) {
        let (field, values) = match leaf {
            Condition::Compare { left: Expression::Field(field), right: Expression::Literal(value), .. } => (field, vec![value]),
            Condition::OneOf { field, values } => (field, values.iter().collect()),
            _ => continue,
        };
        let Some(FieldType::Enum(known)) = entity.field(field).map(|field| &field.field_type) else { continue };
        for value in values.iter().filter_map(|value| value.as_str()).filter(|value| !known.iter().any(|one| one == value)) {
            let message = format!("{}.{field} is never {value}", entity.name);
            found.push(Finding::error("unknown-value", message, Some(rule.position), format!("its values are {}", known.join(", "))));
        }
    }
    found
}

fn transition_findings(rule: &Rule, entity: &Entity, field: &str, edges: &[(String, String)]) -> Vec<Finding> {
    let Some(declared) = entity.field(field) else { return Vec::new() };
    let mut found = Vec::new();
    let FieldType::Enum(known) = &declared.field_type else {
        let message = format!("{}.{field} moves between states, but it is no enum", entity.name);
        return vec![Finding::error("not-an-enum", message, Some(rule.position), "give it the type enum(…) with its states")];
    };
    let mut named: Vec<&String> = edges.iter().flat_map(|(from, to)| [from, to]).collect();
    named.sort_unstable();
    named.dedup();
    for state in named.iter().filter(|state| !known.contains(state)) {
        let message = format!("{}.{field} never is {state}", entity.name);
        found.push(Finding::error("unknown-value", message, Some(rule.position), format!("its values are {}", known.join(", "))));
    }
    let initial = edges.first().map(|(from, _)| from.as_str());
    let default = declared.default.as_ref().and_then(|value| value.as_str());
    if let (Some(initial), Some(default)) = (initial, default)
        && initial != default
    {
        let message = format!("{}.{field} starts as {default} by default, but as {initial} in its moves", entity.name);
        found.push(Finding::error("initial-state", message, Some(rule.position), "let the moves begin with the default"));
    }
    found
}

fn operation_findings(document: &SpecDocument, operation: &Operation) -> Vec<Finding> {
    let Some(name) = operation.behaviour.entity() else { return Vec::new() };
    let Some(entity) = document.entity(name) else {
        let message = format!("{} works on {name}, which is no entity", operation.key);
        return vec![Finding::error("unknown-entity", message, operation.position, "name an entity of the document")];
    };
    let unknown = |field: &str, what: &str| {
        let message = format!("{} {what} {field}, which {name} does not have", operation.key);
        Finding::error("unknown-field", message, operation.position, known_fields(entity))
    };
    let missing = |field: &str| entity.field(field).is_none();
    let mut found = Vec::new();
    match &operation.behaviour {
        Behaviour::List(list) => {
            found.extend(list.filters.iter().filter(|filter| missing(&filter.field)).map(|filter| unknown(&filter.field, "filters by")));
            let sorted = list.sort.iter().flat_map(|sort| &sort.fields);
            found.extend(sorted.filter(|field| missing(field)).map(|field| unknown(field, "sorts by")));
            found.extend(list.filters.iter().filter_map(|filter| {
                let field_type = &entity.field(&filter.field)?.field_type;
                odd_comparison(field_type, filter.comparison).then(|| {
                    let message = format!("{} compares {}.{} in a way its type does not have", operation.key, name, filter.field);
                    Finding::error(
                        "filter-type",
                        message,
                        operation.position,
                        "use `filter` for equality, `range` for numbers and dates, `search` for text",
                    )
                })
            }));
        }
        Behaviour::Act { set, .. } => {
            for (field, value) in set {
                found.extend(missing(field).then(|| unknown(field, "sets")));
                found.extend(unreachable(document, operation, entity, field, value.as_str()));
            }
        }
        _ => {}
    }
    found
}

fn odd_comparison(field_type: &FieldType, comparison: FilterComparison) -> bool {
    match comparison {
        FilterComparison::Equal | FilterComparison::OneOf => false,
        FilterComparison::Contains => !matches!(field_type, FieldType::Text | FieldType::Email | FieldType::Url),
        FilterComparison::AtLeast | FilterComparison::AtMost => {
            matches!(
                field_type,
                FieldType::Boolean
                    | FieldType::Enum(_)
                    | FieldType::Reference { .. }
                    | FieldType::Json
                    | FieldType::Object(_)
                    | FieldType::List(_)
            )
        }
    }
}

/// An action that sets a field which may not change, or to a state that no move leads to.
fn unreachable(document: &SpecDocument, operation: &Operation, entity: &Entity, field: &str, state: Option<&str>) -> Option<Finding> {
    let rules = || document.rules.iter().filter(|rule| rule.entity == entity.name);
    let fixed = rules().find(|rule| matches!(&rule.kind, RuleKind::Immutable { field: fixed } if fixed == field));
    if let Some(rule) = fixed {
        let message = format!("{} sets {}.{field}, which never changes (line {})", operation.key, entity.name, rule.position.line);
        return Some(Finding::error("immutable-field-set", message, operation.position, "remove the rule or the action"));
    }
    let state = state?;
    rules().find_map(|rule| match &rule.kind {
        RuleKind::Transitions { field: moving, edges } if moving == field && !edges.iter().any(|(_, to)| to == state) => {
            let message = format!("{} sets {field} to {state}, which no move leads to (line {})", operation.key, rule.position.line);
            Some(Finding::error("unreachable-state", message, operation.position, "add the move to the rule, or remove the action"))
        }
        _ => None,
    })
}

/// The conditions of a rule.
pub(super) fn conditions_of(kind: &RuleKind) -> Vec<&Condition> {
    match kind {
        RuleKind::Check(condition) | RuleKind::ChangeOnlyWhen(condition) | RuleKind::DeleteOnlyWhen(condition) => vec![condition],
        RuleKind::RequiredWhen { when, .. } => vec![when],
        RuleKind::Implies { when, then } => vec![when, then],
        RuleKind::AtMost { when, .. } => when.iter().collect(),
        RuleKind::Unique(_) | RuleKind::Transitions { .. } | RuleKind::Immutable { .. } => Vec::new(),
    }
}

fn fields_of(kind: &RuleKind) -> Vec<&str> {
    let mut found: Vec<&str> = match kind {
        RuleKind::RequiredWhen { field, .. } | RuleKind::Transitions { field, .. } | RuleKind::Immutable { field } => vec![field],
        RuleKind::Unique(fields) => fields.iter().map(String::as_str).collect(),
        RuleKind::AtMost { per, .. } => vec![per],
        _ => Vec::new(),
    };
    for leaf in conditions_of(kind).into_iter().flat_map(leaves) {
        match leaf {
            Condition::Compare { left, right, .. } => found.extend([left, right].into_iter().flat_map(fields_in)),
            Condition::OneOf { field, .. } | Condition::Present(field) | Condition::Absent(field) => found.push(field),
            Condition::All(_) | Condition::Any(_) => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn fields_in(expression: &Expression) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open = vec![expression];
    while let Some(expression) = open.pop() {
        match expression {
            Expression::Field(field) => found.push(field.as_str()),
            Expression::Arithmetic { left, right, .. } => open.extend([left.as_ref(), right.as_ref()]),
            Expression::Literal(_) | Expression::Today | Expression::Now => {}
        }
    }
    found
}

/// The parts of a condition that are not themselves put together.
fn leaves(condition: &Condition) -> Vec<&Condition> {
    let mut found = Vec::new();
    let mut open = vec![condition];
    while let Some(condition) = open.pop() {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => open.extend(parts),
            leaf => found.push(leaf),
        }
    }
    found
}

/// The comparison as seen from the other side.
pub(super) fn mirrored(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}
