//! Rules: each is broken once, alone, and must be refused as documented.

use serde_json::Value;

use super::condition::{Row, fulfils, present};
use super::creating::New;
use super::judge::Expect;
use super::legality::{difference, fields_of_rule};
use super::samples::{Fill, valid};
use super::walk::{Try, Walk, body_shape, properties, wrap};
use crate::model::{Entity, Operation, Rule, RuleKind, Subject};

/// A rule about more rows than this is not tried.
const ROWS_MAX: u64 = 250;

impl<'d> Walk<'d> {
    /// Breaks every rule of an entity.
    pub(super) async fn ruling(&mut self, entity: &'d Entity) {
        let rules: Vec<&'d Rule> = self.legality(entity).rules().collect();
        for rule in rules {
            if self.gone() {
                return;
            }
            let tried = match &rule.kind {
                RuleKind::Check(_) | RuleKind::RequiredWhen { .. } | RuleKind::Implies { .. } => self.break_state(entity, rule).await,
                RuleKind::Unique(fields) => self.break_unique(entity, rule, fields).await,
                RuleKind::Transitions { field, .. } => self.break_transition(entity, rule, field).await,
                RuleKind::Immutable { field } => self.break_immutable(entity, rule, field).await,
                RuleKind::ChangeOnlyWhen(_) => self.break_change(entity, rule).await,
                RuleKind::DeleteOnlyWhen(condition) => {
                    let today = self.today;
                    let kept = |row: &Row| fulfils(row, condition, today) == Some(false);
                    self.break_delete(entity, rule, &kept).await
                }
                RuleKind::AtMost { limit, per, .. } => self.break_limit(entity, rule, *limit, per).await,
            };
            if !tried && !self.gone() {
                let case = format!("rule: {}", rule.text);
                self.skip(None, case, vec![Subject::Rule(rule.key.clone())], "no request that breaks this rule alone was found");
            }
        }
    }

    /// A new row, or a change, after which the row itself is wrong.
    async fn break_state(&mut self, entity: &'d Entity, rule: &'d Rule) -> bool {
        let legality = self.legality(entity);
        let first = fields_of_rule(&rule.kind);
        let Some(creator) = self.creator(entity) else { return false };
        let Ok(base) = self.draft(entity, creator, &New::any(), 0).await else { return false };
        let only = |broken: Vec<&Rule>| broken.len() == 1 && broken[0].key == rule.key;
        if let Some(shape) = body_shape(self.document, creator)
            && let Some(row) = legality.search(&base, shape, &first, &|row: &Row| only(legality.broken_by_new(row)))
        {
            let payload = wrap(creator, self.body_of(creator, &row));
            self.send(violation(creator, rule).about(&row).carrying(payload)).await;
            return true;
        }
        let Some(changer) = self.changer(entity) else { return false };
        let Some(shape) = body_shape(self.document, changer) else { return false };
        // A row from which one change leads to a state that is wrong in only this way.
        let breaking = |row: &Row| legality.search(row, shape, &first, &|to: &Row| *to != *row && only(legality.broken_by_change(row, to)));
        let Some(row) = self.row_from_which(entity, &|row: &Row| breaking(row).is_some()).await else { return false };
        let Some(to) = breaking(&row) else { return false };
        self.attempt_change(changer, rule, &row, &to).await;
        true
    }

    async fn attempt_change(&mut self, changer: &'d Operation, rule: &'d Rule, row: &Row, to: &Row) {
        let body = self.change_body(changer, to, &difference(row, to));
        self.send(violation(changer, rule).about(row).carrying(wrap(changer, body))).await;
    }

    /// A second row that agrees in all the fields.
    async fn break_unique(&mut self, entity: &'d Entity, rule: &'d Rule, fields: &'d [String]) -> bool {
        let Some(creator) = self.creator(entity) else { return false };
        let Some(row) = self.create(entity, New::any()).await else { return false };
        let fixed: Row = fields.iter().filter_map(|field| Some((field.clone(), present(&row, field)?.clone()))).collect();
        if fixed.len() != fields.len() {
            return false;
        }
        let Ok(second) = self.draft(entity, creator, &New::fixed(fixed), 0).await else { return false };
        let payload = wrap(creator, self.body_of(creator, &second));
        self.send(violation(creator, rule).about(&second).carrying(payload)).await;
        true
    }

    /// A move that no edge allows, by a change or, where there is none, at creation.
    async fn break_transition(&mut self, entity: &'d Entity, rule: &'d Rule, field: &'d str) -> bool {
        let legality = self.legality(entity);
        let only = |broken: Vec<&Rule>| broken.len() == 1 && broken[0].key == rule.key;
        let changer = self.changer(entity).filter(|changer| self.offers(changer, field));
        if let Some(changer) = changer {
            let Some(shape) = body_shape(self.document, changer) else { return false };
            let breaking = |row: &Row| {
                legality.search(row, shape, &[field], &|to: &Row| {
                    present(to, field) != present(row, field) && only(legality.broken_by_change(row, to))
                })
            };
            let found = self.row_from_which(entity, &|row: &Row| breaking(row).is_some()).await;
            if let Some((row, to)) = found.and_then(|row| breaking(&row).map(|to| (row, to))) {
                self.attempt_change(changer, rule, &row, &to).await;
                return true;
            }
        }
        // Actions that would make a forbidden move.
        for (act, set) in self.acts(entity) {
            let refused = |row: &Row| only(legality.broken_by_change(row, &legality.acted(row, set)));
            if let Some(row) = self.row_that(entity, Row::new(), &refused, &[field]).await {
                self.send(violation(act, rule).about(&row)).await;
                return true;
            }
        }
        let Some(creator) = self.creator(entity) else { return false };
        let Ok(base) = self.draft(entity, creator, &New::any(), 0).await else { return false };
        let Some(shape) = body_shape(self.document, creator) else { return false };
        let Some(row) = legality.search(&base, shape, &[field], &|row: &Row| only(legality.broken_by_new(row))) else { return false };
        let payload = wrap(creator, self.body_of(creator, &row));
        self.send(violation(creator, rule).about(&row).carrying(payload)).await;
        true
    }

