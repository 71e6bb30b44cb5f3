//! Tests of list operations: rows, filters, order, pages.

use super::context_factories::{demanded, overrides, sample};
use super::context_rules::other_value;
use super::context_schema::{response_envelope, success_number};
use super::context_service::counts;
use super::context_tests::Test;
use super::python;
use super::samples::{self, Sample};
use super::solver::{Goal, Row, Solver, rule_fields};
use super::test_values;
use super::tests_case::Case;
use crate::model::Subject;
use crate::model::entity::{Field, FieldType};
use crate::model::operation::{Filter, FilterComparison, ListBehaviour, Location, Parameter};
use crate::model::rule::Condition;
use crate::model::shape::ShapeKind;

/// All tests of a list.
pub(super) fn tests(case: &Case<'_, '_>, list: &ListBehaviour) -> Vec<Test> {
    let mut found = vec![rows(case, list)];
    found.extend(filters(case, list));
    found.extend(sort(case, list));
    found.extend(pages(case, list));
    found.extend(next_link(case, list));
    found.extend(refused(case));
    if case
        .path
        .iter()
        .any(|binding| case.names.entity.field(&binding.field).is_some_and(|field| matches!(field.field_type, FieldType::Reference { .. })))
        && let Some(missing) = case.missing()
    {
        let url = case.url_with(None, Some("missing"));
        let (mut lines, _) = case.parents();
        lines.truncate(case.path.len().saturating_sub(1));
        lines.push(format!("missing = {missing}"));
        lines.push(format!("response = {}", case.call(&url, &[])));
        lines.push(format!("assert response.status_code == {}, response.text", case.status(404)));
        let name = format!("test_{}_of_missing_parent", case.operation.ident);
        found.push(Test::new(name, "There is no list below a row that does not exist.", lines));
    }
    found
}

/// The rows in the answer `response`.
fn items(case: &Case<'_, '_>) -> String {
    match response_envelope(case.operation) {
        Some(envelope) => format!("response.json()[{}]", python::text(envelope)),
        None => "response.json()".to_owned(),
    }
}

/// The name and field of the key, when rows show it.
fn key<'c>(case: &'c Case<'_, '_>) -> Option<&'c Field> {
    let key = case.names.entity.key();
    case.shown()?
        .properties
        .iter()
        .any(|property| property.name == key.name && !matches!(property.shape.kind, ShapeKind::Reference(_)))
        .then_some(key)
}

/// An assertion that exactly these variables' rows are listed.
fn listed(case: &Case<'_, '_>, rows: &[&str]) -> String {
    match key(case) {
        Some(field) => {
            let keys: Vec<String> = rows.iter().map(|row| case.wire_of(field, row)).collect();
            format!("assert [item[{}] for item in {}] == [{}]", python::text(&field.name), items(case), keys.join(", "))
        }
        None => format!("assert len({}) == {}", items(case), rows.len()),
    }
}

fn rows(case: &Case<'_, '_>, list: &ListBehaviour) -> Test {
    let (mut lines, given) = case.parents();
    lines.push(format!("row = {}", case.make(&Row::new(), &given)));
    if !given.is_empty() {
        lines.push(format!("factories.make_{}(session)", case.names.module));
    }
    lines.push(format!("response = {}", case.call(&case.url(None), &[])));
    lines.push(format!("assert response.status_code == {}, response.text", case.good()));
    lines.push(listed(case, &["row"]));
    if counts(list)
        && let Some(total) = list.envelope.as_ref().and_then(|envelope| envelope.total.as_ref())
    {
        lines.push(format!("assert response.json()[{}] == 1", python::text(total)));
    }
    let mut test = Test::new(format!("test_{}", case.operation.ident), "Stored rows are listed.", lines);
    test.proves.push(Subject::Entity(case.names.entity.name.clone()));
    test
}

/// What a row must be given so that an optional field has a value; none when patterns or rules stand against it.
fn filled(case: &Case<'_, '_>, field: &Field) -> Option<Vec<String>> {
    if field.required {
        return Some(Vec::new());
    }
    let solver = Solver { project: case.project, names: case.names };
    let present = Condition::Present(field.name.clone());
    let ruled = !matches!(field.field_type, FieldType::Reference { .. });
    let solved = if ruled { solver.solve(Goal::Fulfils(&present), &Row::new())? } else { Row::new() };
    let mut row = overrides(case.project, case.names, &solved);
    row.remove(&field.name);
    let value = sample(case.project, case.names, field)?;
    let value = match solved.get(&field.name) {
        Some(value) if !samples::unique(case.project, &case.names.entity.name, field) => Sample::Fixed(value.clone()),
        _ => value,
    };
    let text = value.stored(case.project, &field.field_type, "factories.number()");
    let own = format!("{}={text}", case.names.attribute(&field.name));
    Some(std::iter::once(own).chain(solver.keywords(&row)).collect())
}

fn filters(case: &Case<'_, '_>, list: &ListBehaviour) -> Vec<Test> {
    list.filters.iter().filter_map(|filter| self::filter(case, filter)).collect()
}

