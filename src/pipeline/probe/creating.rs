//! Making rows: valid ones that break no rule, with the rows that they refer to, and what is refused.

use serde_json::{Value, json};

use super::client::{Answer, Payload};
use super::condition::{Row, compare};
use super::judge::Expect;
use super::samples::{Fill, refused, valid};
use super::shape_check::{Side, check, describe};
use super::walk::{Try, Walk, bindings, body_shape, field_subject, properties, shown, wrap};
use crate::model::shape::Property;
use crate::model::{Behaviour, Entity, FieldType, Operation, RuleKind, ShapeKind, Subject};

/// How deep rows are made that others refer to.
const PARENTS_MAX: usize = 8;

/// A new row, wanted.
pub(super) struct New<'d, 'w> {
    /// The operation to use; none is the entity's first.
    pub(super) operation: Option<&'d Operation>,
    /// Values that must be so.
    pub(super) fixed: Row,
    /// How much is given.
    pub(super) fill: Fill,
    /// The case's name.
    pub(super) case: &'static str,
    /// What else must hold of the row.
    pub(super) wanted: Option<&'w (dyn Fn(&Row) -> bool + Sync)>,
    /// The fields that this is about.
    pub(super) first: &'w [&'w str],
}

impl<'d> New<'d, '_> {
    /// Any valid row, with every property given.
    pub(super) fn any() -> Self {
        Self { operation: None, fixed: Row::new(), fill: Fill::All, case: "create", wanted: None, first: &[] }
    }

    /// With these values.
    pub(super) fn fixed(fixed: Row) -> Self {
        Self { fixed, ..Self::any() }
    }

    /// By this operation.
    pub(super) fn by(operation: &'d Operation, fill: Fill, case: &'static str) -> Self {
        Self { operation: Some(operation), fill, case, ..Self::any() }
    }
}

