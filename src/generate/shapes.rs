//! Shapes as Pydantic annotations.

use serde_json::{Number, Value};

use super::classes::Classes;
use super::python;
use crate::model::entity::Limits;
use crate::model::shape::{Additional, ObjectShape, Property, Shape, ShapeKind};

/// How a value travels: that decides how its text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Travels {
    /// Inside a JSON body.
    Json,
    /// As text: path, query, header, cookie.
    Text,
}

/// The annotation of a shape, with `None` where null is allowed.
pub(super) fn annotation(classes: &Classes, shape: &Shape, travels: Travels) -> String {
    let base = base(classes, shape, travels);
    if shape.nullable && travels == Travels::Json && base != "Json" { format!("{base} | None") } else { base }
}

/// The annotation of a shape without `None`.
pub(super) fn base(classes: &Classes, shape: &Shape, travels: Travels) -> String {
    match &shape.kind {
        ShapeKind::Any => {
            if travels == Travels::Json {
                "Json".to_owned()
            } else {
                "Text".to_owned()
            }
        }
        ShapeKind::Boolean => {
            if travels == Travels::Json {
                "Boolean".to_owned()
            } else {
                "Annotated[bool, BooleanText]".to_owned()
            }
        }
        ShapeKind::Integer { format, limits, values } => integer(format.as_deref(), limits, values, travels),
        ShapeKind::Number { format, limits } => number(format.as_deref(), limits, travels),
        ShapeKind::Text { format, limits, values } => text(format.as_deref(), limits, values),
        ShapeKind::Array { items, limits, unique } => {
            let mut extra = Vec::new();
            let bounds = lengths(limits);
            if *unique {
                extra.push("Unique".to_owned());
            }
            let mut arguments = bounds;
            if *unique {
                arguments.push("json_schema_extra={\"uniqueItems\": True}".to_owned());
            }
            annotated(format!("list[{}]", annotation(classes, items, travels)), &arguments, &extra)
        }
        ShapeKind::Object(object) => dictionary(classes, object),
        ShapeKind::Reference(name) => classes.get(name).map_or_else(|| "Json".to_owned(), |class| class.class.clone()),
        ShapeKind::OneOf { variants, .. } => {
            let mut forms: Vec<String> = variants.iter().map(|variant| annotation(classes, variant, travels)).collect();
            forms.dedup();
            if forms.is_empty() { "Json".to_owned() } else { forms.join(" | ") }
        }
    }
}

fn dictionary(classes: &Classes, object: &ObjectShape) -> String {
    match &object.additional {
        Additional::Values(values) => format!("dict[Text, {}]", annotation(classes, values, Travels::Json)),
        _ => "dict[Text, Json]".to_owned(),
    }
}

fn annotated(base: String, arguments: &[String], markers: &[String]) -> String {
    let field = (!arguments.is_empty()).then(|| format!("Field({})", arguments.join(", ")));
    let parts: Vec<String> = field.into_iter().chain(markers.iter().cloned()).collect();
    if parts.is_empty() { base } else { format!("Annotated[{base}, {}]", parts.join(", ")) }
}

