//! Tests of operations with a request body: create, replace, patch.

use serde_json::Value;

use super::context_factories::{demanded, overrides, sample};
use super::context_rules::other_value;
use super::context_schema::success_number;
use super::context_tests::Test;
use super::python;
use super::samples;
use super::shapes::{Travels, base};
use super::solver::{Goal, Row, Solver};
use super::test_values;
use super::tests_case::Case;
use super::tests_rows::absent;
use crate::model::entity::{Field, FieldType};
use crate::model::rule::Condition;
use crate::model::shape::{Additional, ShapeKind};
use crate::model::{RuleKind, Subject};

fn good(case: &Case<'_, '_>) -> String {
    format!("assert response.status_code == {}, response.text", case.good())
}

fn refused(case: &Case<'_, '_>, status: u16) -> String {
    format!("assert response.status_code == {}, response.text", case.status(status))
}

/// An assertion that the answer repeats the properties that were sent.
fn repeats(case: &Case<'_, '_>) -> Option<Vec<String>> {
    let names: Vec<String> = case.echoed();
    if names.is_empty() {
        return None;
    }
    Some(vec![
        format!("answer = {}", case.answer()),
        "sent = {name: body[name] for name in body if name in answer}".to_owned(),
        "assert {name: answer[name] for name in sent} == sent".to_owned(),
    ])
}

fn field_proofs(case: &Case<'_, '_>) -> Vec<Subject> {
    let names = case.input().map(|object| object.properties.iter().map(|property| &property.name).collect::<Vec<_>>()).unwrap_or_default();
    let entity = case.names.entity;
    names.into_iter().filter(|name| entity.field(name).is_some()).map(|name| Subject::Field(format!("{}.{name}", entity.name))).collect()
}

/// Tests of a create operation.
pub(super) fn create(case: &Case<'_, '_>) -> Vec<Test> {
    let ident = &case.operation.ident;
    if !case.sendable() {
        return Vec::new();
    }
    let (parents, _) = case.parents();
    let body = format!("body = {}(session)", case.body_name());
    let call = |extra: &str| format!("response = {}", case.call(&case.url(None), &[case.json(extra)]));
    let mut lines = parents.clone();
    lines.extend([body.clone(), call("body"), good(case)]);
    match repeats(case) {
        Some(assertions) => lines.extend(assertions),
        None => lines.push(format!("assert session.scalar(select(func.count()).select_from(models.{})) == 1", case.names.class)),
    }
    let located = success_number(case.operation)
        .is_some_and(|number| case.operation.responses[number].headers.iter().any(|header| header.name.eq_ignore_ascii_case("location")));
    if located {
        lines.push("assert client.get(response.headers[\"location\"]).json() == response.json()".to_owned());
    }
    let mut proves = field_proofs(case);
    proves.push(Subject::Entity(case.names.entity.name.clone()));
    let mut tests = vec![Test { proves, ..Test::new(format!("test_{ident}"), "A new row is stored and shown.", lines) }];
    tests.extend(minimal(case, &parents));
    tests.extend(invalid(case, &parents, None));
    tests.extend(incomplete(case, &parents));
    tests.extend(no_json(case, &parents));
    tests.extend(duplicates(case, &parents));
    tests.extend(unknown_references(case, &parents));
    if let Some(missing) = case.missing().filter(|_| !parents.is_empty()) {
        let mut lines: Vec<String> = parents[..parents.len() - 1].to_vec();
        lines.push(format!("missing = {missing}"));
        lines.push(format!(
            "response = {}",
            case.call(&case.url_with(None, Some("missing")), &[case.json(&format!("{}(session)", case.body_name()))])
        ));
        lines.push(refused(case, 404));
        tests.push(Test::new(format!("test_{ident}_below_missing_parent"), "Nothing is made below a row that does not exist.", lines));
    }
    tests
}

