//! Paths as operations: parameters, bodies, answers, groups. What an operation does is decided in `resources`.

use std::collections::BTreeSet;

use super::reader::Reader;
use super::tree::{Entry, Node, shorten};
use crate::ingest::limits::OPERATIONS_MAX;
use crate::ingest::names;
use crate::model::entity::Limits;
use crate::model::operation::{Location, Parameter};
use crate::model::{Behaviour, Finding, Method, Operation, Shape, ShapeKind};

/// Most characters of a path.
const PATH_CHARS_MAX: usize = 500;

/// An operation before its behaviour is known.
pub(super) struct Read {
    pub(super) operation: Operation,
    /// Why what it carries cannot be built, whatever it does.
    pub(super) obstacles: Vec<String>,
    /// The tag it names first, or else what its path begins with.
    pub(super) group_title: String,
}

impl<'a> Reader<'a> {
    /// Every operation, in source order.
    pub(super) fn operations(&mut self) -> Vec<Read> {
        let paths = self.root.get("paths").map(Node::entries).unwrap_or_default();
        let mut reads = Vec::new();
        let mut templates: Vec<(String, &str)> = Vec::new();
        for entry in paths {
            if entry.key.starts_with("x-") || !self.check_path(entry) {
                continue;
            }
            let template = anonymous(&entry.key);
            if let Some((_, other)) = templates.iter().find(|(known, _)| *known == template) {
                let message = format!("`{}` and `{}` are the same path", shorten(&entry.key), shorten(other));
                self.find(Finding::error("same-path", message, Some(entry.position), "put their operations under one of them"));
                continue;
            }
            templates.push((template, &entry.key));
            let Some(item) = self.resolve(&entry.value) else { continue };
            self.path_item(&entry.key, item, &mut reads);
        }
        if reads.len() > OPERATIONS_MAX {
            let message = format!("the document has {} operations, more than {OPERATIONS_MAX}", reads.len());
            self.find(Finding::error("too-many-operations", message, None, "split the document"));
        }
        if reads.is_empty() && !self.failed() {
            let place = self.root.entry("paths").map(|entry| entry.position);
            self.find(Finding::error("no-operations", "the document describes no operation", place, "describe at least one under `paths`"));
        }
        self.name_operations(&mut reads);
        reads
    }

    fn check_path(&mut self, entry: &Entry) -> bool {
        let path = entry.key.as_str();
        let reason = if !path.starts_with('/') {
            "does not begin with `/`"
        } else if path.chars().count() > PATH_CHARS_MAX {
            "is too long"
        } else if path.chars().any(|letter| letter.is_control() || letter.is_whitespace() || "?#\\\"'".contains(letter)) {
            "contains characters that no path may have"
        } else if path.split('/').any(|segment| segment == ".." || segment == ".") {
            "contains `.` or `..` as a segment"
        } else if segments(path).iter().any(|segment| segment.contains(['{', '}']) && parameter(segment).is_none()) {
            "has a parameter that is not a whole segment"
        } else {
            return true;
        };
        let message = format!("the path `{}` {reason}", shorten(path));
        self.find(Finding::error("unusable-path", message, Some(entry.position), "write it like `/books/{bookId}`"));
        false
    }

    fn path_item(&mut self, path: &str, item: &'a Node, reads: &mut Vec<Read>) {
        for entry in item.entries() {
            let Some(method) = method(&entry.key) else { continue };
            if !entry.value.is_map() {
                let message = format!("`{}` of `{}` is not a mapping", entry.key, shorten(path));
                self.find(Finding::error("malformed-operation", message, Some(entry.position), "describe the operation below it"));
                continue;
            }
            let read = self.operation(path, method, item, entry);
            reads.push(read);
        }
    }

