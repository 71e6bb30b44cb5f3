//! Tests of operations on one row: read, delete, act; and of operations that wait for their implementation.

use serde_json::{Value, json};

use super::context_factories;
use super::context_tests::Test;
use super::project::Project;
use super::python;
use super::solver::{Goal, Row, Solver};
use super::test_values;
use super::tests_case::{Case, method_call};
use crate::model::entity::{FieldType, OnDelete};
use crate::model::operation::{Location, Operation};
use crate::model::shape::ShapeKind;
use crate::model::{RuleKind, Subject};

/// Tests that a row which does not exist, or a malformed key, is answered as documented.
pub(super) fn absent(case: &Case<'_, '_>, extra: &[String]) -> Vec<Test> {
    let ident = &case.operation.ident;
    let mut tests = Vec::new();
    if let Some(missing) = case.missing().filter(|_| !case.path.is_empty()) {
        let nested = case.path.len() > 1;
        let mut lines: Vec<String> = if nested { vec![format!("row = {}", case.make(&Row::new(), &[]))] } else { Vec::new() };
        let local = missing.len() > 12 || missing.contains('"');
        if local {
            lines.push(format!("missing = {missing}"));
        }
        let url = case.url_with(nested.then_some("row"), Some(if local { "missing" } else { &missing }));
        lines.push(format!("response = {}", case.call(&url, extra)));
        lines.push(format!("assert response.status_code == {}, response.text", case.status(404)));
        tests.push(Test::new(format!("test_{ident}_not_found"), "A row that does not exist is not found.", lines));
    }
    if let Some(status) = case.malformed() {
        let nested = case.path.len() > 1;
        let mut lines: Vec<String> = if nested { vec![format!("row = {}", case.make(&Row::new(), &[]))] } else { Vec::new() };
        let url = case.url_with(nested.then_some("row"), Some("'no-key'")).replace("{'no-key'}", "no-key");
        let url = if url.contains('{') { url } else { url.trim_start_matches('f').to_owned() };
        lines.push(format!("response = {}", case.call(&url, extra)));
        lines.push(format!("assert response.status_code == {status}, response.text"));
        tests.push(Test::new(format!("test_{ident}_malformed_key"), "A malformed key is refused.", lines));
    }
    tests
}

/// Tests of a read operation.
pub(super) fn read(case: &Case<'_, '_>) -> Vec<Test> {
    let mut lines = vec![format!("row = {}", case.make(&Row::new(), &[]))];
    lines.push(format!("response = {}", case.call(&case.url(Some("row")), &[])));
    lines.push(format!("assert response.status_code == {}, response.text", case.good()));
    let mut proves = Vec::new();
    if let Some(shown) = case.shown() {
        lines.push(format!("answer = {}", case.answer()));
        for property in &shown.properties {
            let Some(field) = case.names.entity.field(&property.name) else {
                continue;
            };
            proves.push(Subject::Field(format!("{}.{}", case.names.entity.name, field.name)));
            let simple = matches!(
                python::stored_type(case.project, &field.field_type),
                FieldType::Text
                    | FieldType::Email
                    | FieldType::Url
                    | FieldType::Integer
                    | FieldType::BigInteger
                    | FieldType::Boolean
                    | FieldType::Uuid
                    | FieldType::Enum(_)
            );
            if field.required && simple && plainly_shown(&property.shape.kind) {
                lines.push(format!("assert answer[{}] == {}", python::text(&property.name), case.wire_of(field, "row")));
            }
        }
        let names: Vec<String> =
            shown.properties.iter().filter(|property| property.required).map(|property| python::text(&property.name)).collect();
        if !names.is_empty() {
            lines.push(format!("assert answer.keys() >= {{{}}}", names.join(", ")));
        }
    }
    proves.push(Subject::Entity(case.names.entity.name.clone()));
    let test = Test { proves, ..Test::new(format!("test_{}", case.operation.ident), "A stored row is shown as documented.", lines) };
    std::iter::once(test).chain(absent(case, &[])).collect()
}

