//! Entities: one per kind of row that collections show, with a field for each property that is shown or written.

use std::collections::BTreeSet;

use super::fields::{compatible, field_type, limits, plain, same};
use super::operations::segments;
use super::parents::bind_parents;
use super::resources::{Form, Resource, View, folded, object, singular_class};
use crate::ingest::names;
use crate::model::entity::{FieldSource, Limits};
use crate::model::shape::Property;
use crate::model::{Entity, Field, FieldType, Finding, Method, ShapeKind, SpecDocument};

/// An entity, and what of it cannot be derived.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) entity: Entity,
    /// The schema that shows a whole row.
    pub(super) schema: String,
    /// True when an operation makes rows, whether it can be built or not.
    pub(super) made: bool,
    /// Fields that answers must show and nothing writes.
    pub(super) unexplained: Vec<String>,
    /// Fields that answers must show and requests may leave out.
    pub(super) gaps: Vec<String>,
    /// Fields that are written in one shape and shown in another.
    pub(super) conflicts: Vec<String>,
    /// Passwords: nothing says how they are kept and checked.
    pub(super) secrets: Vec<String>,
    /// True when the key is a property that is shown.
    pub(super) keyed: bool,
}

/// What the operations of an entity say about one property.
#[derive(Default, Clone, Copy)]
struct Uses<'a> {
    read: Option<&'a Property>,
    create: Option<&'a Property>,
    update: Option<&'a Property>,
    /// True when everything that makes rows demands it.
    always_written: bool,
}

/// One entity for each kind of row; sets [`Resource::entity`].
pub(super) fn derive(document: &SpecDocument, views: &[View], resources: &mut [Resource], findings: &mut Vec<Finding>) -> Vec<Draft> {
    let mut kinds: Vec<(String, String)> = Vec::new();
    for resource in resources.iter_mut() {
        let kind = (resource.schema.clone(), last_literal(&resource.path));
        resource.entity = kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
    }
    let mut taken = Taken::default();
    let mut drafts = Vec::new();
    for (index, (schema, literal)) in kinds.iter().enumerate() {
        let own: Vec<&Resource> = resources.iter().filter(|resource| resource.entity == index).collect();
        let family: Vec<&View> =
            views.iter().filter(|view| view.action.is_none() && own.iter().any(|resource| resource.path == view.collection)).collect();
        let name = taken.name(document, schema, literal);
        drafts.push(draft(document, name, schema, &own, &family, &mut taken, findings));
    }
    for index in 0..drafts.len() {
        let own: Vec<String> = resources.iter().filter(|resource| resource.entity == index).map(|resource| resource.path.clone()).collect();
        let makers: Vec<&View> =
            views.iter().filter(|view| view.method == Method::Post && view.item.is_none() && own.contains(&view.collection)).collect();
        for path in &own {
            let required = makers.iter().all(|view| view.collection == *path) || own.len() == 1;
            bind_parents(document, path, index, resources, &mut drafts, required);
        }
    }
    drafts
}

fn last_literal(path: &str) -> String {
    segments(path).last().map(|segment| (*segment).to_owned()).unwrap_or_default()
}

