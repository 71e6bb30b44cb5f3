//! What the service stores, derived from paths and schemas: collections (`/pets`) and their items (`/pets/{petId}`).
//!
//! Works on shapes and operations only. What cannot be derived is never guessed: the operation says why instead.

use super::operations::{parameter, segments};
use super::{behaviours, entities, failing, success};
use crate::ingest::names;
use crate::model::operation::Location;
use crate::model::shape::{ObjectShape, Property};
use crate::model::spec::ErrorStyle;
use crate::model::{Behaviour, Finding, Method, Operation, Schema, SchemaRole, Shape, ShapeKind, SpecDocument};

/// What an operation shows or takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// Nothing.
    Nothing,
    /// One row, perhaps wrapped in a property.
    Row { schema: String, envelope: Option<String> },
    /// Many rows, perhaps wrapped in an object (the schema of that name).
    Rows { schema: String, wrapper: Option<(String, String)> },
    /// Something else, in words.
    Other(String),
}

impl Form {
    pub(super) fn schema(&self) -> Option<&str> {
        match self {
            Self::Row { schema, .. } | Self::Rows { schema, .. } => Some(schema),
            _ => None,
        }
    }
}

/// An operation as seen from the stored things.
#[derive(Debug)]
pub(super) struct View {
    /// Its place in the document.
    pub(super) index: usize,
    pub(super) method: Method,
    /// The path without a last parameter and without a last action.
    pub(super) collection: String,
    /// The parameter that names one row.
    pub(super) item: Option<String>,
    /// The literal behind the item (`/orders/{id}/cancel`).
    pub(super) action: Option<String>,
    pub(super) takes: Form,
    pub(super) shows: Form,
}

/// A collection and the thing that it holds.
#[derive(Debug)]
pub(super) struct Resource {
    /// The collection's path.
    pub(super) path: String,
    /// The schema that shows one whole row.
    pub(super) schema: String,
    /// The parameter that names one row.
    pub(super) item: Option<String>,
    /// The index of its entity; several collections may show one.
    pub(super) entity: usize,
}

/// Fills entities, behaviours and the roles of schemas. `obstacles` holds, for each operation, why it cannot be built.
pub(super) fn derive(document: &mut SpecDocument, obstacles: Vec<Vec<String>>, findings: &mut Vec<Finding>) {
    let views = views(document);
    let mut resources = resources(document, &views);
    let drafts = entities::derive(document, &views, &mut resources, findings);
    for (view, obstacles) in views.iter().zip(obstacles) {
        let behaviour = behaviours::derive(document, view, &resources, &drafts, obstacles, findings);
        document.operations[view.index].behaviour = behaviour;
    }
    assign_roles(document, &views, &resources, &drafts);
    document.entities = entities::used(document, drafts);
    // What an action sets is not immutable, even where requests cannot change it.
    for operation in &document.operations {
        if let Behaviour::Act { row, set } = &operation.behaviour {
            let entity = document.entities.iter_mut().find(|entity| entity.name == row.entity);
            let fields = entity.into_iter().flat_map(|entity| &mut entity.fields);
            fields.filter(|field| set.iter().any(|(name, _)| *name == field.name)).for_each(|field| field.immutable = false);
        }
    }
    let entities = &document.entities;
    for schema in &mut document.schemas {
        schema.entity = schema.entity.take().filter(|name| entities.iter().any(|entity| entity.name == *name));
    }
}

fn views(document: &SpecDocument) -> Vec<View> {
    let items: Vec<String> =
        document.operations.iter().map(|operation| operation.path.clone()).filter(|path| ends_in_parameter(path)).collect();
    document
        .operations
        .iter()
        .enumerate()
        .map(|(index, operation)| {
            let mut parts = segments(&operation.path);
            let mut action = None;
            // A literal behind an item is an action when it is no collection that others use.
            if operation.method != Method::Get
                && parts.len() >= 3
                && parameter(parts[parts.len() - 1]).is_none()
                && parameter(parts[parts.len() - 2]).is_some()
                && !items.iter().any(|path| parent(path) == operation.path)
                && items.contains(&parent(&operation.path))
                && !document.operations.iter().any(|other| other.path == operation.path && other.method == Method::Get)
            {
                action = parts.pop().map(str::to_owned);
            }
            let item = parts.last().and_then(|last| parameter(last)).map(str::to_owned);
            if item.is_some() {
                parts.pop();
            }
            let takes = operation.body.as_ref().map_or(Form::Nothing, |body| form(document, &body.shape));
            let content = success(operation).and_then(|response| response.content.as_ref());
            let shows = content.map_or(Form::Nothing, |content| form(document, &content.shape));
            View { index, method: operation.method, collection: format!("/{}", parts.join("/")), item, action, takes, shows }
        })
        .collect()
}

fn ends_in_parameter(path: &str) -> bool {
    segments(path).last().is_some_and(|last| parameter(last).is_some())
}

