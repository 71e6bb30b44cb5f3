//! One row of an entity's table as a checked field.

use std::collections::BTreeMap;

use serde_json::Number;

use super::draft::DraftField;
use super::entity::Known;
use super::field_rules::{self, FieldRules};
use super::{field_type, names, values};
use crate::model::entity::FieldSource;
use crate::model::{Field, FieldType, Finding, OnDelete, Position};

/// What a row stands in.
pub(super) struct Surroundings<'k> {
    /// Its entity.
    pub(super) entity: &'k Known,
    /// All declared entities by identifier.
    pub(super) known: &'k BTreeMap<String, Known>,
    /// True when it is a part of an object.
    pub(super) nested: bool,
}

/// True when a rules column declares the primary key.
pub(super) fn primary_key(rules: &str) -> bool {
    field_rules::split(rules).iter().any(|(_, part)| part.eq_ignore_ascii_case("primary key"))
}

/// The entity that a field refers to.
pub(super) fn target(field: &Field) -> Option<&str> {
    match &field.field_type {
        FieldType::Reference { entity, .. } => Some(entity),
        _ => None,
    }
}

/// Reads a row; `name` is the last part of its dotted name.
pub(super) fn read(written: &DraftField, name: &str, surroundings: &Surroundings<'_>, findings: &mut Vec<Finding>) -> Option<Field> {
    let resolve = |name: &str| surroundings.known.get(&names::ident(name)).map(|known| known.name.clone());
    let rules = field_rules::parse(&written.rules, findings);
    let typed = match field_type::parse(&written.field_type, &resolve) {
        Ok(typed) => typed,
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };
    let many = name.strip_suffix("[]");
    let mut field = Field {
        name: many.unwrap_or(name).to_owned(),
        ident: String::new(),
        field_type: typed.field_type,
        required: rules.required,
        primary_key: false,
        unique: rules.unique,
        indexed: rules.indexed,
        source: if rules.read_only { FieldSource::OnCreate } else { FieldSource::Client },
        default: None,
        limits: rules.limits.clone(),
        write_only: rules.write_only,
        immutable: rules.immutable,
        description: written.description.clone(),
        position: Some(written.name.position),
    };
    if many.is_some() {
        field.field_type = FieldType::List(Box::new(field.field_type));
    }
    field.limits.length_max = field.limits.length_max.or(typed.length_max.filter(|_| many.is_none()));
    refer(&mut field, &rules, surroundings, findings);
    let refusals = refusals(&field, &rules, surroundings.nested);
    findings.extend(refusals.into_iter().map(|(code, message, hint)| Finding::error(code, message, Some(written.rules.position), hint)));
    if let Some(default) = &rules.default {
        match values::constant(&default.text, &field) {
            Ok(value) => field.default = Some(value),
            Err(reason) => {
                let message = format!("the default of `{name}` does not fit: {reason}");
                findings.push(Finding::error("bad-default", message, Some(default.position), "correct the value or the type"));
            }
        }
    }
    if rules.primary_key {
        make_key(&mut field, findings);
    }
    Some(field)
}

/// Makes a field the primary key of its entity.
pub(super) fn make_key(field: &mut Field, findings: &mut Vec<Finding>) {
    field.primary_key = true;
    field.required = true;
    match &field.field_type {
        FieldType::Uuid | FieldType::Integer | FieldType::BigInteger => field.source = FieldSource::OnCreate,
        FieldType::Text => field.limits.length_min = field.limits.length_min.or(Some(1)),
        _ => {
            let message = format!("`{}` cannot be the primary key", field.name);
            findings.push(Finding::error("key-type", message, field.position, "a key is a uuid, integer, bigint or string"));
        }
    }
}

/// Completes a reference: its wire name ends with the name of the other entity's key, and it is indexed.
fn refer(field: &mut Field, rules: &FieldRules, surroundings: &Surroundings<'_>, findings: &mut Vec<Finding>) {
    let FieldType::Reference { entity, on_delete } = &mut field.field_type else {
        if rules.on_delete.is_some() {
            let message = format!("`on delete` needs a reference, and `{}` is none", field.name);
            findings.push(Finding::error("bad-field-rule", message, field.position, "remove it, or make the type ref(…)"));
        }
        return;
    };
    *on_delete = rules.on_delete.unwrap_or(OnDelete::Restrict);
    let key = surroundings.known.values().find(|known| known.name == *entity).map_or("id", |known| known.key.as_str());
    if !field.name.ends_with(&format!("_{key}")) {
        field.name = format!("{}_{key}", field.name);
    }
    field.indexed = true;
    let refuse = |code: &str, message: String, hint: &str| Finding::error(code, message, field.position, hint);
    if rules.required && *on_delete == OnDelete::SetNull {
        let message = format!("`{}` is required, so a deletion cannot set it to null", field.name);
        findings.push(refuse("set-null-required", message, "remove `required`, or use `on delete restrict` or `cascade`"));
    }
    if rules.required && *entity == surroundings.entity.name {
        let message = format!("`{}` requires another {entity}, so the first one can never be created", field.name);
        findings.push(refuse("self-reference-required", message, "leave out `required`"));
        // The wider check for circles would report the same again.
        field.required = false;
    }
}