/// Only what is required is sent.
fn minimal(case: &Case<'_, '_>, parents: &[String]) -> Option<Test> {
    let object = case.input()?;
    let required: Vec<String> =
        object.properties.iter().filter(|property| property.required).map(|property| python::text(&property.name)).collect();
    if required.len() == object.properties.len() || (required.is_empty() && !parents.is_empty() && object.properties.is_empty()) {
        return None;
    }
    let demanded = demanded(case.project, case.names);
    let blocked = object.properties.iter().any(|property| {
        !property.required
            && demanded.get(&property.name).is_some_and(|value| !value.is_null() && property.shape.default.as_ref() != Some(value))
    });
    if blocked {
        return None;
    }
    let mut lines = parents.to_vec();
    lines.push(format!("whole = {}(session)", case.body_name()));
    let names = if required.is_empty() {
        "()".to_owned()
    } else {
        format!("({},)", required.join(", ")).replace(",)", if required.len() == 1 { ",)" } else { ")" })
    };
    lines.push(format!("body = {{name: whole[name] for name in {names}}}"));
    lines.push(format!("response = {}", case.call(&case.url(None), &[case.json("body")])));
    lines.push(good(case));
    let defaults: Vec<(&str, String)> = object
        .properties
        .iter()
        .filter(|property| !property.required && case.echoed().contains(&property.name))
        .filter_map(|property| Some((property.name.as_str(), python::value(property.shape.default.as_ref()?))))
        .collect();
    if !defaults.is_empty() {
        lines.push(format!("answer = {}", case.answer()));
        for (name, value) in defaults {
            let operator = if matches!(value.as_str(), "True" | "False" | "None") { "is" } else { "==" };
            lines.push(format!("assert answer[{}] {operator} {value}", python::text(name)));
        }
    }
    Some(Test::new(format!("test_{}_with_defaults", case.operation.ident), "What is left out gets its default.", lines))
}

/// Values that each property refuses; `row` prepares a row to change.
fn invalid(case: &Case<'_, '_>, before: &[String], row: Option<&str>) -> Option<Test> {
    let object = case.input()?;
    let cases: Vec<String> = object
        .properties
        .iter()
        .flat_map(|property| {
            let values = test_values::invalid(&case.project.classes, &property.shape);
            values.into_iter().map(|value| format!("({}, {value})", python::text(&property.name))).collect::<Vec<_>>()
        })
        .collect();
    if cases.is_empty() {
        return None;
    }
    let mut lines = before.to_vec();
    lines.push(format!("body = {}(session) | {{name: value}}", case.body_name()));
    lines.push(format!("response = {}", case.call(&case.url(row), &[case.json("body")])));
    lines.push(refused(case, 422));
    let proves = field_proofs(case);
    let test = Test::new(format!("test_{}_refuses", case.operation.ident), "Every documented constraint is enforced.", lines);
    Some(Test { proves, ..test.with_cases("name, value", cases) })
}

/// A required property is missing, or an unknown one is there.
fn incomplete(case: &Case<'_, '_>, parents: &[String]) -> Vec<Test> {
    let Some(object) = case.input() else {
        return Vec::new();
    };
    let mut tests = Vec::new();
    let required: Vec<String> =
        object.properties.iter().filter(|property| property.required).map(|property| python::text(&property.name)).collect();
    if !required.is_empty() {
        let mut lines = parents.to_vec();
        lines.push(format!("body = {}(session)", case.body_name()));
        lines.push("del body[name]".to_owned());
        lines.push(format!("response = {}", case.call(&case.url(None), &[case.json("body")])));
        lines.push(refused(case, 422));
        let test = Test::new(format!("test_{}_requires", case.operation.ident), "What is required may not be absent.", lines);
        tests.push(test.with_cases("name", required));
    }
    if object.additional == Additional::Forbidden {
        let mut lines = parents.to_vec();
        lines.push(format!("body = {}(session) | {{\"no such property\": 1}}", case.body_name()));
        lines.push(format!("response = {}", case.call(&case.url(None), &[case.json("body")])));
        lines.push(refused(case, 422));
        tests.push(Test::new(
            format!("test_{}_refuses_unknown_properties", case.operation.ident),
            "Only documented properties are accepted.",
            lines,
        ));
    }
    tests
}

fn no_json(case: &Case<'_, '_>, parents: &[String]) -> Option<Test> {
    case.operation.body.as_ref().filter(|body| body.required)?;
    let mut lines = parents.to_vec();
    let kind = "headers={\"content-type\": \"application/json\"}".to_owned();
    lines.push(format!("response = {}", case.call(&case.url(None), &["content=b'{'".replace('\'', "\""), kind])));
    lines.push(refused(case, 422));
    Some(Test::new(format!("test_{}_refuses_broken_json", case.operation.ident), "A body that is no JSON is refused.", lines))
}

