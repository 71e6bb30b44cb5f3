//! Deleting rows, and what becomes of those that refer to them.

use super::condition::{Row, fulfils};
use super::creating::New;
use super::judge::Expect;
use super::walk::{Try, Walk, shown};
use crate::model::{Behaviour, Entity, FieldType, OnDelete, Operation, RuleKind, Subject};

impl<'d> Walk<'d> {
    /// The operation that deletes rows.
    pub(super) fn deleter(&self, entity: &Entity) -> Option<&'d Operation> {
        self.of(entity, |behaviour| matches!(behaviour, Behaviour::Delete(_))).first().copied()
    }

    /// Everything that deleting a row can meet with.
    pub(super) async fn deleting(&mut self, entity: &'d Entity, operation: &'d Operation) {
        let Some(row) = self.deletable(entity).await else {
            return self.cannot(operation, "delete");
        };
        self.send(Try::new(operation, "delete", Expect::Success).about(&row)).await;
        if self.passed() {
            if let Some(reader) = self.reader(entity) {
                let attempt = Try::new(reader, "read what was deleted", Expect::NotFound).about(&row);
                self.send(attempt.also(Some(Subject::Operation(operation.key.clone())))).await;
            }
            self.send(Try::new(operation, "delete what was deleted", Expect::NotFound).about(&row)).await;
        }
        self.not_there(operation, &row).await;
        for child in &self.document.entities {
            for field in &child.fields {
                if let FieldType::Reference { entity: target, on_delete } = &field.field_type
                    && *target == entity.name
                    && child.name != entity.name
                {
                    self.referred_to(entity, operation, child, &field.name, *on_delete).await;
                }
            }
        }
    }

    /// A fresh row that the rules allow to be deleted.
    async fn deletable(&mut self, entity: &'d Entity) -> Option<Row> {
        let legality = self.legality(entity);
        let today = self.today;
        let allowed = |row: &Row| {
            legality.rules().all(|rule| match &rule.kind {
                RuleKind::DeleteOnlyWhen(condition) => fulfils(row, condition, today) == Some(true),
                _ => true,
            })
        };
        self.row_that(entity, Row::new(), &allowed, &[]).await
    }

    /// Deletes a row that another one refers to.
    async fn referred_to(&mut self, entity: &'d Entity, operation: &'d Operation, child: &'d Entity, field: &str, on_delete: OnDelete) {
        let subject = Subject::Field(format!("{}.{field}", child.name));
        let case = match on_delete {
            OnDelete::Restrict => format!("conflict: a {} refers to it", child.name),
            OnDelete::Cascade => format!("delete with the {} that refers to it", child.name),
            OnDelete::SetNull => format!("delete although a {} refers to it", child.name),
        };
        let Some(parent) = self.deletable(entity).await else { return };
        let Some(key) = Self::key_of(entity, &parent) else { return };
        let Some(row) = self.create(child, New::fixed(Row::from_iter([(field.to_owned(), key)]))).await else {
            return self.skip(Some(operation), case, vec![subject], format!("no {} that refers to it could be made", child.name));
        };
        let expect = if on_delete == OnDelete::Restrict { Expect::Conflict } else { Expect::Success };
        // A cascade that meets rows that must not go is refused; nothing refers to this fresh child.
        self.send(Try::new(operation, case, expect).about(&parent).also(Some(subject.clone()))).await;
        let Some(reader) = self.reader(child).filter(|_| self.passed()) else { return };
        match on_delete {
            OnDelete::Restrict => {}
            OnDelete::Cascade => {
                self.send(Try::new(reader, "read what was deleted along", Expect::NotFound).about(&row).also(Some(subject))).await;
            }
            OnDelete::SetNull => {
                let attempt = Try::new(reader, "read what referred to it", Expect::Success).about(&row).also(Some(subject.clone()));
                let Some(answer) = self.succeed(attempt).await else { return };
                if let Some(found) = shown(reader, &answer).and_then(|row| row.get(field).cloned()).filter(|found| !found.is_null()) {
                    self.fail_last(format!("`{field}` still is {found}"), Some(subject));
                }
            }
        }
    }
}
