//! Turns endpoints as written into methods, paths and behaviours.

use serde_json::Value;

use super::draft::{Draft, DraftEndpoint, Text};
use super::endpoint_list;
use super::limits::OPERATIONS_MAX;
use super::path::{self, Path, Segment};
use super::purpose::{self, Purpose, Verb};
use super::{entity, field, names, values};
use crate::model::operation::{Binding, RowBehaviour};
use crate::model::{Behaviour, Entity, FieldType, Finding, Method, Position};

/// An endpoint, read.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: Path,
    /// The entity it is about, when there is one.
    pub(super) entity: Option<String>,
    /// The purpose as written.
    pub(super) purpose: String,
    pub(super) behaviour: Behaviour,
    pub(super) position: Position,
}

/// The endpoints of a draft, in its order.
pub(super) fn endpoints(draft: &Draft, entities: &mut [Entity], findings: &mut Vec<Finding>) -> Vec<Endpoint> {
    if draft.endpoints.len() > OPERATIONS_MAX {
        let message = format!("the document declares {} endpoints, more than {OPERATIONS_MAX}", draft.endpoints.len());
        findings.push(Finding::error("too-many-endpoints", message, None, "split the service"));
        return Vec::new();
    }
    let words: Vec<String> =
        entities.iter().flat_map(|entity| [&entity.ident, &entity.table]).flat_map(|name| name.split('_')).map(str::to_owned).collect();
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for written in &draft.endpoints {
        let Some(endpoint) = read(written, entities, &words, findings) else { continue };
        let same = endpoints.iter().find(|other| other.method == endpoint.method && other.path.same_place(&endpoint.path));
        if let Some(other) = same {
            let message = format!("{} {} is declared twice, first at {}", endpoint.method, endpoint.path.text, other.position);
            findings.push(Finding::error("duplicate-endpoint", message, Some(endpoint.position), "remove one of them"));
            continue;
        }
        endpoint_list::mark_indexed(&endpoint.behaviour, entities);
        endpoints.push(endpoint);
    }
    endpoints
}

fn read(written: &DraftEndpoint, entities: &[Entity], words: &[String], findings: &mut Vec<Finding>) -> Option<Endpoint> {
    let position = written.method.position;
    let Some(method) = method(&written.method.text) else {
        let message = format!("`{}` is no method of an endpoint", written.method.text);
        findings.push(Finding::error("unknown-method", message, Some(position), "use GET, POST, PUT, PATCH or DELETE"));
        return None;
    };
    let path = match path::parse(&written.path) {
        Ok(path) => path,
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };
    let entity = match &written.entity {
        Some(name) => {
            if let Some(entity) = entity::resolve(entities, name) {
                Some(entity)
            } else {
                findings.push(unknown_entity(name, entities));
                return None;
            }
        }
        None => path.names().rev().find_map(|name| entity::resolve(entities, &Text::new(name, position))),
    };
    let purpose = purpose::parse(&written.purpose, words, findings);
    let reading = Reading { method, path: &path, entities, position: written.purpose.position };
    let behaviour = match entity {
        Some(entity) => reading.behaviour(entity, &purpose, findings),
        None => Err("no entity stands behind this path".to_owned()),
    };
    let behaviour = behaviour.unwrap_or_else(|reason| {
        let message = format!("{method} {} cannot be derived: {reason}", path.text);
        let hint = "describe it with list, create, read, change, replace, delete or `set field = value`, or leave it to an agent";
        findings.push(Finding::warning("underivable-endpoint", message, Some(position), hint));
        Behaviour::Underivable { reason }
    });
    Some(Endpoint {
        method,
        entity: entity.map(|entity| entity.name.clone()),
        purpose: written.purpose.text.clone(),
        behaviour,
        position,
        path,
    })
}

fn method(text: &str) -> Option<Method> {
    Some(match text.to_uppercase().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => return None,
    })
}

fn unknown_entity(name: &Text, entities: &[Entity]) -> Finding {
    let hint = match super::nearest::nearest(&name.text, entities.iter().map(|entity| entity.name.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "declare it under `## Entities`".to_owned(),
    };
    Finding::error("unknown-entity", format!("there is no entity `{}`", name.text), Some(name.position), hint)
}

/// What an endpoint's behaviour is read from.
pub(super) struct Reading<'r> {
    method: Method,
    path: &'r Path,
    entities: &'r [Entity],
    position: Position,
}