fn duplicates(case: &Case<'_, '_>, parents: &[String]) -> Vec<Test> {
    let Some(object) = case.input() else {
        return Vec::new();
    };
    let unique = case.names.entity.fields.iter().filter(|field| (field.unique || field.primary_key) && samples::fillable(field));
    let sent = unique.filter(|field| {
        object.properties.iter().any(|property| property.name == field.name) && !matches!(field.field_type, FieldType::Reference { .. })
    });
    sent.map(|field| {
        let name = python::text(&field.name);
        let mut lines = parents.to_vec();
        let filled = filled(case, field);
        let with = if filled.is_empty() { String::new() } else { format!(" | {{{}}}", filled.join(", ")) };
        lines.push(format!("first = {}(session){with}", case.body_name()));
        lines.push(format!("response = {}", case.call(&case.url(None), &[case.json("first")])));
        lines.push(good(case));
        let given = filled.iter().filter(|pair| !pair.starts_with(&format!("{name}: "))).cloned();
        let same: Vec<String> = given.chain([format!("{name}: first[{name}]")]).collect();
        lines.push(format!("second = {}(session) | {{{}}}", case.body_name(), same.join(", ")));
        lines.push(format!("response = {}", case.call(&case.url(None), &[case.json("second")])));
        lines.push(refused(case, 409));
        let proves = vec![Subject::Field(format!("{}.{}", case.names.entity.name, field.name))];
        let test = Test::new(
            format!("test_{}_refuses_the_same_{}", case.operation.ident, field.ident),
            "A value that must be unique is taken only once.",
            lines,
        );
        Test { proves, ..test }
    })
    .collect()
}

/// Pairs that an ordinary body lacks for a field that rules leave out of an ordinary row.
fn filled(case: &Case<'_, '_>, field: &Field) -> Vec<String> {
    let ordinary = demanded(case.project, case.names);
    if !ordinary.get(&field.name).is_some_and(Value::is_null) {
        return Vec::new();
    }
    let solver = Solver { project: case.project, names: case.names };
    let present = Condition::Present(field.name.clone());
    let solved = solver.solve(Goal::Fulfils(&present), &Row::new()).unwrap_or_default();
    let others = overrides(case.project, case.names, &solved);
    let mut pairs: Vec<String> = others
        .iter()
        .filter(|(name, _)| **name != field.name)
        .map(|(name, value)| format!("{}: {}", python::text(name), python::value(value)))
        .collect();
    if let Some(sample) = sample(case.project, case.names, field) {
        let value = sample.wire(case.project, &field.field_type, "factories.number()");
        pairs.push(format!("{}: {value}", python::text(&field.name)));
    }
    pairs
}

fn unknown_references(case: &Case<'_, '_>, parents: &[String]) -> Vec<Test> {
    let Some(object) = case.input() else {
        return Vec::new();
    };
    let fields = case.names.entity.fields.iter().filter(|field| matches!(field.field_type, FieldType::Reference { .. }));
    let sent = fields.filter(|field| object.properties.iter().any(|property| property.name == field.name));
    sent.filter_map(|field| {
        let value = match python::stored_type(case.project, &field.field_type) {
            FieldType::Uuid => "str(uuid4())",
            FieldType::Integer | FieldType::BigInteger => "987654321",
            FieldType::Text => "\"missing\"",
            _ => return None,
        };
        let mut lines = parents.to_vec();
        lines.push(format!("body = {}(session) | {{{}: {value}}}", case.body_name(), python::text(&field.name)));
        lines.push(format!("response = {}", case.call(&case.url(None), &[case.json("body")])));
        lines.push(refused(case, 422));
        let proves = vec![Subject::Field(format!("{}.{}", case.names.entity.name, field.name))];
        let name = format!("test_{}_refuses_an_unknown_{}", case.operation.ident, field.ident.trim_end_matches("_id"));
        Some(Test { proves, ..Test::new(name, "A reference leads to a row.", lines) })
    })
    .collect()
}