    fn operation(&mut self, path: &str, method: Method, item: &'a Node, entry: &'a Entry) -> Read {
        let node = &entry.value;
        let mut obstacles = Vec::new();
        let id = node.text_at("operationId").map(str::trim).filter(|id| !id.is_empty());
        let operation_id = id.map_or_else(|| made_up_id(method, path), str::to_owned);
        let class = names::class(&operation_id);
        let parameters = self.parameters(path, item, node, &class, &mut obstacles);
        let body = node.get("requestBody").and_then(|body| self.body(body, &class, &mut obstacles));
        let responses = self.responses(node, &class, &mut obstacles, entry);
        self.callbacks(node);
        let tag = node.get("tags").and_then(|tags| tags.items().first()).and_then(Node::text);
        let operation = Operation {
            key: format!("{method} {path}"),
            method,
            path: path.to_owned(),
            ident: names::ident(&operation_id),
            operation_id,
            group: String::new(),
            summary: first_line(node.text_at("summary").or_else(|| node.text_at("description")).unwrap_or_default()),
            description: node.text_at("description").unwrap_or_default().trim().to_owned(),
            parameters,
            body,
            responses,
            security: self.security(node),
            behaviour: Behaviour::Underivable { reason: String::new() },
            position: Some(entry.position),
        };
        Read { operation, obstacles, group_title: tag.map_or_else(|| first_literal(path), str::to_owned) }
    }

    fn parameters(&mut self, path: &str, item: &'a Node, node: &'a Node, class: &str, obstacles: &mut Vec<String>) -> Vec<Parameter> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for source in [item, node] {
            for stated in source.get("parameters").map(Node::items).unwrap_or_default() {
                let Some(target) = self.resolve(stated) else { continue };
                let Some(parameter) = self.parameter(target, class, obstacles) else { continue };
                match parameters.iter_mut().find(|known| known.name == parameter.name && known.location == parameter.location) {
                    Some(known) => *known = parameter,
                    None => parameters.push(parameter),
                }
            }
        }
        let wanted: Vec<String> = segments(path).iter().filter_map(|segment| self::parameter(segment)).map(str::to_owned).collect();
        for missing in wanted.iter().filter(|name| !parameters.iter().any(|known| known.location == Location::Path && known.name == **name))
        {
            let message = format!("`{{{missing}}}` of `{}` is described nowhere; it was taken as a text", shorten(path));
            self.find(Finding::warning("undescribed-parameter", message, Some(node.position), "describe it under `parameters`"));
        }
        parameters.retain(|parameter| parameter.location != Location::Path || wanted.contains(&parameter.name));
        for name in wanted {
            if !parameters.iter().any(|known| known.location == Location::Path && known.name == name) {
                let kind = ShapeKind::Text { format: None, limits: Limits::default(), values: Vec::new() };
                parameters.push(Parameter {
                    ident: String::new(),
                    name,
                    location: Location::Path,
                    required: true,
                    explode: false,
                    shape: Shape::of(kind),
                    description: String::new(),
                });
            }
        }
        let mut taken = BTreeSet::new();
        for parameter in &mut parameters {
            parameter.ident = names::unique(names::ident(&parameter.name), &mut taken);
        }
        parameters
    }

    fn parameter(&mut self, node: &'a Node, class: &str, obstacles: &mut Vec<String>) -> Option<Parameter> {
        let name_node = node.entry("name")?;
        let name = name_node.value.text().map_or_else(|| name_node.value.value().to_string(), str::to_owned);
        if !self.check_name("parameter", &Entry { key: name.clone(), position: name_node.position, value: name_node.value.clone() }) {
            return None;
        }
        let stated = node.text_at("in").unwrap_or_default();
        let location = match stated {
            "path" => Location::Path,
            "query" => Location::Query,
            "header" => Location::Header,
            "cookie" => Location::Cookie,
            other => {
                let message = format!("the parameter `{}` travels in `{}`, which does not exist", shorten(&name), shorten(other));
                self.find(Finding::error("malformed-parameter", message, Some(node.position), "write `in: path`, query, header or cookie"));
                return None;
            }
        };
        // The specification says that descriptions of these three are ignored.
        if location == Location::Header && ["accept", "content-type", "authorization"].contains(&name.to_lowercase().as_str()) {
            return None;
        }
        let shape = match (node.get("schema"), node.get("content")) {
            (Some(schema), _) => self.shape(schema, &format!("{class} {name}")),
            (None, Some(_)) => {
                obstacles.push(format!("the parameter `{}` travels as a document of its own", shorten(&name)));
                Shape::of(ShapeKind::Any)
            }
            (None, None) => Shape::of(ShapeKind::Any),
        };
        let form = matches!(location, Location::Query | Location::Cookie);
        let style = node.text_at("style").unwrap_or(if form { "form" } else { "simple" });
        if style != (if form { "form" } else { "simple" }) {
            obstacles.push(format!("the parameter `{}` has the style `{}`, which is not built", shorten(&name), shorten(style)));
        }
        let explode = node.get("explode").and_then(Node::boolean).unwrap_or(style == "form");
        if self.holds_object(&shape) {
            obstacles.push(format!("the parameter `{}` is an object, which is not built", shorten(&name)));
        }
        Some(Parameter {
            ident: String::new(),
            required: location == Location::Path || node.flag("required"),
            location,
            explode,
            description: node.text_at("description").unwrap_or_default().trim().to_owned(),
            shape,
            name,
        })
    }

    fn holds_object(&mut self, shape: &Shape) -> bool {
        match &shape.kind {
            ShapeKind::Object(_) => true,
            ShapeKind::Reference(name) => {
                let name = name.clone();
                self.named_shape(&name).is_some_and(|shape| !matches!(shape.kind, ShapeKind::Reference(_)) && self.holds_object(&shape))
            }
            _ => false,
        }
    }

    /// The shape of a component or of an inline object that got a name.
    pub(super) fn named_shape(&mut self, name: &str) -> Option<Shape> {
        let hoisted = self.hoisted.iter().find(|schema| schema.name == name).map(|schema| schema.shape.clone());
        hoisted.or_else(|| self.component(name))
    }

    /// Makes idents unique; two operations of one id are an error.
    fn name_operations(&mut self, reads: &mut [Read]) {
        let mut ids: Vec<(String, String)> = Vec::new();
        let mut taken = BTreeSet::new();
        for read in reads {
            let operation = &mut read.operation;
            if let Some((_, first)) = ids.iter().find(|(id, _)| *id == operation.operation_id) {
                let message = format!("the operation id `{}` belongs to `{first}` already", shorten(&operation.operation_id));
                self.find(Finding::error("duplicate-operation-id", message, operation.position, "give every operation an id of its own"));
            }
            ids.push((operation.operation_id.clone(), operation.key.clone()));
            operation.ident = names::unique(operation.ident.clone(), &mut taken);
        }
    }
}

