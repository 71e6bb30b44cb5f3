//! What can go wrong with one request, and whether asking again can help.

use std::time::Duration;

use genai::webc::StreamTimeout;
use genai::{BoxError, Error as LibraryError};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;
use thiserror::Error;
use time::OffsetDateTime;

use super::hints::retry_after;

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429: too many requests or tokens for now.
    RateLimited,
    /// 408, 500, 502, 503, 504, 529: the provider has a problem.
    Unavailable,
    /// No connection.
    Unreachable,
    /// The stream ended before its end.
    Cut,
    /// Nothing came for too long.
    Stalled,
    /// The deadline of the whole work.
    Deadline,
    /// 401, 403: the key is wrong or may not do this.
    Unauthorized,
    /// The account has nothing left.
    Quota,
    /// 400, 404, 422 and their like: the request itself.
    Rejected,
    /// The answer is not what the protocol says, or larger than anything that is read.
    Protocol,
}

impl Fault {
    /// True when the same request may succeed later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Unreachable | Self::Cut | Self::Stalled)
    }
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CallError {
    /// What kind of failure.
    pub fault: Fault,
    /// When the provider wants to be asked again.
    pub retry_after: Option<Duration>,
    /// True when the provider may have worked on it, and may charge for that.
    pub charged: bool,
    /// What happened, without secrets.
    pub message: String,
}

impl CallError {
    pub(super) fn new(fault: Fault, charged: bool, message: impl Into<String>) -> Self {
        Self { fault, retry_after: None, charged, message: message.into() }
    }

    /// What the library's error means. The message may still hold secrets.
    pub(super) fn of(error: LibraryError) -> Self {
        match error {
            LibraryError::HttpError { status, body, headers, .. } => Self::of_status(status, &body, &headers),
            LibraryError::WebStream { error, .. } => Self::of_stream(&error),
            LibraryError::ChatResponse { body, .. } => Self::of_event(&body),
            LibraryError::StreamParse { serde_error, .. } => {
                Self::new(Fault::Cut, true, format!("a frame of the stream is not whole: {serde_error}"))
            }
            other => Self::new(Fault::Protocol, true, format!("the provider's answer cannot be read: {other}")),
        }
    }

    fn of_stream(error: &BoxError) -> Self {
        if let Some(LibraryError::HttpError { status, body, headers, .. }) = error.downcast_ref() {
            return Self::of_status(*status, body, headers);
        }
        if let Some(timeout) = error.downcast_ref::<StreamTimeout>() {
            return Self::new(Fault::Stalled, true, timeout.to_string());
        }
        match error.downcast_ref::<reqwest::Error>() {
            Some(error) if error.is_connect() => Self::new(Fault::Unreachable, false, format!("no connection: {}", chain(error))),
            Some(error) if error.is_builder() => Self::new(Fault::Rejected, false, format!("no such request: {}", chain(error))),
            Some(error) => Self::new(Fault::Cut, true, format!("the connection was lost: {}", chain(error))),
            None => Self::new(Fault::Cut, true, format!("the stream was lost: {error}")),
        }
    }

    fn of_status(status: StatusCode, body: &str, headers: &HeaderMap) -> Self {
        let parsed: Option<Value> = serde_json::from_str(body).ok();
        let code = parsed.as_ref().map(codes).unwrap_or_default();
        let asked_not_to = headers.get("x-should-retry").is_some_and(|value| value == "false");
        let fault = match status.as_u16() {
            429 if quota(&code) => Fault::Quota,
            429 => Fault::RateLimited,
            401 | 403 => Fault::Unauthorized,
            402 => Fault::Quota,
            408 | 409 | 425 | 500 | 502..=504 | 506..=599 if !asked_not_to => Fault::Unavailable,
            _ => Fault::Rejected,
        };
        let said = parsed.as_ref().and_then(said).unwrap_or(body.trim());
        let hint = if fault.is_transient() { retry_after(headers, OffsetDateTime::now_utc()) } else { None };
        Self { retry_after: hint, ..Self::new(fault, false, format!("the provider answered {}: {said}", status.as_u16())) }
    }

    /// An error that came inside a stream that had begun well.
    fn of_event(body: &Value) -> Self {
        let code = codes(body);
        let fault = match code.as_str() {
            code if quota(code) => Fault::Quota,
            code if code.contains("rate_limit") => Fault::RateLimited,
            code if code.contains("authentication") || code.contains("permission") => Fault::Unauthorized,
            code if code.contains("invalid_request") || code.contains("not_found") || code.contains("too_large") => Fault::Rejected,
            _ => Fault::Unavailable,
        };
        Self::new(fault, true, format!("the provider broke off: {}", said(body).unwrap_or(&code)))
    }
}

fn quota(code: &str) -> bool {
    code.contains("insufficient_quota") || code.contains("billing")
}

/// Type and code of an error, wherever a provider puts them.
fn codes(body: &Value) -> String {
    let found = ["/error/type", "/error/code", "/type", "/code"].iter().filter_map(|pointer| body.pointer(pointer).and_then(Value::as_str));
    found.collect::<Vec<_>>().join(" ")
}

fn said(body: &Value) -> Option<&str> {
    ["/error/message", "/message", "/error"].iter().find_map(|pointer| body.pointer(pointer).and_then(Value::as_str))
}

/// An error with its causes: the first of reqwest's says little.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
