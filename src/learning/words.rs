//! What a piece of work does, in words: the text that is embedded. Most telling words first, because a model reads only the
//! first few hundred of them; sorts of work are named the way people ask for them (`paginated list endpoint`).

use crate::model::entity::{FieldSource, Limits};
use crate::model::operation::{Binding, Filter as Narrowing, FilterComparison, ListBehaviour, RowBehaviour, Status};
use crate::model::{Behaviour, Entity, Field, FieldType, OnDelete, Operation, Rule, RuleKind, SpecDocument, Task, TaskType};

/// An operation: its sort, what it reads or changes, how it narrows, orders and pages, and what it refuses.
pub fn operation(doc: &SpecDocument, operation: &Operation) -> String {
    let mut sentences = vec![sort(operation)];
    let entity = operation.behaviour.entity();
    let thing = entity.map_or_else(String::new, spaced);
    match &operation.behaviour {
        Behaviour::List(list) => sentences.extend(listing(list, &thing)),
        Behaviour::Create(row) => sentences.extend(row_work("Creates", row, &thing)),
        Behaviour::Read(row) => sentences.extend(row_work("Reads", row, &thing)),
        Behaviour::Replace(row) => sentences.extend(row_work("Replaces every writable field of", row, &thing)),
        Behaviour::Patch(row) => sentences.extend(row_work("Changes only the given fields of", row, &thing)),
        Behaviour::Delete(row) => sentences.extend(row_work("Deletes", row, &thing)),
        Behaviour::Act { row, set } => {
            let fields: Vec<String> = set.iter().map(|(field, _)| spaced(field)).collect();
            sentences.extend(row_work(&format!("Sets {} of", listed(&fields)), row, &thing));
        }
        Behaviour::Underivable { reason } => sentences.push(reason.clone()),
    }
    sentences.extend([operation.summary.clone(), operation.description.clone()]);
    if let Some(entity) = entity {
        sentences.extend(refusals(doc, operation, entity));
    }
    if !operation.security.is_empty() {
        sentences.push("Requires authentication".to_owned());
    }
    joined(sentences)
}

/// `Paginated list endpoint with filter, search and sorting: GET /books`.
fn sort(operation: &Operation) -> String {
    let name = match &operation.behaviour {
        Behaviour::List(list) => {
            let has = |wanted: &[FilterComparison]| list.filters.iter().any(|filter| wanted.contains(&filter.comparison));
            let mut with = Vec::new();
            if has(&[FilterComparison::Equal, FilterComparison::OneOf]) {
                with.push("filter");
            }
            if has(&[FilterComparison::AtLeast, FilterComparison::AtMost]) {
                with.push("range filter");
            }
            if has(&[FilterComparison::Contains]) {
                with.push("text search");
            }
            if list.sort.is_some() {
                with.push("sorting");
            }
            let paged = if list.paging.is_some() { "Paginated list" } else { "List" };
            if with.is_empty() { format!("{paged} endpoint") } else { format!("{paged} endpoint with {}", listed(&with)) }
        }
        Behaviour::Create(_) => "Create endpoint".to_owned(),
        Behaviour::Read(_) => "Read endpoint, get one by id".to_owned(),
        Behaviour::Replace(_) => "Replace endpoint, full update".to_owned(),
        Behaviour::Patch(_) => "Partial update endpoint, patch".to_owned(),
        Behaviour::Delete(_) => "Delete endpoint".to_owned(),
        Behaviour::Act { .. } => "Action endpoint that changes state".to_owned(),
        Behaviour::Underivable { .. } => "Endpoint of its own kind".to_owned(),
    };
    format!("{name}: {}", operation.key)
}

fn listing(list: &ListBehaviour, thing: &str) -> Vec<String> {
    let mut sentences = vec![format!("Lists {thing} rows{}", nested(&list.path))];
    let narrowed = |filter: &Narrowing| {
        let field = spaced(&filter.field);
        match filter.comparison {
            FilterComparison::Equal => field,
            FilterComparison::OneOf => format!("one of several {field}"),
            FilterComparison::Contains => format!("text in {field}"),
            FilterComparison::AtLeast => format!("least {field}"),
            FilterComparison::AtMost => format!("greatest {field}"),
        }
    };
    if !list.filters.is_empty() {
        sentences.push(format!("Filtered by {}", listed(&list.filters.iter().map(narrowed).collect::<Vec<_>>())));
    }
    if let Some(sort) = &list.sort {
        sentences.push(format!("Sorted by {}", listed(&sort.fields.iter().map(|field| spaced(field)).collect::<Vec<_>>())));
    }
    if let Some(paging) = &list.paging {
        let how = if paging.pages { "page number" } else { "offset" };
        sentences.push(format!("Page by page with limit and {how}, at most {} rows", paging.limit_max));
    }
    if list.envelope.as_ref().is_some_and(|envelope| envelope.total.is_some()) {
        sentences.push("Answers the rows with the total count".to_owned());
    }
    sentences
}

