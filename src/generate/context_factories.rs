//! What the template of the tests' factories is given: valid values for a row of every entity.

use serde_json::{Value, json};

use super::project::{EntityNames, Project};
use super::samples::{self, Sample};
use super::solver::{Goal, Row, Solver};
use crate::model::entity::{Field, FieldSource, FieldType};

/// The context of the factories.
pub(super) fn context(project: &Project<'_>) -> Value {
    let entities: Vec<Value> =
        project.entities.iter().filter(|names| makeable(project, names)).map(|names| entity(project, names)).collect();
    let any = |wanted: &dyn Fn(&Sample) -> bool| {
        let fields = |names: &EntityNames<'_>| {
            names.entity.fields.iter().any(|field| {
                samples::of_field(field, samples::unique(project, &names.entity.name, field) || textual(field))
                    .is_some_and(|sample| wanted(&sample))
            })
        };
        project.entities.iter().any(fields)
    };
    json!({
        "entities": entities,
        "spells": any(&|sample| matches!(sample, Sample::Spelled { .. })),
        "days": any(&|sample| *sample == Sample::Earlier(FieldType::Date)),
        "instants": any(&|sample| *sample == Sample::Earlier(FieldType::DateTime)),
    })
}

/// True for fields that tests give a value of its own also where none is demanded.
fn textual(field: &Field) -> bool {
    matches!(field.field_type, FieldType::Text | FieldType::Email | FieldType::Url)
}

/// True when the tests can make rows of the entity.
pub(super) fn makeable(project: &Project<'_>, names: &EntityNames<'_>) -> bool {
    let needed = names.entity.fields.iter().filter(|field| needed(field));
    samples::makeable(project, &names.entity.name) && needed.into_iter().all(|field| sample(project, names, field).is_some())
}

/// True when a row cannot be stored without a value from outside.
fn needed(field: &Field) -> bool {
    samples::fillable(field) && (field.required || field.primary_key) && field.default.is_none()
}

/// The sample of one field of a valid row.
pub(super) fn sample(project: &Project<'_>, names: &EntityNames<'_>, field: &Field) -> Option<Sample> {
    samples::of_field(field, samples::unique(project, &names.entity.name, field))
}

/// Values that rules demand beyond the ordinary ones.
pub(super) fn demanded<'n>(project: &Project<'_>, names: &'n EntityNames<'_>) -> &'n Row {
    names.demanded.get_or_init(|| Solver { project, names }.solve(Goal::Valid, &Row::new()).unwrap_or_default())
}

/// What has to be said to make a row with these values: those that the factory does not give by itself.
pub(super) fn overrides(project: &Project<'_>, names: &EntityNames<'_>, row: &Row) -> Row {
    let demanded = demanded(project, names);
    let given = |name: &String, value: &Value| {
        let Some(field) = names.entity.field(name).filter(|field| samples::fillable(field)) else {
            return false;
        };
        let plain = !samples::unique(project, &names.entity.name, field) || value.is_null();
        plain && demanded.get(name) == Some(value) && (!value.is_null() || field.default.is_none())
    };
    row.iter().filter(|(name, value)| !given(name, value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn entity(project: &Project<'_>, names: &EntityNames<'_>) -> Value {
    let demanded = demanded(project, names);
    let mut lines = Vec::new();
    let (mut counts, mut parents) = (false, false);
    for field in &names.entity.fields {
        let value = match demanded.get(&field.name) {
            Some(Value::Null) => continue,
            Some(value) if !samples::unique(project, &names.entity.name, field) => Some(Sample::Fixed(value.clone())),
            Some(_) => sample(project, names, field),
            None if needed(field) => sample(project, names, field),
            None => None,
        };
        let Some(value) = value.filter(|_| field.source == FieldSource::Client) else {
            continue;
        };
        counts |= value.counts();
        parents |= matches!(value, Sample::KeyOf(_));
        let text = value.stored(project, &field.field_type, "number").replace("factories.", "");
        lines.push(format!("{}: {text}", super::python::text(names.attribute(&field.name))));
    }
    json!({
        "module": names.module,
        "class": names.class,
        "words": super::context_service::words(names),
        "lines": lines,
        "counts": counts,
        "parents": parents,
    })
}