/// Names of entities and tables that are given.
#[derive(Default)]
struct Taken {
    idents: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl Taken {
    /// The schema's name when it is the source's own and new, else the singular of the collection.
    fn name(&mut self, document: &SpecDocument, schema: &str, literal: &str) -> String {
        let class = document.schema(schema).map_or(schema, |schema| schema.class.as_str());
        let bare = ["Response", "Dto", "DTO", "Read", "Out", "Resource"].iter().find_map(|suffix| class.strip_suffix(suffix));
        let bare = bare.filter(|bare| !bare.is_empty()).unwrap_or(class);
        let singular = singular_class(literal);
        let inline = class.ends_with("Response") || class.ends_with("ResponseItem") || class.ends_with("Request");
        let first = if inline { singular.clone() } else { bare.to_owned() };
        let numbered = (2..).map(|number: u32| format!("{first}{number}"));
        [first.clone(), singular]
            .into_iter()
            .chain(numbered)
            .find(|name| self.idents.insert(names::ident(name)))
            .expect("numbers do not end")
    }
}

fn draft(
    document: &SpecDocument,
    name: String,
    schema: &str,
    own: &[&Resource],
    family: &[&View],
    taken: &mut Taken,
    findings: &mut Vec<Finding>,
) -> Draft {
    let ident = names::ident(&name);
    let table = names::unique(names::plural(&ident), &mut taken.tables);
    let source = document.schema(schema);
    let mut draft = Draft {
        entity: Entity {
            ident,
            table,
            description: source.map(|schema| schema.description.clone()).unwrap_or_default(),
            fields: Vec::new(),
            position: source.and_then(|schema| schema.position),
            name,
        },
        schema: schema.to_owned(),
        made: family.iter().any(|view| view.method == Method::Post && view.item.is_none()),
        unexplained: Vec::new(),
        gaps: Vec::new(),
        conflicts: Vec::new(),
        secrets: Vec::new(),
        keyed: true,
    };
    let updated = family.iter().any(|view| matches!(view.method, Method::Put | Method::Patch) && view.item.is_some());
    let key = key_property(document, schema, own, &draft.entity.name);
    for name in property_names(document, schema, family) {
        let uses = uses(document, schema, family, &name);
        let primary = key.as_deref() == Some(name.as_str());
        let field = field(document, &name, uses, primary, updated, &mut draft);
        draft.entity.fields.push(field);
    }
    if key.is_none() {
        draft.keyed = false;
        draft.entity.fields.insert(0, hidden_key(&draft.entity.fields));
        if own.iter().any(|resource| resource.item.is_some()) {
            let message = format!("no property of `{schema}` is what the path names a row by");
            findings.push(Finding::warning(
                "no-key",
                message,
                draft.entity.position,
                "name the parameter after the property, for example `petId` for `id`",
            ));
        }
    }
    draft.entity.fields.sort_by_key(|field| !field.primary_key);
    let mut idents = BTreeSet::new();
    for field in &mut draft.entity.fields {
        field.ident = names::unique(names::ident(&field.name), &mut idents);
    }
    draft
}

/// The names of every property that is shown or written, the whole row's first.
fn property_names(document: &SpecDocument, schema: &str, family: &[&View]) -> Vec<String> {
    let shown = family.iter().filter_map(|view| view.shows.schema());
    let taken = family.iter().filter_map(|view| match &view.takes {
        Form::Row { schema, .. } => Some(schema.as_str()),
        _ => None,
    });
    let mut names = Vec::new();
    for name in std::iter::once(schema).chain(shown).chain(taken) {
        for property in object(document, name).map(|object| object.properties.as_slice()).unwrap_or_default() {
            if !names.contains(&property.name) {
                names.push(property.name.clone());
            }
        }
    }
    names
}

fn property<'a>(document: &'a SpecDocument, schema: &str, name: &str) -> Option<&'a Property> {
    object(document, schema)?.properties.iter().find(|property| property.name == name)
}

fn uses<'a>(document: &'a SpecDocument, schema: &str, family: &[&View], name: &str) -> Uses<'a> {
    let mut uses = Uses {
        read: property(document, schema, name).filter(|property| !property.shape.write_only),
        always_written: true,
        ..Uses::default()
    };
    for view in family {
        if let Some(shown) =
            view.shows.schema().and_then(|schema| property(document, schema, name)).filter(|property| !property.shape.write_only)
        {
            // The strictest one counts: what one answer must show, every row must have.
            if uses.read.is_none_or(|read| !read.required && shown.required) {
                uses.read = Some(shown);
            }
        }
        let Form::Row { schema, .. } = &view.takes else { continue };
        let written = property(document, schema, name).filter(|property| !property.shape.read_only);
        match (view.method, &view.item) {
            (Method::Post, None) => {
                uses.always_written &= written.is_some_and(|property| property.required);
                uses.create = uses.create.or(written);
            }
            (Method::Put | Method::Patch, Some(_)) => uses.update = uses.update.or(written),
            _ => {}
        }
    }
    uses
}

