//! Changing rows: patches, replacements and actions, and the ways that lead a row into a wanted state.

use serde_json::Value;

use super::client::Answer;
use super::condition::Row;
use super::creating::{New, is_reference, same};
use super::judge::Expect;
use super::legality::{Aim, Step, difference};
use super::samples::{Fill, valid};
use super::walk::{Try, Walk, body_shape, field_subject, properties, shown, wrap};
use crate::model::{Behaviour, Entity, Operation, RuleKind, Subject};

impl<'d> Walk<'d> {
    /// The operation that changes rows, a patch before a replacement.
    pub(super) fn changer(&self, entity: &Entity) -> Option<&'d Operation> {
        let patch = self.of(entity, |behaviour| matches!(behaviour, Behaviour::Patch(_))).first().copied();
        patch.or_else(|| self.of(entity, |behaviour| matches!(behaviour, Behaviour::Replace(_))).first().copied())
    }

    /// The actions on an entity with what they set.
    pub(super) fn acts(&self, entity: &Entity) -> Vec<(&'d Operation, &'d [(String, Value)])> {
        let set = |operation: &'d Operation| match &operation.behaviour {
            Behaviour::Act { set, .. } => Some((operation, set.as_slice())),
            _ => None,
        };
        self.of(entity, |behaviour| matches!(behaviour, Behaviour::Act { .. })).into_iter().filter_map(set).collect()
    }

    /// A fresh row in a wanted state: made so, or led there by allowed changes. `first` are the fields that matter most.
    pub(super) async fn row_that(
        &mut self,
        entity: &'d Entity,
        fixed: Row,
        wanted: &(dyn Fn(&Row) -> bool + Sync),
        first: &[&str],
    ) -> Option<Row> {
        self.row_at(entity, fixed, &Aim { wanted, first, searched: true }).await
    }

    /// The same for a state that is expensive to tell.
    pub(super) async fn row_from_which(&mut self, entity: &'d Entity, wanted: &(dyn Fn(&Row) -> bool + Sync)) -> Option<Row> {
        self.row_at(entity, Row::new(), &Aim { wanted, first: &[], searched: false }).await
    }

    async fn row_at(&mut self, entity: &'d Entity, fixed: Row, aim: &Aim<'_>) -> Option<Row> {
        let operation = self.creator(entity)?;
        let straight = New { wanted: Some(aim.wanted), first: aim.first, operation: Some(operation), ..New::fixed(fixed.clone()) };
        if aim.searched && self.draft(entity, operation, &straight, 0).await.is_ok() {
            let row = self.create(entity, straight).await?;
            if (aim.wanted)(&row) {
                return Some(row);
            }
        }
        let mut row = self.create(entity, New::fixed(fixed)).await?;
        let changer = self.changer(entity);
        let body = changer.and_then(|operation| body_shape(self.document, operation));
        let steps = self.legality(entity).route(&row, &self.acts(entity), body, aim)?;
        for step in steps {
            row = match step {
                Step::Change(change) => self.change(entity, changer?, &row, &change, "change").await?.0,
                Step::Act(operation) => {
                    let attempt = Try::new(operation, "act", Expect::Success).about(&row);
                    let answer = self.succeed(attempt).await?;
                    let acted = self.acts(entity).into_iter().find(|(act, _)| act.key == operation.key)?.1;
                    overlaid(self.legality(entity).acted(&row, acted), operation, &answer)
                }
            };
        }
        (aim.wanted)(&row).then_some(row)
    }

    /// Makes a change that must succeed; gives the row as it is afterwards and the answer.
    async fn change(&mut self, entity: &'d Entity, operation: &'d Operation, row: &Row, change: &Row, case: &str) -> Option<(Row, Answer)> {
        let mut to = row.clone();
        to.extend(change.clone());
        let body = self.change_body(operation, &to, change);
        let mut attempt = Try::new(operation, case, Expect::Success).about(row).carrying(wrap(operation, body.clone()));
        attempt.proves = body.keys().filter_map(|name| field_subject(entity, name)).collect();
        let answer = self.succeed(attempt).await?;
        self.compare_echo(entity, operation, &body, &answer);
        Some((overlaid(to, operation, &answer), answer))
    }

    /// A patch carries what changes, a replacement everything.
    pub(super) fn change_body(&self, operation: &'d Operation, to: &Row, change: &Row) -> Row {
        let mut body = self.body_of(operation, to);
        if matches!(operation.behaviour, Behaviour::Patch(_)) {
            let required = |name: &str| {
                let shape = body_shape(self.document, operation);
                shape
                    .into_iter()
                    .flat_map(|shape| properties(self.document, shape))
                    .any(|property| property.name == name && property.required)
            };
            body.retain(|name, _| change.contains_key(name) || required(name));
        }
        body
    }

    /// Everything that a patch or a replacement can meet with.
    pub(super) async fn changing(&mut self, entity: &'d Entity, operation: &'d Operation) {
        let legality = self.legality(entity);
        let changeable = |row: &Row| legality.broken_by_change(row, row).is_empty();
        let Some(row) = self.row_that(entity, Row::new(), &changeable, &[]).await else {
            return self.cannot(operation, operation.behaviour.verb());
        };
        let change = self.new_values(entity, operation, &row);
        let case = operation.behaviour.verb();
        match change {
            Some(change) => {
                if let Some((row, _)) = self.change(entity, operation, &row, &change, case).await {
                    self.read_back(entity, &row, "read what was changed", Some(Subject::Operation(operation.key.clone()))).await;
                }
            }
            None => self.skip(
                Some(operation),
                case,
                vec![Subject::Operation(operation.key.clone())],
                "no change that the rules allow was found",
            ),
        }
        self.not_there(operation, &row).await;
        self.refused_bodies(entity, operation, &row).await;
        self.taken(entity, operation, &row).await;
    }

    /// New values for everything that may change freely, fulfilling every rule.
    fn new_values(&mut self, entity: &'d Entity, operation: &'d Operation, row: &Row) -> Option<Row> {
        let legality = self.legality(entity);
        let n = self.next_of(entity);
        let fixed: Vec<&str> = legality
            .rules()
            .filter_map(|rule| match &rule.kind {
                RuleKind::Transitions { field, .. } | RuleKind::Immutable { field } => Some(field.as_str()),
                _ => None,
            })
            .collect();
        let shape = body_shape(self.document, operation)?;
        let mut to = row.clone();
        for property in properties(self.document, shape).iter().filter(|property| !property.shape.read_only) {
            let free = entity.field(&property.name).is_none_or(|field| !field.immutable && !field.primary_key);
            if free && !fixed.contains(&property.name.as_str()) && !is_reference(entity, &property.name) {
                to.extend(valid(self.document, &property.shape, n, Fill::All).map(|value| (property.name.clone(), value)));
            }
        }
        let to = legality.settle(&to, shape, &[], &|to: &Row| legality.broken_by_change(row, to))?;
        let change = difference(row, &to);
        (!change.is_empty() || matches!(operation.behaviour, Behaviour::Replace(_))).then_some(change)
    }

    /// A change to another row's unique value.
    async fn taken(&mut self, entity: &'d Entity, operation: &'d Operation, row: &Row) {
        let Some(shape) = body_shape(self.document, operation) else { return };
        let offered =
            |name: &str| properties(self.document, shape).iter().any(|property| property.name == name && !property.shape.read_only);
        for field in entity.fields.iter().filter(|field| field.unique && !field.primary_key && !field.immutable && offered(&field.name)) {
            let Some(other) = self.create(entity, New::any()).await else { continue };
            let Some(value) = other.get(&field.name).filter(|value| !value.is_null()) else { continue };
            let change = Row::from_iter([(field.name.clone(), value.clone())]);
            let mut to = row.clone();
            to.extend(change.clone());
            let body = self.change_body(operation, &to, &change);
            let attempt = Try::new(operation, format!("conflict: {} taken", field.name), Expect::Conflict).about(row);
            self.send(attempt.carrying(wrap(operation, body)).also(field_subject(entity, &field.name))).await;
        }
    }

    /// Everything that an action can meet with.
    pub(super) async fn acting(&mut self, entity: &'d Entity, operation: &'d Operation, set: &'d [(String, Value)]) {
        let legality = self.legality(entity);
        let fields: Vec<&str> = set.iter().map(|(field, _)| field.as_str()).collect();
        let allowed = |row: &Row| legality.broken_by_change(row, &legality.acted(row, set)).is_empty();
        let changing = |row: &Row| allowed(row) && set.iter().any(|(field, value)| row.get(field) != Some(value));
        let Some(row) = self.row_that(entity, Row::new(), &changing, &fields).await else {
            return self.cannot(operation, "act");
        };
        let attempt = Try::new(operation, "act", Expect::Success).about(&row).also(Some(Subject::Entity(entity.name.clone())));
        if let Some(answer) = self.succeed(attempt).await {
            let now = overlaid(row.clone(), operation, &answer);
            self.check_set(entity, operation, set, &answer);
            self.read_back(entity, &now, "read what the action did", Some(Subject::Operation(operation.key.clone()))).await;
        }
        self.not_there(operation, &row).await;
        let refused = |row: &Row| {
            let broken = legality.broken_by_change(row, &legality.acted(row, set));
            !broken.is_empty() && broken.iter().all(|rule| rule.kind.status() == broken[0].kind.status())
        };
        if let Some(row) = self.row_that(entity, Row::new(), &refused, &fields).await {
            let broken = legality.broken_by_change(&row, &legality.acted(&row, set));
            let expect = if broken.first().is_some_and(|rule| rule.kind.status() == 409) { Expect::Conflict } else { Expect::Invalid };
            let mut attempt = Try::new(operation, format!("rule: {}", broken[0].text), expect).about(&row);
            attempt.subjects.extend(broken.iter().map(|rule| Subject::Rule(rule.key.clone())));
            self.send(attempt).await;
        }
    }

    /// An action must show what it set.
    fn check_set(&mut self, entity: &Entity, operation: &'d Operation, set: &[(String, Value)], answer: &Answer) {
        let Some(shown) = shown(operation, answer) else { return };
        for (field, value) in set {
            let Some(found) = shown.get(field) else { continue };
            let moment = matches!(value.as_str(), Some("today" | "now"));
            let wrong = if moment { found.is_null() } else { !same(found, value) };
            if wrong {
                self.fail_last(format!("`{field}` is {found} although the action sets it to {value}"), field_subject(entity, field));
            }
        }
    }
}

/// A row with what an answer shows of it.
fn overlaid(mut row: Row, operation: &Operation, answer: &Answer) -> Row {
    row.extend(shown(operation, answer).unwrap_or_default());
    row
}
