//! Reading rows one by one, and what is answered for rows that are not there.

use serde_json::{Value, json};

use super::client::Payload;
use super::condition::Row;
use super::creating::{New, same};
use super::judge::Expect;
use super::shape_check::{Side, check};
use super::walk::{Try, Walk, bindings, field_subject, shown, wrap};
use crate::model::operation::Location;
use crate::model::{Behaviour, Entity, Operation, ShapeKind, Subject};

impl<'d> Walk<'d> {
    /// The operation that shows one row.
    pub(super) fn reader(&self, entity: &Entity) -> Option<&'d Operation> {
        self.of(entity, |behaviour| matches!(behaviour, Behaviour::Read(_))).first().copied()
    }

    /// Everything that reading a row can meet with.
    pub(super) async fn reading(&mut self, entity: &'d Entity, operation: &'d Operation) {
        let Some(row) = self.create(entity, New::any()).await else {
            return self.cannot(operation, "read");
        };
        let attempt = Try::new(operation, "read", Expect::Success).about(&row).also(Some(Subject::Entity(entity.name.clone())));
        if let Some(answer) = self.succeed(attempt).await {
            self.compare_shown(entity, &row, shown(operation, &answer).as_ref());
        }
        self.not_there(operation, &row).await;
    }

    /// What is read must be what was stored.
    pub(super) fn compare_shown(&mut self, entity: &Entity, row: &Row, shown: Option<&Row>) {
        let Some(shown) = shown else { return };
        for (name, value) in row.iter().filter(|(name, _)| entity.field(name).is_some_and(|field| !field.write_only)) {
            if let Some(found) = shown.get(name).filter(|found| !same(found, value)) {
                self.fail_last(format!("`{name}` was stored as {value} and is shown as {found}"), field_subject(entity, name));
            }
        }
    }

    /// The same request for a row that is not there, and for a path that no row can have.
    pub(super) async fn not_there(&mut self, operation: &'d Operation, row: &Row) {
        let Some(last) = bindings(&operation.behaviour).last() else { return };
        let Some(parameter) = operation.parameters.iter().find(|parameter| parameter.name == last.parameter) else { return };
        let payload = if operation.body.is_some() { wrap(operation, self.body_of(operation, row)) } else { Payload::None };
        if let Some(missing) = self.missing(&parameter.shape) {
            let mut attempt = Try::new(operation, "not found", Expect::NotFound).about(row).carrying(payload.clone());
            attempt.path.insert(parameter.name.clone(), missing);
            self.send(attempt).await;
        }
        // Travelling as text, a number is refused when it is not one.
        let refused = match &parameter.shape.kind {
            ShapeKind::Integer { .. } | ShapeKind::Number { .. } => true,
            _ => !check(self.document, &parameter.shape, &json!("probe"), Side::Request).is_empty(),
        };
        if parameter.location == Location::Path && refused {
            let mut attempt = Try::new(operation, "invalid: malformed path", Expect::BadPath).about(row).carrying(payload);
            attempt.path.insert(parameter.name.clone(), json!("probe"));
            self.send(attempt).await;
        }
    }

    /// Reads a row back after a change; nothing when there is no operation that shows one.
    pub(super) async fn read_back(&mut self, entity: &'d Entity, row: &Row, case: &str, also: Option<Subject>) {
        let Some(reader) = self.reader(entity) else { return };
        let attempt = Try::new(reader, case, Expect::Success).about(row).also(also);
        if let Some(answer) = self.succeed(attempt).await {
            self.compare_shown(entity, row, shown(reader, &answer).as_ref());
        }
    }

    /// Records that an operation could not be tried because there is no row to try it on.
    pub(super) fn cannot(&mut self, operation: &'d Operation, case: &str) {
        if !self.gone() {
            let subjects = vec![Subject::Operation(operation.key.clone())];
            self.skip(Some(operation), case, subjects, "no row to try it on could be made");
        }
    }

    /// An operation that nobody has implemented must say so, and name what it waits for.
    pub(super) async fn pending(&mut self, operation: &'d Operation) {
        let unit = format!("api/{}#implement", operation.key);
        let mut attempt = Try::new(operation, "waiting", Expect::Pending(unit));
        if let Some(body) = &operation.body {
            attempt.payload = match self.sample(&body.shape) {
                Some(value) if body.media_type.contains("json") => Payload::Json(value),
                _ => return self.skip(Some(operation), "waiting", Vec::new(), "no valid body could be derived"),
            };
        }
        self.send(attempt).await;
        // An honest 501 is no proof of what the specification demands; anything else is a proof against it.
        if self.passed()
            && let Some(call) = self.calls.last_mut()
        {
            call.subjects.clear();
        }
    }

    /// The value of a row's key.
    pub(super) fn key_of(entity: &Entity, row: &Row) -> Option<Value> {
        row.get(&entity.key().name).filter(|value| !value.is_null()).cloned()
    }
}
