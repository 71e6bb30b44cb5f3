//! Constants as written, read as values of a field's type.

use serde_json::{Number, Value};
use time::format_description::well_known::{Iso8601, Rfc3339};

use super::nearest::nearest;
use crate::model::entity::Limits;
use crate::model::{Field, FieldType};

/// Reads a constant for a field: quotes are optional, `none` is null. An error says what was expected.
pub(super) fn constant(text: &str, field: &Field) -> Result<Value, String> {
    let text = text.trim();
    let quoted = unquote(text);
    let plain = quoted.unwrap_or(text);
    if quoted.is_none() && ["none", "null"].contains(&plain.to_lowercase().as_str()) && !enumerates(&field.field_type, plain) {
        return if field.required { Err(format!("`{}` is required and cannot be none", field.name)) } else { Ok(Value::Null) };
    }
    let value = of_type(plain, &field.field_type)?;
    within(&value, &field.limits)?;
    Ok(value)
}

/// Reads a constant of a type, without its field's limits.
pub(super) fn of_type(text: &str, field_type: &FieldType) -> Result<Value, String> {
    let expected = |what: &str| format!("`{text}` is no {what}");
    match field_type {
        FieldType::Text | FieldType::Email | FieldType::Url => Ok(Value::from(text)),
        FieldType::Integer => text.parse::<i32>().map(Value::from).map_err(|_| expected("whole number of 32 bits")),
        FieldType::BigInteger => text.parse::<i64>().map(Value::from).map_err(|_| expected("whole number of 64 bits")),
        FieldType::Float => number(text).map(Value::Number).ok_or_else(|| expected("number")),
        FieldType::Decimal { precision, scale } => decimal(text, *precision, *scale),
        FieldType::Boolean => {
            text.to_lowercase().parse::<bool>().map(Value::from).map_err(|_| format!("`{text}` is neither true nor false"))
        }
        FieldType::Date if time::Date::parse(text, &Iso8601::DATE).is_ok() && text.len() == 10 => Ok(Value::from(text)),
        FieldType::Date => Err(format!("`{text}` is no date such as 2026-01-31")),
        FieldType::Time if time::Time::parse(text, &Iso8601::TIME).is_ok() && text.contains(':') => Ok(Value::from(text)),
        FieldType::Time => Err(format!("`{text}` is no time such as 09:30:00")),
        FieldType::DateTime if time::OffsetDateTime::parse(text, &Rfc3339).is_ok() => Ok(Value::from(text)),
        FieldType::DateTime => Err(format!("`{text}` is no instant such as 2026-01-31T09:30:00Z")),
        FieldType::Uuid => uuid::Uuid::parse_str(text).map(|id| Value::from(id.to_string())).map_err(|_| expected("UUID")),
        FieldType::Enum(values) if values.iter().any(|value| value == text) => Ok(Value::from(text)),
        FieldType::Enum(values) => Err(match nearest(text, values.iter().map(String::as_str)) {
            Some(near) => format!("`{text}` is none of its values; did you mean `{near}`?"),
            None => format!("`{text}` is none of its values {}", values.join(", ")),
        }),
        FieldType::List(item) => list(text, item),
        FieldType::Object(_) | FieldType::Json => json(text).ok_or_else(|| expected("JSON value")),
        FieldType::Reference { entity, .. } => Err(format!("a reference to {entity} has no constant value")),
    }
}

fn enumerates(field_type: &FieldType, text: &str) -> bool {
    matches!(field_type, FieldType::Enum(values) if values.iter().any(|value| value == text))
}

/// The text inside quotes or backticks.
pub(super) fn unquote(text: &str) -> Option<&str> {
    ['"', '\'', '`'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
}

/// A number as JSON writes it.
pub(super) fn number(text: &str) -> Option<Number> {
    let plain = text.starts_with(|first: char| first.is_ascii_digit() || first == '-') && !text.contains(['_', 'x']);
    match text.parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => plain.then(|| text.parse::<f64>().ok().and_then(Number::from_f64)).flatten(),
    }
}

