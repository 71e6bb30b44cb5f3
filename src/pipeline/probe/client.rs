//! The HTTP side: one request, one bounded answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::model::Method;

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// The most bytes that are read of one answer.
const BODY_BYTES_MAX: usize = 4 << 20;

/// What a request carries.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Payload {
    /// Nothing.
    None,
    /// JSON.
    Json(Value),
    /// A form, URL-encoded.
    Form(Vec<(String, String)>),
    /// Text that claims to be JSON.
    Raw(&'static str),
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// By lower-case name.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// The body, when it is JSON.
    pub(super) json: Option<Value>,
}

impl Answer {
    /// The media type without parameters, in lower case.
    pub(super) fn media_type(&self) -> Option<String> {
        let value = self.headers.get("content-type")?;
        Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
    }
}

/// A connection to one service.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// Talks to a loopback port, never through a proxy, and follows no redirect.
    pub(super) fn new(port: u16) -> Result<Self, reqwest::Error> {
        // The builder wants one although nothing here speaks TLS. That another part installed one already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Answers are judged as they come: nothing is asked for in a compressed form.
        let http = reqwest::Client::builder().no_proxy().no_gzip().redirect(reqwest::redirect::Policy::none());
        let http = http.timeout(ANSWER_MAX).build()?;
        Ok(Self { http, base: format!("http://127.0.0.1:{port}") })
    }

    /// Sends a request. The error is a phrase.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        payload: &Payload,
    ) -> (Result<Answer, String>, u64) {
        let started = Instant::now();
        let answer = self.exchange(method, path, headers, payload).await;
        (answer, u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn exchange(&self, method: Method, path: &str, headers: &[(String, String)], payload: &Payload) -> Result<Answer, String> {
        let method = reqwest::Method::from_bytes(method.to_string().as_bytes()).expect("every method of the model is a token");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request = match payload {
            Payload::None => request,
            Payload::Json(value) => request.json(value),
            Payload::Raw(text) => request.header("content-type", "application/json").body(*text),
            Payload::Form(fields) => request.header("content-type", "application/x-www-form-urlencoded").body(encode_pairs(fields)),
        };
        let mut response = request.send().await.map_err(|error| phrase(&error))?;
        let status = response.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: BTreeMap<_, _> = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| phrase(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_BYTES_MAX {
                return Err(format!("the answer has more than {BODY_BYTES_MAX} bytes"));
            }
        }
        let json = serde_json::from_slice(&body).ok();
        Ok(Answer { status, headers, body, json })
    }
}

fn phrase(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ANSWER_MAX.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("no answer: {cause}")
}

/// Names and values as a query carries them.
pub(super) fn encode_pairs(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

/// Text as one segment of a path or one value of a query.
pub(super) fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_encoded_for_paths_and_queries() {
        assert_eq!(encode("a b/ä?"), "a%20b%2F%C3%A4%3F");
        assert_eq!(encode_pairs(&[("a".into(), "1&2".into()), ("b".into(), String::new())]), "a=1%262&b=");
    }
}