fn field(document: &SpecDocument, name: &str, uses: Uses<'_>, primary: bool, updated: bool, draft: &mut Draft) -> Field {
    let writer = uses.create.or(uses.update);
    let base = writer.or(uses.read).expect("a name comes from a property");
    let mut stored = field_type(document, &base.shape);
    if let (Some(read), Some(writer)) = (uses.read, writer) {
        let shown = field_type(document, &read.shape);
        let nested = |kind: &FieldType| {
            matches!(kind, FieldType::Object(_) | FieldType::Json)
                || matches!(kind, FieldType::List(inner) if matches!(**inner, FieldType::Object(_) | FieldType::Json))
        };
        if !compatible(&stored, &shown) || (nested(&stored) && !same(document, &read.shape, &writer.shape)) {
            draft.conflicts.push(name.to_owned());
        }
        if stored != shown && !nested(&stored) {
            stored = wider(stored, shown);
        }
    }
    let mut field = plain(base, stored, own_limits(document, uses));
    field.primary_key = primary;
    field.unique = primary;
    field.write_only = uses.read.is_none() && !primary;
    field.immutable = primary || (updated && uses.create.is_some() && uses.update.is_none());
    let shown_always = uses.read.is_some_and(|read| read.required && !read.shape.nullable);
    let default = [uses.create, uses.read].into_iter().flatten().find_map(|property| property.shape.default.clone());
    field.default = default;
    let nullable = [uses.create, uses.update].into_iter().flatten().any(|property| property.shape.nullable);
    match (primary, writer) {
        (true, _) => {
            field.required = true;
            field.source = if uses.create.is_some() { FieldSource::Client } else { FieldSource::OnCreate };
        }
        (false, Some(_)) => {
            if is_secret(name, &base.shape.kind) {
                draft.secrets.push(name.to_owned());
            }
            field.required = (uses.always_written || field.default.is_some() || !draft.made && shown_always) && !nullable;
            if shown_always && !field.required && draft.made {
                if matches!(field.field_type, FieldType::List(_)) && field.limits.length_min.unwrap_or(0) == 0 && !nullable {
                    field.default = Some(serde_json::json!([]));
                    field.required = true;
                } else {
                    draft.gaps.push(name.to_owned());
                }
            }
        }
        (false, None) => {
            field.source = stamp(name, &field.field_type).unwrap_or(FieldSource::OnCreate);
            let stamped = stamp(name, &field.field_type).is_some();
            field.required = stamped || field.default.is_some();
            if shown_always && !field.required {
                draft.unexplained.push(name.to_owned());
            }
        }
    }
    field
}

/// The limits that every writer states; none where they differ.
fn own_limits(document: &SpecDocument, uses: Uses<'_>) -> Limits {
    let writers: Vec<Limits> = [uses.create, uses.update].into_iter().flatten().map(|property| limits(document, &property.shape)).collect();
    match writers.as_slice() {
        [] => uses.read.map(|property| limits(document, &property.shape)).unwrap_or_default(),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => first.clone(),
        _ => Limits::default(),
    }
}

fn wider(one: FieldType, two: FieldType) -> FieldType {
    match (&one, &two) {
        (FieldType::Integer, FieldType::BigInteger) | (FieldType::Integer | FieldType::BigInteger, FieldType::Float) => two,
        (FieldType::BigInteger, FieldType::Integer) => one,
        _ => FieldType::Text,
    }
}

/// The service's own instants.
fn stamp(name: &str, kind: &FieldType) -> Option<FieldSource> {
    if !matches!(kind, FieldType::DateTime | FieldType::Date) {
        return None;
    }
    let name = folded(name);
    let is = |words: &[&str]| words.contains(&name.as_str());
    if is(&["created", "createdat", "createdon", "createddate", "creationdate", "datecreated", "createtime", "insertedat"]) {
        return Some(FieldSource::OnCreate);
    }
    is(&[
        "updated",
        "updatedat",
        "updatedon",
        "updateddate",
        "modified",
        "modifiedat",
        "lastmodified",
        "lastmodifiedat",
        "lastupdated",
        "dateupdated",
        "updatetime",
        "changedat",
    ])
    .then_some(FieldSource::OnUpdate)
}

