//! Valid sample values for tests, from types, limits and patterns.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Value, json};

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
    /// A whole number that differs each time: the running number plus this.
    Counted(i64),
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
            let value = stepped(least.min(most), limits);
            if unique && limits.multiple_of.is_none() { Some(Sample::Counted(value)) } else { fixed(json!(value)) }
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

fn stepped(value: i64, limits: &Limits) -> i64 {
    match limits.multiple_of.as_ref().and_then(serde_json::Number::as_i64).filter(|step| *step > 1) {
        Some(step) => value.div_euclid(step) * step + if value.rem_euclid(step) == 0 { 0 } else { step },
        None => value,
    }
}

fn numbered(before: &str, digits: usize, after: &str) -> Sample {
    Sample::Numbered { before: before.to_owned(), digits, after: after.to_owned() }
}

fn text(limits: &Limits, label: &str, unique: bool) -> Option<Sample> {
    if let Some(pattern) = &limits.pattern {
        return matching(pattern, limits, unique);
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

/// A text that contains a match of the pattern.
fn matching(pattern: &str, limits: &Limits, unique: bool) -> Option<Sample> {
    let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
    let mut pieces = Pieces { before: String::new(), digits: 0, after: String::new(), number: unique, most: limits.length_max };
    pieces.walk(&hir)?;
    let length = pieces.before.chars().count() + pieces.digits + pieces.after.chars().count();
    let least = usize::try_from(limits.length_min.unwrap_or(0)).ok()?;
    if length < least || limits.length_max.is_some_and(|most| (length as u64) > most) {
        return None;
    }
    if pieces.digits > 0 {
        return Some(Sample::Numbered { before: pieces.before, digits: pieces.digits, after: pieces.after });
    }
    let found = regex::Regex::new(pattern).ok()?.is_match(&pieces.before);
    found.then(|| Sample::Fixed(json!(pieces.before)))
}

struct Pieces {
    before: String,
    digits: usize,
    after: String,
    number: bool,
    most: Option<u64>,
}

impl Pieces {
    fn push(&mut self, text: &str) {
        if self.digits > 0 { self.after.push_str(text) } else { self.before.push_str(text) }
    }

    fn walk(&mut self, hir: &Hir) -> Option<()> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.push(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => {
                let letter = letter_of(class)?;
                self.push(&letter.to_string());
            }
            HirKind::Repetition(repetition) => {
                let room = self.most.unwrap_or(64).min(64);
                let most = repetition.max.map_or(room, u64::from).min(room);
                let wanted = u64::from(repetition.min).max(6).min(most);
                if self.number && self.digits == 0 && wanted >= 4 && holds_digits(&repetition.sub) {
                    self.digits = usize::try_from(wanted).ok()?;
                } else {
                    let count = if repetition.min == 0 && self.before.is_empty() { 1.min(most) } else { u64::from(repetition.min).min(64) };
                    for _ in 0..count {
                        self.walk(&repetition.sub)?;
                    }
                }
            }
            HirKind::Capture(capture) => self.walk(&capture.sub)?,
            HirKind::Concat(parts) => {
                for part in parts {
                    self.walk(part)?;
                }
            }
            HirKind::Alternation(parts) => self.walk(parts.first()?)?,
        }
        Some(())
    }
}

fn letter_of(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let holds = |letter: char| class.ranges().iter().any(|range| range.start() <= letter && letter <= range.end());
    let liked = "aAbB01xX-_. ".chars().find(|letter| holds(*letter));
    liked.or_else(|| class.ranges().iter().map(regex_syntax::hir::ClassUnicodeRange::start).find(|letter| !letter.is_control()))
}

fn holds_digits(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().any(|range| range.start() <= '0' && '9' <= range.end()),
        HirKind::Capture(capture) => holds_digits(&capture.sub),
        _ => false,
    }
}

impl Sample {
    /// The value as the model's attribute holds it; `number` is a variable.
    pub(super) fn stored(&self, project: &Project<'_>, field_type: &FieldType) -> String {
        let stored = python::stored_type(project, field_type);
        match self {
            Self::Fixed(value) => python::typed(value, stored),
            Self::Numbered { before, digits, after } => format_text(before, *digits, after),
            Self::Counted(offset) => format!("{offset} + number"),
            Self::FreshUuid => "uuid4()".to_owned(),
            Self::KeyOf(entity) => key_of(project, entity),
        }
    }

    /// The value as it travels in JSON.
    pub(super) fn wire(&self, project: &Project<'_>, field_type: &FieldType) -> String {
        match self {
            Self::Fixed(value) => python::value(value),
            Self::FreshUuid => "str(uuid4())".to_owned(),
            Self::KeyOf(entity) => {
                let key = key_of(project, entity);
                if matches!(python::stored_type(project, field_type), FieldType::Uuid) { format!("str({key})") } else { key }
            }
            other => other.stored(project, field_type),
        }
    }

    /// True when it needs the running number.
    pub(super) fn counts(&self) -> bool {
        matches!(self, Self::Numbered { .. } | Self::Counted(_))
    }
}

fn key_of(project: &Project<'_>, entity: &str) -> String {
    let Some(names) = project.entity(entity) else {
        return "None".to_owned();
    };
    format!("factories.make_{}(session).{}", names.module, names.key())
}

fn format_text(before: &str, digits: usize, after: &str) -> String {
    let braces = |text: &str| text.replace('{', "{{").replace('}', "}}");
    let number = if digits > 1 { format!("{{number:0{digits}d}}") } else { "{number}".to_owned() };
    let quoted = python::text(&format!("{}\u{1}{}", braces(before), braces(after)));
    format!("f{}", quoted.replace("\\x01", &number))
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

    #[expect(clippy::needless_pass_by_value, reason = "the expectation is written in place")]
    fn check(pattern: &str, unique: bool, expect: Option<Sample>) {
        let limits = Limits { pattern: Some(pattern.to_owned()), ..Limits::default() };
        assert_eq!(text(&limits, "label", unique), expect, "{pattern}");
    }

    #[test]
    fn patterns_yield_matching_texts() {
        check("^97[89][0-9]{10}$", true, Some(numbered("978", 10, "")));
        check("^97[89][0-9]{10}$", false, Some(Sample::Fixed(json!("9780000000000"))));
        check("^[A-Z]{3}-[0-9]{4,}$", true, Some(numbered("AAA-", 6, "")));
        check("^(red|green)$", false, Some(Sample::Fixed(json!("red"))));
        check("^(?=x)y$", false, None);
    }

    #[test]
    fn texts_respect_their_limits() {
        let limits = |least, most| Limits { length_min: Some(least), length_max: Some(most), ..Limits::default() };
        assert_eq!(text(&limits(1, 3), "title", false), Some(Sample::Fixed(json!("tit"))));
        assert_eq!(text(&limits(8, 20), "title", false), Some(Sample::Fixed(json!("titlexxx"))));
        assert_eq!(text(&limits(1, 120), "title", true), Some(numbered("title ", 1, "")));
        assert_eq!(text(&limits(1, 4), "title", true), Some(numbered("", 4, "")));
    }
}
