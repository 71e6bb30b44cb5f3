//! What the templates of routers are given: each endpoint's decorator, signature and body.

use serde_json::{Map, Value, json};

use super::context_router_list::{construct, list_body, list_next_header, needs_request};
use super::context_schema::{request_envelope, resolve, response_envelope, row_class, success_number, success_shape};
use super::context_service::{lookup_name, row_behaviour};
use super::project::{EntityNames, Project, argument, attribute};
use super::python;
use super::shapes::{self, Travels};
use crate::model::entity::FieldType;
use crate::model::operation::{Behaviour, Binding, Location, Operation, Parameter, Response, Status};
use crate::model::shape::{Shape, ShapeKind};
use crate::model::spec::Group;

/// The context of a group's router.
pub(super) fn context(project: &Project<'_>, group: &Group) -> Value {
    let operations: Vec<&Operation> = project.operations_in(group).filter(|operation| operation.derivable()).collect();
    let endpoints: Vec<Value> = specific_first(&operations).into_iter().map(|operation| endpoint(project, operation)).collect();
    json!({ "title": group.title, "description": group.description, "tag": python::text(&group.title), "endpoints": endpoints })
}

/// The context of the route of one underivable operation.
pub(super) fn pending(project: &Project<'_>, operation: &Operation) -> Value {
    let group = project.doc.groups.iter().find(|group| group.slug == operation.group);
    json!({
        "key": operation.key,
        "unit": format!("api/{}#implement", operation.key),
        "tag": python::text(group.map_or("", |group| group.title.as_str())),
        "endpoint": endpoint(project, operation),
    })
}

/// Operations in an order where a path without parameters comes before one that would catch it.
pub(super) fn specific_first<'o>(operations: &[&'o Operation]) -> Vec<&'o Operation> {
    let mut ordered: Vec<&Operation> = operations.to_vec();
    let weight = |operation: &Operation| -> Vec<bool> { operation.path.split('/').map(|part| part.contains('{')).collect() };
    ordered.sort_by(|one, other| {
        if catches(&one.path, &other.path) || catches(&other.path, &one.path) {
            weight(one).cmp(&weight(other))
        } else {
            std::cmp::Ordering::Equal
        }
    });
    ordered
}

/// True when requests for the path `other` would also match `path`.
pub(super) fn catches(path: &str, other: &str) -> bool {
    let (path, other): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), other.split('/').collect());
    path.len() == other.len() && path != other && path.iter().zip(&other).all(|(one, two)| one.contains('{') || one == two)
}

pub(super) fn endpoint(project: &Project<'_>, operation: &Operation) -> Value {
    let success = success_number(operation).map(|number| &operation.responses[number]);
    let status = match success.map(|response| response.status) {
        Some(Status::Code(code)) => code,
        // A contract that names no success would otherwise be served with the framework's own.
        _ if !operation.derivable() => 501,
        _ => 200,
    };
    let shown = success_shape(project, operation);
    let answer = shown.map_or_else(|| "Response".to_owned(), |shape| shapes::annotation(&project.classes, shape, Travels::Json));
    let arguments = Arguments::of(project, operation);
    let body = match &operation.behaviour {
        Behaviour::List(list) => list_body(project, operation, list, &arguments),
        Behaviour::Underivable { .. } => waiting_body(operation, &arguments),
        _ => row_body(project, operation, status, &arguments),
    };
    let returns = if operation.derivable() { answer.clone() } else { "NoReturn".to_owned() };
    let mut decorator = vec![python::text(&route_path(operation)), format!("operation_id={}", python::text(&operation.operation_id))];
    if status != 200 {
        decorator.insert(1, format!("status_code={status}"));
    }
    if !operation.summary.trim().is_empty() {
        decorator.push(format!("summary={}", python::text(operation.summary.trim())));
    }
    if !operation.description.trim().is_empty() {
        decorator.push(format!("description={}", python::text(operation.description.trim())));
    }
    if let Some(response) = success.filter(|response| !response.description.trim().is_empty()) {
        decorator.push(format!("response_description={}", python::text(response.description.trim())));
    }
    if success.is_none() && !operation.derivable() {
        decorator.push("response_description=\"Waits for its implementation\"".to_owned());
    }
    if shown.is_none() {
        decorator.push("response_class=Response".to_owned());
        if !operation.derivable() {
            decorator.push("response_model=None".to_owned());
        }
    } else if !operation.derivable() {
        decorator.push(format!("response_model={answer}"));
    }
    json!({
        "method": operation.method.to_string().to_lowercase(),
        "decorator": decorator,
        "responses": responses(project, operation),
        "signature": format!("def {}({}) -> {returns}:", operation.ident, arguments.signature.join(", ")),
        "doc": doc(operation),
        "body": body,
    })
}

