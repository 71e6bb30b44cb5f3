//! The names that a specification's parts get in a Python project: packages, modules, classes, attributes.
//!
//! Built once for each call; every template context draws on it, so that two files never disagree about a name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use heck::ToUpperCamelCase;

use super::classes::Classes;
use super::solver::Row;
use super::{imports, order, python};
use crate::model::entity::{Entity, Field, FieldType};
use crate::model::operation::{Behaviour, Operation};
use crate::model::spec::Group;
use crate::model::{Rule, SpecDocument};

/// Names that an import package may not take: they exist, or stand beside it in the project.
const PACKAGES_TAKEN: &[&str] = &[
    "alembic",
    "app",
    "fastapi",
    "httpx",
    "migrations",
    "mypy",
    "psycopg",
    "pydantic",
    "pytest",
    "ruff",
    "sqlalchemy",
    "src",
    "starlette",
    "test",
    "tests",
    "types",
    "typing",
    "uvicorn",
    "email",
    "calendar",
    "queue",
    "code",
    "json",
    "logging",
    "token",
    "site",
    "platform",
    "inventory_",
    "http",
    "time",
    "select",
    "signal",
    "random",
    "string",
    "statistics",
    "uuid",
    "decimal",
    "datetime",
    "enum",
    "abc",
    "os",
    "re",
    "io",
    "sys",
];

/// Names that an attribute may not take: keywords, what annotations in the same class body use, what base classes define.
const ATTRIBUTES_TAKEN: &[&str] = &[
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "bool",
    "break",
    "class",
    "construct",
    "continue",
    "copy",
    "def",
    "del",
    "dict",
    "dt",
    "elif",
    "else",
    "except",
    "finally",
    "float",
    "for",
    "from",
    "from_orm",
    "from_row",
    "columns",
    "global",
    "if",
    "import",
    "in",
    "int",
    "is",
    "json",
    "lambda",
    "list",
    "mapped_column",
    "metadata",
    "model_config",
    "model_fields",
    "models",
    "nonlocal",
    "not",
    "object",
    "or",
    "parse_obj",
    "parse_raw",
    "pass",
    "raise",
    "registry",
    "return",
    "schema",
    "schema_json",
    "self",
    "str",
    "text",
    "try",
    "tuple",
    "uuid4",
    "utc_now",
    "validate",
    "while",
    "with",
    "yield",
];

/// Names of variables that the templates use themselves, and builtins that a variable should not hide.
const VARIABLES_TAKEN: &[&str] = &[
    "app",
    "changes",
    "client",
    "conditions",
    "connection",
    "count",
    "created",
    "dt",
    "engine",
    "error",
    "filter",
    "format",
    "found",
    "func",
    "hash",
    "headers",
    "id",
    "input",
    "item",
    "items",
    "key",
    "limit",
    "max",
    "min",
    "missing",
    "model",
    "models",
    "next",
    "object",
    "offset",
    "order",
    "page",
    "path",
    "payload",
    "property",
    "query",
    "range",
    "refused",
    "request",
    "response",
    "result",
    "row",
    "rows",
    "select",
    "self",
    "service",
    "services",
    "session",
    "set",
    "settings",
    "slice",
    "sort",
    "statement",
    "status",
    "sum",
    "test",
    "total",
    "tuple",
    "type",
    "url",
    "values",
    "vars",
    "zip",
    "list",
    "dict",
    "str",
    "int",
    "float",
    "bool",
    "map",
    "all",
    "any",
    "field",
    "factories",
    "unique",
    "other",
    "stored",
    "before",
    "after",
    "states",
    "schemas",
    "text",
    "body",
    "answer",
];

/// The project's own classes that modules of models and services import.
const MODEL_CLASSES_TAKEN: &[&str] = &[
    "Base",
    "BigKey",
    "ConflictError",
    "FixedPoint",
    "InstrumentedAttribute",
    "InvalidError",
    "Json",
    "NotFoundError",
    "SessionDependency",
    "UtcDateTime",
];

/// A specification with the names of its Python project.
pub(super) struct Project<'a> {
    pub(super) doc: &'a SpecDocument,
    pub(super) package: String,
    pub(super) entities: Vec<EntityNames<'a>>,
    pub(super) classes: Classes,
}

