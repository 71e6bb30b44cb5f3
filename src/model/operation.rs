//! Operations: the HTTP contract, and what each one does to the stored entities.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Position, Shape};

/// One method on one path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// `METHOD /path`, unique.
    pub key: String,
    /// The method.
    pub method: Method,
    /// The path with `{parameters}`.
    pub path: String,
    /// The source's operation id, or one made from method and path.
    pub operation_id: String,
    /// snake_case, safe as a function name in every target, unique.
    pub ident: String,
    /// The slug of the group it belongs to.
    pub group: String,
    /// One line.
    pub summary: String,
    /// More lines.
    pub description: String,
    /// Path, query, header and cookie parameters.
    pub parameters: Vec<Parameter>,
    /// What the request carries.
    pub body: Option<Body>,
    /// What it answers, in source order.
    pub responses: Vec<Response>,
    /// Names of the security schemes, any of which suffices; empty means open to all.
    pub security: Vec<String>,
    /// What it does.
    pub behaviour: Behaviour,
    /// Where it stands; none when it was derived.
    pub position: Option<Position>,
}

impl Operation {
    /// The first response that says it went well.
    pub fn success(&self) -> Option<&Response> {
        self.responses.iter().find(|response| matches!(response.status, Status::Code(200..=299)))
    }

    /// True when the document names that status, exactly, by its hundred, or by `default`.
    pub fn documents(&self, status: u16) -> bool {
        self.responses.iter().any(|response| match response.status {
            Status::Code(code) => code == status,
            Status::Range(hundred) => u16::from(hundred) == status / 100,
            Status::Default => true,
        })
    }

    /// The status that answers a failure: `wanted` (404, 409, 422 …) where it is documented, else the nearest one that is,
    /// else `wanted` all the same.
    pub fn failure_status(&self, wanted: u16) -> u16 {
        let nearest: &[u16] = match wanted {
            404 => &[410, 422, 400],
            409 => &[422, 400],
            422 => &[400],
            400 => &[422],
            _ => &[],
        };
        std::iter::once(wanted).chain(nearest.iter().copied()).find(|status| self.documents(*status)).unwrap_or(wanted)
    }

    /// True when the generator can build it.
    pub fn derivable(&self) -> bool {
        !matches!(self.behaviour, Behaviour::Underivable { .. })
    }
}

/// The methods that a contract may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
    Options,
    Trace,
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
        })
    }
}

/// A parameter of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name on the wire.
    pub name: String,
    /// snake_case, safe as an identifier, unique within the operation.
    pub ident: String,
    /// Where it travels.
    pub location: Location,
    /// True when it may not be absent.
    pub required: bool,
    /// True when an array travels as repeated parameters (`style: form, explode: true`).
    pub explode: bool,
    /// Its shape.
    pub shape: Shape,
    /// What it does.
    pub description: String,
}

/// Where a parameter travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Location {
    Path,
    Query,
    Header,
    Cookie,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// True when it may not be absent.
    pub required: bool,
    /// The media type that is built, `application/json` where the source allows it.
    pub media_type: String,
    /// Its shape.
    pub shape: Shape,
    /// What it is.
    pub description: String,
}

/// One documented answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Which status it documents.
    pub status: Status,
    /// What it means.
    pub description: String,
    /// Headers it carries.
    pub headers: Vec<Header>,
    /// Media type and shape; none when there is no body.
    pub content: Option<Content>,
}

/// A body of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Its media type.
    pub media_type: String,
    /// Its shape.
    pub shape: Shape,
}

/// A header of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// True when it is always there.
    pub required: bool,
    /// Its shape.
    pub shape: Shape,
    /// What it means.
    pub description: String,
}

/// Which statuses a response documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Exactly this one.
    Code(u16),
    /// A hundred of them: `4` is 400 to 499.
    Range(u8),
    /// All that are not named.
    Default,
}

/// What an operation does to the stored entities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Returns many rows.
    List(ListBehaviour),
    /// Makes a row.
    Create(RowBehaviour),
    /// Returns a row.
    Read(RowBehaviour),
    /// Replaces every writable field of a row.
    Replace(RowBehaviour),
    /// Changes the given fields of a row.
    Patch(RowBehaviour),
    /// Removes a row.
    Delete(RowBehaviour),
    /// Sets named fields of a row to fixed values (`POST /orders/{id}/cancel`).
    Act {
        /// Which row.
        row: RowBehaviour,
        /// Field names and the values they get; `today` in a date field and `now` in a date-time field mean the moment of the call.
        set: Vec<(String, Value)>,
    },
    /// No stored entity explains it; a model or a person must write it.
    Underivable {
        /// Why, in words for the person who reads the plan.
        reason: String,
    },
}

