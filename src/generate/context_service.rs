//! What the templates of services are given.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::conditions::Conditions;
use super::project::{EntityNames, Project};
use super::python;
use super::units::parents_of;
use crate::model::entity::{FieldSource, FieldType};
use crate::model::operation::{Behaviour, Binding, Filter, FilterComparison, ListBehaviour, Operation, RowBehaviour};
use crate::model::{Rule, RuleKind};

/// The context of one service.
pub(super) fn context(project: &Project<'_>, names: &EntityNames<'_>) -> Value {
    let entity = names.entity;
    let operations: Vec<&Operation> = project.operations_on(&entity.name).collect();
    let has = |verb: &str| operations.iter().any(|operation| operation.behaviour.verb() == verb);
    let changes = has("replace") || has("patch") || has("act");
    let rules = if project.written(&entity.name) { project.rules_of(&entity.name).collect() } else { Vec::new() };
    let checks = if has("create") || changes { checks(project, names, &rules) } else { Vec::new() };
    json!({
        "class": names.class,
        "var": names.var,
        "table": entity.table,
        "words": words(names),
        "lookups": lookups(project, names, &operations),
        "parents": parents(project, &operations),
        "find": find(project, names, &operations),
        "create": has("create"),
        "replace": has("replace"),
        "patch": has("patch"),
        "delete": has("delete"),
        "changes": changes,
        "acts": acts(project, names, &operations),
        "defaults": if has("create") { defaults(project, names) } else { Vec::new() },
        "checks": checks,
        "limits": if has("create") || changes { counted(project, names, &rules) } else { Vec::new() },
        "initial": if has("create") { initial(names, &rules) } else { Vec::new() },
        "fixed": if changes { fixed(names, &rules) } else { Vec::new() },
        "moves": if changes { moves(names, &rules) } else { Vec::new() },
        "change_only_when": if changes { while_conditions(project, names, &rules, true) } else { Vec::new() },
        "delete_only_when": if has("delete") { while_conditions(project, names, &rules, false) } else { Vec::new() },
    })
}

/// What people call a row.
pub(super) fn words(names: &EntityNames<'_>) -> String {
    names.entity.ident.trim_end_matches('_').replace('_', " ")
}

pub(super) fn row_behaviour(operation: &Operation) -> Option<&RowBehaviour> {
    match &operation.behaviour {
        Behaviour::Create(row) | Behaviour::Read(row) | Behaviour::Replace(row) | Behaviour::Patch(row) | Behaviour::Delete(row) => {
            Some(row)
        }
        Behaviour::Act { row, .. } => Some(row),
        _ => None,
    }
}

/// The name of the method that finds a row by these fields.
pub(super) fn lookup_name(names: &EntityNames<'_>, path: &[Binding]) -> String {
    let columns: Vec<&str> = path.iter().map(|binding| names.attribute(&binding.field)).collect();
    if columns == [names.key()] { "get".to_owned() } else { format!("get_by_{}", columns.join("_and_")) }
}

fn lookups(project: &Project<'_>, names: &EntityNames<'_>, operations: &[&Operation]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for operation in operations.iter().filter(|operation| !matches!(operation.behaviour, Behaviour::Create(_))) {
        let Some(row) = row_behaviour(operation).filter(|row| !row.path.is_empty()) else {
            continue;
        };
        let name = lookup_name(names, &row.path);
        if !seen.insert(name.clone()) {
            continue;
        }
        let arguments: Vec<Value> = row
            .path
            .iter()
            .filter_map(|binding| names.entity.field(&binding.field))
            .map(|field| (field, names.attribute(&field.name)))
            .map(|(field, column)| json!({ "name": super::project::argument(column), "column": column, "type": python::attribute_type(project, names.entity, field) }))
            .collect();
        let last = row.path.last().map_or("", |binding| names.attribute(&binding.field));
        let last = super::project::argument(last);
        found.push(json!({ "name": name, "arguments": arguments, "by_key": name == "get", "shown": last }));
    }
    found
}