/// An entity with the names of its parts.
pub(super) struct EntityNames<'a> {
    pub(super) entity: &'a Entity,
    /// The model's class.
    pub(super) class: String,
    /// The last part of its modules' names.
    pub(super) module: String,
    /// A variable that holds a row.
    pub(super) var: String,
    /// Attribute and column by field name.
    pub(super) attributes: BTreeMap<&'a str, String>,
    /// Values that the entity's rules demand of an ordinary row; found at the first use, since the search takes a while.
    pub(super) demanded: OnceLock<Row>,
}

impl<'a> EntityNames<'a> {
    /// `taken` are the classes of other entities.
    fn new(doc: &'a SpecDocument, entity: &'a Entity, taken: &mut BTreeSet<String>) -> Self {
        let mut module = entity.ident.clone();
        if matches!(module.as_str(), "base" | "wire" | "parameters" | "shared") {
            module.push_str("_entity");
        }
        let var = if VARIABLES_TAKEN.contains(&entity.ident.as_str()) || keyword(&entity.ident) {
            "row".to_owned()
        } else {
            entity.ident.clone()
        };
        let idents: BTreeSet<&str> = entity.fields.iter().map(|field| field.ident.as_str()).collect();
        let attributes = entity.fields.iter().map(|field| (field.name.as_str(), attribute_of(doc, field, &idents))).collect();
        Self { entity, class: class_of(entity, taken), module, var, attributes, demanded: OnceLock::new() }
    }

    /// The attribute, which is also the column, of a field.
    pub(super) fn attribute(&self, field: &str) -> &str {
        self.attributes.get(field).map_or("", String::as_str)
    }

    /// The primary key's attribute.
    pub(super) fn key(&self) -> &str {
        self.attribute(&self.entity.key().name)
    }
}

/// The model's class: never one that the modules of models and services import under the same name.
fn class_of(entity: &Entity, taken: &mut BTreeSet<String>) -> String {
    let mut base = entity.ident.to_upper_camel_case();
    if imports::known(&base) || python::builtin_class(&base) || MODEL_CLASSES_TAKEN.contains(&base.as_str()) {
        base.push_str("Entity");
    }
    let numbered = (2..).map(|number: u32| format!("{base}{number}"));
    let class = std::iter::once(base.clone()).chain(numbered).find(|class| !taken.contains(class)).expect("numbers do not end");
    taken.insert(class.clone());
    class
}

fn attribute_of(doc: &SpecDocument, field: &Field, idents: &BTreeSet<&str>) -> String {
    if let FieldType::Reference { entity, .. } = &field.field_type {
        let with_id = format!("{}_id", field.ident);
        // `room_code` says already that it holds a code.
        let named = doc.entity(entity).is_some_and(|target| field.ident.ends_with(&format!("_{}", target.key().ident)));
        if !named && !field.ident.ends_with("_id") && field.ident != "id" && !idents.contains(with_id.as_str()) {
            return with_id;
        }
    }
    attribute(&field.ident)
}

/// A name that may stand as an attribute of a model or schema.
pub(super) fn attribute(ident: &str) -> String {
    if ATTRIBUTES_TAKEN.contains(&ident) || ident.starts_with("model_") { format!("{ident}_") } else { ident.to_owned() }
}

/// A name that may stand as an argument of an endpoint.
pub(super) fn argument(ident: &str) -> String {
    let taken = VARIABLES_TAKEN.contains(&ident) || ATTRIBUTES_TAKEN.contains(&ident) || keyword(ident);
    if taken && !matches!(ident, "limit" | "offset" | "sort" | "status" | "page" | "query" | "order" | "key" | "item" | "text") {
        format!("{ident}_")
    } else {
        ident.to_owned()
    }
}

fn keyword(ident: &str) -> bool {
    matches!(
        ident,
        "and"
            | "as"
            | "assert"
            | "async"
            | "await"
            | "break"
            | "class"
            | "continue"
            | "def"
            | "del"
            | "elif"
            | "else"
            | "except"
            | "finally"
            | "for"
            | "from"
            | "global"
            | "if"
            | "import"
            | "in"
            | "is"
            | "lambda"
            | "match"
            | "nonlocal"
            | "not"
            | "or"
            | "pass"
            | "raise"
            | "return"
            | "try"
            | "while"
            | "with"
            | "yield"
    )
}

