//! What goes into a vector store and what is asked of it: collections, points, filters, searches.
//!
//! Made by `learning` and the projection. [`Filter`] has one constructor, which names the tenant: no search leaves its own.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::{OrganizationId, PatternKind};
use crate::store::postgres::pattern_vectors::VectorRow;

/// Steps between 0 and 1 in which the numbers of a vector are compared: a store may divide by the length once more than we did.
const CONTENT_STEPS: f64 = 10_000.0;

/// The collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// Units of work and how they were planned.
    TaskEmbeddings,
    /// Code that passed its checks, or failed them.
    CodePatterns,
    /// Whole plans that were finished.
    SuccessPatterns,
}

impl Collection {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TaskEmbeddings, Self::CodePatterns, Self::SuccessPatterns];

    /// Its name in every store.
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskEmbeddings => "task_embeddings",
            Self::CodePatterns => "code_patterns",
            Self::SuccessPatterns => "success_patterns",
        }
    }

    /// Where patterns of that kind go.
    pub fn of(kind: PatternKind) -> Self {
        match kind {
            PatternKind::Task => Self::TaskEmbeddings,
            PatternKind::Code => Self::CodePatterns,
            PatternKind::Sequence => Self::SuccessPatterns,
        }
    }
}

/// The vectors of one embedder; those of another one are another generation, in other collections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The embedder's model id.
    pub model_id: String,
    /// Numbers in a vector.
    pub dimension: usize,
}

impl Generation {
    /// The model id as a name that files and collections may have.
    pub(super) fn safe_name(&self) -> String {
        let safe = |character: char| if character.is_ascii_alphanumeric() || "-_.".contains(character) { character } else { '_' };
        let name: String = self.model_id.chars().map(safe).collect();
        name.trim_start_matches('.').to_owned()
    }
}

/// A vector and what can be asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The pattern's id (UUIDv5), the same on every write.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: OrganizationId,
    /// The row's version; an older one never replaces a newer one.
    pub version: i64,
    /// The vector.
    pub vector: Vec<f32>,
    /// Fields that filters may name.
    pub fields: BTreeMap<&'static str, Value>,
}

impl Point {
    /// What a row of PostgreSQL says, as a point of that tenant.
    pub fn of(row: VectorRow, tenant: OrganizationId) -> Self {
        let fields = BTreeMap::from([
            ("language", Value::from(row.language)),
            ("framework", Value::from(row.framework)),
            ("unit_type", Value::from(row.unit_type)),
            ("spec_type", Value::from(row.spec_type)),
            ("success", Value::from(row.success)),
        ]);
        Self { id: row.id.0, tenant, version: row.version, vector: row.vector, fields }
    }

    /// What a store must hold of it, in few bytes: the same for equal points in every variant.
    pub fn content(&self) -> Content {
        let mut hasher = Sha256::new();
        for (field, value) in &self.fields {
            for text in [*field, &value.to_string()] {
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text);
            }
        }
        for number in normalised(&self.vector) {
            #[expect(clippy::cast_possible_truncation, reason = "the numbers of a vector of length 1 lie between -1 and 1")]
            hasher.update(((f64::from(number) * CONTENT_STEPS).round() as i32).to_be_bytes());
        }
        Content { version: self.version, hash: hasher.finalize().into() }
    }
}

/// What a store holds of a point, to be compared with what PostgreSQL says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The row's version.
    pub version: i64,
    /// Over its fields and its vector.
    pub hash: [u8; 32],
}

/// The vector of length 1 that points the same way, which every store keeps as it is; zeros stay zeros.
pub(super) fn normalised(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "rounded to what a store holds")]
    let scaled = |number: &f32| (f64::from(*number) / length) as f32;
    if length > 0.0 { vector.iter().map(scaled).collect() } else { vector.to_vec() }
}

/// True for what worked, false for a failure to avoid.
pub(super) const SUCCESS: &str = "success";
/// The fields that filters may name, beside the tenant.
pub(super) const FIELDS: [&str; 5] = ["language", "framework", "unit_type", "spec_type", SUCCESS];

/// What a hit must be. It always names the tenant: there is no other way to make one.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub(super) tenant: OrganizationId,
    pub(super) fields: BTreeMap<&'static str, Value>,
}

impl Filter {
    /// Everything of that tenant.
    pub fn of(tenant: OrganizationId) -> Self {
        Self { tenant, fields: BTreeMap::new() }
    }

    /// Only points of that unit type.
    #[must_use]
    pub fn unit_type(self, unit_type: &str) -> Self {
        self.with("unit_type", Value::from(unit_type))
    }

    /// Only points of that language.
    #[must_use]
    pub fn language(self, language: &str) -> Self {
        self.with("language", Value::from(language))
    }

    /// Only points of that framework.
    #[must_use]
    pub fn framework(self, framework: &str) -> Self {
        self.with("framework", Value::from(framework))
    }

    /// Only points from specifications of that format.
    #[must_use]
    pub fn spec_type(self, spec_type: &str) -> Self {
        self.with("spec_type", Value::from(spec_type))
    }

    /// Only what worked, or only what failed.
    #[must_use]
    pub fn success(self, success: bool) -> Self {
        self.with("success", Value::from(success))
    }

    fn with(mut self, field: &'static str, value: Value) -> Self {
        self.fields.insert(field, value);
        self
    }
}

/// A search in one collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What to be near to.
    pub vector: Vec<f32>,
    /// What a hit must be.
    pub filter: Filter,
    /// The least score; none shows everything.
    pub threshold: Option<f32>,
    /// Most hits, at most [`LIMIT_MAX`](super::LIMIT_MAX).
    pub limit: usize,
}

/// A point found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The pattern's id.
    pub id: Uuid,
    /// Cosine similarity, -1 to 1.
    pub score: f32,
}
