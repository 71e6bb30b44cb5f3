//! A specification as every later phase sees it, whatever format it came in.
//!
//! `ingest` fills all of it. From structured Markdown (or the same model as YAML/JSON) entities are read and schemas and
//! operation contracts are derived; from OpenAPI schemas and contracts are read and entities and behaviours are derived;
//! from prose only statements and stated tasks come. Order is the source's order, so equal bytes give equal documents.

use serde::{Deserialize, Serialize};

use super::{Entity, Operation, Position, Rule, Schema};

/// The formats that `ingest` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpecFormat {
    /// OpenAPI 3.0 or 3.1 as YAML or JSON.
    OpenApi,
    /// Structured Markdown (entities, endpoints, rules).
    Markdown,
    /// The structured model as YAML or JSON.
    Model,
    /// A requirements document in prose.
    Prose,
}

/// A parsed specification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecDocument {
    /// The title as written.
    pub title: String,
    /// The title as a path-safe name of at most 64 ASCII characters: `[a-z][a-z0-9-]*`.
    pub slug: String,
    /// The document's own version, when it states one.
    pub version: Option<String>,
    /// The introduction.
    pub summary: String,
    /// What it was read from.
    pub format: SpecFormat,
    /// SHA-256 of the submitted bytes, in hex.
    pub content_hash: String,
    /// Stored things, in an order that need not respect references.
    pub entities: Vec<Entity>,
    /// Named shapes of the HTTP contract.
    pub schemas: Vec<Schema>,
    /// The HTTP contract.
    pub operations: Vec<Operation>,
    /// The groups (OpenAPI tags, or one per entity), each with a title and the operations' order.
    pub groups: Vec<Group>,
    /// Business rules in the documented syntax.
    pub rules: Vec<Rule>,
    /// How errors are answered.
    pub errors: ErrorStyle,
    /// Authentication schemes that operations may require.
    pub security_schemes: Vec<SecurityScheme>,
    /// Sentences that state something which the structured parts do not: criteria, non-functional demands, prose.
    pub statements: Vec<Statement>,
    /// Tasks that the document itself lists, with the order it states.
    pub stated_tasks: Vec<StatedTask>,
    /// The technologies asked for.
    pub tech_stack: Vec<TechChoice>,
}

/// A set of operations that belong together: one router, one test module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Path-safe name, `[a-z][a-z0-9_]*`.
    pub slug: String,
    /// The name as written (the OpenAPI tag).
    pub title: String,
    /// What it is about, when the source says so.
    pub description: String,
    /// Keys of the operations, in source order.
    pub operations: Vec<String>,
}

/// The body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorStyle {
    /// RFC 9457 problem documents.
    Problem,
    /// The named schema of the source.
    Schema(String),
}

/// How a caller proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityScheme {
    /// The name that operations refer to.
    pub name: String,
    /// `http`, `apiKey`, `oauth2` or `openIdConnect`.
    pub kind: String,
    /// Where it travels: `header:Authorization`, `query:key`, `cookie:sid`, or empty.
    pub location: String,
    /// Where it stands in the source.
    pub position: Option<Position>,
}

/// A sentence that states something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The sentence, on one line.
    pub text: String,
    /// The heading it stood under.
    pub section: String,
    /// What kind of section that is.
    pub origin: StatementOrigin,
    /// Where it stands.
    pub position: Position,
}

/// The kind of section that a statement stood in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementOrigin {
    /// `## Acceptance criteria`.
    Criterion,
    /// `## Non-functional`.
    NonFunctional,
    /// A line of `## Rules` outside the documented syntax.
    Rule,
    /// A user story.
    UserStory,
    /// Anything else.
    Prose,
}

/// A task that the document lists by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedTask {
    /// Stable key within the document, for example `logical-dependency-chain/5`.
    pub key: String,
    /// What to do.
    pub title: String,
    /// The lines below it.
    pub details: String,
    /// The heading it stood under.
    pub section: String,
    /// Keys of the stated tasks it waits for, exactly as stated.
    pub depends_on: Vec<String>,
    /// The words that stated the dependency, for example `depends on 3 & 4`.
    pub because: Option<String>,
    /// Where it stands.
    pub position: Position,
}

/// A technology that the document asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TechChoice {
    /// What it decides, in lower case: `target`, `database`, …
    pub topic: String,
    /// What was chosen.
    pub choice: String,
    /// Where it stands.
    pub position: Position,
}

impl SpecDocument {
    /// True when there is something that a target pack can generate from; prose has nothing.
    pub fn generates(&self) -> bool {
        !self.entities.is_empty() || !self.operations.is_empty()
    }

    /// The entity of that name.
    pub fn entity(&self, name: &str) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.name == name)
    }

    /// The schema of that name.
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.name == name)
    }

    /// The operation of that key.
    pub fn operation(&self, key: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.key == key)
    }
}
