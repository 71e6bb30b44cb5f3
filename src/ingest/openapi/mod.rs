//! Reads OpenAPI 3.0 and 3.1, YAML or JSON, into a specification.
//!
//! The text becomes a tree with places, the tree's schemas become shapes and its paths operations, and from both it is derived
//! what the service stores and what each operation does. References are followed within the document only.

mod answers;
mod behaviours;
mod directions;
mod entities;
mod extras;
mod failures;
mod fields;
mod keywords;
mod merge;
mod operations;
mod parents;
mod queries;
mod reader;
#[cfg(test)]
mod refusals;
mod resources;
mod scalars;
mod shapes;
mod storable;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;

use super::{Ingested, Source, names};
use crate::model::operation::Status;
use crate::model::spec::{ErrorStyle, Group, SecurityScheme};
use crate::model::{Finding, Operation, Schema, SchemaRole, Shape, ShapeKind, SpecDocument, SpecFormat};
use operations::Read;
use reader::Reader;
use tree::{Node, shorten};

/// Most named schemas of one document.
const SCHEMAS_MAX: usize = 3_000;

/// Reads one OpenAPI document.
pub(super) fn read(source: &Source<'_>) -> Ingested {
    let root = match tree::parse(source.text) {
        Ok(root) => root,
        Err(finding) => return Ingested::refused(finding),
    };
    let modern = match version(&root) {
        Ok(modern) => modern,
        Err(finding) => return Ingested::refused(finding),
    };
    let mut reader = Reader::new(&root, modern);
    reader.reserve_names();
    reader.read_components();
    let mut reads = reader.operations();
    reader.webhooks();
    let mut schemas = reader.schemas();
    directions::split(&mut schemas, &mut reads);
    let stated_tasks = reader.stated_tasks();
    let security_schemes = security_schemes(&root);
    let mut findings = reader.findings;
    if findings.iter().any(|finding| finding.severity == crate::model::Severity::Error) {
        return Ingested { document: None, findings };
    }
    let mut document = SpecDocument {
        title: title(&root),
        slug: names::slug(&title(&root)),
        version: root
            .get("info")
            .and_then(|info| info.get("version"))
            .map(|node| node.text().map_or_else(|| node.value().to_string(), str::to_owned)),
        summary: root.get("info").and_then(|info| info.text_at("description")).unwrap_or_default().trim().to_owned(),
        format: SpecFormat::OpenApi,
        content_hash: source.content_hash.clone(),
        entities: Vec::new(),
        schemas,
        operations: Vec::new(),
        groups: groups(&root, &reads),
        rules: Vec::new(),
        errors: ErrorStyle::Problem,
        security_schemes,
        statements: Vec::new(),
        stated_tasks,
        tech_stack: Vec::new(),
    };
    let mut obstacles = Vec::new();
    for mut read in reads {
        read.operation.group = document
            .groups
            .iter()
            .find(|group| group.operations.contains(&read.operation.key))
            .map(|group| group.slug.clone())
            .expect("every operation was put into a group");
        obstacles.push(read.obstacles);
        document.operations.push(read.operation);
    }
    document.errors = error_style(&document, &mut findings);
    resources::derive(&mut document, obstacles, &mut findings);
    failures::note(&document, &mut findings);
    storable::note(&document, &mut findings);
    Ingested { document: Some(document), findings }
}

/// True for 3.1, false for 3.0.
fn version(root: &Node) -> Result<bool, Finding> {
    let hint = "submit OpenAPI 3.0 or 3.1";
    let Some(stated) = root.get("openapi") else {
        let swagger = root.entry("swagger");
        let message = if swagger.is_some() { "this is Swagger 2.0, not OpenAPI 3" } else { "the key `openapi` is missing" };
        return Err(Finding::error("unsupported-version", message, swagger.map(|entry| entry.position), hint));
    };
    let text = stated.text().map_or_else(|| stated.value().to_string(), str::to_owned);
    match text.split('.').take(2).collect::<Vec<_>>()[..] {
        ["3", "0"] => Ok(false),
        ["3", "1"] => Ok(true),
        _ => {
            let message = format!("the version `{}` is not read", shorten(&text));
            Err(Finding::error("unsupported-version", message, Some(stated.position), hint))
        }
    }
}

fn title(root: &Node) -> String {
    let title = root.get("info").and_then(|info| info.text_at("title")).map(operations::first_line).unwrap_or_default();
    if title.is_empty() { "Untitled API".to_owned() } else { title }
}

