//! Which rows and changes the rules of an entity allow, and rows found by search that fulfil or break exactly one of them.

use serde_json::{Value, json};
use time::Date;

use super::condition::{Row, compare, constants_of, fields_of, fulfils, present};
use super::samples::{day, pool, resolve};
use super::shape_check::{Side, check};
use crate::model::rule::Condition;
use crate::model::{Entity, Operation, Rule, RuleKind, Shape, ShapeKind, SpecDocument};

/// The most rows that one search looks at.
const CANDIDATES_MAX: usize = 50_000;
/// The most steps that lead a row into a wanted state.
const STEPS_MAX: usize = 4;

/// The rules of one entity.
#[derive(Clone, Copy)]
pub(super) struct Legality<'d> {
    pub(super) document: &'d SpecDocument,
    pub(super) entity: &'d Entity,
    pub(super) today: Date,
}

/// One step of a row's life.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step<'d> {
    /// These fields change, by a patch or a replacement.
    Change(Row),
    /// An action.
    Act(&'d Operation),
}

impl<'d> Legality<'d> {
    /// The rules, in source order.
    pub(super) fn rules(&self) -> impl Iterator<Item = &'d Rule> + use<'d> {
        let entity = &self.entity.name;
        self.document.rules.iter().filter(move |rule| rule.entity == *entity)
    }

    /// The rules that a new row breaks.
    pub(super) fn broken_by_new(&self, row: &Row) -> Vec<&'d Rule> {
        let initial = |field: &str, edges: &[(String, String)]| {
            let first = edges.first().map(|(from, _)| json!(from));
            present(row, field).is_some_and(|value| Some(value) != first.as_ref())
        };
        let breaks = |rule: &&Rule| match &rule.kind {
            RuleKind::Transitions { field, edges } => initial(field, edges),
            kind => self.breaks_state(kind, row),
        };
        self.rules().filter(breaks).collect()
    }

    /// The rules that a change from one row to another breaks.
    pub(super) fn broken_by_change(&self, from: &Row, to: &Row) -> Vec<&'d Rule> {
        let differs = |field: &str| match (present(from, field), present(to, field)) {
            (Some(one), Some(other)) => compare(one, other) != Some(std::cmp::Ordering::Equal),
            (one, other) => one.is_some() != other.is_some(),
        };
        let breaks = |rule: &&Rule| match &rule.kind {
            RuleKind::Transitions { field, edges } => {
                let allowed =
                    |(one, other): &(String, String)| from.get(field) == Some(&json!(one)) && to.get(field) == Some(&json!(other));
                differs(field) && !edges.iter().any(allowed)
            }
            RuleKind::Immutable { field } => differs(field),
            RuleKind::ChangeOnlyWhen(condition) => fulfils(from, condition, self.today) != Some(true),
            kind => self.breaks_state(kind, to),
        };
        self.rules().filter(breaks).collect()
    }

    fn breaks_state(&self, kind: &RuleKind, row: &Row) -> bool {
        match kind {
            RuleKind::Check(condition) => fulfils(row, condition, self.today) == Some(false),
            RuleKind::RequiredWhen { field, when } => fulfils(row, when, self.today) == Some(true) && present(row, field).is_none(),
            RuleKind::Implies { when, then } => {
                fulfils(row, when, self.today) == Some(true) && fulfils(row, then, self.today) == Some(false)
            }
            _ => false,
        }
    }

    /// The row nearest to `base` that is accepted, changing only fields that rules or `wanted` speak of and that the body holds.
    /// `first` are the fields to vary first.
    pub(super) fn search(&self, base: &Row, body: &Shape, first: &[&str], accepts: &dyn Fn(&Row) -> bool) -> Option<Row> {
        if accepts(base) {
            return Some(base.clone());
        }
        let pools = self.pools(base, body, first);
        let mut choice = vec![0_usize; pools.len()];
        for _ in 0..CANDIDATES_MAX {
            // The odometer: the first fields turn fastest.
            let turned = choice.iter_mut().zip(&pools).find_map(|(at, (_, values))| {
                *at = (*at + 1) % values.len();
                (*at != 0).then_some(())
            });
            turned?;
            let mut row = base.clone();
            for (at, (field, values)) in choice.iter().zip(&pools) {
                row.insert((*field).clone(), values[*at].clone());
            }
            if accepts(&row) {
                return Some(row);
            }
        }
        None
    }

    /// Values to try for each field that matters, the present one first.
    fn pools(&self, base: &Row, body: &Shape, first: &[&'_ str]) -> Vec<(String, Vec<Value>)> {
        let ShapeKind::Object(object) = &resolve(self.document, body).kind else { return Vec::new() };
        let mut fields: Vec<String> = first.iter().map(|field| (*field).to_owned()).collect();
        let mut constants = Vec::new();
        for rule in self.rules() {
            fields.extend(fields_of_rule(&rule.kind).into_iter().map(str::to_owned));
            constants.extend(conditions_of(&rule.kind).into_iter().flat_map(constants_of));
        }
        let mut pools: Vec<(String, Vec<Value>)> = Vec::new();
        for field in fields {
            let Some(property) = object.properties.iter().find(|property| property.name == field && !property.shape.read_only) else {
                continue;
            };
            if pools.iter().any(|(known, _)| *known == field) {
                continue;
            }
            let near = constants.iter().filter_map(Value::as_i64).flat_map(|n| [json!(n - 1), json!(n), json!(n + 1)]);
            let mut values = vec![base.get(&field).cloned().unwrap_or(Value::Null)];
            let candidates = pool(self.document, &property.shape, self.today).into_iter().chain(constants.iter().cloned()).chain(near);
            for value in candidates {
                if !values.contains(&value) && check(self.document, &property.shape, &value, Side::Request).is_empty() {
                    values.push(value);
                }
            }
            pools.push((field, values));
        }
        pools
    }

    /// What an action makes of a row.
    pub(super) fn acted(&self, row: &Row, set: &[(String, Value)]) -> Row {
        let mut row = row.clone();
        for (field, value) in set {
            let value = match value.as_str() {
                Some("today") => json!(day(self.today)),
                Some("now") => json!(format!("{}T12:00:00Z", day(self.today))),
                _ => value.clone(),
            };
            row.insert(field.clone(), value);
        }
        row
    }

    /// Allowed steps that lead a row into a wanted state; none when no short way is found. `acts` are the entity's actions
    /// with what they set, `body` is what a change may carry, when there is an operation that changes.
    pub(super) fn route(
        &self,
        row: &Row,
        acts: &[(&'d Operation, &'d [(String, Value)])],
        body: Option<&Shape>,
        wanted: &dyn Fn(&Row) -> bool,
        first: &[&str],
    ) -> Option<Vec<Step<'d>>> {
        let mut open = vec![(row.clone(), Vec::new())];
        for depth in 0..=STEPS_MAX {
            let mut next = Vec::new();
            for (row, steps) in open {
                if wanted(&row) {
                    return Some(steps);
                }
                if depth == STEPS_MAX {
                    continue;
                }
                if let Some(body) = body {
                    let accepts = |to: &Row| wanted(to) && *to != row && self.broken_by_change(&row, to).is_empty();
                    if let Some(to) = self.search(&row, body, first, &accepts) {
                        return Some(with(&steps, Step::Change(difference(&row, &to))));
                    }
                    next.extend(
                        self.moves(&row, body).into_iter().map(|to| (to.clone(), with(&steps, Step::Change(difference(&row, &to))))),
                    );
                }
                for (operation, set) in acts {
                    let to = self.acted(&row, set);
                    if to != row && self.broken_by_change(&row, &to).is_empty() {
                        next.push((to, with(&steps, Step::Act(operation))));
                    }
                }
            }
            open = next;
        }
        None
    }

    /// The rows that one allowed move of a state leads to.
    fn moves(&self, row: &Row, body: &Shape) -> Vec<Row> {
        let mut found = Vec::new();
        for rule in self.rules() {
            let RuleKind::Transitions { field, edges } = &rule.kind else { continue };
            for (_, to) in edges.iter().filter(|(from, _)| row.get(field) == Some(&json!(from))) {
                let accepts = |other: &Row| other.get(field) == Some(&json!(to)) && self.broken_by_change(row, other).is_empty();
                found.extend(self.search(row, body, &[field], &accepts));
            }
        }
        found
    }
}