/// Arguments that were only checked are given up; then the unit that waits is named.
pub(super) fn waiting_body(operation: &Operation, arguments: &Arguments) -> Vec<String> {
    let names: Vec<&str> = arguments.signature.iter().filter_map(|argument| argument.split(':').next()).collect();
    let mut lines = Vec::new();
    if !names.is_empty() {
        lines.push(format!("del {}", names.join(", ")));
    }
    lines.push(format!("raise WaitingError({})", python::text(&format!("api/{}#implement", operation.key))));
    lines
}

pub(super) fn doc(operation: &Operation) -> String {
    let text = if operation.summary.trim().is_empty() { &operation.description } else { &operation.summary };
    let text = python::headline(text);
    let text = if text.is_empty() { format!("Answer {}", operation.key) } else { python::sentence(&text) };
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

/// The path with parameter names that the framework accepts.
pub(super) fn route_path(operation: &Operation) -> String {
    let mut path = operation.path.clone();
    for parameter in operation.parameters.iter().filter(|parameter| parameter.location == Location::Path) {
        if !plain_name(&parameter.name) {
            path = path.replace(&format!("{{{}}}", parameter.name), &format!("{{{}}}", parameter.ident));
        }
    }
    path
}

pub(super) fn plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

// ---------------------------------------------------------------------------------------------------- arguments

/// The arguments of an endpoint.
pub(super) struct Arguments {
    pub(super) signature: Vec<String>,
    pub(super) body: bool,
}

impl Arguments {
    pub(super) fn of(project: &Project<'_>, operation: &Operation) -> Self {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for parameter in &operation.parameters {
            let (text, optional) = declaration(project, operation, parameter);
            if optional { last.push(text) } else { first.push(text) }
        }
        let mut body = false;
        if let Some(shape) = project.classes.body(&operation.key) {
            body = true;
            let annotation = shapes::annotation(&project.classes, shape, Travels::Json);
            let required = operation.body.as_ref().is_some_and(|body| body.required);
            if required {
                first.push(format!("payload: {annotation}"));
            } else {
                last.insert(0, format!("payload: {annotation} | None = None"));
            }
        }
        if operation.derivable() {
            first.push("session: SessionDependency".to_owned());
        }
        if needs_response(operation) && success_shape(project, operation).is_some() {
            first.push("response: Response".to_owned());
        }
        if needs_request(operation) {
            first.insert(0, "request: Request".to_owned());
        }
        first.extend(last);
        Self { signature: first, body }
    }
}

/// The name of a parameter's argument.
pub(super) fn argument_of(parameter: &Parameter) -> String {
    argument(&parameter.ident)
}

pub(super) fn declaration(project: &Project<'_>, operation: &Operation, parameter: &Parameter) -> (String, bool) {
    let name = argument_of(parameter);
    let (kind, wire) = match parameter.location {
        Location::Path => ("Path", if plain_name(&parameter.name) { parameter.name.clone() } else { parameter.ident.clone() }),
        Location::Query => ("Query", parameter.name.clone()),
        Location::Header => ("Header", parameter.name.clone()),
        Location::Cookie => ("Cookie", parameter.name.clone()),
    };
    let mut options = Vec::new();
    let implied = if parameter.location == Location::Header { name.replace('_', "-") } else { name.clone() };
    if wire != implied {
        options.push(format!("alias={}", python::text(&wire)));
    }
    if !parameter.description.trim().is_empty() {
        options.push(format!("description={}", python::text(parameter.description.trim())));
    }
    let base =
        decimal_filter(project, operation, parameter).unwrap_or_else(|| shapes::base(&project.classes, &parameter.shape, Travels::Text));
    let base = if matches!(parameter.shape.kind, ShapeKind::Array { .. }) && !parameter.explode && parameter.location == Location::Query {
        format!("Annotated[{base}, separated(\",\")]")
    } else {
        base
    };
    let marker = format!("{kind}({})", options.join(", "));
    if parameter.required || parameter.location == Location::Path {
        return (format!("{name}: {}", join_annotation(&base, &[marker])), false);
    }
    match &parameter.shape.default {
        Some(default) if !default.is_null() => {
            let default = shapes::default_of(default, &parameter.shape);
            (format!("{name}: {} = {default}", join_annotation(&base, &[marker])), true)
        }
        _ => (format!("{name}: Annotated[{base} | None, NotNull, {marker}] = None"), true),
    }
}