fn row_work(verb: &str, row: &RowBehaviour, thing: &str) -> Vec<String> {
    vec![format!("{verb} one {thing}{}", nested(&row.path))]
}

/// The parents that a path goes through.
fn nested(path: &[Binding]) -> String {
    let parents: Vec<String> = path.iter().filter(|binding| binding.field != "id").map(|binding| spaced(&binding.field)).collect();
    if parents.is_empty() { String::new() } else { format!(", nested under its {}", listed(&parents)) }
}

/// What it refuses: documented statuses, and the rules of its entity that it can break.
fn refusals(doc: &SpecDocument, operation: &Operation, entity: &str) -> Vec<String> {
    let refuses = |code: u16| operation.responses.iter().any(|response| response.status == Status::Code(code));
    let mut sentences = Vec::new();
    for (code, words) in [(404, "404 not found"), (409, "409 conflict"), (422, "422 validation error")] {
        if refuses(code) {
            sentences.push(words.to_owned());
        }
    }
    let deletes = operation.behaviour.verb() == "delete";
    for rule in doc.rules.iter().filter(|rule| rule.entity == entity && breaks(&operation.behaviour, &rule.kind)) {
        sentences.push(format!("Rule: {}", rule.text));
    }
    if deletes && doc.entities.iter().any(|other| references(other, entity)) {
        sentences.push("Refused with 409 while other rows refer to it".to_owned());
    }
    sentences
}

/// True when a request of that sort can break a rule of that kind.
fn breaks(behaviour: &Behaviour, rule: &RuleKind) -> bool {
    let verb = behaviour.verb();
    match rule {
        RuleKind::DeleteOnlyWhen(_) => verb == "delete",
        RuleKind::Immutable { .. } | RuleKind::ChangeOnlyWhen(_) => matches!(verb, "replace" | "patch"),
        RuleKind::Transitions { .. } => matches!(verb, "replace" | "patch" | "act"),
        RuleKind::Unique(_) => matches!(verb, "create" | "replace" | "patch"),
        RuleKind::Check(_) | RuleKind::RequiredWhen { .. } | RuleKind::Implies { .. } | RuleKind::AtMost { .. } => {
            matches!(verb, "create" | "replace" | "patch" | "act")
        }
    }
}

fn references(other: &Entity, entity: &str) -> bool {
    let refers = |field: &Field| match &field.field_type {
        FieldType::Reference { entity: target, on_delete } => target == entity && *on_delete == OnDelete::Restrict,
        _ => false,
    };
    other.fields.iter().any(refers)
}

/// A unit about an entity: what sort of work it is, then the entity's fields with type and constraints, relations and rules.
pub fn entity(doc: &SpecDocument, entity: &Entity, task: &Task) -> String {
    let name = spaced(&entity.name);
    let sort = match task.task_type {
        TaskType::Schema => format!("Request and response schemas with validation of {name}"),
        TaskType::Crud => format!("Service with queries, changes and business rules of {name}"),
        _ => format!("Data model and database table of {name}"),
    };
    let mut sentences = vec![sort, task.title.clone(), task.description.clone(), entity.description.clone()];
    let own = entity.fields.iter().filter(|field| !field.primary_key && field.source == FieldSource::Client);
    sentences.push(format!("Fields: {}", own.map(field).collect::<Vec<_>>().join("; ")));
    let rules: Vec<&Rule> = doc.rules.iter().filter(|rule| rule.entity == entity.name).collect();
    sentences.extend(rules.iter().map(|rule| format!("Rule: {}", rule.text)));
    joined(sentences)
}