impl<'d> Walk<'d> {
    /// The operation that makes rows of an entity.
    pub(super) fn creator(&self, entity: &Entity) -> Option<&'d Operation> {
        self.of(entity, |behaviour| matches!(behaviour, Behaviour::Create(_))).first().copied()
    }

    /// The operations on an entity whose behaviour is so, in source order.
    pub(super) fn of(&self, entity: &Entity, is: impl Fn(&Behaviour) -> bool) -> Vec<&'d Operation> {
        let fits = |operation: &&'d Operation| operation.behaviour.entity() == Some(entity.name.as_str()) && is(&operation.behaviour);
        self.document.operations.iter().filter(fits).collect()
    }

    /// A row that others may refer to; made once.
    pub(super) async fn shared_row(&mut self, entity: &'d Entity, depth: usize) -> Option<Row> {
        if let Some(row) = self.shared.get(&entity.name) {
            return Some(row.clone());
        }
        let row = self.create_at(entity, New::any(), depth).await?;
        self.shared.insert(entity.name.clone(), row.clone());
        Some(row)
    }

    /// Makes a row and says what it holds; none when that failed (recorded) or cannot be tried (recorded as skipped).
    pub(super) async fn create(&mut self, entity: &'d Entity, new: New<'d, '_>) -> Option<Row> {
        self.create_at(entity, new, 0).await
    }

    async fn create_at(&mut self, entity: &'d Entity, new: New<'d, '_>, depth: usize) -> Option<Row> {
        let operation = new.operation.or_else(|| self.creator(entity))?;
        let case = new.case;
        let row = match self.draft(entity, operation, &new, depth).await {
            Ok(row) => row,
            Err(why) => {
                let subjects = vec![Subject::Operation(operation.key.clone())];
                self.skip(Some(operation), case, subjects, why);
                return None;
            }
        };
        let body = self.body_of(operation, &row);
        let mut attempt = Try::new(operation, case, Expect::Success).about(&row).also(Some(Subject::Entity(entity.name.clone())));
        attempt.proves = body.keys().filter_map(|name| field_subject(entity, name)).collect();
        if operation.body.is_some() {
            attempt.payload = wrap(operation, body.clone());
        }
        let answer = self.succeed(attempt).await?;
        self.compare_echo(entity, operation, &body, &answer);
        let mut made = row;
        made.extend(shown(operation, &answer).unwrap_or_default());
        find_key(entity, &mut made, &answer);
        Some(made)
    }

    /// The values of a new row that breaks no rule. The error says why there is none.
    pub(super) async fn draft(
        &mut self,
        entity: &'d Entity,
        operation: &'d Operation,
        new: &New<'d, '_>,
        depth: usize,
    ) -> Result<Row, String> {
        let shape = body_shape(self.document, operation);
        let mut row = self.references(entity, operation, new, depth).await?;
        let n = self.next_of(entity);
        for property in shape.into_iter().flat_map(|shape| properties(self.document, shape)) {
            let given = property.required || new.fill == Fill::All;
            if !given || property.shape.read_only || row.contains_key(&property.name) || is_reference(entity, &property.name) {
                continue;
            }
            match valid(self.document, &property.shape, n, new.fill) {
                Some(value) => row.insert(property.name.clone(), value),
                None if property.required => return Err(format!("no valid value for `{}` could be derived", property.name)),
                None => None,
            };
        }
        row.extend(new.fixed.clone());
        let Some(shape) = shape else { return Ok(row) };
        let legality = self.legality(entity);
        let frozen: Vec<&str> = new.fixed.keys().map(String::as_str).collect();
        let settled = legality.settle(&row, shape, &frozen, &|row: &Row| legality.broken_by_new(row));
        let mut row = settled.ok_or("no row that fulfils every rule was found")?;
        if let Some(wanted) = new.wanted {
            let kept = |to: &Row| frozen.iter().all(|field| to.get(*field) == row.get(*field));
            let accepts = |to: &Row| wanted(to) && kept(to) && legality.broken_by_new(to).is_empty();
            row = legality.search(&row, shape, new.first, &accepts).ok_or("no new row in the wanted state was found")?;
        }
        let body = Value::Object(self.body_of(operation, &row));
        let violations = check(self.document, shape, &body, Side::Request);
        if violations.is_empty() { Ok(row) } else { Err(format!("no valid body could be derived: {}", describe(&violations))) }
    }

    /// The keys of rows that a new one must or may refer to.
    async fn references(&mut self, entity: &'d Entity, operation: &'d Operation, new: &New<'d, '_>, depth: usize) -> Result<Row, String> {
        let document = self.document;
        let shape = body_shape(document, operation);
        let mut row = Row::new();
        for field in &entity.fields {
            let FieldType::Reference { entity: target, .. } = &field.field_type else { continue };
            let bound = bindings(&operation.behaviour).iter().any(|binding| binding.field == field.name);
            let property = shape.into_iter().flat_map(|shape| properties(document, shape)).find(|property| property.name == field.name);
            let needed = bound || property.is_some_and(|property| property.required);
            let given = needed || (property.is_some() && new.fill == Fill::All);
            if !given || new.fixed.contains_key(&field.name) {
                continue;
            }
            // Only the row that is wanted refers to its own kind; the one that it refers to does not.
            let deepest = if *target == entity.name { 1 } else { PARENTS_MAX };
            let found = match document.entity(target) {
                Some(parent) if depth < deepest => {
                    let fresh = self.needs_fresh(entity, operation, &field.name, &new.fixed);
                    Box::pin(self.parent(parent, fresh, depth + 1)).await
                }
                _ => None,
            };
            match found {
                Some(key) => row.insert(field.name.clone(), key),
                None if needed => return Err(format!("there is no {target} that `{}` could refer to", field.name)),
                None => None,
            };
        }
        Ok(row)
    }

    /// The key of a row to refer to.
    async fn parent(&mut self, parent: &'d Entity, fresh: bool, depth: usize) -> Option<Value> {
        let row = if fresh { self.create_at(parent, New::any(), depth).await } else { self.shared_row(parent, depth).await };
        row?.get(&parent.key().name).cloned()
    }

    /// True when a new row may not refer to the same row as those before it: a rule limits how many may, or the reference is
    /// what makes the row unique.
    fn needs_fresh(&self, entity: &Entity, operation: &'d Operation, field: &str, fixed: &Row) -> bool {
        let shape = body_shape(self.document, operation);
        let varies = |name: &str| {
            let property = shape.into_iter().flat_map(|shape| properties(self.document, shape)).find(|property| property.name == name);
            let property = property.filter(|_| !is_reference(entity, name) && !fixed.contains_key(name));
            property.is_some_and(|property| match &property.shape.kind {
                ShapeKind::Text { values, .. } => values.is_empty(),
                ShapeKind::Integer { .. } | ShapeKind::Number { .. } => true,
                _ => false,
            })
        };
        // Of several references in a unique rule, the last one that is free to be chosen is enough.
        let decides = |fields: &[String]| {
            let last = fields.iter().rfind(|name| is_reference(entity, name) && !fixed.contains_key(*name));
            last.is_some_and(|last| last == field) && !fields.iter().any(|name| varies(name))
        };
        let ruled = self.document.rules.iter().filter(|rule| rule.entity == entity.name).any(|rule| match &rule.kind {
            RuleKind::AtMost { per, .. } => per == field,
            RuleKind::Unique(fields) => decides(fields),
            _ => false,
        });
        ruled || entity.field(field).is_some_and(|field| field.unique || field.primary_key)
    }

    /// The part of a row that an operation's body holds.
    pub(super) fn body_of(&self, operation: &'d Operation, row: &Row) -> Row {
        let shape = body_shape(self.document, operation);
        let known = shape.into_iter().flat_map(|shape| properties(self.document, shape)).filter(|property| !property.shape.read_only);
        known.filter_map(|property| Some((property.name.clone(), row.get(&property.name)?.clone()))).collect()
    }

    /// What was sent must be what is shown.
    pub(super) fn compare_echo(&mut self, entity: &Entity, operation: &'d Operation, sent: &Row, answer: &Answer) {
        let Some(shown) = shown(operation, answer) else { return };
        for (name, value) in sent {
            let hidden = entity.field(name).is_some_and(|field| field.write_only);
            match shown.get(name).filter(|_| !hidden && entity.field(name).is_some()) {
                Some(found) if !same(found, value) => {
                    let problem = format!("`{name}` was sent as {value} and is shown as {found}");
                    self.fail_last(problem, field_subject(entity, name));
                }
                _ => {}
            }
        }
    }

    /// Everything that making a row can meet with.
    pub(super) async fn creating(&mut self, entity: &'d Entity, operation: &'d Operation) {
        let Some(row) = self.create(entity, New::by(operation, Fill::All, "create")).await else { return };
        if let Some(minimal) = self.create(entity, New::by(operation, Fill::Required, "create with only what is required")).await {
            self.check_defaults(entity, operation, &minimal);
        }
        self.refused_bodies(entity, operation, &row).await;
        self.conflicting(entity, operation, &row).await;
        self.dangling(entity, operation).await;
        self.below_nothing(operation, &row).await;
    }

    /// What was not given must have its default.
    fn check_defaults(&mut self, entity: &Entity, operation: &'d Operation, row: &Row) {
        let Some(shape) = body_shape(self.document, operation) else { return };
        for property in properties(self.document, shape).iter().filter(|property| !property.required) {
            let field = entity.field(&property.name);
            let default = property.shape.default.as_ref().or(field.and_then(|field| field.default.as_ref()));
            if let (Some(default), Some(found)) = (default, row.get(&property.name))
                && !same(found, default)
            {
                let problem = format!("`{}` was not given and is {found} instead of its default {default}", property.name);
                self.fail_last(problem, field_subject(entity, &property.name));
            }
        }
    }

    /// One body for each way in which one property can be refused.
    pub(super) async fn refused_bodies(&mut self, entity: &'d Entity, operation: &'d Operation, row: &Row) {
        let document = self.document;
        let Some(shape) = body_shape(document, operation) else { return };
        let creating = matches!(operation.behaviour, Behaviour::Create(_));
        for property in properties(document, shape).iter().filter(|property| !property.shape.read_only) {
            let wrong = refused(document, &property.shape);
            // Changes share the shapes of creation nearly always: one refused value of each field is enough there.
            let tried = if creating { wrong.len() } else { 1 };
            let named = wrong.into_iter().map(|refused| (format!("invalid: {} {}", property.name, refused.what), Some(refused.value)));
            let missing = property.required.then(|| (format!("invalid: {} missing", property.name), None));
            for (case, value) in named.rev().take(tried).chain(missing) {
                let mut body = self.body_for_refusal(operation, row, property);
                match value {
                    Some(value) => body.insert(property.name.clone(), value),
                    None => body.remove(&property.name),
                };
                let attempt = Try::new(operation, case, Expect::Invalid).about(row).carrying(wrap(operation, body));
                self.send(attempt.also(field_subject(entity, &property.name))).await;
            }
        }
        self.refused_wholes(operation, row).await;
    }

    /// The other properties are fine, so that only one thing is wrong.
    fn body_for_refusal(&mut self, operation: &'d Operation, row: &Row, property: &Property) -> Row {
        if matches!(operation.behaviour, Behaviour::Patch(_)) && !property.required {
            return Row::new();
        }
        let mut body = self.body_of(operation, row);
        if matches!(operation.behaviour, Behaviour::Create(_)) {
            // Another row's unique values would be a conflict; which of the two is answered is nobody's promise.
            let entity = operation.behaviour.entity().and_then(|name| self.document.entity(name));
            let n = entity.map_or(0, |entity| self.next_of(entity));
            let shape = body_shape(self.document, operation);
            for property in shape.into_iter().flat_map(|shape| properties(self.document, shape)) {
                let unique = matches!(property.shape.kind, ShapeKind::Text { ref values, .. } if values.is_empty());
                let reference = entity.is_some_and(|entity| is_reference(entity, &property.name));
                if body.contains_key(&property.name) && unique && !reference {
                    body.extend(valid(self.document, &property.shape, n, Fill::All).map(|value| (property.name.clone(), value)));
                }
            }
        }
        body
    }

    async fn refused_wholes(&mut self, operation: &'d Operation, row: &Row) {
        let Some(body) = &operation.body else { return };
        if !body.media_type.contains("json") {
            return;
        }
        let whole = [("invalid: not JSON", Payload::Raw("{\"")), ("invalid: a list instead of an object", Payload::Json(json!([])))];
        for (case, payload) in whole {
            self.send(Try::new(operation, case, Expect::Invalid).about(row).carrying(payload)).await;
        }
        let mut unknown = self.body_of(operation, row);
        unknown.insert("probe_unknown_property".to_owned(), json!(1));
        let Payload::Json(value) = wrap(operation, unknown) else { return };
        if !check(self.document, &body.shape, &value, Side::Request).is_empty() {
            let attempt = Try::new(operation, "invalid: an undocumented property", Expect::Invalid).about(row);
            self.send(attempt.carrying(Payload::Json(value))).await;
        }
    }

    /// A second row with the same value of a unique field.
    async fn conflicting(&mut self, entity: &'d Entity, operation: &'d Operation, row: &Row) {
        let sent = self.body_of(operation, row);
        for field in entity.fields.iter().filter(|field| (field.unique || field.primary_key) && sent.contains_key(&field.name)) {
            let Some(value) = row.get(&field.name).filter(|value| !value.is_null()) else { continue };
            let fixed = Row::from_iter([(field.name.clone(), value.clone())]);
            let new = New { operation: Some(operation), ..New::fixed(fixed) };
            let Ok(second) = self.draft(entity, operation, &new, 0).await else { continue };
            let payload = wrap(operation, self.body_of(operation, &second));
            let attempt = Try::new(operation, format!("conflict: {} taken", field.name), Expect::Conflict).about(&second).carrying(payload);
            self.send(attempt.also(field_subject(entity, &field.name))).await;
        }
    }

    /// A reference to a row that is not there.
    async fn dangling(&mut self, entity: &'d Entity, operation: &'d Operation) {
        let Some(shape) = body_shape(self.document, operation) else { return };
        for property in properties(self.document, shape).iter().filter(|property| is_reference(entity, &property.name)) {
            let Some(missing) = self.missing(&property.shape) else { continue };
            let new = New { operation: Some(operation), ..New::fixed(Row::from_iter([(property.name.clone(), missing)])) };
            let Ok(row) = self.draft(entity, operation, &new, 0).await else { continue };
            let payload = wrap(operation, self.body_of(operation, &row));
            let attempt = Try::new(operation, format!("invalid: {} refers to nothing", property.name), Expect::Dangling);
            self.send(attempt.about(&row).carrying(payload).also(field_subject(entity, &property.name))).await;
        }
    }

    /// A row below a parent that is not there.
    async fn below_nothing(&mut self, operation: &'d Operation, row: &Row) {
        let Some(binding) = bindings(&operation.behaviour).first() else { return };
        let parameter = operation.parameters.iter().find(|parameter| parameter.name == binding.parameter);
        let Some(missing) = parameter.and_then(|parameter| self.missing(&parameter.shape)) else { return };
        let mut attempt = Try::new(operation, "not found: no such parent", Expect::NotFound).about(row);
        attempt.path.insert(binding.parameter.clone(), missing);
        attempt.payload = wrap(operation, self.body_of(operation, row));
        self.send(attempt).await;
    }
}

