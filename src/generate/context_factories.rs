//! What the template of the tests' factories is given: valid values for a row of every entity.

use serde_json::{Value, json};

use super::project::{EntityNames, Project};
use super::samples::{self, Sample};
use super::solver::{Goal, Row, Solver};
use crate::model::entity::{Field, FieldSource};

/// The context of the factories.
pub(super) fn context(project: &Project<'_>) -> Value {
    let entities: Vec<Value> =
        project.entities.iter().filter(|names| makeable(project, names)).map(|names| entity(project, names)).collect();
    json!({ "entities": entities })
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
pub(super) fn demanded(project: &Project<'_>, names: &EntityNames<'_>) -> Row {
    Solver { project, names }.solve(Goal::Valid, &Row::new()).unwrap_or_default()
}

fn entity(project: &Project<'_>, names: &EntityNames<'_>) -> Value {
    let demanded = demanded(project, names);
    let mut lines = Vec::new();
    let (mut counts, mut parents) = (false, false);
    for field in &names.entity.fields {
        let chosen = demanded.get(&field.name).filter(|_| !samples::unique(project, &names.entity.name, field));
        let value = match chosen {
            Some(Value::Null) => continue,
            Some(value) => Some(Sample::Fixed(value.clone())),
            None if needed(field) => sample(project, names, field),
            None => None,
        };
        let Some(value) = value.filter(|_| field.source == FieldSource::Client) else {
            continue;
        };
        counts |= value.counts();
        parents |= matches!(value, Sample::KeyOf(_));
        let text = value.stored(project, &field.field_type).replace("factories.", "");
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
