//! Which error statuses an operation can really answer with, judged by fields, references and rules.

use super::endpoint::Endpoint;
use super::field;
use crate::model::entity::FieldSource;
use crate::model::rule::{Condition, Expression};
use crate::model::{Behaviour, Entity, FieldType, OnDelete, Rule, RuleKind};

/// What the statuses are judged by.
pub(super) struct Statuses<'s> {
    pub(super) rules: &'s [Rule],
    pub(super) endpoints: &'s [Endpoint],
}

impl Statuses<'_> {
    /// True when rows of the entity can be read one by one at a path of their own.
    pub(super) fn readable(&self, entity: &Entity) -> bool {
        self.endpoints.iter().any(|endpoint| match &endpoint.behaviour {
            Behaviour::Read(row) => row.entity == entity.name && row.path.len() == 1,
            _ => false,
        })
    }

    /// 409: stored rows can stand against it.
    pub(super) fn conflict(&self, behaviour: &Behaviour, entity: &Entity, entities: &[Entity]) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.entity == entity.name).map(|rule| &rule.kind);
        let client = |name: &str| entity.field(name).is_some_and(|field| field.source == FieldSource::Client);
        match behaviour {
            Behaviour::List(_) | Behaviour::Read(_) | Behaviour::Underivable { .. } => false,
            Behaviour::Create(_) => {
                let unique = entity.fields.iter().any(|field| field.source == FieldSource::Client && (field.unique || field.primary_key));
                unique
                    || rules.any(|rule| match rule {
                        RuleKind::Unique(_) | RuleKind::AtMost { .. } => true,
                        RuleKind::Transitions { field, .. } => client(field),
                        _ => false,
                    })
            }
            Behaviour::Replace(_) | Behaviour::Patch(_) => {
                let unique = entity.fields.iter().any(|field| field.source == FieldSource::Client && field.unique && !field.primary_key);
                unique
                    || rules.any(|rule| match rule {
                        RuleKind::Unique(fields) => fields.iter().any(|field| client(field)),
                        RuleKind::AtMost { .. } | RuleKind::ChangeOnlyWhen(_) => true,
                        RuleKind::Transitions { field, .. } | RuleKind::Immutable { field } => client(field),
                        _ => false,
                    })
            }
            Behaviour::Delete(_) => {
                rules.any(|rule| matches!(rule, RuleKind::DeleteOnlyWhen(_))) || held(entity, entities, &mut Vec::new())
            }
            Behaviour::Act { set, .. } => {
                let sets = |name: &String| set.iter().any(|(field, _)| field == name);
                let unique = entity.fields.iter().any(|field| field.unique && sets(&field.name));
                unique
                    || rules.any(|rule| match rule {
                        RuleKind::ChangeOnlyWhen(_) => true,
                        RuleKind::Unique(fields) => fields.iter().any(sets),
                        RuleKind::Transitions { field, .. } => sets(field),
                        RuleKind::AtMost { per, when, .. } => sets(per) || when.as_ref().is_some_and(|when| mentions(when, &sets)),
                        _ => false,
                    })
            }
        }
    }

    /// 422: something in the request, or in the row that it would make, can be invalid.
    pub(super) fn invalid(&self, behaviour: &Behaviour, entity: &Entity, entities: &[Entity]) -> bool {
        match behaviour {
            Behaviour::List(_) | Behaviour::Create(_) | Behaviour::Replace(_) | Behaviour::Patch(_) => true,
            Behaviour::Read(row) | Behaviour::Delete(row) => row.path.iter().any(|binding| restricted(&binding.field, entity, entities)),
            Behaviour::Act { row, set } => {
                let sets = |name: &String| set.iter().any(|(field, _)| field == name);
                let path = row.path.iter().any(|binding| restricted(&binding.field, entity, entities));
                path || self.rules.iter().filter(|rule| rule.entity == entity.name).any(|rule| match &rule.kind {
                    RuleKind::Check(condition) => mentions(condition, &sets),
                    RuleKind::RequiredWhen { field, when } => sets(field) || mentions(when, &sets),
                    RuleKind::Implies { when, then } => mentions(when, &sets) || mentions(then, &sets),
                    _ => false,
                })
            }
            Behaviour::Underivable { .. } => false,
        }
    }
}

/// 404: a row or a parent is named by the path.
pub(super) fn not_found(behaviour: &Behaviour) -> bool {
    match behaviour {
        Behaviour::List(list) => !list.path.is_empty(),
        Behaviour::Create(row) => !row.path.is_empty(),
        _ => true,
    }
}

/// True when not every text is a value of the key, so that a path can be malformed.
fn restricted(name: &str, entity: &Entity, entities: &[Entity]) -> bool {
    let Some(field) = entity.field(name) else { return false };
    let key = field::target(field).and_then(|target| entities.iter().find(|entity| entity.name == target)).map(Entity::key);
    let key = key.unwrap_or(field);
    !matches!(key.field_type, FieldType::Text) || key.limits != crate::model::entity::Limits::default()
}

/// True when rows of other entities can keep a row of this one from being deleted, directly or through a cascade.
fn held(entity: &Entity, entities: &[Entity], seen: &mut Vec<String>) -> bool {
    if seen.contains(&entity.name) {
        return false;
    }
    seen.push(entity.name.clone());
    entities.iter().any(|other| {
        other.fields.iter().any(|field| match &field.field_type {
            FieldType::Reference { entity: target, on_delete } if *target == entity.name => match on_delete {
                OnDelete::Restrict => true,
                OnDelete::Cascade => held(other, entities, seen),
                OnDelete::SetNull => false,
            },
            _ => false,
        })
    })
}

/// True when a condition reads one of the fields.
fn mentions(condition: &Condition, is: &dyn Fn(&String) -> bool) -> bool {
    match condition {
        Condition::Compare { left, right, .. } => reads(left, is) || reads(right, is),
        Condition::OneOf { field, .. } | Condition::Present(field) | Condition::Absent(field) => is(field),
        Condition::All(conditions) | Condition::Any(conditions) => conditions.iter().any(|condition| mentions(condition, is)),
    }
}

fn reads(expression: &Expression, is: &dyn Fn(&String) -> bool) -> bool {
    match expression {
        Expression::Field(field) => is(field),
        Expression::Arithmetic { left, right, .. } => reads(left, is) || reads(right, is),
        Expression::Literal(_) | Expression::Today | Expression::Now => false,
    }
}
