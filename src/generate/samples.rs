//! Valid sample values for tests, from types, limits and patterns.

use serde_json::{Value, json};

use super::patterns;
use super::project::Project;
use super::python;
use crate::model::entity::{Field, FieldSource, FieldType, Limits};

/// A date before every run of a test, and one after.
pub(super) const PAST: &str = "2020-02-01";
pub(super) const FUTURE: &str = "2100-02-01";

/// A sample value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sample {
    /// Always the same.
    Fixed(Value),
    /// A text with a number in it, so that no two are equal: pieces between which the number stands with so many digits.
    Numbered { before: String, digits: usize, after: String },
    /// A text of fixed letters around some that spell the running number in an alphabet.
    Spelled { before: String, alphabet: String, length: usize, after: String },
    /// A whole number that differs each time: `first`, then steps onward, wrapping around after `span` of them.
    Counted { first: i64, step: i64, span: Option<i64> },
    /// A day or an instant of its own, so many days or seconds before the ordinary one.
    Earlier(FieldType),
    /// A fresh UUID.
    FreshUuid,
    /// The key of a fresh row of that entity.
    KeyOf(String),
}

/// A valid value of a field, different for each row where it must be unique; none when the pattern is beyond the sampler.
pub(super) fn of_field(field: &Field, unique: bool) -> Option<Sample> {
    if let FieldType::Reference { entity, .. } = &field.field_type {
        return Some(Sample::KeyOf(entity.clone()));
    }
    if !unique
        && let Some(default) = field
            .default
            .as_ref()
            .filter(|default| !default.is_null() && !default.is_array() && **default != json!("today") && **default != json!("now"))
    {
        return Some(Sample::Fixed(default.clone()));
    }
    of_type(&field.field_type, &field.limits, &field.ident, unique)
}

/// A valid value of a type within limits.
pub(super) fn of_type(field_type: &FieldType, limits: &Limits, label: &str, unique: bool) -> Option<Sample> {
    let fixed = |value: Value| Some(Sample::Fixed(value));
    match field_type {
        FieldType::Text => text(limits, label, unique),
        FieldType::Email => Some(if unique { numbered("person", 1, "@example.com") } else { Sample::Fixed(json!("person@example.com")) }),
        FieldType::Url => Some(if unique { numbered("https://example.com/", 1, "") } else { Sample::Fixed(json!("https://example.com/")) }),
        FieldType::Integer | FieldType::BigInteger => {
            let least = limits.min.as_ref().map_or(1, |min| min.as_f64().map_or(1, ceiling).max(1)) + i64::from(limits.min_exclusive);
            let most = limits.max.as_ref().and_then(serde_json::Number::as_f64).map_or(i64::from(i32::MAX), floor)
                - i64::from(limits.max_exclusive);
            let first = stepped(least.min(most), limits);
            if unique { Some(counted(first, most, limits)) } else { fixed(json!(first)) }
        }
        FieldType::Float | FieldType::Decimal { .. } => {
            let least = limits.min.as_ref().and_then(serde_json::Number::as_f64).map_or(1.0, |min| min.max(1.0));
            let most = limits.max.as_ref().and_then(serde_json::Number::as_f64).unwrap_or(f64::MAX);
            let value = if least < most { least.ceil() + if limits.min_exclusive { 1.0 } else { 0.0 } } else { most };
            let value = if value > most {
                f64::midpoint(limits.min.as_ref().and_then(serde_json::Number::as_f64).unwrap_or(0.0), most)
            } else {
                value
            };
            fixed(if value.fract() == 0.0 { json!(floor(value)) } else { json!(value) })
        }
        FieldType::Boolean => fixed(json!(false)),
        FieldType::Date | FieldType::DateTime if unique => Some(Sample::Earlier(field_type.clone())),
        FieldType::Date => fixed(json!(PAST)),
        FieldType::Time => fixed(json!("12:30:00")),
        FieldType::DateTime => fixed(json!(format!("{PAST}T12:30:00Z"))),
        FieldType::Uuid => Some(if unique { Sample::FreshUuid } else { Sample::Fixed(json!("00000000-0000-4000-8000-000000000001")) }),
        FieldType::Enum(values) => values.first().and_then(|value| fixed(json!(value))),
        FieldType::Reference { entity, .. } => Some(Sample::KeyOf(entity.clone())),
        FieldType::List(item) => {
            let Sample::Fixed(item) = of_type(item, &Limits::default(), "item", false)? else {
                return None;
            };
            let count = usize::try_from(limits.length_min.unwrap_or(1).clamp(1, 50)).ok()?;
            fixed(if limits.length_max == Some(0) { json!([]) } else { Value::Array(vec![item; count]) })
        }
        FieldType::Object(fields) => {
            let mut object = serde_json::Map::new();
            for field in fields.iter().filter(|field| field.required && field.default.is_none()) {
                let Some(Sample::Fixed(value)) = of_field(field, false) else {
                    return None;
                };
                object.insert(field.name.clone(), value);
            }
            fixed(Value::Object(object))
        }
        FieldType::Json => fixed(json!({ "key": "value" })),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "limits of samples are small")]