/// Tests of a replace operation.
pub(super) fn replace(case: &Case<'_, '_>) -> Vec<Test> {
    if !case.sendable() {
        return absent(case, &[]);
    }
    let kept = case.kept();
    let row = format!("row = {}", case.make(&case.ready(), &[]));
    let body = if kept.is_empty() {
        format!("body = {}(session)", case.body_name())
    } else {
        format!("body = {}(session) | {{{}}}", case.body_name(), kept.join(", "))
    };
    let mut lines = vec![row.clone(), body, format!("response = {}", case.call(&case.url(Some("row")), &[case.json("body")])), good(case)];
    lines.extend(repeats(case).unwrap_or_default());
    let mut tests = vec![Test {
        proves: field_proofs(case),
        ..Test::new(format!("test_{}", case.operation.ident), "The row gets the new values.", lines)
    }];
    tests.extend(invalid(case, &[row], Some("row")));
    tests.extend(absent(case, &[case.json(&format!("{}(session)", case.body_name()))]));
    tests
}

/// Tests of a patch operation.
pub(super) fn patch(case: &Case<'_, '_>) -> Vec<Test> {
    let ident = &case.operation.ident;
    let row = format!("row = {}", case.make(&case.ready(), &[]));
    let mut tests = Vec::new();
    let changes = free_changes(case);
    if !changes.is_empty() {
        let mut lines = vec![row.clone(), format!("body = {{{}}}", changes.join(", "))];
        lines.push(format!("response = {}", case.call(&case.url(Some("row")), &[case.json("body")])));
        lines.push(good(case));
        lines.extend(repeats(case).unwrap_or_default());
        tests.push(Test { proves: field_proofs(case), ..Test::new(format!("test_{ident}"), "What is given changes.", lines) });
    }
    let required = case.input().is_some_and(|object| object.properties.iter().any(|property| property.required));
    if !required {
        let mut lines = vec![row.clone(), format!("response = {}", case.call(&case.url(Some("row")), &[case.json("{}")])), good(case)];
        if let Some(field) = case
            .shown()
            .and_then(|object| object.properties.iter().find(|property| property.name == case.names.entity.key().name))
            .map(|_| case.names.entity.key())
        {
            lines.push(format!("assert {}[{}] == {}", case.answer(), python::text(&field.name), case.wire_of(field, "row")));
        }
        tests.push(Test::new(format!("test_{ident}_with_nothing"), "What is not given stays.", lines));
    }
    if case.sendable() {
        tests.extend(invalid(case, &[row], Some("row")));
    }
    tests.extend(absent(case, &[case.json("{}")]).into_iter().filter(|_| !required));
    tests
}

/// New values of properties that no rule ties down.
fn free_changes(case: &Case<'_, '_>) -> Vec<String> {
    let Some(object) = case.input() else {
        return Vec::new();
    };
    let entity = case.names.entity;
    let ruled = |name: &str| {
        case.project.rules_of(&entity.name).any(|rule| match &rule.kind {
            RuleKind::Unique(_) => false,
            RuleKind::Transitions { field, .. } | RuleKind::Immutable { field } => field == name,
            RuleKind::RequiredWhen { field, when } => field == name || super::conditions::fields_of(when).contains(&name),
            RuleKind::Implies { when, then } => {
                super::conditions::fields_of(when).contains(&name) || super::conditions::fields_of(then).contains(&name)
            }
            RuleKind::Check(condition) | RuleKind::ChangeOnlyWhen(condition) | RuleKind::DeleteOnlyWhen(condition) => {
                super::conditions::fields_of(condition).contains(&name)
            }
            RuleKind::AtMost { per, .. } => per == name,
        })
    };
    let mut found = Vec::new();
    for property in &object.properties {
        let Some(field) = entity.field(&property.name).filter(|field| !ruled(&field.name) && !field.immutable && !field.primary_key) else {
            continue;
        };
        let simple = !matches!(property.shape.kind, ShapeKind::Reference(_) | ShapeKind::OneOf { .. } | ShapeKind::Any)
            && base(&case.project.classes, &property.shape, Travels::Json) != "Json";
        let plain = matches!(
            field.field_type,
            FieldType::Text
                | FieldType::Email
                | FieldType::Url
                | FieldType::Integer
                | FieldType::BigInteger
                | FieldType::Boolean
                | FieldType::Enum(_)
                | FieldType::Float
        );
        if simple
            && plain
            && let Some(value) = other_value(case.project, case.names, field)
        {
            found.push(format!("{}: {value}", python::text(&property.name)));
        }
    }
    found
}
