//! Derives the operations of the HTTP contract from endpoints: names, parameters, bodies and every status that can occur.

use std::collections::BTreeSet;

use super::contract::{self, PROBLEM, words};
use super::contract_status::{self, Statuses};
use super::endpoint::Endpoint;
use super::names;
use crate::model::entity::Limits;
use crate::model::operation::{Binding, Body, Content, FilterComparison, Header, ListBehaviour, Location, Parameter, Response, Status};
use crate::model::spec::Group;
use crate::model::{Behaviour, Entity, FieldType, Operation, Shape, ShapeKind};

/// Most characters of a text to search for.
const SEARCH_CHARS_MAX: u64 = 200;
/// Most rows that may be skipped.
const OFFSET_MAX: i64 = 2_147_483_647;
/// Most characters of a path parameter that no field explains.
const PARAMETER_CHARS_MAX: u64 = 200;

/// The operations and their groups.
pub(super) fn operations(endpoints: &[Endpoint], entities: &[Entity], statuses: &Statuses<'_>) -> (Vec<Operation>, Vec<Group>) {
    let mut operations = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    let mut taken = BTreeSet::new();
    for endpoint in endpoints {
        let entity = endpoint.entity.as_ref().and_then(|name| entities.iter().find(|entity| entity.name == *name));
        let (slug, title) = group(endpoint, entity);
        let operation = operation(endpoint, entity, entities, statuses, &slug, &mut taken);
        if let Some(group) = groups.iter_mut().find(|group| group.slug == slug) {
            group.operations.push(operation.key.clone());
        } else {
            let description = entity.map(|entity| entity.description.clone()).unwrap_or_default();
            groups.push(Group { slug, title, description, operations: vec![operation.key.clone()] });
        }
        operations.push(operation);
    }
    (operations, groups)
}

/// The slug and title of an endpoint's group: its entity's table, else the first name of its path.
fn group(endpoint: &Endpoint, entity: Option<&Entity>) -> (String, String) {
    let slug = match entity {
        Some(entity) => entity.table.clone(),
        None => endpoint.path.names().next().map_or_else(|| "root".to_owned(), names::ident),
    };
    let title = sentence(&slug.trim_end_matches('_').replace('_', " "));
    (slug, title)
}

fn operation(
    endpoint: &Endpoint,
    entity: Option<&Entity>,
    entities: &[Entity],
    statuses: &Statuses<'_>,
    group: &str,
    taken: &mut BTreeSet<String>,
) -> Operation {
    let ident = names::unique(ident(endpoint, entity, entities), taken);
    Operation {
        key: format!("{} {}", endpoint.method, endpoint.path.text),
        method: endpoint.method,
        path: endpoint.path.text.clone(),
        operation_id: ident.clone(),
        ident,
        group: group.to_owned(),
        summary: summary(endpoint, entity, entities),
        description: String::new(),
        parameters: parameters(endpoint, entity, entities),
        body: body(endpoint, entity, entities, statuses.endpoints),
        responses: responses(endpoint, entity, entities, statuses),
        security: Vec::new(),
        behaviour: endpoint.behaviour.clone(),
        position: Some(endpoint.position),
    }
}

/// `list_books`, `list_book_reviews`, `publish_book`, `post_search` …
fn ident(endpoint: &Endpoint, entity: Option<&Entity>, entities: &[Entity]) -> String {
    let Some(entity) = entity.filter(|_| !matches!(endpoint.behaviour, Behaviour::Underivable { .. })) else {
        let path: Vec<String> = endpoint.path.names().map(str::to_owned).collect();
        return names::ident(&format!("{} {}", endpoint.method.to_string().to_lowercase(), path.join(" ")));
    };
    let one = entity.ident.trim_end_matches('_');
    let parents = |path: &[Binding]| -> String {
        let target = |binding: &Binding| entity.field(&binding.field).and_then(super::field::target);
        let idents = path.iter().filter_map(target).filter_map(|name| entities.iter().find(|entity| entity.name == name));
        idents.flat_map(|parent| [parent.ident.trim_end_matches('_'), "_"]).collect()
    };
    let name = match &endpoint.behaviour {
        Behaviour::List(list) => format!("list_{}{}", parents(&list.path), entity.table),
        Behaviour::Create(row) => format!("create_{}{one}", parents(&row.path)),
        Behaviour::Read(_) => format!("get_{one}"),
        Behaviour::Replace(_) => format!("replace_{one}"),
        Behaviour::Patch(_) => format!("update_{one}"),
        Behaviour::Delete(_) => format!("delete_{one}"),
        Behaviour::Act { .. } | Behaviour::Underivable { .. } => {
            format!("{}_{one}", names::ident(endpoint.path.last_name().unwrap_or("act")).trim_end_matches('_'))
        }
    };
    names::ident(&name)
}