/// The segments of a path.
pub(super) fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// The name in a segment that is one parameter.
pub(super) fn parameter(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    (!name.is_empty() && !name.contains(['{', '}'])).then_some(name)
}

fn anonymous(path: &str) -> String {
    segments(path).iter().map(|segment| if segment.starts_with('{') { "/{}".to_owned() } else { format!("/{segment}") }).collect()
}

fn first_literal(path: &str) -> String {
    let version = |segment: &str| segment == "api" || (segment.starts_with('v') && segment[1..].parse::<u32>().is_ok());
    let segments = segments(path);
    let mut literals = segments.iter().filter(|segment| !segment.starts_with('{'));
    literals
        .clone()
        .find(|segment| !version(segment))
        .or_else(|| literals.next())
        .map_or_else(|| "root".to_owned(), |segment| (*segment).to_owned())
}

fn made_up_id(method: Method, path: &str) -> String {
    let words: Vec<String> = segments(path)
        .iter()
        .map(|segment| parameter(segment).map_or_else(|| (*segment).to_owned(), |name| format!("by {name}")))
        .collect();
    names::ident(&format!("{} {}", method.to_string().to_lowercase(), words.join(" ")))
}

pub(super) fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(200).collect()
}

fn method(key: &str) -> Option<Method> {
    Some(match key {
        "get" => Method::Get,
        "post" => Method::Post,
        "put" => Method::Put,
        "patch" => Method::Patch,
        "delete" => Method::Delete,
        "head" => Method::Head,
        "options" => Method::Options,
        "trace" => Method::Trace,
        _ => return None,
    })
}