/// True when a stored value is shown as it is.
fn plainly_shown(kind: &ShapeKind) -> bool {
    matches!(kind, ShapeKind::Text { .. } | ShapeKind::Integer { .. } | ShapeKind::Boolean)
}

/// Tests of a delete operation.
pub(super) fn delete(case: &Case<'_, '_>) -> Vec<Test> {
    let ident = &case.operation.ident;
    let names = case.names;
    let make = format!("row = {}", case.make(&case.ready(), &[]));
    let call = format!("response = {}", case.call(&case.url(Some("row")), &[]));
    let mut lines = vec![make.clone(), call.clone(), format!("assert response.status_code == {}, response.text", case.good())];
    if case.good() == 204 {
        lines.push("assert response.content == b\"\"".to_owned());
    }
    lines.push(format!("key = row.{}", names.key()));
    lines.push("session.expunge_all()".to_owned());
    lines.push(format!("assert session.get(models.{}, key) is None", names.class));
    let mut tests = vec![Test::new(format!("test_{ident}"), "A deleted row is gone.", lines)];
    for (child, column, on_delete) in children(case.project, &names.entity.name) {
        let Some(other) = case
            .project
            .entity(child)
            .filter(|other| context_factories::makeable(case.project, other) && other.entity.name != names.entity.name)
        else {
            continue;
        };
        let child = format!("child = factories.make_{}(session, {column}=row.{})", other.module, names.key());
        if on_delete == OnDelete::Restrict {
            let lines = vec![
                make.clone(),
                child.replace("child = ", ""),
                call.clone(),
                format!("assert response.status_code == {}, response.text", case.status(409)),
            ];
            let name = format!("test_{ident}_in_use_by_{}_{column}", other.module);
            let field = other.entity.fields.iter().find(|field| other.attribute(&field.name) == column);
            let proves = field.map(|field| Subject::Field(format!("{}.{}", other.entity.name, field.name))).into_iter().collect();
            tests.push(Test { proves, ..Test::new(name, "A row that others refer to stays.", lines) });
        } else {
            let key = format!("child_key = child.{}", other.key());
            let gone = format!("found = session.get(models.{}, child_key)", other.class);
            let mut lines =
                vec![make.clone(), child, key, call.clone(), format!("assert response.status_code == {}, response.text", case.good())];
            lines.extend(["session.expunge_all()".to_owned(), gone]);
            if on_delete == OnDelete::Cascade {
                lines.push("assert found is None".to_owned());
            } else {
                lines.extend(["assert found is not None".to_owned(), format!("assert found.{column} is None")]);
            }
            let what =
                if on_delete == OnDelete::Cascade { "Rows that belong to it go with it." } else { "Rows that refer to it forget it." };
            tests.push(Test::new(format!("test_{ident}_with_{}_{column}", other.module), what, lines));
        }
    }
    tests.extend(absent(case, &[]));
    tests
}

/// References to an entity: from which, through which column, with what effect.
fn children<'p>(project: &'p Project<'_>, entity: &str) -> Vec<(&'p str, String, OnDelete)> {
    let mut found = Vec::new();
    for names in &project.entities {
        for field in &names.entity.fields {
            if let FieldType::Reference { entity: target, on_delete } = &field.field_type
                && target == entity
            {
                let effect = if *on_delete == OnDelete::SetNull && field.required { OnDelete::Restrict } else { *on_delete };
                found.push((names.entity.name.as_str(), names.attribute(&field.name).to_owned(), effect));
            }
        }
    }
    found
}

