//! Text that PostgreSQL can hold: anything but NUL, which programs do print and documents do contain.

use serde::Serialize;
use serde_json::Value;

use super::StoreError;

/// The text with every NUL replaced by U+FFFD.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The JSON form of a value, with every NUL in it replaced by U+FFFD.
pub(super) fn json(value: &impl Serialize) -> Result<Value, StoreError> {
    let mut value = serde_json::to_value(value).map_err(|error| StoreError::corrupt("document", error))?;
    clean(&mut value);
    Ok(value)
}

/// As deep as `serde_json` reads, which is 128 levels.
fn clean(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = without_nul(text),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => {
            if fields.keys().any(|name| name.contains('\0')) {
                *fields = std::mem::take(fields).into_iter().map(|(name, value)| (without_nul(&name), value)).collect();
            }
            fields.values_mut().for_each(clean);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_wherever_it_stands() {
        let given = serde_json::json!({ "a\0": ["b\0c", { "d": "e" }], "f": 1 });
        let expect = serde_json::json!({ "a\u{fffd}": ["b\u{fffd}c", { "d": "e" }], "f": 1 });
        assert_eq!(json(&given).unwrap(), expect);
    }
}
