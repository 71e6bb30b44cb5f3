//! Shapes: the JSON values that travel over HTTP. A restricted JSON Schema with references kept by name.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Position;
use super::entity::Limits;

/// A named shape (an OpenAPI component, or one derived from an entity).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The name as the source writes it, unique.
    pub name: String,
    /// CamelCase, safe as a class name in every target, unique.
    pub class: String,
    /// What it is.
    pub description: String,
    /// Its shape.
    pub shape: Shape,
    /// What it is used for.
    pub role: SchemaRole,
    /// The entity it shows or changes.
    pub entity: Option<String>,
    /// Where it stands; none when it was derived.
    pub position: Option<Position>,
}

/// What a schema is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaRole {
    /// Shows a stored row.
    Read,
    /// Makes a row.
    Create,
    /// Replaces or changes a row.
    Update,
    /// A page or list of rows.
    Page,
    /// An error.
    Error,
    /// Anything else.
    Value,
}

/// A JSON value's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// What it is.
    pub kind: ShapeKind,
    /// True when `null` is allowed too.
    pub nullable: bool,
    /// The value that stands for an absent one.
    pub default: Option<Value>,
    /// What it means.
    pub description: Option<String>,
    /// An example of the source.
    pub example: Option<Value>,
    /// True when only responses carry it.
    pub read_only: bool,
    /// True when only requests carry it.
    pub write_only: bool,
}

impl Shape {
    /// A shape of this kind: not nullable, without default.
    pub fn of(kind: ShapeKind) -> Self {
        Self { kind, nullable: false, default: None, description: None, example: None, read_only: false, write_only: false }
    }
}

/// The kinds of JSON value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShapeKind {
    /// Any value.
    Any,
    /// True or false.
    Boolean,
    /// A whole number; `format` is `int32`, `int64` or none.
    Integer {
        /// The source's format.
        format: Option<String>,
        /// Its limits.
        limits: Limits,
        /// Allowed values; empty means all.
        values: Vec<i64>,
    },
    /// A number; `format` is `float`, `double`, `decimal` or none.
    Number {
        /// The source's format.
        format: Option<String>,
        /// Its limits.
        limits: Limits,
    },
    /// Text; `format` is the source's (`date`, `date-time`, `uuid`, `email`, `uri`, `password`, `byte`, `binary`, …).
    Text {
        /// The source's format.
        format: Option<String>,
        /// Its limits.
        limits: Limits,
        /// Allowed values; empty means all.
        values: Vec<String>,
    },
    /// A list.
    Array {
        /// Each item's shape.
        items: Box<Shape>,
        /// How many items.
        limits: Limits,
        /// True when no two items are equal.
        unique: bool,
    },
    /// An object with known properties.
    Object(ObjectShape),
    /// The schema of that name.
    Reference(String),
    /// Exactly one (or any) of these.
    OneOf {
        /// The alternatives.
        variants: Vec<Shape>,
        /// The property that tells them apart.
        discriminator: Option<String>,
    },
}

/// An object's properties, `allOf` already merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectShape {
    /// The known properties, in source order.
    pub properties: Vec<Property>,
    /// What other properties may hold.
    pub additional: Additional,
}

/// What properties other than the known ones may hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Additional {
    /// Anything; it is ignored and not stored.
    #[default]
    Ignored,
    /// There may be none.
    Forbidden,
    /// Values of this shape.
    Values(Box<Shape>),
}

/// A property of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// The name on the wire.
    pub name: String,
    /// snake_case, safe as an identifier in every target, unique within the object.
    pub ident: String,
    /// True when it may not be absent.
    pub required: bool,
    /// Its shape.
    pub shape: Shape,
}
