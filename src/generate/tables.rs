//! The tables that a specification needs, as data: what models and migrations are both written from, and what the next
//! migration is compared with.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::conditions::Conditions;
use super::project::{EntityNames, Project};
use super::{python, sql};
use crate::model::entity::{Field, FieldSource, FieldType, Limits, OnDelete};
use crate::model::rule::RuleKind;

/// The longest name that PostgreSQL keeps whole.
const NAME_MAX: usize = 63;

/// The longest text that is kept in a column of limited length; longer ones are unlimited and checked.
const STRING_MAX: u64 = 10_000;

/// All tables of a project, in an order where referred ones come first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// The form of this document.
    pub(super) format: u32,
    pub(super) tables: Vec<Table>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) primary_key: Key,
    #[serde(default)]
    pub(super) uniques: Vec<Key>,
    #[serde(default)]
    pub(super) checks: Vec<Check>,
    #[serde(default)]
    pub(super) foreign_keys: Vec<ForeignKey>,
    #[serde(default)]
    pub(super) indexes: Vec<Key>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: ColumnKind,
    pub(super) nullable: bool,
    /// SQL of the default, when the database fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<String>,
    /// True when the database numbers the rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) numbered: bool,
}

/// Portable column types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ColumnKind {
    Text,
    String(u64),
    Integer,
    BigInteger,
    Double,
    Decimal(u32, u32),
    Boolean,
    Date,
    Time,
    Instant,
    Uuid,
    Json,
}

/// A named list of columns: a key, a unique constraint or an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

/// A named condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) sql: String,
}

/// A reference to another table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) column: String,
    pub(super) table: String,
    pub(super) target: String,
    pub(super) on_delete: String,
    /// True when the two tables refer to each other, so that neither can be made with both references at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) circular: bool,
}

impl Column {
    /// The type as a model writes it.
    pub(super) fn model_type(&self) -> String {
        match &self.kind {
            ColumnKind::Text => "Text".to_owned(),
            ColumnKind::String(length) => format!("String({length})"),
            ColumnKind::Integer => "Integer".to_owned(),
            ColumnKind::BigInteger if self.numbered => "BigKey".to_owned(),
            ColumnKind::BigInteger => "BigInteger".to_owned(),
            ColumnKind::Double => "Double".to_owned(),
            ColumnKind::Decimal(precision, scale) => format!("FixedPoint({precision}, {scale})"),
            ColumnKind::Boolean => "Boolean".to_owned(),
            ColumnKind::Date => "Date".to_owned(),
            ColumnKind::Time => "Time".to_owned(),
            ColumnKind::Instant => "UtcDateTime".to_owned(),
            ColumnKind::Uuid => "Uuid".to_owned(),
            ColumnKind::Json => "Json".to_owned(),
        }
    }

    /// The type as a migration writes it: nothing of the application, which may have changed since.
    pub(super) fn migration_type(&self) -> String {
        match &self.kind {
            ColumnKind::Text => "sa.Text()".to_owned(),
            ColumnKind::String(length) => format!("sa.String({length})"),
            ColumnKind::Integer => "sa.Integer()".to_owned(),
            ColumnKind::BigInteger if self.numbered => "sa.BigInteger().with_variant(sa.Integer(), \"sqlite\")".to_owned(),
            ColumnKind::BigInteger => "sa.BigInteger()".to_owned(),
            ColumnKind::Double => "sa.Double()".to_owned(),
            ColumnKind::Decimal(precision, scale) => format!("sa.Numeric({precision}, {scale})"),
            ColumnKind::Boolean => "sa.Boolean()".to_owned(),
            ColumnKind::Date => "sa.Date()".to_owned(),
            ColumnKind::Time => "sa.Time()".to_owned(),
            ColumnKind::Instant => "sa.DateTime(timezone=True)".to_owned(),
            ColumnKind::Uuid => "sa.Uuid()".to_owned(),
            ColumnKind::Json => "sa.JSON(none_as_null=True)".to_owned(),
        }
    }
}

/// The tables of a project.
pub(super) fn snapshot(project: &Project<'_>) -> Snapshot {
    let order = project.table_order();
    Snapshot { format: 1, tables: order.into_iter().map(|(number, _)| table(project, &project.entities[number])).collect() }
}

/// The table of one entity.
pub(super) fn table(project: &Project<'_>, names: &EntityNames<'_>) -> Table {
    let entity = names.entity;
    let mut table = Table {
        name: entity.table.clone(),
        columns: entity.fields.iter().map(|field| column(project, names, field)).collect(),
        primary_key: Key { name: short(&format!("pk_{}", entity.table)), columns: vec![names.key().to_owned()] },
        uniques: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
    };
    for field in &entity.fields {
        let column = names.attribute(&field.name);
        if field.unique && !field.primary_key {
            unique(&mut table, vec![column.to_owned()]);
        }
        limits(&mut table, column, field);
        if let FieldType::Reference { entity: target, on_delete } = &field.field_type
            && let Some(target) = project.entity(target)
        {
            table.foreign_keys.push(ForeignKey {
                name: short(&format!("fk_{}_{column}_{}", entity.table, target.entity.table)),
                column: column.to_owned(),
                table: target.entity.table.clone(),
                target: target.key().to_owned(),
                on_delete: match on_delete {
                    OnDelete::SetNull if !field.required => "SET NULL",
                    OnDelete::Cascade => "CASCADE",
                    _ => "RESTRICT",
                }
                .to_owned(),
                circular: target.entity.name != entity.name && project.entangled(&entity.name, &target.entity.name),
            });
        }
    }
    rules(project, names, &mut table);
    indexes(names, &mut table);
    table
}

