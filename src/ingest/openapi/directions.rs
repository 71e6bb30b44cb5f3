//! Schemas that look different in requests and in answers: `readOnly` and `writeOnly` properties.
//!
//! A schema with such properties that is used both ways becomes two: its own name shows what answers hold, and a second one,
//! named with `Input` behind it, what requests hold.

use std::collections::{BTreeMap, BTreeSet};

use super::operations::Read;
use crate::model::shape::{Additional, Property};
use crate::model::{Schema, Shape, ShapeKind};

/// Splits the schemas and lets the bodies of requests refer to the right ones.
pub(super) fn split(schemas: &mut Vec<Schema>, reads: &mut [Read]) {
    let affected = affected(schemas);
    if affected.is_empty() {
        return;
    }
    let bodies: Vec<&Shape> = reads.iter().filter_map(|read| read.operation.body.as_ref()).map(|body| &body.shape).collect();
    let answers = reads.iter().flat_map(|read| &read.operation.responses).filter_map(|response| response.content.as_ref());
    let taken = reachable(schemas, bodies);
    let shown = reachable(schemas, answers.map(|content| &content.shape).collect());
    let names: BTreeMap<String, String> = affected
        .intersection(&taken)
        .map(|name| {
            let other = if shown.contains(name) { fresh(schemas, &format!("{name}Input")) } else { name.clone() };
            (name.clone(), other)
        })
        .collect();
    let mut split = Vec::new();
    for mut schema in schemas.drain(..) {
        let Some(other) = names.get(&schema.name) else {
            without(&mut schema.shape, |property| property.shape.write_only && shown.contains(&schema.name));
            split.push(schema);
            continue;
        };
        let mut input = schema.clone();
        without(&mut input.shape, |property| property.shape.read_only);
        renamed(&mut input.shape, &names);
        if *other == schema.name {
            split.push(input);
            continue;
        }
        input.class = format!("{}Input", schema.class);
        input.name.clone_from(other);
        without(&mut schema.shape, |property| property.shape.write_only);
        split.push(schema);
        split.push(input);
    }
    *schemas = split;
    for body in reads.iter_mut().filter_map(|read| read.operation.body.as_mut()) {
        renamed(&mut body.shape, &names);
    }
}

fn fresh(schemas: &[Schema], wanted: &str) -> String {
    let numbered = (2..).map(|number: u32| format!("{wanted}{number}"));
    let free = |name: &String| !schemas.iter().any(|schema| schema.name.eq_ignore_ascii_case(name));
    std::iter::once(wanted.to_owned()).chain(numbered).find(free).expect("numbers do not end")
}

/// Schemas with a property that travels one way only, and those that hold such schemas.
fn affected(schemas: &[Schema]) -> BTreeSet<String> {
    let one_way = |shape: &Shape| match &shape.kind {
        ShapeKind::Object(object) => object.properties.iter().any(|property| property.shape.read_only || property.shape.write_only),
        _ => false,
    };
    let mut found: BTreeSet<String> = schemas.iter().filter(|schema| one_way(&schema.shape)).map(|schema| schema.name.clone()).collect();
    loop {
        let more: Vec<String> = schemas
            .iter()
            .filter(|schema| !found.contains(&schema.name) && references(&schema.shape).iter().any(|name| found.contains(*name)))
            .map(|schema| schema.name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn reachable(schemas: &[Schema], shapes: Vec<&Shape>) -> BTreeSet<String> {
    let by_name: BTreeMap<&str, &Shape> = schemas.iter().map(|schema| (schema.name.as_str(), &schema.shape)).collect();
    let mut found = BTreeSet::new();
    let mut pending = shapes;
    while let Some(shape) = pending.pop() {
        for name in references(shape) {
            if found.insert(name.to_owned()) {
                pending.extend(by_name.get(name));
            }
        }
    }
    found
}

/// The names that a shape refers to, at any depth of its own.
fn references(shape: &Shape) -> Vec<&str> {
    let mut found = Vec::new();
    let mut pending = vec![shape];
    while let Some(shape) = pending.pop() {
        match &shape.kind {
            ShapeKind::Reference(name) => found.push(name.as_str()),
            ShapeKind::Array { items, .. } => pending.push(items),
            ShapeKind::OneOf { variants, .. } => pending.extend(variants),
            ShapeKind::Object(object) => {
                pending.extend(object.properties.iter().map(|property| &property.shape));
                if let Additional::Values(values) = &object.additional {
                    pending.push(values);
                }
            }
            _ => {}
        }
    }
    found
}

fn without(shape: &mut Shape, unwanted: impl Fn(&Property) -> bool) {
    if let ShapeKind::Object(object) = &mut shape.kind {
        object.properties.retain(|property| !unwanted(property));
    }
}

fn renamed(shape: &mut Shape, names: &BTreeMap<String, String>) {
    match &mut shape.kind {
        ShapeKind::Reference(name) => {
            if let Some(other) = names.get(name) {
                name.clone_from(other);
            }
        }
        ShapeKind::Array { items, .. } => renamed(items, names),
        ShapeKind::OneOf { variants, .. } => variants.iter_mut().for_each(|variant| renamed(variant, names)),
        ShapeKind::Object(object) => {
            object.properties.iter_mut().for_each(|property| renamed(&mut property.shape, names));
            if let Additional::Values(values) = &mut object.additional {
                renamed(values, names);
            }
        }
        _ => {}
    }
}