fn filter(case: &Case<'_, '_>, filter: &Filter) -> Option<Test> {
    let field = case.names.entity.field(&filter.field)?;
    let (mut lines, mut given) = case.parents();
    if given.iter().any(|text| text.starts_with(&format!("{}=", case.names.attribute(&field.name)))) {
        return None;
    }
    let listed_field = matches!(field.field_type, FieldType::List(_));
    if listed_field {
        given.push(format!("{}=[\"one\", \"two\"]", case.names.attribute(&field.name)));
    } else {
        given.extend(filled(case, field)?);
    }
    lines.push(format!("row = {}", case.make(&Row::new(), &given)));
    if !field.required && !listed_field {
        lines.push(format!("assert row.{} is not None", case.names.attribute(&field.name)));
    }
    let value = if listed_field { "\"one\"".to_owned() } else { text_of(case, field) };
    let value = match filter.comparison {
        FilterComparison::OneOf => format!("[{value}]"),
        FilterComparison::Contains => format!("{value}[:200].upper()"),
        _ => value,
    };
    let parameter = python::text(&filter.parameter);
    lines.push(format!("response = {}", case.call(&case.url(None), &[format!("params={{{parameter}: {value}}}")])));
    lines.push(format!("assert response.status_code == {}, response.text", case.good()));
    lines.push(listed(case, &["row"]));
    if let Some(other) = other(case, filter, field) {
        lines.push(format!("response = {}", case.call(&case.url(None), &[format!("params={{{parameter}: {other}}}")])));
        lines.push(format!("assert {} == []", items(case)));
    }
    let name = format!("test_{}_by_{}", case.operation.ident, super::project::attribute(&parameter_ident(case, &filter.parameter)));
    Some(Test {
        proves: vec![Subject::Field(format!("{}.{}", case.names.entity.name, field.name))],
        ..Test::new(name, "The filter keeps what matches and drops the rest.", lines)
    })
}

fn parameter_ident(case: &Case<'_, '_>, name: &str) -> String {
    case.operation
        .parameters
        .iter()
        .find(|parameter| parameter.name == name)
        .map_or_else(|| name.to_owned(), |parameter| parameter.ident.clone())
}

/// A stored value as the text of a parameter.
fn text_of(case: &Case<'_, '_>, field: &Field) -> String {
    let value = format!("row.{}", case.names.attribute(&field.name));
    match python::stored_type(case.project, &field.field_type) {
        FieldType::Date | FieldType::Time | FieldType::DateTime => format!("{value}.isoformat()"),
        FieldType::Boolean => format!("str({value}).lower()"),
        FieldType::Text | FieldType::Email | FieldType::Url | FieldType::Enum(_) => value,
        _ => format!("str({value})"),
    }
}

/// A text of the filter's parameter that matches no row of the test.
fn other(case: &Case<'_, '_>, filter: &Filter, field: &Field) -> Option<String> {
    let parameter = case.operation.parameters.iter().find(|parameter| parameter.name == filter.parameter)?;
    let enumerated = matches!(&parameter.shape.kind, ShapeKind::Text { values, .. } if !values.is_empty());
    let one = |text: String| if filter.comparison == FilterComparison::OneOf { format!("[{text}]") } else { text };
    match (filter.comparison, python::stored_type(case.project, &field.field_type)) {
        (FilterComparison::Contains, _) => Some("\"no row has this\"".to_owned()),
        (FilterComparison::Equal | FilterComparison::OneOf, FieldType::Uuid) => Some(one("str(uuid4())".to_owned())),
        (FilterComparison::Equal | FilterComparison::OneOf, FieldType::Text | FieldType::List(_)) if !enumerated => {
            match &parameter.shape.kind {
                ShapeKind::Text { limits, .. } if limits.pattern.is_none() => Some(one("\"no row has this\"".to_owned())),
                ShapeKind::Array { .. } => Some("[\"no row has this\"]".to_owned()),
                _ => None,
            }
        }
        (FilterComparison::Equal, FieldType::Enum(values)) => {
            let ordinary = demanded(case.project, case.names).get(&field.name).cloned();
            let ((Some(own), _) | (None, Sample::Fixed(own))) = (ordinary, samples::of_field(field, false)?) else {
                return None;
            };
            values.iter().find(|value| own.as_str() != Some(value.as_str())).map(|value| python::text(value))
        }
        (FilterComparison::AtLeast, FieldType::Date) => Some(python::text(samples::FUTURE)),
        _ => None,
    }
}