fn summary(endpoint: &Endpoint, entity: Option<&Entity>, entities: &[Entity]) -> String {
    let Some(entity) = entity else { return sentence(&endpoint.purpose) };
    let (one, many) = (words(entity), entity.table.trim_end_matches('_').replace('_', " "));
    let article = article(&one);
    match &endpoint.behaviour {
        Behaviour::List(list) => match parent(&list.path, entity, entities).map(words) {
            Some(parent) => format!("List {many} of {} {parent}", self::article(&parent)),
            None => format!("List {many}"),
        },
        Behaviour::Create(_) => format!("Create {article} {one}"),
        Behaviour::Read(_) => format!("Read {article} {one}"),
        Behaviour::Replace(_) => format!("Replace {article} {one}"),
        Behaviour::Patch(_) => format!("Change {article} {one}"),
        Behaviour::Delete(_) => format!("Delete {article} {one}"),
        Behaviour::Act { .. } => {
            let act = endpoint.path.last_name().unwrap_or("change").replace(['-', '_'], " ");
            format!("{} {article} {one}", sentence(&act))
        }
        Behaviour::Underivable { .. } => sentence(&endpoint.purpose),
    }
}

/// The indefinite article of a word.
pub(super) fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn parameters(endpoint: &Endpoint, entity: Option<&Entity>, entities: &[Entity]) -> Vec<Parameter> {
    let bindings: &[Binding] = match &endpoint.behaviour {
        Behaviour::List(list) => &list.path,
        Behaviour::Create(row) | Behaviour::Read(row) | Behaviour::Replace(row) | Behaviour::Patch(row) | Behaviour::Delete(row) => {
            &row.path
        }
        Behaviour::Act { row, .. } => &row.path,
        Behaviour::Underivable { .. } => &[],
    };
    let mut parameters: Vec<Parameter> = endpoint
        .path
        .parameters()
        .map(|(_, name)| {
            let bound = bindings.iter().find(|binding| binding.parameter == name).and_then(|binding| entity?.field(&binding.field));
            let shape = match bound {
                Some(field) => Shape::of(contract::kind(&field.field_type, &field.limits, entities)),
                None => text(None, Limits { length_min: Some(1), length_max: Some(PARAMETER_CHARS_MAX), ..Limits::default() }, Vec::new()),
            };
            let description = bound.map(|field| if field.primary_key { "Which row." } else { "Which parent." }).unwrap_or_default();
            parameter(name, Location::Path, shape, description)
        })
        .collect();
    if let (Behaviour::List(list), Some(entity)) = (&endpoint.behaviour, entity) {
        parameters.extend(list_parameters(list, entity, entities));
    }
    let mut taken = BTreeSet::new();
    for parameter in &mut parameters {
        parameter.ident = names::unique(names::ident(&parameter.name), &mut taken);
    }
    parameters
}

fn list_parameters(list: &ListBehaviour, entity: &Entity, entities: &[Entity]) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    for filter in &list.filters {
        let Some(field) = entity.field(&filter.field) else { continue };
        let (shape, description) = match filter.comparison {
            FilterComparison::Contains => {
                let limits = Limits { length_max: Some(SEARCH_CHARS_MAX), ..Limits::default() };
                (text(None, limits, Vec::new()), format!("Only rows whose `{}` contains this text.", field.name))
            }
            FilterComparison::AtLeast => {
                (filter_shape(&field.field_type, entities), format!("Only rows whose `{}` is at least this.", field.name))
            }
            FilterComparison::AtMost => {
                (filter_shape(&field.field_type, entities), format!("Only rows whose `{}` is at most this.", field.name))
            }
            FilterComparison::Equal | FilterComparison::OneOf => {
                (filter_shape(&field.field_type, entities), format!("Only rows whose `{}` is this.", field.name))
            }
        };
        parameters.push(parameter(&filter.parameter, Location::Query, shape, &description));
    }
    if let Some(sort) = &list.sort {
        let values = sort.fields.iter().flat_map(|field| [field.clone(), format!("-{field}")]).collect();
        let description = "The order of the rows; a leading `-` means descending.";
        parameters.push(parameter(&sort.parameter, Location::Query, text(None, Limits::default(), values), description));
    }
    if let Some(paging) = &list.paging {
        let mut limit = contract::count(1, i64::from(paging.limit_max));
        limit.default = Some(paging.limit_default.into());
        parameters.push(parameter(&paging.limit, Location::Query, limit, "The greatest number of rows to return."));
        if let Some(name) = &paging.offset {
            let mut offset = contract::count(0, OFFSET_MAX);
            offset.default = Some(0.into());
            parameters.push(parameter(name, Location::Query, offset, "How many rows to skip."));
        }
    }
    parameters
}

