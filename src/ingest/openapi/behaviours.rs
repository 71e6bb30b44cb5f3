//! What each operation does to the stored rows, or exactly why that cannot be said.

use super::entities::{Draft, is_secret};
use super::fields::{compatible, field_type};
use super::operations::{parameter, segments};
use super::parents::{parent_binding, parents};
use super::queries;
use super::resources::{Form, Resource, View, object, path_parameter};
use super::success;
use crate::model::entity::FieldSource;
use crate::model::operation::{Binding, Location, RowBehaviour};
use crate::model::{Behaviour, FieldType, Finding, Method, Operation, SpecDocument};

/// What an operation does, seen from its collection.
#[derive(Clone, Copy, PartialEq)]
enum Intent {
    List,
    Create,
    Read,
    Write,
    Delete,
    Act,
}

/// The behaviour of one operation; every reason against it is named.
pub(super) fn derive(
    document: &SpecDocument,
    view: &View,
    resources: &[Resource],
    drafts: &[Draft],
    mut reasons: Vec<String>,
    findings: &mut Vec<Finding>,
) -> Behaviour {
    let operation = &document.operations[view.index];
    reasons.extend(locked(document, operation));
    let resource = resources.iter().find(|resource| resource.path == view.collection);
    let (Some(resource), Some(intent)) = (resource, intent(view)) else {
        reasons.extend(secrets(document, view));
        reasons.push(no_resource(operation, view, resource.is_some()));
        return underivable(reasons);
    };
    let draft = &drafts[resource.entity];
    let found = Finder { document, operation, view, resource, resources, draft, drafts };
    let path = found.path(&mut reasons);
    let query = if intent == Intent::List { queries::derive(document, operation, view, draft, &mut reasons, findings) } else { None };
    if intent != Intent::List {
        found.unknown_parameters(&mut reasons);
    }
    found.check_rows(intent, &mut reasons);
    found.check_body(intent, &mut reasons);
    let row = RowBehaviour {
        entity: draft.entity.name.clone(),
        path,
        request_envelope: envelope(&view.takes),
        response_envelope: envelope(&view.shows),
    };
    let behaviour = match (intent, query) {
        (Intent::List, Some(mut list)) => {
            list.path = row.path;
            Some(Behaviour::List(list))
        }
        (Intent::List, None) => None,
        (Intent::Create, _) => Some(Behaviour::Create(row)),
        (Intent::Read, _) => Some(Behaviour::Read(row)),
        (Intent::Write, _) if view.method == Method::Put && found.replaces() => Some(Behaviour::Replace(row)),
        (Intent::Write, _) => Some(Behaviour::Patch(row)),
        (Intent::Delete, _) => Some(Behaviour::Delete(row)),
        (Intent::Act, _) => found.act(row, &mut reasons),
    };
    match behaviour {
        Some(behaviour) if reasons.is_empty() => behaviour,
        _ => underivable(reasons),
    }
}

fn underivable(mut reasons: Vec<String>) -> Behaviour {
    let mut unique: Vec<String> = Vec::new();
    for reason in reasons.drain(..) {
        if !unique.contains(&reason) {
            unique.push(reason);
        }
    }
    Behaviour::Underivable { reason: unique.join("; ") }
}

fn intent(view: &View) -> Option<Intent> {
    let rows = matches!(view.shows, Form::Rows { .. });
    Some(match (view.method, view.item.is_some(), view.action.is_some()) {
        (Method::Post | Method::Put, true, true) => Intent::Act,
        (_, _, true) => return None,
        (Method::Get, false, _) if rows => Intent::List,
        (Method::Get, true, _) => Intent::Read,
        (Method::Post, false, _) => Intent::Create,
        (Method::Put | Method::Patch, true, _) => Intent::Write,
        (Method::Delete, true, _) => Intent::Delete,
        _ => return None,
    })
}

/// Why an operation that demands proof of identity cannot be built.
fn locked(document: &SpecDocument, operation: &Operation) -> Option<String> {
    if operation.security.is_empty() {
        return None;
    }
    let schemes: Vec<String> = operation
        .security
        .iter()
        .map(|name| match document.security_schemes.iter().find(|scheme| scheme.name == *name) {
            Some(scheme) if !scheme.location.is_empty() => format!("`{name}` ({} in {})", scheme.kind, scheme.location.replace(':', " ")),
            Some(scheme) => format!("`{name}` ({})", scheme.kind),
            None => format!("`{name}`"),
        })
        .collect();
    Some(format!("it demands {}, and nothing says how callers are issued one and told apart", schemes.join(" or ")))
}

fn secret(name: &str) -> String {
    format!("it takes the secret `{name}`, and nothing says how that is kept and checked")
}

/// The secrets that a request carries where no stored row could keep them.
fn secrets(document: &SpecDocument, view: &View) -> Vec<String> {
    let taken = view.takes.schema().and_then(|schema| object(document, schema));
    let secrets =
        taken.into_iter().flat_map(|object| &object.properties).filter(|property| is_secret(&property.name, &property.shape.kind));
    secrets.map(|property| secret(&property.name)).collect()
}