fn parents(project: &Project<'_>, operations: &[&Operation]) -> Vec<Value> {
    let mut found: Vec<&str> = Vec::new();
    for operation in operations.iter().filter(|operation| matches!(operation.behaviour, Behaviour::List(_) | Behaviour::Create(_))) {
        for parent in parents_of(project, operation) {
            if !found.contains(&parent) {
                found.push(parent);
            }
        }
    }
    let parents = found.into_iter().filter_map(|name| project.entity(name));
    parents
        .map(|parent| {
            let kind = python::attribute_type(project, parent.entity, parent.entity.key());
            json!({ "class": parent.class, "module": parent.module, "words": words(parent), "type": kind })
        })
        .collect()
}

/// The argument of `find` that a field must be equal to. It hides nothing that the method uses, and is none of its own arguments.
pub(super) fn equal_argument(names: &EntityNames<'_>, field: &str) -> String {
    let argument = super::project::argument(names.attribute(field));
    if matches!(argument.as_str(), "limit" | "offset" | "sort") { format!("{argument}_") } else { argument }
}

/// The argument of `find` that a filter becomes.
pub(super) fn filter_argument(names: &EntityNames<'_>, filter: &Filter) -> String {
    let column = names.attribute(&filter.field);
    match filter.comparison {
        FilterComparison::Equal => equal_argument(names, &filter.field),
        FilterComparison::OneOf => format!("{column}_in"),
        FilterComparison::Contains => format!("{column}_contains"),
        FilterComparison::AtLeast => format!("{column}_min"),
        FilterComparison::AtMost => format!("{column}_max"),
    }
}

fn lists<'o>(operations: &[&'o Operation]) -> Vec<&'o ListBehaviour> {
    let lists = operations.iter().filter_map(|operation| match &operation.behaviour {
        Behaviour::List(list) => Some(list),
        _ => None,
    });
    lists.collect()
}

fn find(project: &Project<'_>, names: &EntityNames<'_>, operations: &[&Operation]) -> Value {
    let lists = lists(operations);
    if lists.is_empty() {
        return Value::Null;
    }
    let mut filters: Vec<Filter> = Vec::new();
    for list in &lists {
        let bound = list.path.iter().map(|binding| Filter {
            parameter: binding.parameter.clone(),
            field: binding.field.clone(),
            comparison: FilterComparison::Equal,
        });
        filters.extend(bound.chain(list.filters.iter().cloned()));
    }
    let mut seen = BTreeSet::new();
    filters.retain(|filter| seen.insert(filter_argument(names, filter)));
    let described: Vec<Value> = filters.iter().filter_map(|filter| described(project, names, filter)).collect();
    let mut sorts: Vec<Value> = Vec::new();
    for field in lists.iter().filter_map(|list| list.sort.as_ref()).flat_map(|sort| &sort.fields) {
        let sort = json!({ "name": python::text(field), "column": names.attribute(field) });
        if !sorts.contains(&sort) {
            sorts.push(sort);
        }
    }
    let age = names
        .entity
        .fields
        .iter()
        .find(|field| field.source == FieldSource::OnCreate && field.required && field.field_type == FieldType::DateTime);
    let order: Vec<&str> = age.map(|field| names.attribute(&field.name)).into_iter().chain([names.key()]).collect();
    json!({
        "listed": described.iter().any(|filter| filter["listed"] == json!(true)),
        "filters": described,
        "sorts": sorts,
        "paged": lists.iter().any(|list| list.paging.is_some()),
        "counted": lists.iter().any(|list| counts(list)),
        "order": order,
    })
}

/// True when a list's answer says how many rows there are in all.
pub(super) fn counts(list: &ListBehaviour) -> bool {
    list.envelope.as_ref().is_some_and(|envelope| envelope.total.is_some())
}

fn described(project: &Project<'_>, names: &EntityNames<'_>, filter: &Filter) -> Option<Value> {
    let field = names.entity.field(&filter.field)?;
    let argument = filter_argument(names, filter);
    let column = format!("{}.{}", names.class, names.attribute(&filter.field));
    let own = python::attribute_type(project, names.entity, field);
    let listed = matches!(field.field_type, FieldType::List(_));
    let item = if listed { "str".to_owned() } else { own };
    let (kind, condition) = match filter.comparison {
        FilterComparison::Equal if listed => (item, format!("_holds({column}, {argument})")),
        FilterComparison::OneOf if listed => {
            (format!("Sequence[{item}]"), format!("or_(*(_holds({column}, item) for item in {argument}))"))
        }
        FilterComparison::Equal => (item, format!("{column} == {argument}")),
        FilterComparison::OneOf => (format!("Sequence[{item}]"), format!("{column}.in_({argument})")),
        FilterComparison::Contains => ("str".to_owned(), format!("{column}.icontains({argument}, autoescape=True)")),
        FilterComparison::AtLeast => (item, format!("{column} >= {argument}")),
        FilterComparison::AtMost => (item, format!("{column} <= {argument}")),
    };
    Some(json!({ "name": argument, "type": kind, "condition": condition, "listed": listed }))
}

