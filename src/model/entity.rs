//! Entities: what the built service stores.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Position;

/// A stored thing: one table, one model class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// The name in CamelCase as the source writes it, unique after case folding.
    pub name: String,
    /// snake_case singular, safe as an identifier in every target: `[a-z][a-z0-9_]*`, unique.
    pub ident: String,
    /// snake_case plural, the table's name, unique.
    pub table: String,
    /// What it is.
    pub description: String,
    /// Its fields; exactly one has `primary_key`.
    pub fields: Vec<Field>,
    /// Where it stands; none when it was derived.
    pub position: Option<Position>,
}

impl Entity {
    /// The field of that wire name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The primary key.
    pub fn key(&self) -> &Field {
        self.fields.iter().find(|field| field.primary_key).expect("ingest gives every entity a primary key")
    }
}

/// A column and property of an entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent column constraint")]
pub struct Field {
    /// The name on the wire, as the source writes it.
    pub name: String,
    /// snake_case, safe as an identifier in every target, unique within the entity.
    pub ident: String,
    /// The type.
    pub field_type: FieldType,
    /// True when a stored row always has a value (the column is `not null`).
    pub required: bool,
    /// True when it identifies the row.
    pub primary_key: bool,
    /// True when no two rows share a value.
    pub unique: bool,
    /// True when an index is asked for or a filter uses it.
    pub indexed: bool,
    /// Who writes it.
    pub source: FieldSource,
    /// The value of a new row when none is given.
    pub default: Option<Value>,
    /// Limits on the value.
    pub limits: Limits,
    /// True when responses never show it (a password hash).
    pub write_only: bool,
    /// True when it may not change after creation.
    pub immutable: bool,
    /// What it is.
    pub description: String,
    /// Where it stands; none when it was derived.
    pub position: Option<Position>,
}

/// Who writes a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldSource {
    /// The caller.
    Client,
    /// The service, when the row is made: its default, else null when it is not required, else a fresh key or this instant.
    /// Callers never send it; actions may set it later.
    OnCreate,
    /// The service, at every change (`updated_at`).
    OnUpdate,
}

/// Limits on a value; absent means none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Fewest characters or items.
    pub length_min: Option<u64>,
    /// Most characters or items.
    pub length_max: Option<u64>,
    /// Least value, as the source writes it.
    pub min: Option<serde_json::Number>,
    /// Greatest value.
    pub max: Option<serde_json::Number>,
    /// True when `min` itself is not allowed.
    pub min_exclusive: bool,
    /// True when `max` itself is not allowed.
    pub max_exclusive: bool,
    /// The value is a multiple of this.
    pub multiple_of: Option<serde_json::Number>,
    /// A regular expression (ECMA 262) that the text contains a match of.
    pub pattern: Option<String>,
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text; short or unlimited is decided by `Limits::length_max`.
    Text,
    /// Text that is an e-mail address.
    Email,
    /// Text that is an absolute URL.
    Url,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInteger,
    /// A floating point number of 64 bits.
    Float,
    /// A decimal number: digits in all, digits after the point.
    Decimal {
        /// Digits in all.
        precision: u32,
        /// Digits after the point.
        scale: u32,
    },
    /// True or false.
    Boolean,
    /// A calendar date.
    Date,
    /// A time of day.
    Time,
    /// An instant, with its offset.
    DateTime,
    /// A UUID.
    Uuid,
    /// One of these texts.
    Enum(Vec<String>),
    /// A reference to another entity's primary key.
    Reference {
        /// The other entity's name.
        entity: String,
        /// What happens when the other row goes.
        on_delete: OnDelete,
    },
    /// A list of values, stored as JSON.
    List(Box<FieldType>),
    /// A nested object, stored as JSON.
    Object(Vec<Field>),
    /// Any JSON value.
    Json,
}

/// What happens to a row when the row it refers to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// The deletion is refused (409).
    Restrict,
    /// The row goes too.
    Cascade,
    /// The reference becomes null.
    SetNull,
}