/// A filter takes any value of the field's type: what no row can have matches none.
fn filter_shape(field_type: &FieldType, entities: &[Entity]) -> Shape {
    let limits = match field_type {
        FieldType::Text | FieldType::Email | FieldType::Url => Limits { length_max: Some(SEARCH_CHARS_MAX), ..Limits::default() },
        _ => Limits::default(),
    };
    match field_type {
        FieldType::Email | FieldType::Url => text(None, limits, Vec::new()),
        _ => Shape::of(contract::kind(field_type, &limits, entities)),
    }
}

fn text(format: Option<&str>, limits: Limits, values: Vec<String>) -> Shape {
    Shape::of(ShapeKind::Text { format: format.map(str::to_owned), limits, values })
}

fn parameter(name: &str, location: Location, shape: Shape, description: &str) -> Parameter {
    let required = location == Location::Path;
    Parameter {
        name: name.to_owned(),
        ident: String::new(),
        location,
        required,
        explode: false,
        shape,
        description: description.to_owned(),
    }
}

fn body(endpoint: &Endpoint, entity: Option<&Entity>, entities: &[Entity], endpoints: &[Endpoint]) -> Option<Body> {
    let entity = entity?;
    let suffix = match &endpoint.behaviour {
        Behaviour::Create(row) => {
            let bound: Vec<String> = row.path.iter().map(|binding| binding.field.clone()).collect();
            contract::create_suffix(entity, &bound, entities, endpoints)
        }
        Behaviour::Replace(_) => "Update".to_owned(),
        Behaviour::Patch(_) => "Patch".to_owned(),
        _ => return None,
    };
    let shape = Shape::of(ShapeKind::Reference(format!("{}{suffix}", entity.name)));
    Some(Body { required: true, media_type: "application/json".to_owned(), shape, description: String::new() })
}

fn responses(endpoint: &Endpoint, entity: Option<&Entity>, entities: &[Entity], statuses: &Statuses<'_>) -> Vec<Response> {
    let Some(entity) = entity.filter(|_| !matches!(endpoint.behaviour, Behaviour::Underivable { .. })) else {
        return vec![failure(Status::Default, "What it answers is not derived from the specification.")];
    };
    let one = words(entity);
    let mut responses = vec![success(endpoint, entity, &one, statuses)];
    if contract_status::not_found(&endpoint.behaviour) {
        let parent = match &endpoint.behaviour {
            Behaviour::List(list) => parent(&list.path, entity, entities),
            Behaviour::Create(row) => parent(&row.path, entity, entities),
            _ => None,
        };
        let missing = parent.map_or_else(|| one.clone(), words);
        responses.push(failure(Status::Code(404), &format!("There is no such {missing}.")));
    }
    if statuses.conflict(&endpoint.behaviour, entity, entities) {
        responses.push(failure(Status::Code(409), "The stored rows do not allow it."));
    }
    if statuses.invalid(&endpoint.behaviour, entity, entities) {
        responses.push(failure(Status::Code(422), "The request is invalid."));
    }
    responses
}

/// The entity that the first parameter of a path names.
fn parent<'e>(path: &[Binding], entity: &Entity, entities: &'e [Entity]) -> Option<&'e Entity> {
    let target = super::field::target(entity.field(&path.first()?.field)?)?;
    entities.iter().find(|entity| entity.name == target)
}

fn success(endpoint: &Endpoint, entity: &Entity, one: &str, statuses: &Statuses<'_>) -> Response {
    let json = |name: String| Some(Content { media_type: "application/json".to_owned(), shape: Shape::of(ShapeKind::Reference(name)) });
    let response = |code: u16, description: String, content: Option<Content>| Response {
        status: Status::Code(code),
        description,
        headers: Vec::new(),
        content,
    };
    match &endpoint.behaviour {
        Behaviour::List(_) => response(200, format!("A page of {}.", entity.table.replace('_', " ")), json(format!("{}Page", entity.name))),
        Behaviour::Create(_) => {
            let mut created = response(201, format!("The {one} as it was created."), json(entity.name.clone()));
            if statuses.readable(entity) {
                created.headers.push(location(one));
            }
            created
        }
        Behaviour::Delete(_) => response(204, format!("The {one} is gone."), None),
        _ => response(200, format!("The {one}."), json(entity.name.clone())),
    }
}

fn location(one: &str) -> Header {
    Header {
        name: "Location".to_owned(),
        required: true,
        shape: text(Some("uri-reference"), Limits::default(), Vec::new()),
        description: format!("Where the {one} can be read."),
    }
}

fn failure(status: Status, description: &str) -> Response {
    let shape = Shape::of(ShapeKind::Reference(PROBLEM.to_owned()));
    let content = Some(Content { media_type: "application/problem+json".to_owned(), shape });
    Response { status, description: description.to_owned(), headers: Vec::new(), content }
}
