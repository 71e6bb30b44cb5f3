//! What goes over the wire, as the server means it. Unknown fields are ignored, unknown values are not.

use serde::{Deserialize, Serialize};

/// What the agent's terminal does. Stable means that nothing has changed on it for a while, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the protocol's own words")]
pub enum Status {
    Running,
    Stable,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the protocol's own words")]
pub enum Role {
    Agent,
    User,
}

/// How something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Typed and submitted; refused while the agent is busy.
    User,
    /// Keystrokes as they are, at any time.
    Raw,
}

/// Something that was said. The agent's last message grows while it speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Grows from message to message.
    pub id: i64,
    /// Who says it.
    pub role: Role,
    /// What; the stream calls it `message`.
    #[serde(alias = "message")]
    pub content: String,
    /// When, as the server writes it.
    #[serde(default)]
    pub time: String,
}

/// What the stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message is new or has grown; the newest form replaces the one of the same id.
    Message(Message),
    /// The terminal has started or stopped to change.
    Status(Status),
    /// The agent has a problem.
    Fault {
        /// What it is.
        message: String,
        /// How bad: `error`, `warning`; empty when it is not said.
        level: String,
    },
}

#[derive(Debug, Deserialize)]
pub(super) struct StatusBody {
    pub(super) status: Status,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessagesBody {
    pub(super) messages: Vec<Message>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewMessage<'a> {
    pub(super) content: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: MessageKind,
}

#[derive(Debug, Deserialize)]
pub(super) struct Done {
    pub(super) ok: bool,
    #[serde(default, rename = "filePath")]
    pub(super) file_path: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FaultBody {
    pub(super) message: String,
    #[serde(default)]
    pub(super) level: String,
}

/// `application/problem+json`; the reason of a refusal is in the first of its errors.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    title: String,
    detail: String,
    errors: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    message: String,
}

impl Problem {
    /// The most exact sentence there is.
    pub(super) fn reason(self) -> Option<String> {
        let first = self.errors.into_iter().next().map(|detail| detail.message);
        [first, Some(self.detail), Some(self.title)].into_iter().flatten().find(|text| !text.trim().is_empty())
    }
}