/// The fields in which a row differs from another, with its values.
pub(super) fn difference(from: &Row, to: &Row) -> Row {
    to.iter()
        .filter(|(field, value)| from.get(*field).unwrap_or(&Value::Null) != *value)
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect()
}

/// The fields that a rule speaks of.
pub(super) fn fields_of_rule(kind: &RuleKind) -> Vec<&str> {
    let mut fields: Vec<&str> = match kind {
        RuleKind::RequiredWhen { field, .. } | RuleKind::Transitions { field, .. } | RuleKind::Immutable { field } => vec![field],
        RuleKind::Unique(fields) => fields.iter().map(String::as_str).collect(),
        RuleKind::AtMost { per, .. } => vec![per],
        _ => Vec::new(),
    };
    fields.extend(conditions_of(kind).into_iter().flat_map(fields_of));
    fields
}

fn conditions_of(kind: &RuleKind) -> Vec<&Condition> {
    match kind {
        RuleKind::Check(condition) | RuleKind::ChangeOnlyWhen(condition) | RuleKind::DeleteOnlyWhen(condition) => vec![condition],
        RuleKind::RequiredWhen { when, .. } => vec![when],
        RuleKind::Implies { when, then } => vec![when, then],
        RuleKind::AtMost { when, .. } => when.iter().collect(),
        RuleKind::Unique(_) | RuleKind::Transitions { .. } | RuleKind::Immutable { .. } => Vec::new(),
    }
}

fn with<'d>(steps: &[Step<'d>], step: Step<'d>) -> Vec<Step<'d>> {
    let mut steps = steps.to_vec();
    steps.push(step);
    steps
}