fn integer(format: Option<&str>, limits: &Limits, values: &[i64], travels: Travels) -> String {
    if !values.is_empty() {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let literal = format!("Literal[{}]", values.join(", "));
        return format!("Annotated[{literal}, {}]", if travels == Travels::Text { "IntegerText" } else { "AsWhole" });
    }
    let (base, least, most) = match format {
        Some("int32") => ("Int32", i64::from(i32::MIN), i64::from(i32::MAX)),
        Some("int64") => ("Int64", i64::MIN, i64::MAX),
        // Texts may name any integer: pages and filters beyond 64 bits choose nothing, keys beyond it name no row.
        _ if travels == Travels::Text => ("int", i64::MIN, i64::MAX),
        _ => ("Integer", i64::MIN, i64::MAX),
    };
    let mut arguments = Vec::new();
    if let Some(min) = limits.min.as_ref().and_then(|min| whole(min, f64::ceil)).filter(|min| *min > least || limits.min_exclusive) {
        arguments.push(format!("{}={min}", if limits.min_exclusive { "gt" } else { "ge" }));
    }
    if let Some(max) = limits.max.as_ref().and_then(|max| whole(max, f64::floor)).filter(|max| *max < most || limits.max_exclusive) {
        arguments.push(format!("{}={max}", if limits.max_exclusive { "lt" } else { "le" }));
    }
    if let Some(step) = limits.multiple_of.as_ref().and_then(Number::as_i64) {
        arguments.push(format!("multiple_of={step}"));
    }
    let mut markers: Vec<String> = if travels == Travels::Text { vec!["IntegerText".to_owned()] } else { Vec::new() };
    if arguments.is_empty() || base == "int" {
        return annotated(base.to_owned(), &arguments, &markers);
    }
    // Limits stand before the marker: after it they would be enforced, but missing from the documented schema.
    if !arguments.iter().any(|argument| argument.starts_with('g')) {
        arguments.insert(0, format!("ge={least}"));
    }
    if !arguments.iter().any(|argument| argument.starts_with('l')) {
        arguments.push(format!("le={most}"));
    }
    arguments.insert(0, "strict=True".to_owned());
    if let Some(format) = format.filter(|format| matches!(*format, "int32" | "int64")) {
        arguments.push(format!("json_schema_extra={{\"format\": \"{format}\"}}"));
    }
    if travels == Travels::Json {
        markers.push("AsWhole".to_owned());
    }
    annotated("int".to_owned(), &arguments, &markers)
}

/// A number as a whole one; none when it lies outside of 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "bounded by the comparison before")]
fn whole(number: &Number, round: fn(f64) -> f64) -> Option<i64> {
    number.as_i64().or_else(|| {
        let value = round(number.as_f64()?);
        (value.abs() < 9e18).then_some(value as i64)
    })
}