fn acts(project: &Project<'_>, names: &EntityNames<'_>, operations: &[&Operation]) -> Vec<Value> {
    let acts = operations.iter().filter_map(|operation| match &operation.behaviour {
        Behaviour::Act { set, .. } => Some((operation, set)),
        _ => None,
    });
    acts.map(|(operation, set)| {
        let values: Vec<String> = set
            .iter()
            .filter_map(|(name, value)| names.entity.field(name).map(|field| (field, value)))
            .map(|(field, value)| {
                let stored = python::stored_type(project, &field.field_type);
                format!("{}: {}", python::text(names.attribute(&field.name)), python::typed(value, stored))
            })
            .collect();
        let doc = if operation.summary.is_empty() { operation.key.clone() } else { python::headline(&operation.summary) };
        let doc = if doc.ends_with('.') { doc } else { format!("{doc}.") };
        json!({ "name": operation.ident, "values": values.join(", "), "doc": doc })
    })
    .collect()
}

fn defaults(project: &Project<'_>, names: &EntityNames<'_>) -> Vec<String> {
    let fields = names.entity.fields.iter().filter(|field| field.source == FieldSource::Client);
    fields
        .filter_map(|field| {
            let default = field.default.as_ref().filter(|default| !default.is_null())?;
            let stored = python::stored_type(project, &field.field_type);
            Some(format!("{}: {}", python::text(names.attribute(&field.name)), python::typed(default, stored)))
        })
        .collect()
}

/// Conditions under which a row is refused, each with the text of the refusal.
fn checks(project: &Project<'_>, names: &EntityNames<'_>, rules: &[&Rule]) -> Vec<Value> {
    let conditions = Conditions { project, names };
    let row = names.var.as_str();
    let mut found = Vec::new();
    for field in names.entity.fields.iter().filter(|field| field.source == FieldSource::Client) {
        let FieldType::Reference { entity: target, .. } = &field.field_type else {
            continue;
        };
        let Some(target) = project.entity(target) else {
            continue;
        };
        let column = format!("{row}.{}", names.attribute(&field.name));
        let missing = format!("self._session.get({}, {column}) is None", target.class);
        let test = if field.required { missing } else { format!("{column} is not None and {missing}") };
        found.push(json!({ "test": test, "text": format!("f\"{}: there is no {} {{{column}}}\"", field.name.replace(['"', '{', '}', '\\'], ""), words(target)) }));
    }
    for rule in rules {
        let test = match &rule.kind {
            RuleKind::Check(condition) => conditions.violated(condition, row),
            RuleKind::RequiredWhen { field, when } => {
                both(&conditions.fulfilled(when, row), &format!("{row}.{} is None", names.attribute(field)))
            }
            RuleKind::Implies { when, then } => both(&conditions.fulfilled(when, row), &conditions.violated(then, row)),
            _ => continue,
        };
        found.push(json!({ "test": test, "text": python::text(rule.text.trim()), "rule": rule.key }));
    }
    found
}

fn both(one: &str, other: &str) -> String {
    let wrap = |text: &str| if text.contains(" or ") { format!("({text})") } else { text.to_owned() };
    format!("{} and {}", wrap(one), wrap(other))
}

