//! Python literals, types and texts.

use serde_json::{Number, Value};

use super::project::Project;
use crate::model::entity::{Entity, Field, FieldType};

/// Capitalised built-ins, which no class of a project may hide.
const BUILTIN_CLASSES: &[&str] = &[
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BaseException",
    "BaseExceptionGroup",
    "BlockingIOError",
    "BrokenPipeError",
    "BufferError",
    "BytesWarning",
    "ChildProcessError",
    "ConnectionAbortedError",
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "DeprecationWarning",
    "EOFError",
    "Ellipsis",
    "EncodingWarning",
    "EnvironmentError",
    "Exception",
    "ExceptionGroup",
    "FileExistsError",
    "FileNotFoundError",
    "FloatingPointError",
    "FutureWarning",
    "GeneratorExit",
    "IOError",
    "ImportError",
    "ImportWarning",
    "IndentationError",
    "IndexError",
    "InterruptedError",
    "IsADirectoryError",
    "KeyError",
    "KeyboardInterrupt",
    "LookupError",
    "MemoryError",
    "ModuleNotFoundError",
    "NameError",
    "NotADirectoryError",
    "NotImplemented",
    "NotImplementedError",
    "OSError",
    "OverflowError",
    "PendingDeprecationWarning",
    "PermissionError",
    "ProcessLookupError",
    "RecursionError",
    "ReferenceError",
    "ResourceWarning",
    "RuntimeError",
    "RuntimeWarning",
    "StopAsyncIteration",
    "StopIteration",
    "SyntaxError",
    "SyntaxWarning",
    "SystemError",
    "SystemExit",
    "TabError",
    "TimeoutError",
    "TypeError",
    "UnboundLocalError",
    "UnicodeDecodeError",
    "UnicodeEncodeError",
    "UnicodeError",
    "UnicodeTranslateError",
    "UnicodeWarning",
    "UserWarning",
    "ValueError",
    "Warning",
    "ZeroDivisionError",
];

/// True for the name of a built-in class.
pub(super) fn builtin_class(name: &str) -> bool {
    BUILTIN_CLASSES.contains(&name)
}

/// A text literal, quoted as the formatter prefers.
pub(super) fn text(value: &str) -> String {
    let (double, single) = (value.matches('"').count(), value.matches('\'').count());
    let quote = if double > single { '\'' } else { '"' };
    let mut out = String::from(quote);
    for letter in value.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if letter == quote => {
                out.push('\\');
                out.push(letter);
            }
            letter if letter.is_control() || is_invisible(letter) => out.push_str(&escape(letter)),
            letter => out.push(letter),
        }
    }
    out.push(quote);
    out
}

/// Letters that linters refuse in source: they look like nothing, or reorder what follows.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn escape(letter: char) -> String {
    let code = u32::from(letter);
    if code < 0x100 {
        format!("\\x{code:02x}")
    } else if code < 0x1_0000 {
        format!("\\u{code:04x}")
    } else {
        format!("\\U{code:08x}")
    }
}

/// A pattern literal: raw where that is possible.
pub(super) fn pattern(value: &str) -> String {
    let plain = value.chars().all(|letter| !letter.is_control() && !is_invisible(letter));
    if value.contains('\\') && plain && !value.contains('"') && !value.ends_with('\\') { format!("r\"{value}\"") } else { text(value) }
}