fn ceiling(value: f64) -> i64 {
    value.ceil() as i64
}

#[expect(clippy::cast_possible_truncation, reason = "limits of samples are small")]
fn floor(value: f64) -> i64 {
    value.floor() as i64
}

fn step_of(limits: &Limits) -> i64 {
    limits.multiple_of.as_ref().and_then(serde_json::Number::as_i64).filter(|step| *step > 1).unwrap_or(1)
}

fn stepped(value: i64, limits: &Limits) -> i64 {
    let step = step_of(limits);
    value.div_euclid(step) * step + if value.rem_euclid(step) == 0 { 0 } else { step }
}

/// More values than this are never used up by one test.
const SPAN_MAX: i64 = 1_000_000;

fn counted(first: i64, most: i64, limits: &Limits) -> Sample {
    let step = step_of(limits);
    let span = most.saturating_sub(first) / step;
    Sample::Counted { first, step, span: (span < SPAN_MAX).then_some(span + 1) }
}

fn numbered(before: &str, digits: usize, after: &str) -> Sample {
    Sample::Numbered { before: before.to_owned(), digits, after: after.to_owned() }
}

fn text(limits: &Limits, label: &str, unique: bool) -> Option<Sample> {
    if let Some(pattern) = &limits.pattern {
        return patterns::matching(pattern, limits, unique);
    }
    let least = usize::try_from(limits.length_min.unwrap_or(0)).ok()?;
    let most = usize::try_from(limits.length_max.unwrap_or(255)).ok()?;
    let label = label.trim_end_matches('_').replace('_', " ");
    if !unique {
        let mut value: String = label.chars().take(most).collect();
        value.extend(std::iter::repeat_n('x', least.saturating_sub(value.chars().count())));
        return Some(Sample::Fixed(json!(value)));
    }
    if most < 6 {
        return Some(numbered("", most.max(1), ""));
    }
    let mut before: String = label.chars().take(most - 6).collect();
    before.push(' ');
    before.extend(std::iter::repeat_n('x', least.saturating_sub(before.chars().count() + 1)));
    let before: String = if before.chars().count() > most - 5 { before.chars().take(most - 5).collect() } else { before };
    Some(numbered(before.trim_start(), 1.max(least.saturating_sub(before.chars().count())), ""))
}

impl Sample {
    /// The value as the model's attribute holds it; `number` is an expression for the running number.
    pub(super) fn stored(&self, project: &Project<'_>, field_type: &FieldType, number: &str) -> String {
        let stored = python::stored_type(project, field_type);
        match self {
            Self::Fixed(value) => python::typed(value, stored),
            Self::Numbered { before, digits, after } => format_text(
                before,
                after,
                &match digits {
                    0 | 1 => number.to_owned(),
                    digits => format!("{number}:0{digits}d"),
                },
            ),
            Self::Spelled { before, alphabet, length, after } => {
                let spelled = format!("factories.spell({number}, {}, {length})", alphabet_text(alphabet));
                let parts = [(before, python::text(before)), (&String::new(), spelled), (after, python::text(after))];
                let filled = parts.iter().enumerate().filter(|(place, (text, _))| *place == 1 || !text.is_empty());
                filled.map(|(_, (_, part))| part.as_str()).collect::<Vec<_>>().join(" + ")
            }
            Self::Counted { first, step, span } => {
                let number = span.map_or(number.to_owned(), |span| format!("{number} % {span}"));
                if *step == 1 { format!("{first} + {number}") } else { format!("{first} + {step} * ({number})") }
            }
            Self::Earlier(FieldType::Date) => format!("factories.day({number})"),
            Self::Earlier(_) => format!("factories.instant({number})"),
            Self::FreshUuid => "uuid4()".to_owned(),
            Self::KeyOf(entity) => key_of(project, entity),
        }
    }