impl Reading<'_> {
    /// The behaviour, or why there is none.
    fn behaviour(&self, entity: &Entity, purpose: &Purpose, findings: &mut Vec<Finding>) -> Result<Behaviour, String> {
        if let Some(word) = &purpose.unexplained {
            return Err(format!("nothing in the specification explains `{word}`"));
        }
        let item = matches!(self.path.segments.last(), Some(Segment::Parameter(_)));
        let verb = match &purpose.verb {
            None => self.plain_verb(entity, item)?,
            Some(Verb::Get) => {
                if item {
                    Verb::Read
                } else {
                    Verb::List
                }
            }
            Some(Verb::Change) if self.method == Method::Put => Verb::Replace,
            Some(verb) => verb.clone(),
        };
        if !self.suits(&verb) {
            return Err(format!("{} is not the method for this purpose", self.method));
        }
        let modified = [&purpose.filters, &purpose.searches, &purpose.ranges, &purpose.sorts].iter().any(|names| !names.is_empty());
        if verb != Verb::List && (modified || purpose.page.is_some()) {
            return Err("only a list can be filtered, sorted or cut into pages".to_owned());
        }
        match verb {
            Verb::List => {
                let path = self.parents(entity, false)?;
                endpoint_list::list(entity, path, purpose, findings).map(Behaviour::List)
            }
            Verb::Create => Ok(Behaviour::Create(row(entity, self.parents(entity, false)?))),
            Verb::Set(set) => {
                let row = row(entity, self.parents(entity, true)?);
                Ok(Behaviour::Act { row, set: assignments(entity, &set, findings) })
            }
            _ if !item => Err("the path does not end with the parameter that names the row".to_owned()),
            Verb::Read | Verb::Get => Ok(Behaviour::Read(row(entity, self.parents(entity, true)?))),
            Verb::Replace => Ok(Behaviour::Replace(row(entity, self.parents(entity, true)?))),
            Verb::Change => Ok(Behaviour::Patch(row(entity, self.parents(entity, true)?))),
            Verb::Delete => Ok(Behaviour::Delete(row(entity, self.parents(entity, true)?))),
        }
    }

    /// The verb of an endpoint without words, where method and path leave no doubt.
    fn plain_verb(&self, entity: &Entity, item: bool) -> Result<Verb, String> {
        let own = self.path.last_name().is_some_and(|name| [&entity.table, &entity.ident].contains(&&names::ident(name)));
        match (self.method, item) {
            _ if !own => Err("the purpose is empty, and the path is not the entity's own".to_owned()),
            (Method::Get, false) => Ok(Verb::List),
            (Method::Post, false) => Ok(Verb::Create),
            (Method::Get, true) => Ok(Verb::Read),
            (Method::Put, true) => Ok(Verb::Replace),
            (Method::Patch, true) => Ok(Verb::Change),
            (Method::Delete, true) => Ok(Verb::Delete),
            _ => Err(format!("{} has no usual meaning on this path", self.method)),
        }
    }

    fn suits(&self, verb: &Verb) -> bool {
        match verb {
            Verb::List | Verb::Get | Verb::Read => self.method == Method::Get,
            Verb::Create => self.method == Method::Post,
            Verb::Replace => self.method == Method::Put,
            Verb::Change => self.method == Method::Patch,
            Verb::Delete => self.method == Method::Delete,
            Verb::Set(_) => matches!(self.method, Method::Post | Method::Put | Method::Patch),
        }
    }

    /// Binds each path parameter to a field: parents to references, the last one to the row's own key when `own_key` says so.
    fn parents(&self, entity: &Entity, own_key: bool) -> Result<Vec<Binding>, String> {
        let parameters: Vec<(usize, &str)> = self.path.parameters().collect();
        let parents = match parameters.split_last() {
            Some((_, parents)) if own_key => parents,
            None if own_key => return Err("no path parameter says which row is meant".to_owned()),
            _ => &parameters[..],
        };
        let mut bindings = Vec::new();
        for (index, parameter) in parents {
            let field = self.parent(entity, *index, parameter)?;
            if bindings.iter().any(|binding: &Binding| binding.field == field) {
                return Err(format!("two path parameters name `{field}`"));
            }
            bindings.push(Binding { parameter: (*parameter).to_owned(), field });
        }
        if own_key {
            let (_, parameter) = parameters[parameters.len() - 1];
            bindings.push(Binding { parameter: parameter.to_owned(), field: entity.key().name.clone() });
        }
        Ok(bindings)
    }

    /// The reference that a parent's parameter carries: by its own name, else by the name of the segment before it.
    fn parent(&self, entity: &Entity, index: usize, parameter: &str) -> Result<String, String> {
        if let Some(field) = field::named(&entity.fields, parameter).filter(|field| field::target(field).is_some()) {
            return Ok(field.name.clone());
        }
        let before = index.checked_sub(1).and_then(|before| self.path.segments.get(before));
        let parent = match before {
            Some(Segment::Name(name)) => entity::resolve(self.entities, &Text::new(name.as_str(), self.position)),
            _ => None,
        };
        let references: Vec<&str> = match parent {
            Some(parent) => {
                entity.fields.iter().filter(|field| field::target(field) == Some(&parent.name)).map(|field| field.name.as_str()).collect()
            }
            None => Vec::new(),
        };
        match references[..] {
            [field] => Ok(field.to_owned()),
            [] => Err(format!("the path parameter `{parameter}` names no reference of {}", entity.name)),
            _ => Err(format!("the path parameter `{parameter}` could be {}", references.join(" or "))),
        }
    }
}

/// How a row is found; this format wraps none.
fn row(entity: &Entity, path: Vec<Binding>) -> RowBehaviour {
    RowBehaviour { entity: entity.name.clone(), path, request_envelope: None, response_envelope: None }
}

/// The values that an action sets.
fn assignments(entity: &Entity, set: &[(Text, Text)], findings: &mut Vec<Finding>) -> Vec<(String, Value)> {
    let mut assignments: Vec<(String, Value)> = Vec::new();
    for (name, value) in set {
        let Some(field) = field::named(&entity.fields, &name.text) else {
            findings.push(field::unknown(&entity.fields, &entity.name, &name.text, name.position));
            continue;
        };
        let read = match (value.text.to_lowercase().as_str(), &field.field_type) {
            _ if field.primary_key || field.immutable => Err(format!("`{}` never changes", field.name)),
            _ if assignments.iter().any(|(other, _)| *other == field.name) => Err(format!("`{}` is set twice", field.name)),
            ("today", FieldType::Date) => Ok(Value::from("today")),
            ("now", FieldType::DateTime) => Ok(Value::from("now")),
            _ => values::constant(&value.text, field),
        };
        match read {
            Ok(value) => assignments.push((field.name.clone(), value)),
            Err(reason) => {
                let message = format!("`{}` cannot be set so: {reason}", field.name);
                findings.push(Finding::error(
                    "bad-assignment",
                    message,
                    Some(value.position),
                    "write a constant of its type, `today` or `now`",
                ));
            }
        }
    }
    assignments
}