pub(super) fn is_secret(name: &str, kind: &ShapeKind) -> bool {
    folded(name) == "password" || matches!(kind, ShapeKind::Text { format: Some(format), .. } if format == "password")
}

/// The property that the path's last parameter names, or else the one that looks like a key.
fn key_property(document: &SpecDocument, schema: &str, own: &[&Resource], entity: &str) -> Option<String> {
    let properties = &object(document, schema)?.properties;
    let usable = |property: &&Property| {
        let kind = field_type(document, &property.shape);
        matches!(
            kind,
            FieldType::Integer
                | FieldType::BigInteger
                | FieldType::Text
                | FieldType::Uuid
                | FieldType::Email
                | FieldType::Url
                | FieldType::Enum(_)
        )
    };
    let Some(resource) = own.iter().find(|resource| resource.item.is_some()) else {
        let ids = ["id".to_owned(), format!("{}id", folded(entity)), "uuid".to_owned()];
        return ids
            .iter()
            .find_map(|id| properties.iter().filter(usable).find(|property| folded(&property.name) == *id))
            .map(|property| property.name.clone());
    };
    let wanted = folded(resource.item.as_deref().unwrap_or_default());
    let singular = folded(&singular_class(&resource.path));
    let bare = [folded(entity), singular].into_iter().find_map(|owner| wanted.strip_prefix(owner.as_str()).map(str::to_owned));
    let mut endings: Vec<&Property> =
        properties.iter().filter(usable).filter(|property| wanted.ends_with(&folded(&property.name))).collect();
    endings.sort_by_key(|property| std::cmp::Reverse(property.name.len()));
    let exact = properties.iter().filter(usable).find(|property| folded(&property.name) == wanted);
    let by_bare = bare.and_then(|bare| properties.iter().filter(usable).find(|property| folded(&property.name) == bare));
    exact.or(by_bare).or(endings.first().copied()).map(|property| property.name.clone())
}

/// A key that never travels.
fn hidden_key(fields: &[Field]) -> Field {
    let free = |name: &&str| !fields.iter().any(|field| folded(&field.name) == folded(name));
    let name = ["id", "row_id", "internal_row_id"].into_iter().find(free).unwrap_or("surrogate_row_id");
    Field { primary_key: true, unique: true, immutable: true, ..hidden(name, FieldType::BigInteger, FieldSource::OnCreate, true) }
}

pub(super) fn hidden(name: &str, field_type: FieldType, source: FieldSource, required: bool) -> Field {
    Field {
        name: name.to_owned(),
        ident: names::ident(name),
        field_type,
        required,
        primary_key: false,
        unique: false,
        indexed: false,
        source,
        default: None,
        limits: Limits::default(),
        write_only: true,
        immutable: true,
        description: String::new(),
        position: None,
    }
}

/// The entities that a derivable operation works on, and those that they refer to.
pub(super) fn used(document: &SpecDocument, drafts: Vec<Draft>) -> Vec<Entity> {
    let mut wanted: BTreeSet<String> =
        document.operations.iter().filter_map(|operation| operation.behaviour.entity()).map(str::to_owned).collect();
    loop {
        let referred: Vec<String> = drafts
            .iter()
            .filter(|draft| wanted.contains(&draft.entity.name))
            .flat_map(|draft| &draft.entity.fields)
            .filter_map(|field| match &field.field_type {
                FieldType::Reference { entity, .. } => Some(entity.clone()),
                _ => None,
            })
            .filter(|entity| !wanted.contains(entity))
            .collect();
        if referred.is_empty() {
            break;
        }
        wanted.extend(referred);
    }
    drafts.into_iter().map(|draft| draft.entity).filter(|entity| wanted.contains(&entity.name)).collect()
}