fn column(project: &Project<'_>, names: &EntityNames<'_>, field: &Field) -> Column {
    let stored = python::stored_type(project, &field.field_type);
    let reference = matches!(field.field_type, FieldType::Reference { .. });
    let numbered = field.primary_key
        && field.source == FieldSource::OnCreate
        && !reference
        && matches!(stored, FieldType::Integer | FieldType::BigInteger);
    let source = if reference { key_field(project, &field.field_type).unwrap_or(field) } else { field };
    Column {
        name: names.attribute(&field.name).to_owned(),
        kind: kind(stored, &source.limits),
        nullable: !field.required && !field.primary_key,
        default: field.default.as_ref().and_then(|default| default_sql(default, stored)),
        numbered,
    }
}

/// The key field that a reference finally leads to.
fn key_field<'a>(project: &'a Project<'_>, field_type: &'a FieldType) -> Option<&'a Field> {
    let mut found = None;
    let mut field_type = field_type;
    for _ in 0..8 {
        let FieldType::Reference { entity, .. } = field_type else {
            break;
        };
        let key = project.entity(entity)?.entity.key();
        field_type = &key.field_type;
        found = Some(key);
    }
    found
}

fn kind(field_type: &FieldType, limits: &Limits) -> ColumnKind {
    match field_type {
        FieldType::Text | FieldType::Email | FieldType::Url => match limits.length_max {
            Some(length) if length <= STRING_MAX => ColumnKind::String(length.max(1)),
            _ => ColumnKind::Text,
        },
        FieldType::Enum(values) => ColumnKind::String(values.iter().map(|value| value.chars().count() as u64).max().unwrap_or(1).max(1)),
        FieldType::Integer => ColumnKind::Integer,
        FieldType::BigInteger | FieldType::Reference { .. } => ColumnKind::BigInteger,
        FieldType::Float => ColumnKind::Double,
        FieldType::Decimal { precision, scale } => ColumnKind::Decimal(*precision, *scale),
        FieldType::Boolean => ColumnKind::Boolean,
        FieldType::Date => ColumnKind::Date,
        FieldType::Time => ColumnKind::Time,
        FieldType::DateTime => ColumnKind::Instant,
        FieldType::Uuid => ColumnKind::Uuid,
        FieldType::List(_) | FieldType::Object(_) | FieldType::Json => ColumnKind::Json,
    }
}

fn default_sql(default: &Value, field_type: &FieldType) -> Option<String> {
    match (default, field_type) {
        (Value::Null, _) => None,
        (value, FieldType::List(_) | FieldType::Object(_) | FieldType::Json) => Some(sql::text(&value.to_string())),
        (_, FieldType::DateTime | FieldType::Time | FieldType::Uuid) => None,
        (Value::String(text), FieldType::Date) if text == "today" => None,
        (Value::Bool(flag), _) => Some(flag.to_string()),
        (Value::Number(number), _) => Some(number.to_string()),
        (Value::String(text), FieldType::Decimal { .. }) => Some(text.clone()),
        (Value::String(text), _) => Some(sql::text(text)),
        _ => None,
    }
}

fn limits(table: &mut Table, column: &str, field: &Field) {
    let sql = sql::quoted(column);
    let limits = &field.limits;
    let mut add = |suffix: &str, condition: String| {
        let name = short(&format!("ck_{}_{column}_{suffix}", table.name));
        table.checks.push(Check { name, sql: condition });
    };
    match &field.field_type {
        FieldType::Enum(values) => {
            add("values", format!("{sql} IN ({})", values.iter().map(|value| sql::text(value)).collect::<Vec<_>>().join(", ")));
        }
        FieldType::Text | FieldType::Email | FieldType::Url => match (limits.length_min.filter(|least| *least > 0), limits.length_max) {
            (Some(least), Some(most)) => add("length", format!("length({sql}) BETWEEN {least} AND {most}")),
            (Some(least), None) => add("length", format!("length({sql}) >= {least}")),
            (None, Some(most)) => add("length", format!("length({sql}) <= {most}")),
            (None, None) => {}
        },
        FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal { .. } => {
            let least = limits.min.as_ref().map(|least| format!("{sql} {} {least}", if limits.min_exclusive { ">" } else { ">=" }));
            let most = limits.max.as_ref().map(|most| format!("{sql} {} {most}", if limits.max_exclusive { "<" } else { "<=" }));
            match (least, most, &limits.min, &limits.max) {
                (Some(_), Some(_), Some(min), Some(max)) if !limits.min_exclusive && !limits.max_exclusive => {
                    add("range", format!("{sql} BETWEEN {min} AND {max}"));
                }
                (Some(least), Some(most), ..) => add("range", format!("{least} AND {most}")),
                (Some(one), None, ..) | (None, Some(one), ..) => add("range", one),
                _ => {}
            }
        }
        _ => {}
    }
}