    fn offers(&self, operation: &'d Operation, field: &str) -> bool {
        let shape = body_shape(self.document, operation);
        shape
            .into_iter()
            .flat_map(|shape| properties(self.document, shape))
            .any(|property| property.name == field && !property.shape.read_only)
    }

    /// Another value for a field that never changes.
    async fn break_immutable(&mut self, entity: &'d Entity, rule: &'d Rule, field: &'d str) -> bool {
        let Some(changer) = self.changer(entity).filter(|changer| self.offers(changer, field)) else { return false };
        let legality = self.legality(entity);
        let changeable = |row: &Row| legality.broken_by_change(row, row).is_empty() && present(row, field).is_some();
        let Some(row) = self.row_that(entity, Row::new(), &changeable, &[]).await else { return false };
        let Some(value) = self.other_value(entity, changer, field).await else { return false };
        let mut to = row.clone();
        to.insert(field.to_owned(), value);
        self.attempt_change(changer, rule, &row, &to).await;
        true
    }

    /// A fresh valid value of a field: of a reference, another row's key.
    async fn other_value(&mut self, entity: &'d Entity, operation: &'d Operation, field: &str) -> Option<Value> {
        let n = self.next_of(entity);
        if let Some(crate::model::FieldType::Reference { entity: target, .. }) = entity.field(field).map(|field| &field.field_type) {
            let parent = self.document.entity(target)?;
            let row = self.create(parent, New::any()).await?;
            return Self::key_of(parent, &row);
        }
        let shape = body_shape(self.document, operation)?;
        let property = properties(self.document, shape).iter().find(|property| property.name == field)?;
        valid(self.document, &property.shape, n, Fill::All)
    }

    /// A change of a row whose state forbids changes.
    async fn break_change(&mut self, entity: &'d Entity, rule: &'d Rule) -> bool {
        let legality = self.legality(entity);
        let only = |broken: Vec<&Rule>| broken.len() == 1 && broken[0].key == rule.key;
        let frozen = |row: &Row| only(legality.broken_by_change(row, row));
        let first = fields_of_rule(&rule.kind);
        let Some(row) = self.row_that(entity, Row::new(), &frozen, &first).await else { return false };
        let Some(changer) = self.changer(entity) else { return false };
        let free = entity.fields.iter().filter(|field| {
            let plain =
                !first.contains(&field.name.as_str()) && !field.immutable && !field.primary_key && self.offers(changer, &field.name);
            plain && !matches!(field.field_type, crate::model::FieldType::Reference { .. })
        });
        for field in free.collect::<Vec<_>>() {
            let Some(value) = self.other_value(entity, changer, &field.name).await else { continue };
            let mut to = row.clone();
            to.insert(field.name.clone(), value);
            if only(legality.broken_by_change(&row, &to)) {
                self.attempt_change(changer, rule, &row, &to).await;
                return true;
            }
        }
        false
    }

    /// A deletion of a row whose state forbids it.
    async fn break_delete(&mut self, entity: &'d Entity, rule: &'d Rule, kept: &(dyn Fn(&Row) -> bool + Sync)) -> bool {
        let Some(deleter) = self.deleter(entity) else { return false };
        let Some(row) = self.row_that(entity, Row::new(), kept, &fields_of_rule(&rule.kind)).await else { return false };
        self.send(violation(deleter, rule).about(&row)).await;
        true
    }

    /// One row more than may share a value.
    async fn break_limit(&mut self, entity: &'d Entity, rule: &'d Rule, limit: u64, per: &'d str) -> bool {
        let RuleKind::AtMost { when, .. } = &rule.kind else { return false };
        let today = self.today;
        let counts = |row: &Row| when.as_ref().is_none_or(|when| fulfils(row, when, today) == Some(true));
        if limit > ROWS_MAX {
            return false;
        }
        let Some(first) = self.row_that(entity, Row::new(), &counts, &fields_of_rule(&rule.kind)).await else { return false };
        let Some(shared) = present(&first, per).cloned() else { return false };
        let fixed = Row::from_iter([(per.to_owned(), shared)]);
        for _ in 1..limit {
            if self.row_that(entity, fixed.clone(), &counts, &fields_of_rule(&rule.kind)).await.is_none() {
                return false;
            }
        }
        let Some(creator) = self.creator(entity) else { return false };
        let new = New { wanted: Some(&counts), ..New::fixed(fixed) };
        let Ok(row) = self.draft(entity, creator, &new, 0).await else { return false };
        let payload = wrap(creator, self.body_of(creator, &row));
        self.send(violation(creator, rule).about(&row).carrying(payload)).await;
        true
    }
}

/// A request that breaks a rule.
fn violation<'d>(operation: &'d Operation, rule: &'d Rule) -> Try<'d> {
    let expect = if rule.kind.status() == 409 { Expect::Conflict } else { Expect::Invalid };
    Try::new(operation, format!("rule: {}", rule.text), expect).also(Some(Subject::Rule(rule.key.clone())))
}
