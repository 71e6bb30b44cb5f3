//! Which rows and changes the rules of an entity allow, and rows found by search that fulfil or break exactly one of them.

use serde_json::{Value, json};
use time::Date;

use super::condition::{Row, compare, constants_of, fields_of, fulfils, present, suggestions};
use super::creating::is_reference;
use super::samples::{day, pool, resolve};
use super::shape_check::{Side, check};
use crate::model::rule::Condition;
use crate::model::{Entity, Operation, Rule, RuleKind, Shape, ShapeKind, SpecDocument};

/// The most rows that one search looks at.
const CANDIDATES_MAX: usize = 6_000;
/// The most fields that a search changes at once.
const CHANGED_MAX: usize = 3;
/// The most rules that are mended one after the other.
const MENDS_MAX: usize = 24;
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

/// An action and what it sets.
pub(super) type Act<'d> = (&'d Operation, &'d [(String, Value)]);

/// A state that a row is to be led into.
pub(super) struct Aim<'w> {
    /// True for rows in it.
    pub(super) wanted: &'w (dyn Fn(&Row) -> bool + Sync),
    /// The fields that matter most.
    pub(super) first: &'w [&'w str],
    /// False when telling is expensive: then only rows that moves and actions lead to are looked at.
    pub(super) searched: bool,
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

    /// The row near to `base` that breaks no rule: broken rules are mended one after the other, by changing their own fields
    /// but not the `frozen` ones. None when that leads nowhere.
    pub(super) fn settle(&self, base: &Row, body: &Shape, frozen: &[&str], broken: &dyn Fn(&Row) -> Vec<&'d Rule>) -> Option<Row> {
        let mut row = base.clone();
        for _ in 0..MENDS_MAX {
            let now = broken(&row);
            if now.is_empty() {
                return Some(row);
            }
            let better = |to: &Row| broken(to).len() < now.len();
            row = now.iter().find_map(|rule| self.vary(&row, body, &fields_of_rule(&rule.kind), frozen, &better))?;
        }
        None
    }

    /// The row nearest to `base` that is accepted: `base` itself, or with few fields changed, `first` before others that rules
    /// speak of. None when there is none among the candidates.
    pub(super) fn search(&self, base: &Row, body: &Shape, first: &[&str], accepts: &dyn Fn(&Row) -> bool) -> Option<Row> {
        if accepts(base) {
            return Some(base.clone());
        }
        let mut fields = first.to_vec();
        for field in self.rules().flat_map(|rule| fields_of_rule(&rule.kind)) {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        self.vary(base, body, &fields, &[], accepts)
    }

    /// One field changed, then two, then three, within bounds.
    fn vary(&self, base: &Row, body: &Shape, fields: &[&str], frozen: &[&str], accepts: &dyn Fn(&Row) -> bool) -> Option<Row> {
        let fields: Vec<&str> = fields.iter().copied().filter(|field| !frozen.contains(field)).collect();
        let pools = self.pools(base, body, &fields);
        let mut left = CANDIDATES_MAX;
        let mut ways: Vec<Vec<usize>> = (0..pools.len()).map(|at| vec![at]).collect();
        for _ in 0..CHANGED_MAX {
            for way in &ways {
                let mut row = base.clone();
                if try_all(&mut row, way, &pools, accepts, &mut left) {
                    return Some(row);
                }
                if left == 0 {
                    return None;
                }
            }
            ways =
                ways.iter().flat_map(|way| (way[way.len() - 1] + 1..pools.len()).map(|next| [way.as_slice(), &[next]].concat())).collect();
        }
        None
    }

    /// Values to try for each of the fields that the body holds: what the rules suggest for this row, then usual ones.
    fn pools(&self, base: &Row, body: &Shape, fields: &[&str]) -> Vec<(String, Vec<Value>)> {
        let ShapeKind::Object(object) = &resolve(self.document, body).kind else { return Vec::new() };
        let conditions: Vec<&Condition> = self.rules().flat_map(|rule| conditions_of(&rule.kind)).collect();
        let suggested: Vec<(String, Value)> = conditions.iter().flat_map(|condition| suggestions(base, condition, self.today)).collect();
        let mut pools: Vec<(String, Vec<Value>)> = Vec::new();
        for field in fields {
            let Some(property) = object.properties.iter().find(|property| property.name == **field && !property.shape.read_only) else {
                continue;
            };
            if pools.iter().any(|(known, _)| known == field) {
                continue;
            }
            let own = suggested.iter().filter(|(name, _)| name == field).map(|(_, value)| value.clone());
            let constants = conditions.iter().flat_map(|condition| constants_of(condition));
            let mut values: Vec<Value> = Vec::new();
            // Which other rows there are is not known here: a reference can only be taken away.
            let reference = is_reference(self.entity, field);
            for value in own.chain(pool(self.document, &property.shape, self.today)).chain(constants) {
                if reference && !value.is_null() {
                    continue;
                }
                let new = base.get(*field).unwrap_or(&Value::Null) != &value && !values.contains(&value);
                if new && check(self.document, &property.shape, &value, Side::Request).is_empty() {
                    values.push(value);
                }
            }
            pools.push(((*field).to_owned(), values));
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
    pub(super) fn route(&self, row: &Row, acts: &[Act<'d>], body: Option<&Shape>, aim: &Aim<'_>) -> Option<Vec<Step<'d>>> {
        let mut open = vec![(row.clone(), Vec::new())];
        let mut seen = vec![row.clone()];
        for depth in 0..=STEPS_MAX {
            let mut next: Vec<(Row, Vec<Step<'d>>)> = Vec::new();
            for (row, steps) in open {
                if (aim.wanted)(&row) {
                    return Some(steps);
                }
                if depth == STEPS_MAX {
                    continue;
                }
                if let Some(body) = body.filter(|_| aim.searched) {
                    let accepts = |to: &Row| (aim.wanted)(to) && *to != row && self.broken_by_change(&row, to).is_empty();
                    if let Some(to) = self.search(&row, body, aim.first, &accepts) {
                        return Some(with(&steps, Step::Change(difference(&row, &to))));
                    }
                }
                for (to, step) in self.successors(&row, acts, body) {
                    if !seen.contains(&to) {
                        seen.push(to.clone());
                        next.push((to, with(&steps, step)));
                    }
                }
            }
            open = next;
        }
        None
    }

    /// The rows that one allowed move of a state, or one action, leads to.
    fn successors(&self, row: &Row, acts: &[Act<'d>], body: Option<&Shape>) -> Vec<(Row, Step<'d>)> {
        let mut found = Vec::new();
        for rule in self.rules() {
            let RuleKind::Transitions { field, edges } = &rule.kind else { continue };
            for (_, to) in edges.iter().filter(|(from, _)| row.get(field) == Some(&json!(from))) {
                let Some(body) = body.filter(|body| holds(self.document, body, field)) else { continue };
                let mut moved = row.clone();
                moved.insert(field.clone(), json!(to));
                let settled = self.settle(&moved, body, &[field], &|to: &Row| self.broken_by_change(row, to));
                found.extend(settled.map(|to| (to.clone(), Step::Change(difference(row, &to)))));
            }
        }
        for (operation, set) in acts {
            let to = self.acted(row, set);
            if to != *row && self.broken_by_change(row, &to).is_empty() {
                found.push((to, Step::Act(operation)));
            }
        }
        found
    }
}

/// Tries every combination of values for the fields of one way; true when `row` is accepted then.
fn try_all(row: &mut Row, way: &[usize], pools: &[(String, Vec<Value>)], accepts: &dyn Fn(&Row) -> bool, left: &mut usize) -> bool {
    let Some((at, rest)) = way.split_first() else {
        *left = left.saturating_sub(1);
        return accepts(row);
    };
    let (field, values) = &pools[*at];
    let before = row.get(field).cloned();
    for value in values {
        row.insert(field.clone(), value.clone());
        if *left > 0 && try_all(row, rest, pools, accepts, left) {
            return true;
        }
    }
    match before {
        Some(value) => row.insert(field.clone(), value),
        None => row.shift_remove(field),
    };
    false
}

fn holds(document: &SpecDocument, body: &Shape, field: &str) -> bool {
    match &resolve(document, body).kind {
        ShapeKind::Object(object) => object.properties.iter().any(|property| property.name == field && !property.shape.read_only),
        _ => false,
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