/// A service that answers without the row names it in `Location`.
fn find_key(entity: &Entity, row: &mut Row, answer: &Answer) {
    let key = entity.key();
    if row.get(&key.name).is_some_and(|value| !value.is_null()) {
        return;
    }
    let Some(last) = answer.headers.get("location").and_then(|location| location.trim_end_matches('/').rsplit('/').next()) else { return };
    let number = matches!(key.field_type, FieldType::Integer | FieldType::BigInteger);
    let value = if number { last.parse::<i64>().map_or(Value::Null, |number| json!(number)) } else { json!(last) };
    row.insert(key.name.clone(), value);
}

/// True when the field refers to another entity.
pub(super) fn is_reference(entity: &Entity, name: &str) -> bool {
    entity.field(name).is_some_and(|field| matches!(field.field_type, FieldType::Reference { .. }))
}

/// Equal as values of the contract: numbers and instants by what they mean, everything else exactly.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    one == other || (!one.is_object() && !one.is_array() && compare(one, other) == Some(std::cmp::Ordering::Equal)) || as_lists(one, other)
}

fn as_lists(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other)),
        (Value::Object(one), Value::Object(other)) => {
            other.iter().all(|(name, value)| one.get(name).is_some_and(|found| same(found, value)))
        }
        _ => false,
    }
}