/// `Annotated[base, …]`, flat when the base is annotated already.
pub(super) fn join_annotation(base: &str, markers: &[String]) -> String {
    match base.strip_prefix("Annotated[").and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => format!("Annotated[{inner}, {}]", markers.join(", ")),
        None => format!("Annotated[{base}, {}]", markers.join(", ")),
    }
}

/// A filter on a decimal field reads decimals, whatever the source calls the number.
pub(super) fn decimal_filter(project: &Project<'_>, operation: &Operation, parameter: &Parameter) -> Option<String> {
    let Behaviour::List(list) = &operation.behaviour else {
        return None;
    };
    let filter = list.filters.iter().find(|filter| filter.parameter == parameter.name)?;
    let field = project.entity(&list.entity)?.entity.field(&filter.field)?;
    let ShapeKind::Number { limits, .. } = &parameter.shape.kind else {
        return None;
    };
    if !matches!(field.field_type, FieldType::Decimal { .. }) {
        return None;
    }
    let shape = Shape::of(ShapeKind::Number { format: Some("decimal".to_owned()), limits: limits.clone() });
    Some(shapes::base(&project.classes, &shape, Travels::Text))
}

// ---------------------------------------------------------------------------------------------------- bodies

pub(super) fn bindings(operation: &Operation) -> &[Binding] {
    match &operation.behaviour {
        Behaviour::List(list) => &list.path,
        _ => row_behaviour(operation).map_or(&[], |row| &row.path),
    }
}

/// The value of a path parameter in the type of the field that it names.
pub(super) fn bound(project: &Project<'_>, names: &EntityNames<'_>, operation: &Operation, binding: &Binding) -> String {
    let Some(parameter) = operation.parameters.iter().find(|parameter| parameter.name == binding.parameter) else {
        return "None".to_owned();
    };
    let name = argument_of(parameter);
    let stored = names.entity.field(&binding.field).map(|field| python::stored_type(project, &field.field_type));
    match (&parameter.shape.kind, stored) {
        (ShapeKind::Text { .. }, Some(FieldType::Integer | FieldType::BigInteger)) => format!("integer_key({name})"),
        (ShapeKind::Integer { format: None, values, .. }, Some(FieldType::Integer | FieldType::BigInteger)) if values.is_empty() => {
            format!("integer_key({name})")
        }
        (ShapeKind::Text { format, .. }, Some(FieldType::Uuid)) if format.as_deref() != Some("uuid") => format!("uuid_key({name})"),
        (ShapeKind::Integer { .. }, Some(FieldType::Text | FieldType::Email | FieldType::Url)) => format!("str({name})"),
        _ => name,
    }
}

pub(super) fn require_parents(project: &Project<'_>, names: &EntityNames<'_>, operation: &Operation) -> Vec<String> {
    let mut lines = Vec::new();
    for binding in bindings(operation) {
        if let Some(FieldType::Reference { entity, .. }) = names.entity.field(&binding.field).map(|field| &field.field_type)
            && let Some(parent) = project.entity(entity)
        {
            lines.push(format!("service.require_{}({})", parent.module, bound(project, names, operation, binding)));
        }
    }
    lines
}