/// The path without its last segment.
pub(super) fn parent(path: &str) -> String {
    path.rsplit_once('/').map_or_else(String::new, |(head, _)| head.to_owned())
}

/// How a shape shows rows.
fn form(document: &SpecDocument, shape: &Shape) -> Form {
    if let Some(schema) = row_schema(document, shape) {
        let object = object(document, &schema).expect("a row's schema is an object");
        if let [only] = object.properties.as_slice()
            && let Some(inner) = row_schema(document, &only.shape)
        {
            return Form::Row { schema: inner, envelope: Some(only.name.clone()) };
        }
        if let Some(list) = wrapped_list(document, object) {
            let schema = items_schema(document, &list.shape).expect("a wrapped list has rows");
            return Form::Rows { schema, wrapper: Some((self::schema_name(shape), list.name.clone())) };
        }
        return Form::Row { schema, envelope: None };
    }
    match items_schema(document, shape) {
        Some(schema) => Form::Rows { schema, wrapper: None },
        None => Form::Other(words(document, shape)),
    }
}

fn schema_name(shape: &Shape) -> String {
    match &shape.kind {
        ShapeKind::Reference(name) => name.clone(),
        _ => String::new(),
    }
}

/// The name of the object schema that a shape refers to, aliases followed.
pub(super) fn row_schema(document: &SpecDocument, shape: &Shape) -> Option<String> {
    let ShapeKind::Reference(name) = &shape.kind else { return None };
    let schema = document.schema(name)?;
    match &schema.shape.kind {
        ShapeKind::Reference(_) => row_schema(document, &schema.shape),
        ShapeKind::Object(object) if !object.properties.is_empty() => Some(name.clone()),
        _ => None,
    }
}

/// The name of the object schema of a list's items.
fn items_schema(document: &SpecDocument, shape: &Shape) -> Option<String> {
    match &shape.kind {
        ShapeKind::Reference(name) => items_schema(document, &document.schema(name)?.shape),
        ShapeKind::Array { items, .. } => row_schema(document, items),
        _ => None,
    }
}

/// The object of the schema of that name.
pub(super) fn object<'a>(document: &'a SpecDocument, name: &str) -> Option<&'a ObjectShape> {
    match &document.schema(name)?.shape.kind {
        ShapeKind::Object(object) => Some(object),
        _ => None,
    }
}

/// The list in an object that otherwise only counts and pages.
fn wrapped_list<'a>(document: &SpecDocument, object: &'a ObjectShape) -> Option<&'a Property> {
    let mut lists = object.properties.iter().filter(|property| items_schema(document, &property.shape).is_some());
    let list = lists.next()?;
    let rest = object.properties.iter().filter(|property| property.name != list.name);
    let counts = |property: &Property| {
        matches!(property.shape.kind, ShapeKind::Integer { .. }) && wrapper_part(&property.name, &list.name).is_some()
    };
    let links = |property: &Property| !property.required;
    (lists.next().is_none()
        && rest.clone().all(|property| counts(property) || links(property))
        && !rest.clone().any(|property| folded(&property.name) == "id"))
    .then_some(list)
}

/// What an integer beside a list of rows means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrapperPart {
    Total,
    Limit,
    Offset,
}

/// The meaning of that property beside the list `items`.
pub(super) fn wrapper_part(name: &str, items: &str) -> Option<WrapperPart> {
    let name = folded(name);
    let items = folded(items);
    let singular = folded(&pluralizer::pluralize(&items, 1, false));
    if ["total", "count", "totalcount", "totalitems", "totalresults", "totalelements", "itemcount"].contains(&name.as_str())
        || [format!("{items}count"), format!("{singular}count"), format!("total{items}")].contains(&name)
    {
        return Some(WrapperPart::Total);
    }
    if ["limit", "pagesize", "perpage", "size"].contains(&name.as_str()) {
        return Some(WrapperPart::Limit);
    }
    ["offset", "skip", "page", "pagenumber"].contains(&name.as_str()).then_some(WrapperPart::Offset)
}