type Refusal = (&'static str, String, &'static str);

/// Rules that do not suit the field's type or place.
fn refusals(field: &Field, rules: &FieldRules, nested: bool) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |wrong: bool, message: String, hint: &'static str| {
        if wrong {
            refusals.push(("bad-field-rule", message, hint));
        }
    };
    let (name, limits) = (&field.name, &field.limits);
    let whole = matches!(field.field_type, FieldType::Integer | FieldType::BigInteger);
    let numeric = whole || matches!(field.field_type, FieldType::Float | FieldType::Decimal { .. });
    let text = matches!(field.field_type, FieldType::Text | FieldType::Email | FieldType::Url);
    let list = matches!(field.field_type, FieldType::List(_));
    let stored_as_json = list || matches!(field.field_type, FieldType::Object(_) | FieldType::Json);
    let bounds = [&limits.min, &limits.max, &limits.multiple_of];
    refuse(
        !numeric && bounds.iter().any(|bound| bound.is_some()),
        format!("`{name}` is no number, so it has no least or greatest value"),
        "use `length a..b` for text, or a rule for dates",
    );
    refuse(
        !text && !list && (rules.limits.length_min.is_some() || rules.limits.length_max.is_some()),
        format!("`{name}` has no length"),
        "use `min` and `max` for numbers",
    );
    refuse(!text && limits.pattern.is_some(), format!("`{name}` is no text, so it matches no pattern"), "remove the pattern");
    refuse(stored_as_json && (rules.unique || rules.indexed), format!("`{name}` cannot be unique or indexed"), "make it an entity");
    refuse(rules.write_only && rules.read_only, format!("`{name}` is both write only and read only"), "keep one of them");
    refuse(
        rules.read_only
            && rules.required
            && rules.default.is_none()
            && !matches!(field.field_type, FieldType::Uuid | FieldType::DateTime | FieldType::Date),
        format!("`{name}` is read only and required, but nothing gives it a value"),
        "add a default, or leave out `required`",
    );
    refuse(
        whole && bounds.iter().filter_map(|bound| bound.as_ref()).any(|bound| !fits(bound, &field.field_type)),
        format!("the limits of `{name}` are no whole numbers that it can hold"),
        "use whole numbers, or the type bigint or float",
    );
    let (min, max) = (limits.min.as_ref().and_then(Number::as_f64), limits.max.as_ref().and_then(Number::as_f64));
    refuse(min.zip(max).is_some_and(|(min, max)| min > max), format!("`{name}` has a minimum above its maximum"), "swap them");
    let own = rules.unique || rules.indexed || rules.primary_key || rules.immutable || rules.read_only || rules.write_only;
    refuse(
        nested && own,
        format!("`{name}` is a part of an object and cannot have this rule"),
        "put the rule on the object, or make it an entity",
    );
    refuse(
        nested && target(field).is_some(),
        format!("`{name}` is a part of an object and cannot be a reference"),
        "make the object an entity",
    );
    refuse(rules.primary_key && rules.default.is_some(), format!("the key `{name}` cannot have a default"), "remove the default");
    refusals
}

fn fits(bound: &Number, field_type: &FieldType) -> bool {
    bound.as_i64().is_some_and(|bound| *field_type == FieldType::BigInteger || i32::try_from(bound).is_ok())
}

/// The field of an entity that a rule or filter means: its wire name, or a reference's name without the key's.
pub(super) fn named<'f>(fields: &'f [Field], written: &str) -> Option<&'f Field> {
    let exact = fields.iter().find(|field| field.name == written);
    exact.or_else(|| {
        fields.iter().find(|field| {
            target(field).is_some()
                && field.name.strip_prefix(written).is_some_and(|rest| rest.starts_with('_') && !rest[1..].contains('_'))
        })
    })
}

/// The error for a field that does not exist.
pub(super) fn unknown(fields: &[Field], entity: &str, written: &str, position: Position) -> Finding {
    let names = fields.iter().map(|field| field.name.as_str());
    let hint = match super::nearest::nearest(written, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its fields are {}", names.collect::<Vec<_>>().join(", ")),
    };
    Finding::error("unknown-field", format!("{entity} has no field `{written}`"), Some(position), hint)
}