fn number(format: Option<&str>, limits: &Limits, travels: Travels) -> String {
    let decimal = format == Some("decimal");
    let literal = |number: &Number| if decimal && number.is_f64() { format!("Decimal(\"{number}\")") } else { python::number(number) };
    let mut arguments = Vec::new();
    if let Some(min) = &limits.min {
        arguments.push(format!("{}={}", if limits.min_exclusive { "gt" } else { "ge" }, literal(min)));
    }
    if let Some(max) = &limits.max {
        arguments.push(format!("{}={}", if limits.max_exclusive { "lt" } else { "le" }, literal(max)));
    }
    if let Some(step) = &limits.multiple_of {
        arguments.push(format!("multiple_of={}", literal(step)));
    }
    let (base, marker) = match (decimal, travels) {
        (true, Travels::Json) => ("Decimal", Some("AsNumber")),
        (true, Travels::Text) => ("Decimal", Some("NumberText")),
        (false, Travels::Json) => (if format == Some("double") { "Double" } else { "Float" }, None),
        (false, Travels::Text) => ("float", Some("NumberText")),
    };
    annotated(base.to_owned(), &arguments, &marker.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

fn text(format: Option<&str>, limits: &Limits, values: &[String]) -> String {
    if !values.is_empty() {
        let values: Vec<String> = values.iter().map(|value| python::text(value)).collect();
        return format!("Literal[{}]", values.join(", "));
    }
    let base = match format {
        Some("date") => return "Date".to_owned(),
        Some("date-time") => return "Instant".to_owned(),
        Some("time") => return "Time".to_owned(),
        Some("uuid") => return "Uuid".to_owned(),
        Some("email") => "Email",
        Some("uri" | "url") => "Url",
        _ => "Text",
    };
    let mut arguments = lengths(limits);
    let mut markers: Vec<String> =
        format.filter(|_| base == "Text").map(|name| format!("formatted({})", python::text(name))).into_iter().collect();
    let Some(pattern) = &limits.pattern else { return annotated(base.to_owned(), &arguments, &markers) };
    arguments.push(format!("pattern={}", python::pattern(pattern)));
    if base != "Text" {
        return annotated(base.to_owned(), &arguments, &markers);
    }
    // A pattern after the check for NUL would be enforced, but missing from the documented schema.
    arguments.insert(0, "strict=True".to_owned());
    markers.insert(0, "WithoutNul".to_owned());
    annotated("str".to_owned(), &arguments, &markers)
}

fn lengths(limits: &Limits) -> Vec<String> {
    let least = limits.length_min.filter(|least| *least > 0).map(|least| format!("min_length={least}"));
    least.into_iter().chain(limits.length_max.map(|most| format!("max_length={most}"))).collect()
}

/// True when a pattern needs the engine that knows look-around and back references.
pub(super) fn needs_python_regex(pattern: &str) -> bool {
    regex::Regex::new(pattern).is_err()
}

/// Patterns of a shape, at any depth short of references.
pub(super) fn patterns(shape: &Shape) -> Vec<&str> {
    match &shape.kind {
        ShapeKind::Text { limits, .. } => limits.pattern.as_deref().into_iter().collect(),
        ShapeKind::Array { items, .. } => patterns(items),
        ShapeKind::OneOf { variants, .. } => variants.iter().flat_map(patterns).collect(),
        ShapeKind::Object(object) => object.properties.iter().flat_map(|property| patterns(&property.shape)).collect(),
        _ => Vec::new(),
    }
}

/// The line that declares a property: annotation and default.
pub(super) fn property(classes: &Classes, property: &Property, attribute: &str, shown: bool) -> String {
    let shape = &property.shape;
    let mut extras = Vec::new();
    if attribute != property.name {
        extras.push(format!("alias={}", python::text(&property.name)));
    }
    if let Some(description) = shape.description.as_deref().filter(|text| !text.trim().is_empty()) {
        extras.push(format!("description={}", python::text(description.trim())));
    }
    if let Some(default) = shape.default.as_ref().filter(|_| property.required) {
        // What is always there needs no default; the contract names it all the same.
        extras.push(format!("json_schema_extra={{\"default\": {}}}", python::value(default)));
    }
    let given = shape.default.as_ref().filter(|_| !property.required);
    let omissible = !property.required && given.is_none() && !shape.nullable && !matches!(shape.kind, ShapeKind::Any);
    let annotation = if omissible {
        format!("Annotated[{} | None, NotNull]", base(classes, shape, Travels::Json))
    } else {
        annotation(classes, shape, Travels::Json)
    };
    let default = given.map(|default| default_of(default, shape)).or_else(|| (!property.required).then(|| "None".to_owned()));
    let mutable = default.as_ref().is_some_and(|text| text.starts_with(['[', '{']));
    if omissible && shown {
        extras.insert(0, "exclude_if=absent".to_owned());
    }
    match default {
        None if extras.is_empty() => format!("{attribute}: {annotation}"),
        None => format!("{attribute}: {annotation} = Field({})", extras.join(", ")),
        Some(default) if extras.is_empty() && !mutable => format!("{attribute}: {annotation} = {default}"),
        Some(default) => {
            extras.insert(0, format!("default={default}"));
            format!("{attribute}: {annotation} = Field({})", extras.join(", "))
        }
    }
}

/// A default of a shape's type.
pub(super) fn default_of(default: &Value, shape: &Shape) -> String {
    let quoted = |text: &str| python::text(text);
    match (&shape.kind, default) {
        (ShapeKind::Number { format: Some(format), .. }, number @ Value::Number(_)) if format == "decimal" => {
            python::typed(number, &crate::model::FieldType::Decimal { precision: 38, scale: 10 })
        }
        (ShapeKind::Number { .. }, Value::Number(number)) if !number.is_f64() => format!("{number}.0"),
        (ShapeKind::Text { format: Some(format), .. }, Value::String(text)) => match format.as_str() {
            "date" => format!("dt.date.fromisoformat({})", quoted(text)),
            "time" => format!("dt.time.fromisoformat({})", quoted(text)),
            "date-time" => format!("dt.datetime.fromisoformat({})", quoted(text)),
            "uuid" => format!("UUID({})", quoted(text)),
            _ => quoted(text),
        },
        _ => python::value(default),
    }
}
