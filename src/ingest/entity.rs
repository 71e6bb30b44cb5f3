//! Turns the entities as written into checked entities: names, keys, references, nested objects, and the fields every row has.

use std::collections::BTreeMap;

use super::draft::{Draft, DraftEntity, DraftField, Text};
use super::field::{self, Surroundings};
use super::limits::{ENTITIES_MAX, FIELDS_MAX};
use super::names;
use crate::model::entity::{FieldSource, Limits};
use crate::model::{Entity, Field, FieldType, Finding, Position};

/// Deepest nesting of objects within a field.
const OBJECT_DEPTH_MAX: usize = 5;

/// The entities of a draft, in its order.
pub(super) fn entities(draft: &Draft, findings: &mut Vec<Finding>) -> Vec<Entity> {
    if draft.entities.len() > ENTITIES_MAX {
        let message = format!("the document declares {} entities, more than {ENTITIES_MAX}", draft.entities.len());
        findings.push(Finding::error("too-many-entities", message, None, "split the service"));
        return Vec::new();
    }
    let known = known(draft, findings);
    let mut entities = Vec::new();
    let mut tables = std::collections::BTreeSet::new();
    for entity in &draft.entities {
        let ident = names::ident(&entity.name.text);
        let Some(this) = known.get(&ident).filter(|known| known.position == entity.name.position) else { continue };
        let table = names::unique(names::plural(&ident), &mut tables);
        entities.push(Entity {
            name: this.name.clone(),
            fields: fields(entity, this, &known, findings),
            ident,
            table,
            description: entity.description.clone(),
            position: Some(entity.name.position),
        });
    }
    refuse_circles(&entities, findings);
    entities
}

/// What other entities need to know of one before its fields are read.
pub(super) struct Known {
    /// The name in CamelCase.
    pub(super) name: String,
    /// The wire name of its primary key.
    pub(super) key: String,
    position: Position,
}

/// The declared entities by identifier; names that are unsafe or taken are reported and left out.
fn known(draft: &Draft, findings: &mut Vec<Finding>) -> BTreeMap<String, Known> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut taken = names::Taken::default();
    for entity in &draft.entities {
        let (written, position) = (&entity.name.text, entity.name.position);
        let ident = names::ident(written);
        let refused = names::check("entity", written, Some(position)).or_else(|| taken.take("entity", written, &ident, Some(position)));
        if let Some(finding) = refused {
            findings.push(finding);
            continue;
        }
        let name = names::entity(written);
        if !name.eq_ignore_ascii_case(&written.replace([' ', '_', '-'], "")) {
            let message = format!("entity `{written}` is called `{name}` in the code");
            findings.push(Finding::info("renamed", message, Some(position), "nothing needs to be done"));
        }
        let key = entity.fields.iter().find(|field| field::primary_key(&field.rules.text)).map_or("id", |field| &field.name.text);
        known.insert(ident, Known { name, key: key.to_owned(), position });
    }
    known
}

fn fields(entity: &DraftEntity, this: &Known, known: &BTreeMap<String, Known>, findings: &mut Vec<Finding>) -> Vec<Field> {
    let mut fields = Vec::new();
    if entity.fields.is_empty() {
        let hint = "add a table `| field | type | rules |` under its heading";
        findings.push(Finding::warning(
            "entity-without-fields",
            format!("entity `{}` has no fields", this.name),
            Some(this.position),
            hint,
        ));
    }
    if entity.fields.len() > FIELDS_MAX {
        let message = format!("entity `{}` has {} fields, more than {FIELDS_MAX}", this.name, entity.fields.len());
        findings.push(Finding::error("too-many-fields", message, Some(this.position), "split the entity"));
        return fields;
    }
    for written in &entity.fields {
        let segments: Vec<&str> = written.name.text.split('.').collect();
        let bare = |segment: &str| segment.strip_suffix("[]").unwrap_or(segment).to_owned();
        let unsafe_name = segments.iter().find_map(|segment| names::check("field", &bare(segment), Some(written.name.position)));
        if let Some(finding) = unsafe_name {
            findings.push(finding);
            continue;
        }
        let surroundings = Surroundings { entity: this, known, nested: segments.len() > 1 };
        if let Some(field) = field::read(written, segments[segments.len() - 1], &surroundings, findings) {
            place(&mut fields, &segments, field, written, findings);
        }
    }
    refuse_empty_objects(&fields, findings);
    complete(&mut fields, this, findings);
    name_fields(&mut fields, findings);
    fields
}

/// Puts a field where its dotted name says, making the objects around it.
fn place(fields: &mut Vec<Field>, segments: &[&str], field: Field, written: &DraftField, findings: &mut Vec<Finding>) {
    let [first, rest @ ..] = segments else { return };
    if rest.is_empty() {
        if fields.iter_mut().find(|other| other.name == field.name).is_none() {
            fields.push(field);
        } else {
            let message = format!("field `{}` is declared twice", written.name.text);
            let hint = "remove one of them; an object's own row comes before its parts";
            findings.push(Finding::error("same-name", message, Some(written.name.position), hint));
        }
        return;
    }
    if rest.len() > OBJECT_DEPTH_MAX {
        let message = format!("`{}` is nested more than {OBJECT_DEPTH_MAX} deep", written.name.text);
        findings.push(Finding::error("nested-too-deep", message, Some(written.name.position), "make the inner object an entity"));
        return;
    }
    let (name, many) = first.strip_suffix("[]").map_or((*first, false), |name| (name, true));
    if !fields.iter().any(|other| other.name == name) {
        let object = FieldType::Object(Vec::new());
        fields.push(plain(name, if many { FieldType::List(Box::new(object)) } else { object }));
    }
    let parent = fields.iter_mut().find(|other| other.name == name).expect("it was just made");
    if parent.position.is_none() {
        parent.required |= field.required;
    }
    match (&mut parent.field_type, many) {
        (FieldType::Object(inner), false) => place(inner, rest, field, written, findings),
        (FieldType::List(item), true) if matches!(**item, FieldType::Object(_)) => {
            if let FieldType::Object(inner) = &mut **item {
                place(inner, rest, field, written, findings);
            }
        }
        _ => {
            let hint = "an object's part is written `object.part`, a list's `list[].part`";
            let message = format!("`{first}` does not hold the part `{}`", written.name.text);
            findings.push(Finding::error("not-an-object", message, Some(written.name.position), hint));
        }
    }
}