fn sort(case: &Case<'_, '_>, list: &ListBehaviour) -> Option<Test> {
    let sort = list.sort.as_ref()?;
    let cases: Vec<String> = sort.fields.iter().flat_map(|field| [python::text(field), python::text(&format!("-{field}"))]).collect();
    let (mut lines, given) = case.parents();
    let other: Vec<String> = given.iter().cloned().chain(differing(case, &sort.fields)).collect();
    lines.extend([case.make(&Row::new(), &given), case.make(&Row::new(), &other)]);
    lines.push(format!("response = {}", case.call(&case.url(None), &[format!("params={{{}: order}}", python::text(&sort.parameter))])));
    lines.push(format!("assert response.status_code == {}, response.text", case.good()));
    lines.push(format!("rows = {}", items(case)));
    lines.push("assert len(rows) == 2".to_owned());
    lines.push("name = order.removeprefix(\"-\")".to_owned());
    let shown =
        case.shown().is_some_and(|object| sort.fields.iter().all(|name| object.properties.iter().any(|property| property.name == *name)));
    let required = sort.fields.iter().all(|name| case.names.entity.field(name).is_some_and(|field| field.required));
    if shown && required {
        lines.push("values = [row[name] for row in rows]".to_owned());
        lines.push("assert values == sorted(values, reverse=order.startswith(\"-\"))".to_owned());
    } else {
        lines.pop();
    }
    let name = format!("test_{}_in_order", case.operation.ident);
    Some(Test::new(name, "Rows come in the order that is asked for.", lines).with_cases("order", cases))
}

/// Arguments that give a second row other values in these fields, as far as its rules allow.
fn differing(case: &Case<'_, '_>, fields: &[String]) -> Vec<String> {
    let entity = case.names.entity;
    let free = fields.iter().filter_map(|name| entity.field(name)).filter(|field| {
        let ruled = case.project.rules_of(&entity.name).any(|rule| rule_fields(&rule.kind).contains(&field.name.as_str()));
        let chosen = samples::fillable(field) && !samples::unique(case.project, &entity.name, field);
        chosen && !ruled && !matches!(field.field_type, FieldType::Reference { .. })
    });
    let argument = |field: &Field| {
        let value = other_value(case.project, case.names, field)?;
        Some(format!("{}={value}", case.names.attribute(&field.name)))
    };
    free.filter_map(argument).collect()
}

fn parameter<'c>(case: &'c Case<'_, '_>, name: &str) -> Option<&'c Parameter> {
    case.operation.parameters.iter().find(|parameter| parameter.name == name)
}

fn pages(case: &Case<'_, '_>, list: &ListBehaviour) -> Option<Test> {
    let paging = list.paging.as_ref()?;
    parameter(case, &paging.limit)?;
    if paging.limit_max < 2 {
        return None;
    }
    let (mut lines, given) = case.parents();
    lines.push("for _ in range(3):".to_owned());
    lines.push(format!("    {}", case.make(&Row::new(), &given)));
    let limit = python::text(&paging.limit);
    lines.push(format!("response = {}", case.call(&case.url(None), &[format!("params={{{limit}: 2}}")])));
    lines.push(format!("assert len({}) == 2", items(case)));
    if let Some(offset) = paging.offset.as_ref().filter(|offset| parameter(case, offset).is_some()) {
        let pair = format!("params={{{limit}: 2, {}: 2}}", python::text(offset));
        lines.push(format!("response = {}", case.call(&case.url(None), &[pair])));
        lines.push(format!("assert len({}) == 1", items(case)));
    }
    if let Some(total) = list.envelope.as_ref().and_then(|envelope| envelope.total.as_ref()) {
        lines.push(format!("assert response.json()[{}] == 3", python::text(total)));
    }
    let name = format!("test_{}_in_pages", case.operation.ident);
    Some(Test::new(name, "Rows come in pages.", lines))
}

fn next_link(case: &Case<'_, '_>, list: &ListBehaviour) -> Option<Test> {
    let paging = list.paging.as_ref()?;
    let response = &case.operation.responses[success_number(case.operation)?];
    let header = response.headers.iter().find(|header| header.name.to_lowercase().contains("next"))?;
    let (mut lines, given) = case.parents();
    lines.extend(std::iter::repeat_n(case.make(&Row::new(), &given), 2));
    let limit = python::text(&paging.limit);
    lines.push(format!("first = {}", case.call(&case.url(None), &[format!("params={{{limit}: 1}}")])));
    lines.push(format!("response = client.get(first.headers[{}])", python::text(&header.name)));
    lines.push(format!("assert len({}) == 1", items(case)));
    lines.push("assert response.json() != first.json()".to_owned());
    Some(Test::new(format!("test_{}_links_to_the_next_page", case.operation.ident), "The answer says where the next page is.", lines))
}

/// Texts of parameters that are refused.
fn refused(case: &Case<'_, '_>) -> Option<Test> {
    let optional = case.operation.parameters.iter().filter(|parameter| parameter.location == Location::Query);
    let cases: Vec<String> = optional
        .flat_map(|parameter| {
            test_values::invalid_texts(&parameter.shape)
                .into_iter()
                .map(|text| format!("({}, {text})", python::text(&parameter.name)))
                .collect::<Vec<_>>()
        })
        .collect();
    if cases.is_empty() {
        return None;
    }
    let (mut lines, _) = case.parents();
    lines.push(format!("response = {}", case.call(&case.url(None), &["params={name: text}".to_owned()])));
    lines.push(format!("assert response.status_code == {}, response.text", case.status(422)));
    let test = Test::new(format!("test_{}_refuses_bad_parameters", case.operation.ident), "Parameters are checked.", lines);
    Some(test.with_cases("name, text", cases))
}