fn decimal(text: &str, precision: u32, scale: u32) -> Result<Value, String> {
    let Some(number) = number(text) else { return Err(format!("`{text}` is no number")) };
    let (whole, fraction) = text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
    if fraction.len() > scale as usize || whole.trim_start_matches('0').len() > (precision - scale) as usize || text.contains(['e', 'E']) {
        return Err(format!("`{text}` does not fit into decimal({precision},{scale})"));
    }
    Ok(Value::Number(number))
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// A JSON list whose items fit the item type; bare words are allowed: `[a, b]`.
fn list(text: &str, item: &FieldType) -> Result<Value, String> {
    let inner =
        text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(|| format!("`{text}` is no list such as [a, b]"))?;
    let parts = super::field_rules::split(inner);
    parts.iter().map(|(_, part)| of_type(unquote(part).unwrap_or(part), item)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// Checks a value against limits.
fn within(value: &Value, limits: &Limits) -> Result<(), String> {
    let length = match value {
        Value::String(text) => Some(text.chars().count() as u64),
        Value::Array(items) => Some(items.len() as u64),
        _ => None,
    };
    if let Some(length) = length
        && (limits.length_min.is_some_and(|min| length < min) || limits.length_max.is_some_and(|max| length > max))
    {
        return Err(format!("`{value}` has a length of {length}, which the field does not allow"));
    }
    if let (Value::String(text), Some(pattern)) = (value, &limits.pattern)
        && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        return Err(format!("`{text}` does not match the field's pattern"));
    }
    let Some(number) = value.as_f64() else { return Ok(()) };
    let beyond = |limit: &Option<Number>, exclusive: bool, outside: fn(f64, f64) -> bool| {
        let limit = limit.as_ref().and_then(Number::as_f64);
        limit.is_some_and(|limit| outside(number, limit) || (exclusive && number.total_cmp(&limit).is_eq()))
    };
    if beyond(&limits.min, limits.min_exclusive, |n, l| n < l) || beyond(&limits.max, limits.max_exclusive, |n, l| n > l) {
        return Err(format!("{value} is outside of the field's limits"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, field_type: &FieldType, expected: Option<&Value>) {
        assert_eq!(of_type(text, field_type).ok().as_ref(), expected, "{text} as {field_type:?}");
    }

    #[test]
    fn constants_have_their_fields_type() {
        use serde_json::json;
        let decimal = FieldType::Decimal { precision: 5, scale: 2 };
        check("12", &FieldType::Integer, Some(&json!(12)));
        check("3000000000", &FieldType::Integer, None);
        check("3000000000", &FieldType::BigInteger, Some(&json!(3_000_000_000_i64)));
        check("999.99", &decimal, Some(&json!(999.99)));
        check("1000", &decimal, None);
        check("0.001", &decimal, None);
        check("TRUE", &FieldType::Boolean, Some(&json!(true)));
        check("2026-02-29", &FieldType::Date, None);
        check("2028-02-29", &FieldType::Date, Some(&json!("2028-02-29")));
        check("09:30", &FieldType::Time, Some(&json!("09:30")));
        check("2026-01-31T09:30:00Z", &FieldType::DateTime, Some(&json!("2026-01-31T09:30:00Z")));
        check("inf", &FieldType::Float, None);
        check("[a, \"b, c\"]", &FieldType::List(Box::new(FieldType::Text)), Some(&json!(["a", "b, c"])));
        check("[1, x]", &FieldType::List(Box::new(FieldType::Integer)), None);
        check("{\"a\": 1}", &FieldType::Json, Some(&json!({"a": 1})));
        let error = of_type("drafd", &FieldType::Enum(vec!["draft".to_owned()])).expect_err("unknown");
        assert!(error.contains("did you mean `draft`"), "{error}");
    }
}