fn field(field: &Field) -> String {
    let mut words = vec![field.name.replace('_', " "), field_type(&field.field_type)];
    let flags = [(field.required, "required"), (field.unique, "unique"), (field.indexed, "indexed"), (field.immutable, "immutable")];
    words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()));
    words.extend(limits(&field.limits));
    words.join(" ")
}

fn field_type(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Text => "text".to_owned(),
        FieldType::Email => "email address".to_owned(),
        FieldType::Url => "web address".to_owned(),
        FieldType::Integer | FieldType::BigInteger => "whole number".to_owned(),
        FieldType::Float => "number".to_owned(),
        FieldType::Decimal { .. } => "decimal amount".to_owned(),
        FieldType::Boolean => "yes or no".to_owned(),
        FieldType::Date => "date".to_owned(),
        FieldType::Time => "time".to_owned(),
        FieldType::DateTime => "timestamp".to_owned(),
        FieldType::Uuid => "uuid".to_owned(),
        FieldType::Enum(values) => format!("enum of {}", listed(values)),
        FieldType::Reference { entity, on_delete } => {
            let fate = match on_delete {
                OnDelete::Restrict => "restrict",
                OnDelete::Cascade => "cascade",
                OnDelete::SetNull => "set null",
            };
            format!("foreign key to {}, on delete {fate}", spaced(entity))
        }
        FieldType::List(inner) => format!("list of {}", self::field_type(inner)),
        FieldType::Object(_) => "nested object".to_owned(),
        FieldType::Json => "json".to_owned(),
    }
}

fn limits(limits: &Limits) -> Option<String> {
    let length = limits.length_max.map(|most| format!("at most {most} long"));
    let value = match (&limits.min, &limits.max) {
        (Some(least), Some(most)) => Some(format!("from {least} to {most}")),
        (Some(least), None) => Some(format!("at least {least}")),
        (None, Some(most)) => Some(format!("at most {most}")),
        (None, None) => None,
    };
    let pattern = limits.pattern.as_ref().map(|_| "with a format".to_owned());
    let all: Vec<String> = [length, value, pattern].into_iter().flatten().collect();
    if all.is_empty() { None } else { Some(all.join(", ")) }
}

/// A unit, in the words that its pattern would have: the question for similar work.
pub fn unit(doc: &SpecDocument, unit: &Task) -> String {
    let key = unit.key.strip_prefix("api/").map(|key| key.strip_suffix("#implement").unwrap_or(key));
    if let Some(found) = key.and_then(|key| doc.operation(key)) {
        return operation(doc, found);
    }
    let ident = unit.key.rsplit('/').next().filter(|_| matches!(unit.task_type, TaskType::Model | TaskType::Schema | TaskType::Crud));
    match ident.and_then(|ident| doc.entities.iter().find(|entity| entity.ident == ident)) {
        Some(found) => entity(doc, found, unit),
        None => task(unit),
    }
}

/// A unit of work as it was planned.
pub fn task(task: &Task) -> String {
    let criteria = if task.criteria.is_empty() { String::new() } else { format!("Done when: {}", task.criteria.join("; ")) };
    let output = if task.expected_output.is_empty() { String::new() } else { format!("Gives {}", task.expected_output) };
    joined(vec![task.title.clone(), task.description.clone(), output, criteria])
}

/// `OrderLine` and `order_line` as `order line`.
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut before = ' ';
    for character in name.chars() {
        if character == '_' {
            words.push(' ');
        } else {
            if character.is_uppercase() && before.is_lowercase() {
                words.push(' ');
            }
            words.extend(character.to_lowercase());
        }
        before = character;
    }
    words
}

/// `a, b and c`.
fn listed<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => format!("{} and {}", first.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref()),
    }
}

/// One paragraph; each sentence once, with its full stop.
fn joined(sentences: Vec<String>) -> String {
    let mut text = String::new();
    for sentence in sentences {
        let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        let sentence = sentence.trim_end_matches('.');
        if sentence.is_empty() || text.contains(&format!("{sentence}.")) {
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(sentence);
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_names_read_as_words() {
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!(listed::<&str>(&[]), "");
        assert_eq!(spaced("OrderLine"), "order line");
        assert_eq!(spaced("published_on"), "published on");
    }

    #[test]
    fn sentences_stand_once_on_one_line() {
        let sentences = ["List  books.", "", "List books", "Sorted by title"].map(str::to_owned);
        assert_eq!(joined(sentences.to_vec()), "List books. Sorted by title.");
    }
}
