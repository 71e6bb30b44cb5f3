//! Comparisons with their types: which side is a field, which a constant, and whether the two can be compared at all.

use serde_json::Value;

use super::rule_condition::{Raw, Trouble};
use super::{field, values};
use crate::model::rule::{Comparison, Condition, Expression};
use crate::model::{Entity, Field, FieldType};

/// What a value is, as far as comparing goes.
#[derive(Debug, Clone, PartialEq)]
enum Sort {
    Number,
    Text,
    Boolean,
    Date,
    Time,
    DateTime,
    Enum,
    Uuid,
    Reference(String),
    Json,
}

impl Sort {
    fn of(field_type: &FieldType) -> Self {
        match field_type {
            FieldType::Text | FieldType::Email | FieldType::Url => Self::Text,
            FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal { .. } => Self::Number,
            FieldType::Boolean => Self::Boolean,
            FieldType::Date => Self::Date,
            FieldType::Time => Self::Time,
            FieldType::DateTime => Self::DateTime,
            FieldType::Uuid => Self::Uuid,
            FieldType::Enum(_) => Self::Enum,
            FieldType::Reference { entity, .. } => Self::Reference(entity.clone()),
            FieldType::List(_) | FieldType::Object(_) | FieldType::Json => Self::Json,
        }
    }

    /// True when values have an order that every database agrees on.
    fn ordered(&self) -> bool {
        matches!(self, Self::Number | Self::Date | Self::Time | Self::DateTime)
    }

    fn words(&self) -> String {
        match self {
            Self::Number => "a number".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Date => "a date".to_owned(),
            Self::Time => "a time".to_owned(),
            Self::DateTime => "an instant".to_owned(),
            Self::Enum => "an enum".to_owned(),
            Self::Uuid => "a UUID".to_owned(),
            Self::Reference(entity) => format!("a reference to {entity}"),
            Self::Json => "JSON".to_owned(),
        }
    }
}

/// A checked comparison.
pub(super) fn compare(entity: &Entity, left: &Raw, comparison: Comparison, right: &Raw) -> Result<Condition, Trouble> {
    let (left_field, right_field) = sides(entity, left, right);
    let (left_value, left_sort) = typed(entity, left, left_field, right_field)?;
    let (right_value, right_sort) = typed(entity, right, right_field, left_field)?;
    let wrong = |message: String, hint: &str| Err(Trouble::wrong("rule-type", message, left.position(), hint));
    if !mentions_field(&left_value) && !mentions_field(&right_value) {
        return wrong("this compares two constants".to_owned(), "name a field on one side");
    }
    if left_sort != right_sort {
        return wrong(format!("{} cannot be compared with {}", left_sort.words(), right_sort.words()), "compare values of one type");
    }
    if left_sort == Sort::Json {
        return wrong("lists, objects and JSON cannot be compared".to_owned(), "compare plain fields, or use `is present`");
    }
    let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    if !equality && !left_sort.ordered() {
        return wrong(format!("{} has no order", left_sort.words()), "use `=` or `!=`");
    }
    Ok(Condition::Compare { left: left_value, comparison, right: right_value })
}

/// The fields that stand on the two sides. A word that is a field and also a value of the other side's enum is the value.
fn sides<'e>(entity: &'e Entity, left: &Raw, right: &Raw) -> (Option<&'e Field>, Option<&'e Field>) {
    let find = |raw: &Raw| match raw {
        Raw::Word(name, _) => field::named(&entity.fields, name),
        _ => None,
    };
    let (left_field, right_field) = (find(left), find(right));
    if left_field.is_some_and(|field| is_value(field, right)) {
        (left_field, None)
    } else if right_field.is_some_and(|field| is_value(field, left)) {
        (None, right_field)
    } else {
        (left_field, right_field)
    }
}

fn is_value(field: &Field, raw: &Raw) -> bool {
    match (&field.field_type, raw) {
        (FieldType::Enum(values), Raw::Word(word, _)) => values.contains(word),
        _ => false,
    }
}

