//! What can go wrong with an operation and the document does not answer for: named, because callers will see it.

use crate::model::entity::FieldSource;
use crate::model::{Behaviour, Finding, Operation, SpecDocument};

/// Notes failures without a documented status, and bodies that may be left out although a row needs them.
pub(super) fn note(document: &SpecDocument, findings: &mut Vec<Finding>) {
    for operation in document.operations.iter().filter(|operation| operation.derivable()) {
        for (status, what) in failures(document, operation) {
            let answered = operation.failure_status(status);
            if !operation.documents(answered) {
                let message = format!("{} documents no answer for {what}; it is answered with {answered}", operation.key);
                let hint = "document that status, or a `default` answer";
                findings.push(Finding::warning("undocumented-failure", message, operation.position, hint));
            }
        }
        if needs_body(document, operation) && operation.body.as_ref().is_some_and(|body| !body.required) {
            let message =
                format!("the body of {} may be left out, yet a row needs what it carries; requests without it are refused", operation.key);
            findings.push(Finding::warning("optional-body", message, operation.position, "write `required: true` in its requestBody"));
        }
    }
}

fn failures(document: &SpecDocument, operation: &Operation) -> Vec<(u16, &'static str)> {
    let mut found = Vec::new();
    if operation.body.is_some() || !operation.parameters.is_empty() {
        found.push((422, "an invalid request"));
    }
    let (Behaviour::Create(row)
    | Behaviour::Read(row)
    | Behaviour::Replace(row)
    | Behaviour::Patch(row)
    | Behaviour::Delete(row)
    | Behaviour::Act { row, .. }) = &operation.behaviour
    else {
        return found;
    };
    if !row.path.is_empty() {
        found.push((404, "a row that is not there"));
    }
    let created = matches!(operation.behaviour, Behaviour::Create(_));
    if created && document.entity(&row.entity).is_some_and(|entity| entity.key().source == FieldSource::Client) {
        found.push((409, "a key that is taken"));
    }
    found
}

fn needs_body(document: &SpecDocument, operation: &Operation) -> bool {
    match &operation.behaviour {
        Behaviour::Create(row) => document.entity(&row.entity).is_some_and(|entity| {
            entity.fields.iter().any(|field| field.required && field.default.is_none() && field.source == FieldSource::Client)
        }),
        Behaviour::Replace(_) => true,
        _ => false,
    }
}