fn no_resource(operation: &Operation, view: &View, known: bool) -> String {
    let shown = match &view.shows {
        Form::Nothing => "nothing".to_owned(),
        Form::Row { schema, .. } => format!("one `{schema}`"),
        Form::Rows { schema, .. } => format!("a list of `{schema}`"),
        Form::Other(words) => words.clone(),
    };
    if let Some(action) = &view.action {
        return format!("nothing says what `{action}` changes in the stored rows");
    }
    match (view.method, view.item.is_some(), known) {
        (Method::Head | Method::Options | Method::Trace, ..) => format!("{} has no meaning for stored rows", operation.method),
        (Method::Get, false, _) => format!("it answers {shown}, and no collection of stored rows stands behind `{}`", operation.path),
        (_, false, true) => format!("{} on a whole collection is not a change of one row", operation.method),
        _ => format!("no collection of stored rows stands behind `{}`", operation.path),
    }
}

fn envelope(form: &Form) -> Option<String> {
    match form {
        Form::Row { envelope, .. } => envelope.clone(),
        _ => None,
    }
}

/// Everything that one decision looks at.
struct Finder<'a> {
    document: &'a SpecDocument,
    operation: &'a Operation,
    view: &'a View,
    resource: &'a Resource,
    resources: &'a [Resource],
    draft: &'a Draft,
    drafts: &'a [Draft],
}

