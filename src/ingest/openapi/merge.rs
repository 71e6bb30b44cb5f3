//! Two shapes at once: what `allOf` means.

use serde_json::Number;

use crate::model::entity::Limits;
use crate::model::shape::{Additional, ObjectShape, Property};
use crate::model::{Shape, ShapeKind};

/// The shape that fulfils both; where they cannot both hold, the first wins and the place is added to `conflicts`.
pub(super) fn both(left: Shape, right: Shape, place: &str, conflicts: &mut Vec<String>) -> Shape {
    let nullable = match (&left.kind, &right.kind) {
        (ShapeKind::Any, _) => right.nullable,
        (_, ShapeKind::Any) => left.nullable,
        _ => left.nullable && right.nullable,
    };
    let mut outer = annotations(left.clone(), &right);
    outer.nullable = nullable;
    outer.kind = kinds(left.kind, right.kind, place, conflicts);
    outer
}

/// The first shape with what the second one says besides the kind.
pub(super) fn annotations(mut shape: Shape, other: &Shape) -> Shape {
    shape.nullable |= other.nullable;
    shape.description = other.description.clone().or(shape.description);
    shape.default = other.default.clone().or(shape.default);
    shape.example = other.example.clone().or(shape.example);
    shape.read_only |= other.read_only;
    shape.write_only |= other.write_only;
    shape
}

fn kinds(left: ShapeKind, right: ShapeKind, place: &str, conflicts: &mut Vec<String>) -> ShapeKind {
    use ShapeKind as K;
    match (left, right) {
        (K::Any, other) | (other, K::Any) => other,
        (K::Object(left), K::Object(right)) => K::Object(objects(left, right, place, conflicts)),
        (K::OneOf { variants, discriminator }, other) | (other, K::OneOf { variants, discriminator }) => {
            let other = Shape::of(other);
            let variants = variants.into_iter().map(|variant| both(variant, other.clone(), place, conflicts)).collect();
            K::OneOf { variants, discriminator }
        }
        (K::Text { format, limits, values }, K::Text { format: format2, limits: limits2, values: values2 }) => {
            K::Text { format: format.or(format2), limits: tighter(limits, &limits2), values: common(values, values2, place, conflicts) }
        }
        (K::Integer { format, limits, values }, K::Integer { format: format2, limits: limits2, values: values2 }) => {
            K::Integer { format: format.or(format2), limits: tighter(limits, &limits2), values: common(values, values2, place, conflicts) }
        }
        (K::Number { format, limits }, K::Number { format: format2, limits: limits2 }) => {
            K::Number { format: format.or(format2), limits: tighter(limits, &limits2) }
        }
        (K::Integer { format, limits, values }, K::Number { limits: limits2, .. })
        | (K::Number { limits: limits2, .. }, K::Integer { format, limits, values }) => {
            K::Integer { format, limits: tighter(limits, &limits2), values }
        }
        (K::Array { items, limits, unique }, K::Array { items: items2, limits: limits2, unique: unique2 }) => K::Array {
            items: Box::new(both(*items, *items2, place, conflicts)),
            limits: tighter(limits, &limits2),
            unique: unique || unique2,
        },
        (left, right) => {
            if left != right {
                conflicts.push(if place.is_empty() { "its type".to_owned() } else { format!("`{place}`") });
            }
            left
        }
    }
}

fn objects(mut left: ObjectShape, right: ObjectShape, place: &str, conflicts: &mut Vec<String>) -> ObjectShape {
    for property in right.properties {
        let Some(known) = left.properties.iter_mut().find(|known| known.name == property.name) else {
            left.properties.push(property);
            continue;
        };
        let inner = if place.is_empty() { property.name.clone() } else { format!("{place}.{}", property.name) };
        let Property { name, ident, required, shape } = known.clone();
        *known = Property { name, ident, required: required || property.required, shape: both(shape, property.shape, &inner, conflicts) };
    }
    left.additional = match (left.additional, right.additional) {
        (Additional::Forbidden, _) | (_, Additional::Forbidden) => Additional::Forbidden,
        (Additional::Ignored, other) | (other, Additional::Ignored) => open(other, &left.properties),
        (Additional::Values(one), Additional::Values(two)) => {
            open(Additional::Values(Box::new(both(*one, *two, place, conflicts))), &left.properties)
        }
    };
    left
}

/// An object of which nothing is known holds any values; once properties are known, others are ignored.
fn open(additional: Additional, properties: &[Property]) -> Additional {
    match additional {
        Additional::Values(inner) if matches!(inner.kind, ShapeKind::Any) && !properties.is_empty() => Additional::Ignored,
        other => other,
    }
}

fn common<T: PartialEq>(left: Vec<T>, right: Vec<T>, place: &str, conflicts: &mut Vec<String>) -> Vec<T> {
    if left.is_empty() {
        return right;
    }
    if right.is_empty() {
        return left;
    }
    let both: Vec<T> = right.into_iter().filter(|value| left.contains(value)).collect();
    if both.is_empty() {
        conflicts.push(format!("the values of `{place}`"));
        return left;
    }
    both
}

fn tighter(left: Limits, right: &Limits) -> Limits {
    let number = |number: &Option<Number>| number.as_ref().and_then(Number::as_f64);
    let (min, min_exclusive) = match (number(&left.min), number(&right.min)) {
        (Some(one), Some(two)) if two < one => (left.min, left.min_exclusive),
        (Some(one), Some(two)) if two > one => (right.min.clone(), right.min_exclusive),
        (Some(_), _) => (left.min, left.min_exclusive || (right.min.is_some() && right.min_exclusive)),
        (None, _) => (right.min.clone(), right.min_exclusive),
    };
    let (max, max_exclusive) = match (number(&left.max), number(&right.max)) {
        (Some(one), Some(two)) if two > one => (left.max, left.max_exclusive),
        (Some(one), Some(two)) if two < one => (right.max.clone(), right.max_exclusive),
        (Some(_), _) => (left.max, left.max_exclusive || (right.max.is_some() && right.max_exclusive)),
        (None, _) => (right.max.clone(), right.max_exclusive),
    };
    Limits {
        length_min: left.length_min.max(right.length_min),
        length_max: [left.length_max, right.length_max].into_iter().flatten().min(),
        min,
        max,
        min_exclusive,
        max_exclusive,
        multiple_of: left.multiple_of.or_else(|| right.multiple_of.clone()),
        pattern: left.pattern.or_else(|| right.pattern.clone()),
    }
}