fn rules(project: &Project<'_>, names: &EntityNames<'_>, table: &mut Table) {
    let conditions = Conditions { project, names };
    for rule in project.rules_of(&names.entity.name) {
        let sql = match &rule.kind {
            RuleKind::Check(condition) => conditions.sql(condition),
            RuleKind::RequiredWhen { field, when } => {
                conditions.sql(when).map(|when| format!("NOT ({when}) OR {} IS NOT NULL", sql::quoted(names.attribute(field))))
            }
            RuleKind::Implies { when, then } => match (conditions.sql(when), conditions.sql(then)) {
                (Some(when), Some(then)) => Some(format!("NOT ({when}) OR {then}")),
                _ => None,
            },
            RuleKind::Unique(fields) => {
                unique(table, fields.iter().map(|field| names.attribute(field).to_owned()).collect());
                None
            }
            _ => None,
        };
        if let Some(sql) = sql {
            let rule_name = rule.ident.strip_prefix(&format!("{}_", names.entity.ident)).unwrap_or(&rule.ident);
            table.checks.push(Check { name: short(&format!("ck_{}_{rule_name}", table.name)), sql });
        }
    }
}

fn unique(table: &mut Table, columns: Vec<String>) {
    let known = table.uniques.iter().any(|key| key.columns == columns) || table.primary_key.columns == columns;
    if !known {
        table.uniques.push(Key { name: short(&format!("uq_{}_{}", table.name, columns.join("_"))), columns });
    }
}

/// Indexes for references, filters and sort orders that no key serves already.
fn indexes(names: &EntityNames<'_>, table: &mut Table) {
    for field in &names.entity.fields {
        let column = names.attribute(&field.name);
        let wanted = field.indexed || matches!(field.field_type, FieldType::Reference { .. });
        let plain = !matches!(field.field_type, FieldType::List(_) | FieldType::Object(_) | FieldType::Json);
        let served = table.uniques.iter().chain([&table.primary_key]).any(|key| key.columns.first().is_some_and(|first| first == column));
        if wanted && plain && !served {
            table.indexes.push(Key { name: short(&format!("ix_{}_{column}", table.name)), columns: vec![column.to_owned()] });
        }
    }
}

/// SQL of values that existing rows may be given in columns that need one: nothing, zero, false, the first choice.
pub(super) fn neutral(project: &Project<'_>) -> super::migration_steps::Neutral {
    let mut found = super::migration_steps::Neutral::new();
    for names in &project.entities {
        let single = project.rules_of(&names.entity.name).filter_map(|rule| match &rule.kind {
            RuleKind::Unique(fields) if fields.len() == 1 => fields.first(),
            _ => None,
        });
        let single: Vec<&String> = single.collect();
        for field in names.entity.fields.iter().filter(|field| !field.unique && !field.primary_key && !single.contains(&&field.name)) {
            if let Some(sql) = neutral_value(field) {
                found.insert((names.entity.table.clone(), names.attribute(&field.name).to_owned()), sql);
            }
        }
    }
    found
}

fn neutral_value(field: &Field) -> Option<String> {
    let limits = &field.limits;
    let whole = |number: &serde_json::Number| number.as_i64();
    match &field.field_type {
        FieldType::Text if limits.pattern.is_none() => {
            let length = usize::try_from(limits.length_min.unwrap_or(0).min(100)).unwrap_or(0);
            Some(sql::text(&"-".repeat(length)))
        }
        FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal { .. } if limits.multiple_of.is_none() => {
            let least = limits.min.as_ref().map_or(Some(0), whole)?.max(0) + i64::from(limits.min_exclusive);
            let most = limits.max.as_ref().map_or(Some(i64::MAX), whole)?;
            Some(if most < least { most } else { least }.to_string())
        }
        FieldType::Boolean => Some("false".to_owned()),
        FieldType::Enum(values) => values.first().map(|value| sql::text(value)),
        FieldType::List(_) if limits.length_min.unwrap_or(0) == 0 => Some("'[]'".to_owned()),
        FieldType::DateTime if field.source != FieldSource::Client => Some("CURRENT_TIMESTAMP".to_owned()),
        _ => None,
    }
}

/// A name that both databases keep whole: a long one ends in a part of its hash.
pub(super) fn short(name: &str) -> String {
    if name.len() <= NAME_MAX {
        return name.to_owned();
    }
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    format!("{}_{}", &name[..NAME_MAX - 9], &digest[..8])
}