impl Finder<'_> {
    /// Parents first, the row's own key last.
    fn path(&self, reasons: &mut Vec<String>) -> Vec<Binding> {
        let entity = &self.draft.entity;
        let mut bindings = Vec::new();
        for (name, parent) in parents(&self.resource.path, self.resources) {
            match parent_binding(entity, &name, parent.map(|parent| &self.drafts[parent.entity].entity)) {
                Some(binding) => {
                    self.check_type(&binding, reasons);
                    bindings.push(binding);
                }
                None => reasons.push(format!("`{{{name}}}` names no field of {}", entity.name)),
            }
        }
        if let Some(item) = &self.view.item {
            if self.draft.keyed {
                let binding = Binding { parameter: item.clone(), field: entity.key().name.clone() };
                self.check_type(&binding, reasons);
                bindings.push(binding);
            } else {
                reasons.push(format!("`{{{item}}}` names no property of {}", self.draft.schema));
            }
        }
        bindings
    }

    /// A parameter fits its field when it has the field's type, or is a text that may be read as it.
    fn check_type(&self, binding: &Binding, reasons: &mut Vec<String>) {
        let (Some(parameter), Some(field)) = (path_parameter(self.operation, &binding.parameter), self.draft.entity.field(&binding.field))
        else {
            return;
        };
        let stated = field_type(self.document, &parameter.shape);
        let stored = match &field.field_type {
            FieldType::Reference { entity, .. } => match self.drafts.iter().find(|draft| draft.entity.name == *entity) {
                Some(owner) => &owner.entity.key().field_type,
                None => return,
            },
            other => other,
        };
        let textual = matches!(stated, FieldType::Text);
        if !textual && !compatible(&stated, stored) {
            reasons.push(format!("`{{{}}}` and the field `{}` have different types", binding.parameter, binding.field));
        }
    }

    /// Parameters in the query that nothing explains. Headers and cookies are accepted and mean nothing to stored rows.
    fn unknown_parameters(&self, reasons: &mut Vec<String>) {
        for parameter in self.operation.parameters.iter().filter(|parameter| parameter.location == Location::Query) {
            reasons.push(format!("nothing says what the parameter `{}` does", parameter.name));
        }
        let bound: Vec<&str> = segments(&self.operation.path).iter().filter_map(|segment| parameter(segment)).collect();
        let twice = bound.iter().enumerate().find(|(index, name)| bound[..*index].contains(name));
        if let Some((_, name)) = twice {
            reasons.push(format!("`{{{name}}}` stands twice in the path"));
        }
    }

    /// What is shown must be stored, and something must make it.
    fn check_rows(&self, intent: Intent, reasons: &mut Vec<String>) {
        let entity = &self.draft.entity.name;
        if !self.draft.made {
            reasons.push(format!("no operation makes a {entity}, so there is never one to work on"));
            return;
        }
        let shown = match &self.view.shows {
            Form::Nothing => None,
            Form::Other(words) => {
                reasons.push(format!("it answers {words}, which is no {entity}"));
                None
            }
            Form::Rows { schema, .. } if intent != Intent::List => {
                reasons.push(format!("it answers a list of `{schema}` where one {entity} is expected"));
                None
            }
            form => form.schema(),
        };
        if shown.is_none() && matches!(intent, Intent::Read | Intent::List) && matches!(self.view.shows, Form::Nothing) {
            reasons.push("it answers nothing that could show a row".to_owned());
        }
        if success(self.operation).is_none() {
            reasons.push("the document names no answer for success".to_owned());
        }
        let Some(object) = shown.and_then(|schema| object(self.document, schema)) else { return };
        let mut unwritten = Vec::new();
        for property in object.properties.iter().filter(|property| property.required && !property.shape.write_only) {
            let name = &property.name;
            if self.draft.unexplained.contains(name) {
                unwritten.push(format!("`{name}`"));
            } else if self.draft.conflicts.contains(name) {
                reasons.push(format!("`{name}` is written in one shape and shown in another"));
            } else if self.draft.entity.field(name).is_none() {
                reasons.push(format!("`{name}` of the answer is no field of {entity}"));
            }
        }
        if !unwritten.is_empty() {
            let names = unwritten.join(", ");
            reasons.push(format!("the answer must show {names}, which no request writes, and nothing says how to compute that"));
        }
    }

    fn check_body(&self, intent: Intent, reasons: &mut Vec<String>) {
        let entity = &self.draft.entity;
        match (&self.view.takes, intent) {
            (Form::Nothing, Intent::Create) => {
                for field in entity
                    .fields
                    .iter()
                    .filter(|field| field.required && field.source == FieldSource::Client && field.default.is_none() && !field.write_only)
                {
                    reasons.push(format!("a {} needs `{}`, and the request carries nothing", entity.name, field.name));
                }
            }
            (Form::Nothing, Intent::Write) => reasons.push("the request carries nothing to write".to_owned()),
            (Form::Nothing, _) => {}
            (Form::Row { schema, .. }, Intent::Create | Intent::Write) => {
                let carried = |name: &String| {
                    object(self.document, schema).is_some_and(|object| object.properties.iter().any(|property| property.name == *name))
                };
                for name in self.draft.secrets.iter().filter(|name| carried(name)) {
                    reasons.push(secret(name));
                }
                for name in self.draft.conflicts.iter().filter(|name| carried(name)) {
                    reasons.push(format!("`{name}` is written in one shape and shown in another"));
                }
            }
            (Form::Row { .. }, _) => reasons.push("the request carries a document that nothing explains".to_owned()),
            (Form::Rows { schema, .. }, _) => reasons.push(format!("it takes a list of `{schema}`, and only one row at a time is built")),
            (Form::Other(words), _) => reasons.push(format!("it takes {words}, which is no {}", entity.name)),
        }
        if intent == Intent::Create {
            for name in &self.draft.gaps {
                reasons.push(format!("requests may leave out `{name}`, answers must show it, and nothing says its value then"));
            }
        }
    }

    /// True when the body names every field that a row must have, so that what it leaves out may be emptied.
    fn replaces(&self) -> bool {
        let Form::Row { schema, .. } = &self.view.takes else { return false };
        let Some(object) = object(self.document, schema) else { return false };
        let key = &self.draft.entity.key().name;
        let needed = |name: &str| object.properties.iter().any(|property| property.name == name && property.required);
        let fields =
            self.draft.entity.fields.iter().filter(|field| field.source == FieldSource::Client && !field.immutable && field.name != *key);
        let must = fields.filter(|field| field.required && field.default.is_none());
        must.into_iter().all(|field| needed(&field.name))
    }

    /// An action sets the one enumeration that has its participle among its values (`cancel`: `cancelled`).
    fn act(&self, row: RowBehaviour, reasons: &mut Vec<String>) -> Option<Behaviour> {
        let action = self.view.action.as_deref().unwrap_or_default();
        let mut hits = Vec::new();
        for field in &self.draft.entity.fields {
            if let FieldType::Enum(values) = &field.field_type {
                hits.extend(
                    values.iter().filter(|value| participle_of(value, action)).map(|value| (field.name.clone(), serde_json::json!(value))),
                );
            }
        }
        if hits.len() == 1 {
            return Some(Behaviour::Act { row, set: hits });
        }
        reasons.push(format!("nothing says what `{action}` changes in {}", self.draft.entity.name));
        None
    }
}

/// True when the value is what the verb leaves behind: `cancelled` of `cancel`, `shipped` of `ship`, `published` of `publish`.
fn participle_of(value: &str, verb: &str) -> bool {
    let (value, verb) = (value.to_lowercase(), verb.to_lowercase());
    let Some(last) = verb.chars().last() else { return false };
    let stem = verb.strip_suffix('e').unwrap_or(&verb);
    let y = verb.strip_suffix('y').map(|stem| format!("{stem}ied"));
    let irregular = [
        ("send", "sent"),
        ("pay", "paid"),
        ("withdraw", "withdrawn"),
        ("begin", "begun"),
        ("hold", "held"),
        ("activate", "active"),
        ("complete", "complete"),
    ];
    value == format!("{stem}ed")
        || value == format!("{verb}{last}ed")
        || Some(&value) == y.as_ref()
        || irregular.contains(&(verb.as_str(), value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participles_are_recognised() {
        for (value, verb) in
            [("cancelled", "cancel"), ("canceled", "cancel"), ("Closed", "close"), ("shipped", "ship"), ("denied", "deny"), ("paid", "pay")]
        {
            assert!(participle_of(value, verb), "{value} {verb}");
        }
        assert!(!participle_of("open", "cancel"));
        assert!(!participle_of("red", ""));
    }
}