pub(super) fn row_body(project: &Project<'_>, operation: &Operation, status: u16, arguments: &Arguments) -> Vec<String> {
    let Some((names, row)) = operation.behaviour.entity().and_then(|name| project.entity(name)).zip(row_behaviour(operation)) else {
        return Vec::new();
    };
    let creates = matches!(operation.behaviour, Behaviour::Create(_));
    let changes = !creates && !matches!(operation.behaviour, Behaviour::Read(_));
    let mut lines = Vec::new();
    let service = format!("{}Service(session)", names.class);
    if !matches!(operation.behaviour, Behaviour::Read(_)) {
        lines.push(format!("service = {service}"));
    }
    let service = if lines.is_empty() { service } else { "service".to_owned() };
    let shape = success_shape(project, operation);
    let keep = if shape.is_some() { "row = " } else { "" };
    let values = values(project, names, operation, arguments);
    if creates {
        lines.extend(require_parents(project, names, operation));
        let needed = shape.is_some() || header(operation, "location").is_some();
        lines.push(format!("{}service.create({values})", if needed { "row = " } else { "" }));
    } else {
        let mut given: Vec<String> = row.path.iter().map(|binding| bound(project, names, operation, binding)).collect();
        let lookup = lookup_name(names, &row.path);
        if changes {
            given.push("lock=True".to_owned());
        }
        let found = format!("{service}.{lookup}({})", given.join(", "));
        lines.push(format!("row = {found}"));
    }
    let mut answer = shape.and_then(|shape| row_answer(project, operation, shape));
    match &operation.behaviour {
        Behaviour::Replace(_) => lines.push(format!("{keep}service.replace(row, {values})")),
        Behaviour::Patch(_) => lines.push(format!("{keep}service.change(row, {values})")),
        Behaviour::Act { .. } => lines.push(format!("{keep}service.{}(row)", operation.ident)),
        Behaviour::Delete(_) => {
            if let Some(text) = answer.take() {
                lines.push(format!("answer = {text}"));
                answer = Some("answer".to_owned());
            }
            lines.push("service.delete(row)".to_owned());
        }
        _ => {}
    }
    let mut without_body = format!("Response(status_code={status})");
    if creates && header(operation, "location").is_some() {
        let location = location(project, names, operation);
        if shape.is_some() {
            lines.push(format!("response.headers[\"Location\"] = {location}"));
        } else {
            without_body = format!("Response(status_code={status}, headers={{\"Location\": {location}}})");
        }
    }
    lines.push(format!("return {}", answer.unwrap_or(without_body)));
    lines
}

pub(super) fn values(project: &Project<'_>, names: &EntityNames<'_>, operation: &Operation, arguments: &Arguments) -> String {
    if !arguments.body {
        return "{}".to_owned();
    }
    let mut payload = "payload".to_owned();
    if let Some(envelope) = request_envelope(operation) {
        let attribute = project
            .classes
            .body(&operation.key)
            .and_then(|shape| match &resolve(&project.classes, shape).kind {
                ShapeKind::Reference(name) => project.classes.get(name),
                _ => None,
            })
            .and_then(|class| super::context_schema::attribute_of(class.object()?, envelope))
            .unwrap_or_else(|| attribute(envelope));
        payload = format!("{payload}.{attribute}");
    }
    let whole = matches!(operation.behaviour, Behaviour::Replace(_));
    let mut text = format!("{payload}.columns({})", if whole { "whole=True" } else { "" });
    if operation.body.as_ref().is_some_and(|body| !body.required) {
        text = format!("{text} if payload else {{}}");
    }
    if matches!(operation.behaviour, Behaviour::Create(_)) && !bindings(operation).is_empty() {
        let bound: Vec<String> = bindings(operation)
            .iter()
            .map(|binding| format!("{}: {}", python::text(names.attribute(&binding.field)), bound(project, names, operation, binding)))
            .collect();
        text = format!("{{**{text}, {}}}", bound.join(", "));
    }
    text
}

pub(super) fn row_answer(project: &Project<'_>, operation: &Operation, shape: &Shape) -> Option<String> {
    let classes = &project.classes;
    let envelope = response_envelope(operation);
    let row = row_class(classes, shape, envelope)?;
    let shown = format!("{}.from_row(row)", row.class);
    let Some(envelope) = envelope else {
        return Some(shown);
    };
    let ShapeKind::Reference(name) = &resolve(classes, shape).kind else {
        return Some(shown);
    };
    Some(construct(classes.get(name)?, &[(envelope.to_owned(), shown)]))
}

