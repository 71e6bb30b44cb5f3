//! Business rules in the documented syntax, parsed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Position;

/// One rule of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Stable key, for example `Book/published-on-required-when-status-published`.
    pub key: String,
    /// snake_case, safe as part of a function or constraint name, unique within the document, at most 40 characters.
    pub ident: String,
    /// The entity it holds for.
    pub entity: String,
    /// The rule as written.
    pub text: String,
    /// What it demands.
    pub kind: RuleKind,
    /// Where it stands.
    pub position: Position,
}

/// What a rule demands, and the status that answers a violation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// Every row fulfils the condition (422).
    Check(Condition),
    /// A row that fulfils `when` has a value in `field` (422).
    RequiredWhen {
        /// The field that must have a value.
        field: String,
        /// When it must.
        when: Condition,
    },
    /// A row that fulfils `when` also fulfils `then` (422).
    Implies {
        /// When.
        when: Condition,
        /// What then holds.
        then: Condition,
    },
    /// No two rows agree in all these fields (409).
    Unique(Vec<String>),
    /// The field moves only along these edges (409); the first state named is the initial one.
    Transitions {
        /// The enum field.
        field: String,
        /// From and to.
        edges: Vec<(String, String)>,
    },
    /// The field may not change after creation (409).
    Immutable {
        /// The field.
        field: String,
    },
    /// A row may be changed only while it fulfils the condition (409).
    ChangeOnlyWhen(Condition),
    /// A row may be deleted only while it fulfils the condition (409).
    DeleteOnlyWhen(Condition),
    /// At most `limit` rows share a value of `per` while they fulfil `when` (409).
    AtMost {
        /// The limit.
        limit: u64,
        /// The field they share.
        per: String,
        /// Which rows count.
        when: Option<Condition>,
    },
}

impl RuleKind {
    /// The HTTP status that answers a violation.
    pub fn status(&self) -> u16 {
        match self {
            Self::Check(_) | Self::RequiredWhen { .. } | Self::Implies { .. } => 422,
            _ => 409,
        }
    }
}

/// A condition on one row. Comparisons with an absent value hold (as a CHECK does).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Two expressions compare so.
    Compare {
        /// Left.
        left: Expression,
        /// How.
        comparison: Comparison,
        /// Right.
        right: Expression,
    },
    /// The field is one of these values.
    OneOf {
        /// The field.
        field: String,
        /// The values.
        values: Vec<Value>,
    },
    /// The field has a value.
    Present(String),
    /// The field has none.
    Absent(String),
    /// All hold.
    All(Vec<Condition>),
    /// One holds.
    Any(Vec<Condition>),
}

/// How two expressions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value computed from one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expression {
    /// A field's value.
    Field(String),
    /// A constant.
    Literal(Value),
    /// Today's date (for date fields).
    Today,
    /// This instant (for date-time fields).
    Now,
    /// Left plus, minus or times right.
    Arithmetic {
        /// Left.
        left: Box<Expression>,
        /// `+`, `-` or `*`.
        operator: char,
        /// Right.
        right: Box<Expression>,
    },
}