/// A name without case and separators: `petId`, `pet_id` and `Pet-ID` are one.
pub(super) fn folded(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn words(document: &SpecDocument, shape: &Shape) -> String {
    match &shape.kind {
        ShapeKind::Any => "any value".to_owned(),
        ShapeKind::Boolean => "a boolean".to_owned(),
        ShapeKind::Integer { .. } | ShapeKind::Number { .. } => "a number".to_owned(),
        ShapeKind::Text { .. } => "a text".to_owned(),
        ShapeKind::Array { items, .. } => match &items.kind {
            ShapeKind::Reference(name) => format!("a list of `{name}`"),
            ShapeKind::Text { .. } => "a list of texts".to_owned(),
            _ => "a list of values".to_owned(),
        },
        ShapeKind::Object(_) => "a free object".to_owned(),
        ShapeKind::Reference(name) => match document.schema(name).map(|schema| &schema.shape) {
            Some(Shape { kind: ShapeKind::Object(object), .. }) if object.properties.is_empty() => "a free object".to_owned(),
            Some(shape) if !matches!(shape.kind, ShapeKind::Reference(_)) => words(document, shape),
            _ => format!("`{name}`"),
        },
        ShapeKind::OneOf { .. } => "one of several shapes".to_owned(),
    }
}

/// Every collection whose rows a schema shows.
fn resources(document: &SpecDocument, views: &[View]) -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    for view in views.iter().filter(|view| view.action.is_none()) {
        if resources.iter().any(|known| known.path == view.collection)
            || segments(&view.collection).last().is_none_or(|last| parameter(last).is_some())
        {
            continue;
        }
        let same = |other: &&View| other.collection == view.collection && other.action.is_none();
        let family: Vec<&View> = views.iter().filter(same).collect();
        let item = family.iter().find_map(|view| view.item.clone());
        let made = family.iter().any(|view| view.item.is_none() && view.method == Method::Post);
        let Some(schema) = whole_row(&family).filter(|_| made || item.is_some()) else { continue };
        if document.errors == ErrorStyle::Schema(schema.clone()) {
            continue;
        }
        resources.push(Resource { path: view.collection.clone(), schema, item, entity: 0 });
    }
    resources
}

/// The schema that shows a whole row: what reading one shows, or else changing, making or listing.
fn whole_row(family: &[&View]) -> Option<String> {
    let listing = family.iter().any(|view| view.item.is_none() && matches!(view.shows, Form::Rows { .. }));
    let items = family.iter().any(|view| view.item.is_some());
    let order = [Method::Get, Method::Put, Method::Patch, Method::Delete];
    let row = |view: &&&View| matches!(view.shows, Form::Row { .. });
    let of_item = order.iter().find_map(|method| family.iter().filter(|view| view.item.is_some() && view.method == *method).find(row));
    let made = family.iter().filter(|view| view.item.is_none() && view.method == Method::Post && (items || listing)).find(row);
    let listed = family.iter().find(|view| view.item.is_none() && view.method == Method::Get && matches!(view.shows, Form::Rows { .. }));
    let taken =
        family.iter().find(|view| view.item.is_none() && view.method == Method::Post && matches!(view.takes, Form::Row { .. }) && items);
    let shown = of_item.or(made).or(listed).and_then(|view| view.shows.schema());
    shown.or_else(|| taken.and_then(|view| view.takes.schema())).map(str::to_owned)
}

fn assign_roles(document: &mut SpecDocument, views: &[View], resources: &[Resource], drafts: &[entities::Draft]) {
    let mut roles: Vec<(String, SchemaRole, Option<String>)> = Vec::new();
    for operation in &document.operations {
        for response in operation.responses.iter().filter(|response| failing(response.status)) {
            if let Some(name) = super::reference(response.content.as_ref().map(|content| &content.shape)) {
                roles.push((name, SchemaRole::Error, None));
            }
        }
    }
    for view in views {
        let entity =
            resources.iter().find(|resource| resource.path == view.collection).map(|resource| drafts[resource.entity].entity.name.clone());
        match &view.shows {
            Form::Row { schema, .. } => roles.push((schema.clone(), SchemaRole::Read, entity.clone())),
            Form::Rows { schema, wrapper } => {
                roles.push((schema.clone(), SchemaRole::Read, entity.clone()));
                let named = success(&document.operations[view.index])
                    .and_then(|response| response.content.as_ref())
                    .map(|content| schema_name(&content.shape));
                if let Some(name) = wrapper.as_ref().map(|(name, _)| name.clone()).or(named).filter(|name| !name.is_empty()) {
                    roles.push((name, SchemaRole::Page, entity.clone()));
                }
            }
            _ => {}
        }
        let role = if view.method == Method::Post { SchemaRole::Create } else { SchemaRole::Update };
        if let Form::Row { schema, .. } = &view.takes {
            roles.push((schema.clone(), role, entity));
        }
    }
    for Schema { name, role, entity, .. } in &mut document.schemas {
        if let Some((_, first, owner)) = roles.iter().find(|(known, ..)| known == name) {
            *role = *first;
            entity.clone_from(owner);
        }
    }
}

/// The singular CamelCase name of what a collection holds.
pub(super) fn singular_class(collection: &str) -> String {
    let parts = segments(collection);
    let last = parts.iter().rev().find(|segment| parameter(segment).is_none()).copied().unwrap_or("Thing");
    let words = names::ident(last);
    let (head, tail) = words.rsplit_once('_').map_or(("", words.as_str()), |(head, tail)| (head, tail));
    names::class(&format!("{head} {}", pluralizer::pluralize(tail, 1, false)))
}

/// The parameter of that name in the path.
pub(super) fn path_parameter<'a>(operation: &'a Operation, name: &str) -> Option<&'a crate::model::operation::Parameter> {
    operation.parameters.iter().find(|parameter| parameter.location == Location::Path && parameter.name == name)
}