fn counted(project: &Project<'_>, names: &EntityNames<'_>, rules: &[&Rule]) -> Vec<Value> {
    let conditions = Conditions { project, names };
    let limits = rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::AtMost { limit, per, when } => Some((rule, limit, per, when)),
        _ => None,
    });
    limits
        .map(|(rule, limit, per, when)| {
            let column = names.attribute(per);
            let nullable = names.entity.field(per).is_some_and(|field| !field.required);
            let mut tests: Vec<String> = nullable.then(|| format!("{}.{column} is not None", names.var)).into_iter().collect();
            tests.extend(when.as_ref().map(|when| conditions.fulfilled(when, &names.var)));
            let mut filters = vec![format!("{}.{column} == {}.{column}", names.class, names.var)];
            filters.push(format!("{}.{} != {}.{}", names.class, names.key(), names.var, names.key()));
            filters.extend(when.as_ref().map(|when| conditions.query(when)));
            let owner = names.entity.field(per).and_then(|field| match &field.field_type {
                FieldType::Reference { entity, .. } => project.entity(entity),
                _ => None,
            });
            json!({
                "test": tests.join(" and "),
                "filters": filters,
                "limit": limit,
                "text": python::text(rule.text.trim()),
                "owner": owner.map(|owner| owner.class.as_str()),
                "shared": format!("{}.{column}", names.var),
            })
        })
        .collect()
}

/// The first state of each field that moves along edges.
fn initial(names: &EntityNames<'_>, rules: &[&Rule]) -> Vec<Value> {
    let moves = rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::Transitions { field, edges } => Some((rule, field, edges.first()?)),
        _ => None,
    });
    moves
        .map(|(rule, field, (first, _))| {
            let column = format!("{}.{}", names.var, names.attribute(field));
            let nullable = names.entity.field(field).is_some_and(|field| !field.required);
            let test = format!("{column} != {}", python::text(first));
            let test = if nullable { format!("{column} is not None and {test}") } else { test };
            json!({ "test": test, "text": python::text(rule.text.trim()) })
        })
        .collect()
}

fn moves(names: &EntityNames<'_>, rules: &[&Rule]) -> Vec<Value> {
    let mut found = Vec::new();
    for rule in rules {
        let RuleKind::Transitions { field, edges } = &rule.kind else {
            continue;
        };
        let states = match names.entity.field(field).map(|field| &field.field_type) {
            Some(FieldType::Enum(values)) => values.clone(),
            _ => Vec::new(),
        };
        let table: Vec<String> = states
            .iter()
            .map(|state| {
                let next: Vec<String> = edges.iter().filter(|(from, _)| from == state).map(|(_, to)| python::text(to)).collect();
                let next = if next.is_empty() { "frozenset()".to_owned() } else { format!("frozenset({{{}}})", next.join(", ")) };
                format!("{}: {next}", python::text(state))
            })
            .collect();
        let column = names.attribute(field);
        found.push(json!({
            "constant": format!("_{}_MOVES", column.to_uppercase().trim_end_matches('_')),
            "column": column,
            "table": table,
            "nullable": names.entity.field(field).is_some_and(|field| !field.required),
            "text": python::text(rule.text.trim()),
        }));
    }
    found
}

/// Fields that may not change, by a rule or by themselves.
fn fixed(names: &EntityNames<'_>, rules: &[&Rule]) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let mut seen = BTreeSet::new();
    for rule in rules {
        if let RuleKind::Immutable { field } = &rule.kind
            && seen.insert(field.as_str())
        {
            found.push(json!({ "column": names.attribute(field), "text": python::text(rule.text.trim()) }));
        }
    }
    for field in names.entity.fields.iter().filter(|field| field.immutable || field.primary_key) {
        if field.source == FieldSource::Client && seen.insert(field.name.as_str()) {
            found.push(json!({ "column": names.attribute(&field.name), "text": python::text(&format!("{} never changes", field.name)) }));
        }
    }
    found
}

fn while_conditions(project: &Project<'_>, names: &EntityNames<'_>, rules: &[&Rule], change: bool) -> Vec<Value> {
    let conditions = Conditions { project, names };
    let wanted = rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::ChangeOnlyWhen(condition) if change => Some((rule, condition)),
        RuleKind::DeleteOnlyWhen(condition) if !change => Some((rule, condition)),
        _ => None,
    });
    wanted
        .map(|(rule, condition)| json!({ "test": conditions.violated(condition, &names.var), "text": python::text(rule.text.trim()) }))
        .collect()
}

/// True when the entity's `find` returns a count beside the rows.
pub(super) fn counted_find(project: &Project<'_>, names: &EntityNames<'_>) -> bool {
    let operations: Vec<&Operation> = project.operations_on(&names.entity.name).collect();
    lists(&operations).iter().any(|list| counts(list))
}