impl Behaviour {
    /// The entity it works on.
    pub fn entity(&self) -> Option<&str> {
        match self {
            Self::List(list) => Some(&list.entity),
            Self::Create(row) | Self::Read(row) | Self::Replace(row) | Self::Patch(row) | Self::Delete(row) | Self::Act { row, .. } => {
                Some(&row.entity)
            }
            Self::Underivable { .. } => None,
        }
    }

    /// The word that names it: `list`, `create`, …
    pub fn verb(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Create(_) => "create",
            Self::Read(_) => "read",
            Self::Replace(_) => "replace",
            Self::Patch(_) => "patch",
            Self::Delete(_) => "delete",
            Self::Act { .. } => "act",
            Self::Underivable { .. } => "underivable",
        }
    }
}

/// How one row is found and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowBehaviour {
    /// The entity's name.
    pub entity: String,
    /// Path parameters and the fields they equal, parents first (`author_id` = `author`), the row's own key last.
    pub path: Vec<Binding>,
    /// The property that wraps the row in the request, when there is one.
    pub request_envelope: Option<String>,
    /// The property that wraps the row in the response, when there is one.
    pub response_envelope: Option<String>,
}

/// A parameter and the field whose value it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The parameter's name.
    pub parameter: String,
    /// The field's name.
    pub field: String,
}

/// How many rows are chosen and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListBehaviour {
    /// The entity's name.
    pub entity: String,
    /// Path parameters and the fields they equal.
    pub path: Vec<Binding>,
    /// Query parameters that narrow the result.
    pub filters: Vec<Filter>,
    /// The parameter that orders the result and the fields it may name.
    pub sort: Option<Sort>,
    /// How it is cut into pages.
    pub paging: Option<Paging>,
    /// How rows and counts are wrapped; none when the answer is a bare array.
    pub envelope: Option<Envelope>,
}

/// A query parameter that narrows a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The parameter's name.
    pub parameter: String,
    /// The field's name.
    pub field: String,
    /// How they are compared.
    pub comparison: FilterComparison,
}

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterComparison {
    /// The field equals the parameter.
    Equal,
    /// The field is one of the parameter's values.
    OneOf,
    /// The field's text contains the parameter, case folded.
    Contains,
    /// The field is at least the parameter.
    AtLeast,
    /// The field is at most the parameter.
    AtMost,
}

/// The parameter that orders a list; a leading `-` means descending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// The parameter's name.
    pub parameter: String,
    /// Field names it may take.
    pub fields: Vec<String>,
}

/// How a list is cut into pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paging {
    /// The parameter that bounds the number of rows.
    pub limit: String,
    /// The parameter that skips rows, or counts pages.
    pub offset: Option<String>,
    /// True when `offset` counts pages from 1.
    pub pages: bool,
    /// Rows when none is asked for.
    pub limit_default: u32,
    /// Most rows that are ever returned.
    pub limit_max: u32,
}

/// How a list's answer is wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The property with the rows.
    pub items: String,
    /// The property with the count of all rows that match.
    pub total: Option<String>,
    /// The property that repeats the limit.
    pub limit: Option<String>,
    /// The property that repeats the offset.
    pub offset: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(statuses: &[Status]) -> Operation {
        let response = |status: &Status| Response { status: *status, description: String::new(), headers: Vec::new(), content: None };
        Operation {
            key: "GET /a".to_owned(),
            method: Method::Get,
            path: "/a".to_owned(),
            operation_id: "a".to_owned(),
            ident: "a".to_owned(),
            group: "a".to_owned(),
            summary: String::new(),
            description: String::new(),
            parameters: Vec::new(),
            body: None,
            responses: statuses.iter().map(response).collect(),
            security: Vec::new(),
            behaviour: Behaviour::Underivable { reason: String::new() },
            position: None,
        }
    }

    #[test]
    fn failures_are_answered_as_documented() {
        assert_eq!(operation(&[Status::Code(200), Status::Default]).failure_status(404), 404);
        assert_eq!(operation(&[Status::Range(4)]).failure_status(409), 409);
        assert_eq!(operation(&[Status::Code(200), Status::Code(422)]).failure_status(404), 422);
        assert_eq!(operation(&[Status::Code(400)]).failure_status(422), 400);
        assert_eq!(operation(&[Status::Code(200)]).failure_status(404), 404);
    }
}