/// Tests of an operation that sets fields.
pub(super) fn act(case: &Case<'_, '_>, set: &[(String, Value)]) -> Vec<Test> {
    let Some(row) = before_act(case, set) else {
        return absent(case, &[]);
    };
    let mut lines = vec![format!("row = {}", case.make(&row, &[]))];
    lines.push(format!("response = {}", case.call(&case.url(Some("row")), &[])));
    lines.push(format!("assert response.status_code == {}, response.text", case.good()));
    lines.push("session.refresh(row)".to_owned());
    for (name, value) in set {
        let Some(field) = case.names.entity.field(name) else {
            continue;
        };
        let stored = python::stored_type(case.project, &field.field_type);
        let column = case.names.attribute(name);
        let dynamic = matches!(value.as_str(), Some("now" | "today"));
        lines.push(match value {
            _ if dynamic => format!("assert row.{column} is not None"),
            Value::Null => format!("assert row.{column} is None"),
            Value::Bool(flag) => format!("assert row.{column} is {}", if *flag { "True" } else { "False" }),
            _ => format!("assert row.{column} == {}", python::typed(value, stored)),
        });
    }
    let test = Test::new(format!("test_{}", case.operation.ident), "The action sets what it should.", lines);
    std::iter::once(test).chain(absent(case, &[])).collect()
}

/// A row on which the action is allowed and after which the rules hold.
fn before_act(case: &Case<'_, '_>, set: &[(String, Value)]) -> Option<Row> {
    let solver = Solver { project: case.project, names: case.names };
    let ordinary = |value: &Value| match value.as_str() {
        Some("today") => json!(super::samples::PAST),
        Some("now") => json!(format!("{}T12:30:00Z", super::samples::PAST)),
        _ => value.clone(),
    };
    let after: Row = set.iter().map(|(name, value)| (name.clone(), ordinary(value))).collect();
    let mut fixed = Row::new();
    for rule in case.project.rules_of(&case.names.entity.name) {
        match &rule.kind {
            RuleKind::Transitions { field, edges } => {
                if let Some(target) = after.get(field) {
                    let (from, _) = edges.iter().find(|(_, to)| target == to)?;
                    fixed.insert(field.clone(), json!(from));
                }
            }
            RuleKind::ChangeOnlyWhen(condition) => fixed.extend(solver.solve(Goal::Fulfils(condition), &fixed)?),
            _ => {}
        }
    }
    let mut demanded = solver.solve(Goal::Valid, &after)?;
    demanded.retain(|name, _| !after.contains_key(name));
    demanded.extend(fixed.clone());
    [fixed, demanded].into_iter().find_map(|fixed| {
        let mut before = solver.solve(Goal::Valid, &fixed)?;
        before.extend(fixed);
        let mut then = before.clone();
        then.extend(after.clone());
        solver.valid(&then).then_some(before)
    })
}

/// The test of an operation that nobody has implemented.
pub(super) fn waiting(project: &Project<'_>, operation: &Operation) -> Option<Test> {
    let mut path = operation.path.clone();
    let mut arguments = Vec::new();
    for parameter in &operation.parameters {
        let needed = parameter.required || parameter.location == Location::Path;
        let value = if needed { test_values::valid(&project.classes, &parameter.shape)? } else { continue };
        let value = value.as_str().map_or(value.to_string(), str::to_owned);
        let kind = match parameter.location {
            Location::Path => {
                path = path.replace(&format!("{{{}}}", parameter.name), &value);
                continue;
            }
            Location::Query => "params",
            Location::Header => "headers",
            Location::Cookie => "cookies",
        };
        arguments.push((kind, format!("{}: {}", python::text(&parameter.name), python::text(&value))));
    }
    let mut call = Vec::new();
    for kind in ["params", "headers", "cookies"] {
        let pairs: Vec<&str> = arguments.iter().filter(|(other, _)| *other == kind).map(|(_, pair)| pair.as_str()).collect();
        if !pairs.is_empty() {
            call.push(format!("{kind}={{{}}}", pairs.join(", ")));
        }
    }
    if let Some(shape) = project.classes.body(&operation.key) {
        call.push(format!("json={}", python::value(&test_values::valid(&project.classes, shape)?)));
    }
    let lines = vec![
        {
            let (method, mut arguments) = method_call(operation.method, &python::text(&path), &call);
            arguments.extend(call);
            format!("response = {method}({})", arguments.join(", "))
        },
        "assert response.status_code == 501, response.text".to_owned(),
        format!("assert {} in response.text", python::text(&format!("api/{}#implement", operation.key))),
    ];
    Some(Test::new(format!("test_{}_waits", operation.ident), "The route names the unit that would implement it.", lines))
}
