//! The type column: `string`, `decimal(10,2)`, `enum(a, b)`, `ref(Author)`, `list(string)`, …

use super::draft::Text;
use super::nearest::nearest;
use crate::model::{FieldType, Finding, OnDelete};

/// Digits of a `decimal` without parentheses.
const DECIMAL_DEFAULT: (u32, u32) = (12, 2);
/// Most digits of a decimal that every database holds exactly enough.
const DECIMAL_DIGITS_MAX: u32 = 38;
/// Most values of an enum.
const ENUM_VALUES_MAX: usize = 200;
/// Most characters of a `string` that states no length of its own.
pub(super) const STRING_CHARS_MAX: u64 = 255;
/// Most characters of an e-mail address (RFC 5321).
pub(super) const EMAIL_CHARS_MAX: u64 = 254;
/// Most characters of a URL that browsers and proxies agree on.
pub(super) const URL_CHARS_MAX: u64 = 2048;

/// The names of all types, for hints.
const TYPES: [&str; 20] = [
    "string", "text", "email", "url", "integer", "bigint", "float", "decimal", "boolean", "date", "time", "datetime", "uuid", "json",
    "enum", "ref", "list", "object", "int", "bool",
];

/// A type as written, before references are resolved.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    /// The type; `Object` has no fields yet.
    pub(super) field_type: FieldType,
    /// The length that the type itself implies.
    pub(super) length_max: Option<u64>,
}

/// Reads a type; `entity` resolves the name of an entity as written.
pub(super) fn parse(text: &Text, entity: &dyn Fn(&str) -> Option<String>) -> Result<Written, Finding> {
    parse_at(text, &text.text, entity, 0)
}

fn parse_at(whole: &Text, text: &str, entity: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<Written, Finding> {
    let (name, arguments) = split(whole, text)?;
    let plain = |field_type| Ok(Written { field_type, length_max: None });
    let limited = |field_type, length_max| Ok(Written { field_type, length_max: Some(length_max) });
    if let Some(arguments) = arguments {
        return match name.to_lowercase().as_str() {
            "decimal" | "numeric" => decimal(whole, arguments).and_then(plain),
            "enum" => enumeration(whole, arguments).and_then(plain),
            "ref" | "reference" => reference(whole, arguments.trim(), entity).and_then(plain),
            "list" | "array" if depth < 4 => list(whole, parse_at(whole, arguments, entity, depth + 1)?.field_type).and_then(plain),
            "string" | "varchar" => match arguments.trim().parse() {
                Ok(length) if length > 0 => limited(FieldType::Text, length),
                _ => Err(bad(whole, "`string(…)` takes the greatest length", "write for example `string(80)`")),
            },
            _ => Err(unknown(whole, name, entity)),
        };
    }
    match name.to_lowercase().as_str() {
        "string" => limited(FieldType::Text, STRING_CHARS_MAX),
        "text" => plain(FieldType::Text),
        "email" => limited(FieldType::Email, EMAIL_CHARS_MAX),
        "url" | "uri" => limited(FieldType::Url, URL_CHARS_MAX),
        "integer" | "int" => plain(FieldType::Integer),
        "bigint" | "big integer" | "long" => plain(FieldType::BigInteger),
        "float" | "number" | "double" => plain(FieldType::Float),
        "decimal" => plain(FieldType::Decimal { precision: DECIMAL_DEFAULT.0, scale: DECIMAL_DEFAULT.1 }),
        "boolean" | "bool" => plain(FieldType::Boolean),
        "date" => plain(FieldType::Date),
        "time" => plain(FieldType::Time),
        "datetime" | "timestamp" => plain(FieldType::DateTime),
        "uuid" => plain(FieldType::Uuid),
        "json" => plain(FieldType::Json),
        "object" => plain(FieldType::Object(Vec::new())),
        "" => Err(bad(whole, "this field has no type", "write one, for example `string`")),
        _ => match entity(name) {
            Some(_) => reference(whole, name, entity).and_then(plain),
            None => Err(unknown(whole, name, entity)),
        },
    }
}

/// The name before the parentheses and what stands inside them.
fn split<'t>(whole: &Text, text: &'t str) -> Result<(&'t str, Option<&'t str>), Finding> {
    let text = text.trim();
    let Some((name, rest)) = text.split_once('(') else { return Ok((text, None)) };
    match rest.strip_suffix(')') {
        Some(arguments) => Ok((name.trim(), Some(arguments))),
        None => Err(bad(whole, format!("the type `{text}` does not end with `)`"), "close the parentheses")),
    }
}