/// Any JSON value as a Python literal.
pub(super) fn value(json: &Value) -> String {
    match json {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => self::number(number),
        Value::String(string) => text(string),
        Value::Array(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, item)| format!("{}: {}", text(key), value(item))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// A number literal as the formatter writes it.
pub(super) fn number(number: &Number) -> String {
    number.to_string().replace('E', "e").replace("e+", "e")
}

/// A value of a field's type, as the model's attribute holds it.
pub(super) fn typed(json: &Value, field_type: &FieldType) -> String {
    match (field_type, json) {
        (_, Value::Null) => "None".to_owned(),
        (FieldType::Decimal { .. }, Value::Number(number)) if number.is_f64() => format!("Decimal(\"{number}\")"),
        (FieldType::Decimal { .. }, Value::Number(number)) => format!("Decimal({number})"),
        (FieldType::Decimal { .. }, Value::String(string)) => format!("Decimal({})", text(string)),
        (FieldType::Date, Value::String(string)) if string == "today" => "utc_now().date()".to_owned(),
        (FieldType::DateTime, Value::String(string)) if string == "now" => "utc_now()".to_owned(),
        (FieldType::Date, Value::String(string)) => date(string),
        (FieldType::Time, Value::String(string)) => format!("dt.time.fromisoformat({})", text(string)),
        (FieldType::DateTime, Value::String(string)) => format!("dt.datetime.fromisoformat({})", text(string)),
        (FieldType::Uuid, Value::String(string)) => format!("UUID({})", text(string)),
        (FieldType::Float, Value::Number(number)) if !number.is_f64() => format!("{number}.0"),
        _ => value(json),
    }
}

/// A calendar date.
fn date(iso: &str) -> String {
    let parts: Vec<u32> = iso.split('-').filter_map(|part| part.parse().ok()).collect();
    match parts.as_slice() {
        [year, month, day] => format!("dt.date({year}, {month}, {day})"),
        _ => format!("dt.date.fromisoformat({})", text(iso)),
    }
}

/// The documentation text of a module, class or function: escaped, its lines at most `width` wide.
pub(super) fn doc(text: &str, indent: usize) -> String {
    let escaped = text.trim().replace('\\', "\\\\").replace("\"\"\"", "'''").replace('\0', "");
    let escaped: String =
        escaped.chars().map(|letter| if is_invisible(letter) || (letter.is_control() && letter != '\n') { ' ' } else { letter }).collect();
    let mut escaped = escaped.trim().to_owned();
    if escaped.ends_with('"') {
        escaped.push(' ');
        escaped = escaped.trim_end().trim_end_matches('"').to_owned() + "'";
    }
    wrap(&escaped, 84 - indent).join(&format!("\n{:indent$}", "")).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Lines of at most `width` characters where words allow it; the text's own line breaks stay.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The first sentence of a text, on one line.
pub(super) fn headline(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = flat.find(". ").map_or(flat.len(), |place| place + 1);
    flat[..end].to_owned()
}

/// The text with its first letter in upper case.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The name of the alias that lists an enum field's values.
pub(super) fn enum_alias(class: &str, field: &Field) -> String {
    use heck::ToUpperCamelCase;
    format!("{class}{}", field.ident.to_upper_camel_case())
}

/// The type of the attribute that holds a field, without `None`.
pub(super) fn attribute_type(project: &Project<'_>, entity: &Entity, field: &Field) -> String {
    match &field.field_type {
        FieldType::Enum(_) => {
            let class = project.entity(&entity.name).map_or("", |names| names.class.as_str());
            enum_alias(class, field)
        }
        FieldType::Reference { entity: target, .. } => key_type(project, target, 0),
        other => plain_type(other).to_owned(),
    }
}

/// The type of an entity's key; a key may itself refer to another entity.
fn key_type(project: &Project<'_>, entity: &str, depth: u32) -> String {
    let Some(names) = project.entity(entity).filter(|_| depth < 8) else {
        return "int".to_owned();
    };
    match &names.entity.key().field_type {
        FieldType::Reference { entity, .. } => key_type(project, entity, depth + 1),
        FieldType::Enum(_) => "str".to_owned(),
        other => plain_type(other).to_owned(),
    }
}

/// The field type that is stored for a field: that of the key for a reference.
pub(super) fn stored_type<'a>(project: &'a Project<'_>, field_type: &'a FieldType) -> &'a FieldType {
    let mut found = field_type;
    for _ in 0..8 {
        let FieldType::Reference { entity, .. } = found else {
            break;
        };
        match project.entity(entity) {
            Some(names) => found = &names.entity.key().field_type,
            None => break,
        }
    }
    found
}

fn plain_type(field_type: &FieldType) -> &'static str {
    match field_type {
        FieldType::Text | FieldType::Email | FieldType::Url | FieldType::Enum(_) => "str",
        FieldType::Integer | FieldType::BigInteger | FieldType::Reference { .. } => "int",
        FieldType::Float => "float",
        FieldType::Decimal { .. } => "Decimal",
        FieldType::Boolean => "bool",
        FieldType::Date => "dt.date",
        FieldType::Time => "dt.time",
        FieldType::DateTime => "dt.datetime",
        FieldType::Uuid => "UUID",
        FieldType::List(item) => match **item {
            FieldType::Integer | FieldType::BigInteger => "list[int]",
            FieldType::Float => "list[float]",
            FieldType::Boolean => "list[bool]",
            FieldType::Object(_) | FieldType::Json | FieldType::List(_) | FieldType::Decimal { .. } => "list[Any]",
            _ => "list[str]",
        },
        FieldType::Object(_) => "dict[str, Any]",
        FieldType::Json => "Any",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_the_formatter_prefers() {
        assert_eq!(text("a"), "\"a\"");
        assert_eq!(text("say \"hi\""), "'say \"hi\"'");
        assert_eq!(text("it's \"so\""), "'it\\'s \"so\"'");
        assert_eq!(text("a\\b\n\0"), "\"a\\\\b\\n\\x00\"");
        assert_eq!(text("\u{200b}"), "\"\\u200b\"");
    }

    #[test]
    fn patterns_are_raw_where_they_hold_backslashes() {
        assert_eq!(pattern("^\\d+$"), "r\"^\\d+$\"");
        assert_eq!(pattern("^[0-9]$"), "\"^[0-9]$\"");
        assert_eq!(pattern("\\\""), "'\\\\\"'");
    }

    #[test]
    fn documentation_cannot_end_the_literal_early() {
        assert_eq!(doc("a \"\"\" b \\ \"c\"", 4), "a ''' b \\\\ \"c'");
    }

    #[test]
    fn headlines_are_one_sentence() {
        assert_eq!(headline("One\ntwo. Three."), "One two.");
        assert_eq!(sentence("one two."), "One two.");
    }
}
