//! The five calls. Each answers, fails or ends in time; none is repeated here.

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::AgentApi;
use super::error::Cause;
use super::events::Events;
use super::wire::{Done, Message, MessageKind, MessagesBody, NewMessage, Problem, Status, StatusBody};

/// The largest file, the server's own limit.
pub(super) const UPLOAD_BYTES_MAX: usize = 10 << 20;
/// The largest message that is sent: terminals take no more in reasonable time.
pub(super) const PROMPT_BYTES_MAX: usize = 1 << 20;
/// The largest answer: a whole long conversation.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Of a refusal so much is told.
const REASON_CHARS_MAX: usize = 500;
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const STREAM: &str = "text/event-stream";

impl AgentApi {
    /// What the agent's terminal does.
    pub async fn status(&self) -> Result<Status, Cause> {
        const CALL: &str = "GET /status";
        Ok(self.answer::<StatusBody>(CALL, self.get("status")).await?.status)
    }

    /// The whole conversation.
    pub async fn messages(&self) -> Result<Vec<Message>, Cause> {
        const CALL: &str = "GET /messages";
        Ok(self.answer::<MessagesBody>(CALL, self.get("messages")).await?.messages)
    }

    /// Types something. The server answers when the terminal has taken it, which may last a while, and answers nobody else meanwhile.
    pub async fn send(&self, content: &str, kind: MessageKind) -> Result<(), Cause> {
        const CALL: &str = "POST /message";
        if content.len() > PROMPT_BYTES_MAX {
            return Err(Cause::TooLarge { what: "the message".to_owned(), bytes_max: PROMPT_BYTES_MAX });
        }
        let request = self.client.post(self.url("message")).json(&NewMessage { content, kind });
        confirm(CALL, &self.answer::<Done>(CALL, request).await?)
    }

    /// Gives the agent a file; where the server put it.
    pub async fn upload(&self, name: &str, content: Vec<u8>) -> Result<String, Cause> {
        const CALL: &str = "POST /upload";
        if content.len() > UPLOAD_BYTES_MAX {
            return Err(Cause::TooLarge { what: format!("the file {name}"), bytes_max: UPLOAD_BYTES_MAX });
        }
        let form = Form::new().part("file", Part::bytes(content).file_name(name.to_owned()));
        let done = self.answer::<Done>(CALL, self.client.post(self.url("upload")).multipart(form)).await?;
        confirm(CALL, &done)?;
        done.file_path.ok_or_else(|| Cause::Protocol { call: CALL, reason: "it does not say where the file is".to_owned() })
    }

    /// Opens the stream of events.
    pub async fn events(&self) -> Result<Events, Cause> {
        const CALL: &str = "GET /events";
        let request = self.client.get(self.url("events")).header(ACCEPT, STREAM);
        let response = match timeout(self.settings.call, request.send()).await {
            Ok(response) => response.map_err(|error| lost(CALL, &error))?,
            Err(_) => return Err(Cause::Silent { call: CALL }),
        };
        if !response.status().is_success() {
            return Err(self.refusal(CALL, response).await);
        }
        expect_type(CALL, &response, STREAM)?;
        Ok(Events::new(response))
    }

    fn url(&self, path: &str) -> reqwest::Url {
        self.base.join(path).expect("the base ends in a slash and the paths are constants")
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path)).header(ACCEPT, JSON)
    }

    async fn answer<T: DeserializeOwned>(&self, call: &'static str, request: RequestBuilder) -> Result<T, Cause> {
        let asked = async {
            let response = request.send().await.map_err(|error| lost(call, &error))?;
            if !response.status().is_success() {
                return Err(self.refusal(call, response).await);
            }
            expect_type(call, &response, JSON)?;
            let body = read(call, response).await?;
            serde_json::from_slice(&body).map_err(|error| Cause::Protocol { call, reason: format!("the answer cannot be read: {error}") })
        };
        timeout(self.settings.call, asked).await.unwrap_or(Err(Cause::Silent { call }))
    }

    async fn refusal(&self, call: &'static str, response: Response) -> Cause {
        let status = response.status().as_u16();
        let problem = expect_type(call, &response, PROBLEM).or_else(|_| expect_type(call, &response, JSON)).is_ok();
        let body = match timeout(self.settings.call, read(call, response)).await {
            Ok(Ok(body)) => body,
            Ok(Err(cause)) => return cause,
            Err(_) => return Cause::Silent { call },
        };
        let said = problem.then(|| serde_json::from_slice::<Problem>(&body).ok()?.reason()).flatten();
        let reason = said.unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
        Cause::Refused { call, status, reason: crate::redact::redact(&reason).chars().take(REASON_CHARS_MAX).collect() }
    }
}

fn confirm(call: &'static str, done: &Done) -> Result<(), Cause> {
    if done.ok { Ok(()) } else { Err(Cause::Protocol { call, reason: "it answers that it did not, and not why".to_owned() }) }
}

fn expect_type(call: &'static str, response: &Response, expected: &str) -> Result<(), Cause> {
    let found = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let found: String = found.chars().take(REASON_CHARS_MAX).collect();
    Err(Cause::Protocol { call, reason: format!("it answers with \"{found}\" instead of {expected}") })
}

async fn read(call: &'static str, mut response: Response) -> Result<Vec<u8>, Cause> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| lost(call, &error))? {
        if body.len() + piece.len() > BODY_BYTES_MAX {
            return Err(Cause::Protocol { call, reason: "the answer is larger than anything that is read".to_owned() });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn lost(call: &'static str, error: &reqwest::Error) -> Cause {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    Cause::Unreachable { call, reason }
}
