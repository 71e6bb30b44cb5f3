//! Which of the shared helpers a project really uses, so that it gets no code that nothing calls.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::project::Project;
use super::{GenerateError, context_model, context_router, context_schema, context_service};

/// Helpers, and what each needs of the others.
const HELPERS: &[(&str, &[&str])] = &[
    // wire.py
    ("AsNumber", &[]),
    ("Boolean", &[]),
    ("Date", &[]),
    ("Double", &["Float", "formatted"]),
    ("Email", &["formatted"]),
    ("Float", &[]),
    ("Instant", &[]),
    ("Int32", &["AsWhole"]),
    ("Int64", &["Integer", "formatted"]),
    ("Integer", &["AsWhole"]),
    ("AsWhole", &[]),
    ("Json", &[]),
    ("NotNull", &[]),
    ("Time", &[]),
    ("Unique", &[]),
    ("Url", &["formatted"]),
    ("Uuid", &[]),
    ("absent", &[]),
    ("formatted", &[]),
    ("present", &[]),
    // parameters.py
    ("BooleanText", &[]),
    ("IntegerText", &[]),
    ("NumberText", &[]),
    ("integer_key", &[]),
    ("page_size", &[]),
    ("rows_before", &[]),
    ("separated", &[]),
    ("skipped_rows", &["rows_before"]),
    ("storable", &[]),
    ("uuid_key", &[]),
    // column_types.py
    ("BigKey", &[]),
    ("FixedPoint", &[]),
    ("UtcDateTime", &["utc_now"]),
    ("utc_now", &[]),
];

/// The context of the modules of wire types and parameters.
pub(super) fn wire(project: &Project<'_>) -> Result<Value, GenerateError> {
    let mut texts = Vec::new();
    let (mut inputs, mut json_columns, mut ignored, mut extra) = (false, false, false, false);
    for module in project.classes.modules() {
        let context = context_schema::context(project, module)?;
        for class in context["classes"].as_array().into_iter().flatten() {
            let filled = |name: &str| class[name].as_str().is_some_and(|text| !text.is_empty());
            inputs |= class.get("renamed").is_some();
            json_columns |= filled("as_json");
            ignored |= filled("ignored");
            extra |= class["config"].as_str().is_some_and(|text| text.contains("allow"));
        }
        texts.push(context.to_string());
    }
    texts.extend(routes(project));
    Ok(json!({
        "used": helpers(&texts),
        "inputs": inputs,
        "json_columns": json_columns,
        "ignored_columns": ignored,
        "extra": extra && inputs,
    }))
}

/// The context of the module of column types.
pub(super) fn columns(project: &Project<'_>) -> Value {
    let mut texts: Vec<String> = project.entities.iter().map(|names| context_model::context(project, names).to_string()).collect();
    let served = project.entities.iter().filter(|names| project.operations_on(&names.entity.name).next().is_some());
    texts.extend(served.map(|names| context_service::context(project, names).to_string()));
    json!({ "used": helpers(&texts) })
}

fn routes(project: &Project<'_>) -> Vec<String> {
    let groups = project.doc.groups.iter().map(|group| context_router::context(project, group).to_string());
    let pending = project.doc.operations.iter().filter(|operation| !operation.derivable());
    groups.chain(pending.map(|operation| context_router::pending(project, operation).to_string())).collect()
}

/// The helpers that the texts name, and those that they need.
fn helpers(texts: &[String]) -> BTreeSet<&'static str> {
    let words: BTreeSet<&str> =
        texts.iter().flat_map(|text| text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')).collect();
    let mut found: BTreeSet<&'static str> = HELPERS.iter().map(|(name, _)| *name).filter(|name| words.contains(name)).collect();
    let mut before = 0;
    while before < found.len() {
        before = found.len();
        let needed: Vec<&str> =
            HELPERS.iter().filter(|(name, _)| found.contains(name)).flat_map(|(_, needs)| needs.iter().copied()).collect();
        found.extend(needed);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_helper_needs_is_used_too() {
        let texts = ["price: Annotated[Int64, Field(ge=1)]".to_owned(), "skipped_rows(request)".to_owned()];
        let expect: Vec<&str> = vec!["AsWhole", "Int64", "Integer", "formatted", "rows_before", "skipped_rows"];
        assert_eq!(helpers(&texts).into_iter().collect::<Vec<_>>(), expect);
    }
}