/// The documented header of that name in the good answer, case folded.
pub(super) fn header<'o>(operation: &'o Operation, name: &str) -> Option<&'o str> {
    let response = &operation.responses[success_number(operation)?];
    response.headers.iter().map(|header| header.name.as_str()).find(|header| header.eq_ignore_ascii_case(name))
}

pub(super) fn needs_response(operation: &Operation) -> bool {
    let created = matches!(operation.behaviour, Behaviour::Create(_)) && header(operation, "location").is_some();
    created || list_next_header(operation).is_some()
}

/// Where a new row can be read: at the first path that reads one by its key alone.
pub(super) fn location(project: &Project<'_>, names: &EntityNames<'_>, operation: &Operation) -> String {
    let reads = project.operations_on(&names.entity.name).filter_map(|operation| match &operation.behaviour {
        Behaviour::Read(row) => Some((operation, row)),
        _ => None,
    });
    for (read, row) in reads {
        if row.path.iter().all(|binding| names.entity.field(&binding.field).is_some()) {
            let mut path = read.path.clone();
            for binding in &row.path {
                path = path.replace(&format!("{{{}}}", binding.parameter), &format!("{{row.{}}}", names.attribute(&binding.field)));
            }
            return format!("f{}", python::text(&path));
        }
    }
    format!("f\"{}/{{row.{}}}\"", operation.path, names.key())
}

// ---------------------------------------------------------------------------------------------------- responses

pub(super) fn responses(project: &Project<'_>, operation: &Operation) -> Vec<String> {
    let good = success_number(operation);
    let mut found = Vec::new();
    for (number, response) in operation.responses.iter().enumerate() {
        let status = match response.status {
            Status::Code(code) => code.to_string(),
            Status::Range(hundred) => format!("\"{hundred}XX\""),
            Status::Default => "\"default\"".to_owned(),
        };
        if Some(number) == good && matches!(response.status, Status::Code(_)) {
            if !response.headers.is_empty() {
                found.push(format!("{status}: {{\"headers\": {}}}", headers(response)));
            }
            continue;
        }
        found.push(format!("{status}: {}", documented(project, operation, number, response)));
    }
    found
}

pub(super) fn documented(project: &Project<'_>, operation: &Operation, number: usize, response: &Response) -> String {
    let description = python::text(response.description.trim());
    let error = project.classes.error(&project.doc.errors).map(|class| class.class.as_str());
    let model = project.classes.response(&operation.key, number).map(|shape| shapes::annotation(&project.classes, shape, Travels::Json));
    if model.is_some() && model.as_deref() == error && response.headers.is_empty() {
        return format!("refused({description})");
    }
    let mut parts = vec![format!("\"description\": {description}")];
    parts.extend(model.map(|model| format!("\"model\": {model}")));
    if !response.headers.is_empty() {
        parts.push(format!("\"headers\": {}", headers(response)));
    }
    format!("{{{}}}", parts.join(", "))
}

pub(super) fn headers(response: &Response) -> String {
    let mut all = Map::new();
    for header in &response.headers {
        let mut described = Map::new();
        if !header.description.trim().is_empty() {
            described.insert("description".to_owned(), json!(header.description.trim()));
        }
        if header.required {
            described.insert("required".to_owned(), json!(true));
        }
        described.insert("schema".to_owned(), json_schema(&header.shape));
        all.insert(header.name.clone(), Value::Object(described));
    }
    python::value(&Value::Object(all))
}

/// The JSON schema of a header's value.
pub(super) fn json_schema(shape: &Shape) -> Value {
    let typed = |name: &str, format: &Option<String>| match format {
        Some(format) => json!({ "type": name, "format": format }),
        None => json!({ "type": name }),
    };
    match &shape.kind {
        ShapeKind::Boolean => json!({ "type": "boolean" }),
        ShapeKind::Integer { format, .. } => typed("integer", format),
        ShapeKind::Number { format, .. } => typed("number", format),
        ShapeKind::Text { format, .. } => typed("string", format),
        ShapeKind::Array { items, .. } => json!({ "type": "array", "items": json_schema(items) }),
        _ => json!({}),
    }
}