fn decimal(whole: &Text, arguments: &str) -> Result<FieldType, Finding> {
    let mut digits = arguments.split(',').map(|part| part.trim().parse::<u32>());
    let hint = "write for example `decimal(10,2)`: digits in all, digits after the point";
    match (digits.next(), digits.next(), digits.next()) {
        (Some(Ok(precision)), Some(Ok(scale)), None) if scale <= precision && (1..=DECIMAL_DIGITS_MAX).contains(&precision) => {
            Ok(FieldType::Decimal { precision, scale })
        }
        _ => Err(bad(whole, format!("`decimal({arguments})` is no decimal type"), hint)),
    }
}

fn enumeration(whole: &Text, arguments: &str) -> Result<FieldType, Finding> {
    let mut values: Vec<String> = Vec::new();
    for value in arguments.split(',') {
        let value = value.trim().trim_matches(['`', '"', '\'']).trim();
        if value.is_empty() || values.len() >= ENUM_VALUES_MAX || value.chars().any(char::is_control) {
            return Err(bad(whole, "an enum needs 1 to 200 values, none of them empty", "write for example `enum(draft, published)`"));
        }
        if values.iter().any(|other| other == value) {
            return Err(bad(whole, format!("the enum names `{value}` twice"), "name each value once"));
        }
        values.push(value.to_owned());
    }
    Ok(FieldType::Enum(values))
}

fn reference(whole: &Text, name: &str, entity: &dyn Fn(&str) -> Option<String>) -> Result<FieldType, Finding> {
    match entity(name) {
        Some(entity) => Ok(FieldType::Reference { entity, on_delete: OnDelete::Restrict }),
        None => Err(unknown_entity(whole, name)),
    }
}

fn list(whole: &Text, item: FieldType) -> Result<FieldType, Finding> {
    if matches!(item, FieldType::Reference { .. }) {
        let hint = "make an entity with one reference to each side, for example `BookTag` with `book` and `tag`";
        return Err(Finding::error("list-of-references", "a list cannot hold references", Some(whole.position), hint));
    }
    Ok(FieldType::List(Box::new(item)))
}

fn bad(whole: &Text, message: impl Into<String>, hint: &str) -> Finding {
    Finding::error("bad-type", message, Some(whole.position), hint)
}

fn unknown_entity(whole: &Text, name: &str) -> Finding {
    let hint = "declare the entity, or correct the name";
    Finding::error("unknown-entity", format!("there is no entity `{name}`"), Some(whole.position), hint)
}

fn unknown(whole: &Text, name: &str, entity: &dyn Fn(&str) -> Option<String>) -> Finding {
    if entity(name).is_some() {
        return bad(whole, format!("`{name}` takes no parentheses"), "leave them out");
    }
    let hint = match nearest(name, TYPES) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the types are {}, or the name of an entity", TYPES[..18].join(", ")),
    };
    Finding::error("unknown-type", format!("there is no type `{name}`"), Some(whole.position), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    fn read(text: &str) -> Result<Written, String> {
        let entities = |name: &str| (name == "Author").then(|| "Author".to_owned());
        parse(&Text::new(text, Position::line(1)), &entities).map_err(|finding| format!("{}: {}", finding.code, finding.hint))
    }

    fn check(text: &str, field_type: &FieldType) {
        assert_eq!(&read(text).expect(text).field_type, field_type);
    }

    #[test]
    fn every_type_is_read() {
        let reference = FieldType::Reference { entity: "Author".to_owned(), on_delete: OnDelete::Restrict };
        check("decimal(10, 2)", &FieldType::Decimal { precision: 10, scale: 2 });
        check("enum(a, in-progress)", &FieldType::Enum(vec!["a".to_owned(), "in-progress".to_owned()]));
        check("ref(Author)", &reference.clone());
        check("Author", &reference);
        check("list(list(integer))", &FieldType::List(Box::new(FieldType::List(Box::new(FieldType::Integer)))));
        check("DateTime", &FieldType::DateTime);
        assert_eq!(read("string(80)").expect("read").length_max, Some(80));
        for name in TYPES.iter().filter(|name| !["enum", "ref", "list"].contains(name)) {
            assert!(read(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn unknown_types_name_the_nearest() {
        assert_eq!(read("sting").expect_err("unknown"), "unknown-type: did you mean `string`?");
        for (text, code) in [
            ("", "bad-type"),
            ("decimal(2,10)", "bad-type"),
            ("enum()", "bad-type"),
            ("enum(a, a)", "bad-type"),
            ("ref(Nobody)", "unknown-entity"),
            ("list(Author)", "list-of-references"),
            ("list(string", "bad-type"),
            ("blob", "unknown-type"),
            ("Author(x)", "bad-type"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.starts_with(code), "{text}: {refused}");
        }
    }
}
