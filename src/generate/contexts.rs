//! What each template is given.

use serde_json::{Value, json};

use super::GenerateError;
use super::pack::Manifest;
use super::project::Project;
use super::units::{About, Unit};

/// Everything of the specification that a unit's files depend on.
pub(super) fn fragment(manifest: &Manifest, project: &Project<'_>, unit: &Unit<'_>) -> Result<Value, GenerateError> {
    let _ = manifest;
    let doc = project.doc;
    Ok(match &unit.about {
        About::Entity(number) => {
            let entity = project.entities[*number].entity;
            let rules: Vec<_> = project.rules_of(&entity.name).collect();
            let operations: Vec<_> = project.operations_on(&entity.name).collect();
            json!({ "package": project.package, "entity": entity, "rules": rules, "operations": operations })
        }
        About::Group(group) => json!({ "group": group, "operations": project.operations_in(group).collect::<Vec<_>>() }),
        About::Operation(operation) => json!({ "operation": operation }),
        _ => json!({ "document": doc }),
    })
}
