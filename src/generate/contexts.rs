//! What each template is given. A unit's context is also what its files depend on, and so what its cache key is made of.

use serde_json::{Value, json};

use super::pack::Manifest;
use super::project::Project;
use super::units::{About, Unit};
use super::{
    GenerateError, context_errors, context_factories, context_model, context_router, context_rules, context_schema, context_service,
    context_tests, python, used,
};
use crate::model::operation::{Behaviour, Operation};

/// An error when a value on the wire cannot be expressed in the target.
pub(super) fn expressible(project: &Project<'_>) -> Result<(), GenerateError> {
    project.classes.modules().iter().try_for_each(|module| context_schema::context(project, module).map(|_| ()))
}

/// The context of a unit's templates.
pub(super) fn context(manifest: &Manifest, project: &Project<'_>, unit: &Unit<'_>) -> Result<Value, GenerateError> {
    let mut context = json!({ "package": project.package });
    let own = match &unit.about {
        About::Project if unit.key == "project/schema-types" => used::wire(project)?,
        About::Project => whole(manifest, project, &unit.key),
        About::Module(module) => context_schema::context(project, module)?,
        About::Operation(operation) => context_router::pending(project, operation),
        About::Entity(number) => {
            let names = &project.entities[*number];
            match unit.key.split('/').next() {
                Some("model") => context_model::context(project, names),
                Some("tests") => context_rules::context(project, names),
                _ => context_service::context(project, names),
            }
        }
        About::Group(group) if unit.key.starts_with("tests/") => context_tests::context(project, group),
        About::Group(group) => context_router::context(project, group),
    };
    merge(&mut context, own);
    Ok(context)
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// What units about the whole project are given.
fn whole(manifest: &Manifest, project: &Project<'_>, key: &str) -> Value {
    let doc = project.doc;
    let problem = context_errors::problem(doc);
    let pending = doc.operations.iter().any(|operation| !operation.derivable());
    let headline = python::headline(&doc.summary);
    match key {
        "project/packaging" => json!({
            "title": doc.title,
            "slug": doc.slug,
            "headline": headline,
            "version_pep": version(doc.version.as_deref()),
            "dependencies": ["alembic", "fastapi", "psycopg[binary]", "pydantic", "pydantic-settings", "sqlalchemy", "uvicorn"],
            "rules": manifest.lint.rules,
            "rules_ignored": manifest.lint.rules_ignored,
        }),
        "project/errors" => json!({
            "problem": problem,
            "pending": pending,
            "remap": context_errors::remap(project),
            "error": context_errors::context(project),
        }),
        "project/app" => json!({
            "title": doc.title,
            "version": doc.version.as_deref().unwrap_or("0.1.0"),
            "summary": doc.summary,
            "headline": headline,
            "problem": problem,
            "error": context_errors::context(project),
            "modules": router_order(project),
            "modules_sorted": sorted(router_order(project)),
        }),
        "project/packages" => {
            let mut entities: Vec<Value> =
                project.entities.iter().map(|names| json!({ "module": names.module, "class": names.class })).collect();
            entities.push(json!({ "module": "base", "class": "Base" }));
            entities.sort_by_key(|entity| entity["module"].to_string());
            let mut exported: Vec<&str> = project.entities.iter().map(|names| names.class.as_str()).chain(["Base"]).collect();
            exported.sort_unstable();
            json!({ "entities": entities, "exported": exported })
        }
        "project/database" => used::columns(project),
        "tests/support" => context_factories::context(project),
        "tests/platform" => platform(project, problem),
        "project/readme" => {
            json!({ "title": doc.title, "slug": doc.slug, "summary": doc.summary, "groups": groups(project), "pending": pending })
        }
        _ => json!({}),
    }
}

/// What the tests of the platform are given.
fn platform(project: &Project<'_>, problem: bool) -> Value {
    let operations: Vec<&Operation> = project.doc.operations.iter().collect();
    let listed: Vec<Value> = operations
        .iter()
        .map(|operation| {
            json!({
                "method": python::text(&operation.method.to_string().to_lowercase()),
                "path": python::text(&context_router::route_path(operation)),
                "id": python::text(&operation.operation_id),
            })
        })
        .collect();
    let required: Vec<String> = project
        .classes
        .error(&project.doc.errors)
        .and_then(|class| class.object())
        .map(|object| object.properties.iter().filter(|property| property.required).map(|property| python::text(&property.name)).collect())
        .unwrap_or_default();
    let required = if required.is_empty() { "set()".to_owned() } else { format!("{{{}}}", required.join(", ")) };
    json!({ "operations": listed, "problem": problem, "required": required, "wrong": wrong_method(&operations) })
}

/// A path without a method that others have, and the methods that it has.
fn wrong_method(operations: &[&Operation]) -> Value {
    let Some(first) = operations.iter().find(|operation| !operation.path.contains('{')).or(operations.first()) else {
        return Value::Null;
    };
    let has: Vec<String> = operations
        .iter()
        .filter(|operation| operation.path == first.path || context_router::catches(&operation.path, &first.path))
        .map(|operation| operation.method.to_string())
        .collect();
    let wrong =
        ["PATCH", "PUT", "DELETE", "POST", "GET"].into_iter().find(|method| !has.iter().any(|own| own == method)).unwrap_or("TRACE");
    let mut allowed: Vec<String> = has.iter().map(|method| python::text(method)).collect();
    allowed.sort();
    allowed.dedup();
    let path = first.path.split('/').map(|part| if part.contains('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
    json!({ "method": python::text(wrong), "path": python::text(&path), "allowed": format!("{{{}}}", allowed.join(", ")) })
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// A version that Python's packaging accepts.
fn version(given: Option<&str>) -> String {
    let given = given.unwrap_or("0.1.0").trim_start_matches(['v', 'V']);
    let plain = !given.is_empty() && given.split('.').all(|part| !part.is_empty() && part.chars().all(|digit| digit.is_ascii_digit()));
    if plain { given.to_owned() } else { "0.1.0".to_owned() }
}

fn groups(project: &Project<'_>) -> Vec<Value> {
    let operation = |operation: &Operation| {
        json!({
            "method": operation.method.to_string(),
            "path": operation.path,
            "summary": python::headline(if operation.summary.is_empty() { &operation.description } else { &operation.summary }),
            "waiting": !operation.derivable(),
        })
    };
    let groups = project.doc.groups.iter().filter(|group| !group.operations.is_empty());
    groups
        .map(|group| json!({ "title": group.title, "operations": project.operations_in(group).map(operation).collect::<Vec<_>>() }))
        .collect()
}

/// Router modules in the source's order, save that a router with an exact path comes before one whose path would catch it.
fn router_order(project: &Project<'_>) -> Vec<String> {
    let mut modules: Vec<(String, Vec<&Operation>)> = Vec::new();
    for group in &project.doc.groups {
        let served: Vec<&Operation> = project.operations_in(group).filter(|operation| operation.derivable()).collect();
        if !served.is_empty() {
            modules.push((Project::group_module(group), served));
        }
        for operation in project.operations_in(group).filter(|operation| matches!(operation.behaviour, Behaviour::Underivable { .. })) {
            modules.push((Project::pending_module(operation), vec![operation]));
        }
    }
    let must_follow = |one: &[&Operation], other: &[&Operation]| {
        one.iter().any(|operation| other.iter().any(|exact| context_router::catches(&operation.path, &exact.path)))
    };
    let mut ordered: Vec<String> = Vec::new();
    while !modules.is_empty() {
        let free = (0..modules.len()).find(|&n| (0..modules.len()).all(|m| m == n || !must_follow(&modules[n].1, &modules[m].1)));
        ordered.push(modules.remove(free.unwrap_or(0)).0);
    }
    ordered
}