/// The expression and its type, given the field on the other side.
fn typed(entity: &Entity, raw: &Raw, field: Option<&Field>, other: Option<&Field>) -> Result<(Expression, Sort), Trouble> {
    if let Some(field) = field {
        return Ok((Expression::Field(field.name.clone()), Sort::of(&field.field_type)));
    }
    match raw {
        Raw::Word(word, position) => {
            let constant = match word.to_lowercase().as_str() {
                "today" => Some((Expression::Today, Sort::Date)),
                "now" => Some((Expression::Now, Sort::DateTime)),
                "true" => Some((Expression::Literal(Value::Bool(true)), Sort::Boolean)),
                "false" => Some((Expression::Literal(Value::Bool(false)), Sort::Boolean)),
                _ => None,
            };
            if let Some(constant) = constant {
                return Ok(constant);
            }
            let Some(other) = other.filter(|other| !matches!(Sort::of(&other.field_type), Sort::Text | Sort::Number | Sort::Json)) else {
                return Err(unknown(entity, word, *position, other));
            };
            literal(word, other)
                .map_err(|reason| Trouble::wrong("unknown-value", reason, *position, "write a value of its type, or a field"))
        }
        Raw::Number(number, position) => {
            // An enum may have values such as `1`.
            if let Some(other) = other.filter(|other| Sort::of(&other.field_type) == Sort::Enum) {
                return literal(number, other)
                    .map_err(|reason| Trouble::wrong("unknown-value", reason, *position, "use one of its values"));
            }
            let value = values::number(number).map_or(Value::Null, Value::Number);
            Ok((Expression::Literal(value), Sort::Number))
        }
        Raw::Quoted(text, position) => match other {
            Some(other) if Sort::of(&other.field_type) != Sort::Number => {
                literal(text, other).map_err(|reason| Trouble::wrong("unknown-value", reason, *position, "correct the value"))
            }
            _ => Ok((Expression::Literal(Value::from(text.as_str())), Sort::Text)),
        },
        Raw::Arithmetic(left, operator, right) => arithmetic(entity, left, *operator, right),
    }
}

fn arithmetic(entity: &Entity, left: &Raw, operator: char, right: &Raw) -> Result<(Expression, Sort), Trouble> {
    let (left_field, right_field) = sides(entity, left, right);
    let (left_value, left_sort) = typed(entity, left, left_field, None)?;
    let (right_value, right_sort) = typed(entity, right, right_field, None)?;
    if let Some(sort) = [left_sort, right_sort].into_iter().find(|sort| *sort != Sort::Number) {
        let message = format!("`{operator}` works on numbers, not on {}", sort.words());
        return Err(Trouble::wrong("rule-type", message, left.position(), "use number fields and constants"));
    }
    Ok((Expression::Arithmetic { left: Box::new(left_value), operator, right: Box::new(right_value) }, Sort::Number))
}

fn literal(text: &str, field: &Field) -> Result<(Expression, Sort), String> {
    let value = values::of_type(text, &field.field_type)?;
    Ok((Expression::Literal(value), Sort::of(&field.field_type)))
}

fn unknown(entity: &Entity, word: &str, position: crate::model::Position, other: Option<&Field>) -> Trouble {
    let mut finding = field::unknown(&entity.fields, &entity.name, word, position);
    if other.is_some_and(|other| Sort::of(&other.field_type) == Sort::Text) {
        finding.hint = format!("{}, or put text in quotes: \"{word}\"", finding.hint.trim_end_matches('?'));
    }
    Trouble::Wrong(Box::new(finding))
}

fn mentions_field(expression: &Expression) -> bool {
    match expression {
        Expression::Field(_) => true,
        Expression::Arithmetic { left, right, .. } => mentions_field(left) || mentions_field(right),
        Expression::Literal(_) | Expression::Today | Expression::Now => false,
    }
}
