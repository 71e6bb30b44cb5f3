//! A question about a unit, and its answer.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::QuestionId;

/// The longest question, and the longest answer, in bytes: a context of the smallest level still holds one of each.
pub const TEXT_BYTES_MAX: usize = 2_000;

/// What somebody wants to know about a unit, or what somebody said about it without having been asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Question {
    /// Its id.
    pub id: QuestionId,
    /// Its number among those about the same unit in the same run, from 1.
    pub number: u32,
    /// The unit's key.
    pub unit: String,
    /// What is asked; empty for a clarification that nobody has asked for.
    pub question: String,
    /// Who asked, or clarified.
    pub asked_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    /// The answer; none while the question is open.
    pub answer: Option<String>,
    /// Who answered.
    pub answered_by: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339::option")]
    pub answered_at: Option<OffsetDateTime>,
}

impl Question {
    /// True while nobody has answered.
    pub fn open(&self) -> bool {
        self.answer.is_none()
    }
}
