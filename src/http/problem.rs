//! Problem documents (RFC 9457): the one form of every error answer.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::health::Stores;
use crate::model::Finding;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong with a request, for people and machines.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:specwave:problem:not-found",
    "title": "Not found",
    "status": 404,
    "detail": "there is no run 01900000-0000-7000-8000-000000000000",
    "instance": "01900000-0000-7000-8000-00000000abcd",
    "hint": "GET /api/v1/runs lists the runs"
}))]
pub struct Problem {
    /// Names the kind of problem; stable.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The id of the request, which is in the logs too.
    pub instance: String,
    /// What to do about it, when there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What was noticed about a submitted document, with places and hints; left out where no document was submitted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How each store is, where that is the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stores: Option<Stores>,
}

impl Problem {
    /// A problem of that kind; `name` ends its type. The request's id is added when the answer leaves.
    pub fn new(status: StatusCode, name: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:specwave:problem:{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            instance: String::new(),
            hint: None,
            findings: Vec::new(),
            stores: None,
        }
    }

    /// The problem of a status that something below the handlers answered with.
    pub fn of_status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let name = title.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        Self::new(status, &name, title, title.to_lowercase())
    }

    /// The same with something to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