fn refuse_empty_objects(fields: &[Field], findings: &mut Vec<Finding>) {
    for field in fields {
        let inner = match &field.field_type {
            FieldType::Object(inner) => inner,
            FieldType::List(item) => match &**item {
                FieldType::Object(inner) => inner,
                _ => continue,
            },
            _ => continue,
        };
        if inner.is_empty() {
            let hint = format!("add rows such as `{}.part`, or use the type `json`", field.name);
            findings.push(Finding::error("empty-object", format!("object `{}` has no parts", field.name), field.position, hint));
        }
        refuse_empty_objects(inner, findings);
    }
}

/// Adds the key and the two instants that every row has.
fn complete(fields: &mut Vec<Field>, this: &Known, findings: &mut Vec<Finding>) {
    let keys: Vec<usize> = (0..fields.len()).filter(|index| fields[*index].primary_key).collect();
    if let [_, second, ..] = keys[..] {
        let message = format!("entity `{}` has two primary keys", this.name);
        let hint = "keep one, and state the combination as a rule: `(a, b) is unique`";
        findings.push(Finding::error("two-keys", message, fields[second].position, hint));
        fields[second].primary_key = false;
    }
    match fields.iter().position(|field| field.name == this.key) {
        Some(index) if keys.is_empty() => field::make_key(&mut fields[index], findings),
        Some(_) => {}
        None => {
            let mut key = plain("id", FieldType::Uuid);
            field::make_key(&mut key, findings);
            fields.insert(0, key);
        }
    }
    for (name, source) in [("created_at", FieldSource::OnCreate), ("updated_at", FieldSource::OnUpdate)] {
        match fields.iter_mut().find(|field| field.name == name) {
            Some(field) if field.field_type == FieldType::DateTime => (field.source, field.required) = (source, true),
            Some(_) => {}
            None => fields.push(Field { source, required: true, ..plain(name, FieldType::DateTime) }),
        }
    }
}

/// Gives identifiers to fields at every level.
fn name_fields(fields: &mut [Field], findings: &mut Vec<Finding>) {
    let mut taken = names::Taken::default();
    for field in fields {
        field.ident = names::ident(&field.name);
        findings.extend(taken.take("field", &field.name, &field.ident, field.position));
        match &mut field.field_type {
            FieldType::Object(inner) => name_fields(inner, findings),
            FieldType::List(item) => {
                if let FieldType::Object(inner) = &mut **item {
                    name_fields(inner, findings);
                }
            }
            _ => {}
        }
    }
}

/// A derived field without any rules.
fn plain(name: &str, field_type: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        ident: String::new(),
        field_type,
        required: false,
        primary_key: false,
        unique: false,
        indexed: false,
        source: FieldSource::Client,
        default: None,
        limits: Limits::default(),
        write_only: false,
        immutable: false,
        description: String::new(),
        position: None,
    }
}

/// Reports entities of which none can be created first.
fn refuse_circles(entities: &[Entity], findings: &mut Vec<Finding>) {
    let needs = |entity: &Entity| -> Vec<(String, Option<Position>)> {
        let required = entity.fields.iter().filter(|field| field.required);
        required.filter_map(|field| field::target(field).map(|target| (target.to_owned(), field.position))).collect()
    };
    let mut needed: BTreeMap<&str, Vec<(String, Option<Position>)>> =
        entities.iter().map(|entity| (entity.name.as_str(), needs(entity))).collect();
    // Entities that need nobody left can be created; what remains needs itself.
    loop {
        let free: Vec<&str> = needed
            .iter()
            .filter(|(_, targets)| !targets.iter().any(|(target, _)| needed.contains_key(target.as_str())))
            .map(|(name, _)| *name)
            .collect();
        if free.is_empty() {
            break;
        }
        needed.retain(|name, _| !free.contains(name));
    }
    let Some(mut at) = needed.keys().next().copied() else { return };
    let mut path = Vec::new();
    while !path.contains(&at) {
        path.push(at);
        let next = needed[at].iter().find_map(|(target, _)| needed.get_key_value(target.as_str()).map(|(name, _)| *name));
        at = next.expect("every entity that remains needs another that remains");
    }
    let circle = &path[path.iter().position(|name| *name == at).unwrap_or(0)..];
    let position = needed[circle[0]].iter().find_map(|(_, position)| *position);
    let message = format!("no row of {} can ever be created first: each requires the next", [circle, &circle[..1]].concat().join(" -> "));
    findings.push(Finding::error("circular-references", message, position, "leave out `required` in one of these references"));
}

/// The text of a declared entity's name, for callers that only have its identifier.
pub(super) fn resolve<'e>(entities: &'e [Entity], written: &Text) -> Option<&'e Entity> {
    let ident = names::ident(&written.text);
    entities.iter().find(|entity| entity.ident == ident || entity.table == ident)
}