    /// The value as it travels in JSON.
    pub(super) fn wire(&self, project: &Project<'_>, field_type: &FieldType, number: &str) -> String {
        match self {
            Self::Fixed(value) => python::value(value),
            Self::FreshUuid => "str(uuid4())".to_owned(),
            Self::Earlier(FieldType::Date) => format!("{}.isoformat()", self.stored(project, field_type, number)),
            Self::Earlier(_) => format!("{}.strftime(\"%Y-%m-%dT%H:%M:%SZ\")", self.stored(project, field_type, number)),
            Self::KeyOf(entity) => {
                let key = key_of(project, entity);
                if matches!(python::stored_type(project, field_type), FieldType::Uuid) { format!("str({key})") } else { key }
            }
            other => other.stored(project, field_type, number),
        }
    }

    /// True when it needs the running number.
    pub(super) fn counts(&self) -> bool {
        matches!(self, Self::Numbered { .. } | Self::Spelled { .. } | Self::Counted { .. } | Self::Earlier(_))
    }
}

/// An alphabet as Python names it.
fn alphabet_text(alphabet: &str) -> String {
    match alphabet {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ" => "ascii_uppercase".to_owned(),
        "abcdefghijklmnopqrstuvwxyz" => "ascii_lowercase".to_owned(),
        other => python::text(other),
    }
}

fn key_of(project: &Project<'_>, entity: &str) -> String {
    let Some(names) = project.entity(entity) else {
        return "None".to_owned();
    };
    format!("factories.make_{}(session).{}", names.module, names.key())
}

/// An f-string with an expression between two texts.
fn format_text(before: &str, after: &str, expression: &str) -> String {
    let braces = |text: &str| text.replace('{', "{{").replace('}', "}}");
    let quoted = python::text(&format!("{}\u{1}{}", braces(before), braces(after)));
    format!("f{}", quoted.replace("\\x01", &format!("{{{expression}}}")))
}

/// True when no two rows may share the field's value, by itself or by a rule over it alone or with others.
pub(super) fn unique(project: &Project<'_>, entity: &str, field: &Field) -> bool {
    let by_rule =
        project.rules_of(entity).any(|rule| matches!(&rule.kind, crate::model::RuleKind::Unique(fields) if fields.contains(&field.name)));
    field.unique || field.primary_key || by_rule
}

/// True when rows of the entity can be made: no chain of required references leads back to it.
pub(super) fn makeable(project: &Project<'_>, entity: &str) -> bool {
    fn leads_back(project: &Project<'_>, entity: &str, path: &mut Vec<String>) -> bool {
        if path.iter().any(|name| name == entity) {
            return true;
        }
        path.push(entity.to_owned());
        let fields = project.entity(entity).map(|names| names.entity.fields.as_slice()).unwrap_or_default();
        let back = fields.iter().any(|field| match &field.field_type {
            FieldType::Reference { entity, .. } => field.required && leads_back(project, entity, path),
            _ => false,
        });
        path.pop();
        back
    }
    !leads_back(project, entity, &mut Vec::new())
}

/// Fields that a caller fills: those that are not made by the service.
pub(super) fn fillable(field: &Field) -> bool {
    field.source == FieldSource::Client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_respect_their_limits() {
        let limits = |least, most| Limits { length_min: Some(least), length_max: Some(most), ..Limits::default() };
        assert_eq!(text(&limits(1, 3), "title", false), Some(Sample::Fixed(json!("tit"))));
        assert_eq!(text(&limits(8, 20), "title", false), Some(Sample::Fixed(json!("titlexxx"))));
        assert_eq!(text(&limits(1, 120), "title", true), Some(numbered("title ", 1, "")));
        assert_eq!(text(&limits(1, 4), "title", true), Some(numbered("", 4, "")));
    }
}