impl<'a> Project<'a> {
    /// Names everything of `doc`.
    pub(super) fn new(doc: &'a SpecDocument) -> Self {
        let mut package = doc.slug.replace('-', "_");
        if PACKAGES_TAKEN.contains(&package.as_str()) || keyword(&package) {
            package.push_str("_service");
        }
        let mut taken = BTreeSet::new();
        let entities: Vec<EntityNames<'a>> = doc.entities.iter().map(|entity| EntityNames::new(doc, entity, &mut taken)).collect();
        let modules: BTreeMap<&str, String> = entities.iter().map(|names| (names.entity.name.as_str(), names.module.clone())).collect();
        let classes = Classes::of(doc, &modules);
        Self { doc, package, entities, classes }
    }

    /// The entity of that name.
    pub(super) fn entity(&self, name: &str) -> Option<&EntityNames<'a>> {
        self.entities.iter().find(|names| names.entity.name == name)
    }

    /// Operations that work on the entity, in source order.
    pub(super) fn operations_on(&self, entity: &str) -> impl Iterator<Item = &'a Operation> {
        self.doc.operations.iter().filter(move |operation| operation.behaviour.entity() == Some(entity))
    }

    /// True when an operation changes rows of the entity.
    pub(super) fn written(&self, entity: &str) -> bool {
        self.operations_on(entity).any(|operation| !matches!(operation.behaviour, Behaviour::List(_) | Behaviour::Read(_)))
    }

    /// The rules of the entity, in source order.
    pub(super) fn rules_of(&self, entity: &str) -> impl Iterator<Item = &'a Rule> {
        self.doc.rules.iter().filter(move |rule| rule.entity == entity)
    }

    /// The operations of a group, in source order.
    pub(super) fn operations_in<'g>(&'g self, group: &'g Group) -> impl Iterator<Item = &'a Operation> + 'g {
        group.operations.iter().filter_map(|key| self.doc.operation(key))
    }

    /// The entities that the fields of `entity` refer to, by name, without itself.
    pub(super) fn references_of(&self, entity: &Entity) -> Vec<&'a str> {
        let mut found = Vec::new();
        for field in &entity.fields {
            if let FieldType::Reference { entity: target, .. } = &field.field_type
                && let Some(target) = self.doc.entity(target)
                && target.name != entity.name
                && !found.contains(&target.name.as_str())
            {
                found.push(target.name.as_str());
            }
        }
        found
    }

    /// Entity numbers in an order where the tables that a table refers to come first; `true` marks a member of a cycle.
    pub(super) fn table_order(&self) -> Vec<(usize, bool)> {
        let edges = self.reference_edges();
        let component = order::components(&edges);
        let mut sizes = BTreeMap::new();
        for number in &component {
            *sizes.entry(*number).or_insert(0) += 1;
        }
        order::successors_first(&edges).into_iter().map(|number| (number, sizes[&component[number]] > 1)).collect()
    }

    /// True when the two entities refer to each other, however indirectly.
    pub(super) fn entangled(&self, one: &str, other: &str) -> bool {
        let component = order::components(&self.reference_edges());
        let number = |name: &str| self.entities.iter().position(|names| names.entity.name == name);
        match (number(one), number(other)) {
            (Some(one), Some(other)) => component[one] == component[other],
            _ => false,
        }
    }

    fn reference_edges(&self) -> Vec<BTreeSet<usize>> {
        let number = |name: &str| self.entities.iter().position(|names| names.entity.name == name);
        self.entities.iter().map(|names| self.references_of(names.entity).into_iter().filter_map(number).collect()).collect()
    }

    /// The module of schemas that error bodies come from.
    pub(super) fn error_module(&self) -> Option<&str> {
        self.classes.error(&self.doc.errors).map(|class| class.module.as_str())
    }

    /// The module name of a group's router and tests.
    pub(super) fn group_module(group: &Group) -> String {
        match group.slug.as_str() {
            "platform" | "init" => format!("{}_api", group.slug),
            slug if slug.starts_with("pending_") => format!("group_{slug}"),
            slug => slug.to_owned(),
        }
    }

    /// The module name of the route that waits for an implementation.
    pub(super) fn pending_module(operation: &Operation) -> String {
        format!("pending_{}", operation.ident)
    }

    /// The rules that a service enforces, which are also those that tests can break through it.
    pub(super) fn enforced_rules(&self, entity: &str) -> Vec<&'a Rule> {
        if self.written(entity) { self.rules_of(entity).collect() } else { Vec::new() }
    }
}
