//! What the templates of routers are given for an operation that lists rows: filters, pages, the answer and its next link.

use super::context_router::{Arguments, argument_of, bound, require_parents};
use super::context_schema::{resolve, response_envelope, row_class, success_number, success_shape};
use super::context_service::{counts, equal_argument, filter_argument};
use super::project::Project;
use super::python;
use crate::model::operation::{Behaviour, ListBehaviour, Operation, Parameter};
use crate::model::shape::{Shape, ShapeKind};

pub(super) fn list_body(project: &Project<'_>, operation: &Operation, list: &ListBehaviour, arguments: &Arguments) -> Vec<String> {
    let _ = arguments;
    let Some(names) = project.entity(&list.entity) else {
        return Vec::new();
    };
    let mut lines = vec![format!("service = {}Service(session)", names.class)];
    lines.extend(require_parents(project, names, operation));
    let mut given: Vec<String> = Vec::new();
    for binding in &list.path {
        given.push(format!("{}={}", equal_argument(names, &binding.field), bound(project, names, operation, binding)));
    }
    for filter in &list.filters {
        if let Some(parameter) = operation.parameters.iter().find(|parameter| parameter.name == filter.parameter) {
            given.push(format!("{}={}", filter_argument(names, filter), wanted(parameter)));
        }
    }
    if let Some(parameter) =
        list.sort.as_ref().and_then(|sort| operation.parameters.iter().find(|parameter| parameter.name == sort.parameter))
    {
        given.push(format!("sort={}", argument_of(parameter)));
    }
    let page = paging(operation, list, &mut lines);
    given.extend(page.iter().map(|(name, value)| format!("{name}={value}")));
    let counted = super::context_service::counted_find(project, names);
    let rows = if counted && counts(list) {
        "rows, total"
    } else if counted {
        "rows, _"
    } else {
        "rows"
    };
    lines.push(format!("{rows} = service.find({})", given.join(", ")));
    lines.extend(next_link(operation, list, &page));
    lines.push(format!("return {}", list_answer(project, operation, list, &page)));
    lines
}

/// The value of a filter; integers without a format are brought within 64 bits.
pub(super) fn wanted(parameter: &Parameter) -> String {
    let name = argument_of(parameter);
    let unbounded = |shape: &Shape| matches!(&shape.kind, ShapeKind::Integer { format: None, values, .. } if values.is_empty());
    let value = match &parameter.shape.kind {
        ShapeKind::Array { items, .. } if unbounded(items) => format!("[storable(item) for item in {name}]"),
        _ if unbounded(&parameter.shape) => format!("storable({name})"),
        _ => return name,
    };
    let given = parameter.required || parameter.shape.default.as_ref().is_some_and(|default| !default.is_null());
    if given { value } else { format!("None if {name} is None else {value}") }
}

/// The arguments that cut the list into pages; lines before are added where a value must be bounded first.
pub(super) fn paging(operation: &Operation, list: &ListBehaviour, lines: &mut Vec<String>) -> Vec<(&'static str, String)> {
    let Some(paging) = &list.paging else {
        return Vec::new();
    };
    let parameter = |name: &str| operation.parameters.iter().find(|parameter| parameter.name == name);
    let mut found = Vec::new();
    if let Some(limit) = parameter(&paging.limit) {
        let name = argument_of(limit);
        if bounded(limit, 0, Some(i64::from(paging.limit_max))) && limit.shape.default.is_some() {
            found.push(("limit", name));
        } else {
            lines.push(format!("size = page_size({name}, default={}, most={})", paging.limit_default, paging.limit_max));
            found.push(("limit", "size".to_owned()));
        }
    } else {
        found.push(("limit", paging.limit_max.to_string()));
    }
    let next = list_next_header(operation).is_some();
    match paging.offset.as_deref().and_then(parameter) {
        Some(offset) if !paging.pages && bounded(offset, 0, None) && offset.shape.default.is_some() => {
            found.push(("offset", argument_of(offset)));
        }
        Some(offset) => {
            let pages = if paging.pages { format!(", page={}", found[0].1) } else { String::new() };
            lines.push(format!("skipped = rows_before({}{pages})", argument_of(offset)));
            found.push(("offset", "skipped".to_owned()));
        }
        None if next => {
            lines.push("skipped = skipped_rows(request)".to_owned());
            found.push(("offset", "skipped".to_owned()));
        }
        None => {}
    }
    found
}