impl<'a> Reader<'a> {
    fn component_entries(&self) -> &'a [tree::Entry] {
        self.root.get("components").and_then(|components| components.get("schemas")).map(Node::entries).unwrap_or_default()
    }

    /// Takes the names of the components before inline objects are named.
    fn reserve_names(&mut self) {
        for entry in self.component_entries() {
            self.names.insert(entry.key.to_lowercase());
            self.names.insert(names::class(&entry.key).to_lowercase());
        }
    }

    fn read_components(&mut self) {
        let entries = self.component_entries();
        if entries.len() > SCHEMAS_MAX {
            let message = format!("the document has {} schemas, more than {SCHEMAS_MAX}", entries.len());
            self.find(Finding::error("too-many-schemas", message, None, "split the document"));
            return;
        }
        for entry in entries {
            if self.check_name("schema", entry) {
                self.component(&entry.key);
            }
        }
        for entry in entries {
            let mut seen = vec![entry.key.clone()];
            while let Some(ShapeKind::Reference(next)) = seen.last().and_then(|name| self.components.get(name)).map(|shape| &shape.kind) {
                let next = next.clone();
                if seen.contains(&next) {
                    self.find(reader::looping(&format!("{}{next}", reader::SCHEMAS), entry.position));
                    break;
                }
                seen.push(next);
            }
        }
    }

    /// Components in source order, then the inline objects that got a name.
    fn schemas(&mut self) -> Vec<Schema> {
        let mut schemas = Vec::new();
        let mut taken: BTreeSet<String> = self.hoisted.iter().map(|schema| schema.class.clone()).collect();
        for entry in self.component_entries() {
            let Some(mut shape) = self.components.remove(&entry.key) else { continue };
            let description = shape.description.take().unwrap_or_default();
            let base = names::class(&entry.key);
            let numbered = (2..).map(|number: u32| format!("{base}{number}"));
            let class = std::iter::once(base.clone()).chain(numbered).find(|class| !taken.contains(class)).expect("numbers do not end");
            taken.insert(class.clone());
            schemas.push(Schema {
                name: entry.key.clone(),
                class,
                description,
                shape,
                role: SchemaRole::Value,
                entity: None,
                position: Some(entry.position),
            });
        }
        schemas.append(&mut self.hoisted);
        schemas
    }
}

/// One group per tag in use, in the order of the document's tag list and then of first use.
fn groups(root: &Node, reads: &[Read]) -> Vec<Group> {
    let declared = root.get("tags").map(Node::items).unwrap_or_default();
    let mut titles: Vec<&str> = declared.iter().filter_map(|tag| tag.text_at("name")).collect();
    for read in reads {
        if !titles.contains(&read.group_title.as_str()) {
            titles.push(&read.group_title);
        }
    }
    let mut taken = BTreeSet::new();
    let mut groups = Vec::new();
    for title in titles {
        let operations: Vec<String> =
            reads.iter().filter(|read| read.group_title == title).map(|read| read.operation.key.clone()).collect();
        if operations.is_empty() || groups.iter().any(|group: &Group| group.title == title) {
            continue;
        }
        let description = declared.iter().find(|tag| tag.text_at("name") == Some(title)).and_then(|tag| tag.text_at("description"));
        groups.push(Group {
            slug: names::unique(names::ident(title), &mut taken),
            title: title.to_owned(),
            description: description.unwrap_or_default().trim().to_owned(),
            operations,
        });
    }
    groups
}

fn security_schemes(root: &Node) -> Vec<SecurityScheme> {
    let entries = root.get("components").and_then(|components| components.get("securitySchemes")).map(Node::entries).unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let kind = entry.value.text_at("type").unwrap_or_default().to_owned();
            let location = match kind.as_str() {
                "apiKey" => {
                    let name = entry.value.text_at("name").unwrap_or_default();
                    format!("{}:{name}", entry.value.text_at("in").unwrap_or("header"))
                }
                "http" => "header:Authorization".to_owned(),
                _ => String::new(),
            };
            SecurityScheme { name: entry.key.clone(), kind, location, position: Some(entry.position) }
        })
        .collect()
}

/// The schema that error answers name most often; problem documents when none does.
fn error_style(document: &SpecDocument, findings: &mut Vec<Finding>) -> ErrorStyle {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for operation in &document.operations {
        for name in operation
            .responses
            .iter()
            .filter(|response| failing(response.status))
            .filter_map(|response| reference(response.content.as_ref().map(|content| &content.shape)))
        {
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max();
    let Some((name, _)) = counts.iter().find(|(_, count)| Some(*count) == most) else { return ErrorStyle::Problem };
    if counts.len() > 1 {
        let others: Vec<String> = counts.iter().filter(|(other, _)| other != name).map(|(other, _)| format!("`{other}`")).collect();
        let message = format!("errors are answered as `{name}`, also where the document says {}", others.join(", "));
        findings.push(Finding::warning("several-error-schemas", message, None, "use one schema for all errors"));
    }
    ErrorStyle::Schema(name.clone())
}

pub(super) fn failing(status: Status) -> bool {
    matches!(status, Status::Default | Status::Code(400..) | Status::Range(4..))
}

pub(super) fn reference(shape: Option<&Shape>) -> Option<String> {
    match shape.map(|shape| &shape.kind) {
        Some(ShapeKind::Reference(name)) => Some(name.clone()),
        _ => None,
    }
}

/// The first answer that says it went well, exactly or by its hundred.
pub(super) fn success(operation: &Operation) -> Option<&crate::model::operation::Response> {
    let ranged = || operation.responses.iter().find(|response| response.status == Status::Range(2));
    operation.success().or_else(ranged)
}