pub(super) fn bounded(parameter: &Parameter, least: i64, most: Option<i64>) -> bool {
    let ShapeKind::Integer { limits, .. } = &parameter.shape.kind else {
        return false;
    };
    let low = limits.min.as_ref().and_then(serde_json::Number::as_i64).is_some_and(|min| min >= least);
    let high = most.is_none_or(|most| limits.max.as_ref().and_then(serde_json::Number::as_i64).is_some_and(|max| max <= most));
    low && high && (most.is_some() || limits.max.is_some())
}

/// The documented header that links to the next page.
pub(super) fn list_next_header(operation: &Operation) -> Option<&str> {
    let Behaviour::List(list) = &operation.behaviour else {
        return None;
    };
    list.paging.as_ref()?;
    let response = &operation.responses[success_number(operation)?];
    response.headers.iter().map(|header| header.name.as_str()).find(|name| {
        let name = name.to_lowercase();
        name.contains("next") && !name.contains("count")
    })
}

pub(super) fn needs_request(operation: &Operation) -> bool {
    list_next_header(operation).is_some()
}

pub(super) fn next_link(operation: &Operation, list: &ListBehaviour, page: &[(&'static str, String)]) -> Vec<String> {
    let (Some(header), Some(paging)) = (list_next_header(operation), &list.paging) else {
        return Vec::new();
    };
    let value = |wanted: &str| page.iter().find(|(name, _)| *name == wanted).map_or("0", |(_, value)| value.as_str());
    let offset = paging.offset.as_deref().filter(|_| !paging.pages).unwrap_or("offset");
    vec![
        format!("if len(rows) == {} > 0:", value("limit")),
        format!("    query = {{{}: {} + len(rows)}}", python::text(offset), value("offset")),
        format!("    response.headers[{}] = str(request.url.include_query_params(**query))", python::text(header)),
    ]
}

pub(super) fn list_answer(project: &Project<'_>, operation: &Operation, list: &ListBehaviour, page: &[(&'static str, String)]) -> String {
    let classes = &project.classes;
    let Some(shape) = success_shape(project, operation) else {
        return "Response()".to_owned();
    };
    let Some(row) = row_class(classes, shape, response_envelope(operation)) else {
        return "[]".to_owned();
    };
    let rows = format!("[{}.from_row(row) for row in rows]", row.class);
    let Some(envelope) = &list.envelope else {
        return rows;
    };
    let ShapeKind::Reference(name) = &resolve(classes, shape).kind else {
        return rows;
    };
    let Some(class) = classes.get(name) else {
        return rows;
    };
    let value =
        |wanted: &str, other: &str| page.iter().find(|(name, _)| *name == wanted).map_or(other.to_owned(), |(_, value)| value.clone());
    let mut parts: Vec<(String, String)> = vec![(envelope.items.clone(), rows)];
    parts.extend(envelope.total.clone().map(|name| (name, "total".to_owned())));
    parts.extend(envelope.limit.clone().map(|name| (name, value("limit", "len(rows)"))));
    parts.extend(envelope.offset.clone().map(|name| (name, page_number(operation, list).unwrap_or_else(|| value("offset", "0")))));
    construct(class, &parts)
}

/// The number of the page that is shown, where pages are counted.
pub(super) fn page_number(operation: &Operation, list: &ListBehaviour) -> Option<String> {
    let paging = list.paging.as_ref().filter(|paging| paging.pages)?;
    let parameter = operation.parameters.iter().find(|parameter| Some(&parameter.name) == paging.offset.as_ref())?;
    let name = argument_of(parameter);
    Some(if parameter.required || parameter.shape.default.is_some() { name } else { format!("{name} or 1") })
}

/// An object made from named values: by keyword where the names allow it.
pub(super) fn construct(class: &super::classes::Class, parts: &[(String, String)]) -> String {
    let attributes: Vec<Option<String>> =
        parts.iter().map(|(name, _)| class.object().and_then(|object| super::context_schema::attribute_of(object, name))).collect();
    let plain = parts.iter().zip(&attributes).all(|((name, _), attribute)| attribute.as_deref() == Some(name.as_str()));
    if plain {
        let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}({})", class.class, parts.join(", "))
    } else {
        let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{}: {value}", python::text(name))).collect();
        format!("{}.model_validate({{{}}})", class.class, parts.join(", "))
    }
}
