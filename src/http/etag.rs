//! Entity tags: strong, the hash of the JSON that is shown. `If-None-Match` spares a body that the caller has, `If-Match` a change to
//! something that the caller has not seen as it is.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::error::ApiError;

/// Bytes of the hash that a tag carries: half of it, which is 128 bits.
const TAG_BYTES: usize = 16;
/// Ends the tag of a compressed answer, which is another one, byte for byte.
const COMPRESSED: &str = "-gzip";

/// Tags the JSON of GET answers, and sends 304 instead of what the caller has. Within compression.
pub async fn tag_answers(request: Request, next: Next) -> Response {
    let wanted = (request.method() == Method::GET).then(|| request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>());
    let response = next.run(request).await;
    let json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let Some(known) = wanted.filter(|_| json && response.status() == StatusCode::OK) else { return response };
    let (mut parts, body) = response.into_parts();
    // Handlers answer with whole bodies: they are in memory already.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else { return Response::from_parts(parts, Body::empty()) };
    let tag = of_bytes(&bytes);
    let same = known.iter().any(|value| names(value, &tag));
    parts.headers.insert(ETAG, HeaderValue::try_from(&tag).expect("a tag is quotes and hex digits"));
    if same {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_TYPE);
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Gives a compressed answer a tag of its own.
pub fn mark_compressed(headers: &mut HeaderMap) {
    if !headers.contains_key(axum::http::header::CONTENT_ENCODING) {
        return;
    }
    let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()?.strip_suffix('"')) else { return };
    if let Ok(tag) = HeaderValue::try_from(format!("{tag}{COMPRESSED}\"")) {
        headers.insert(ETAG, tag);
    }
}

/// The state that the caller has seen; anything when it does not say.
#[derive(Debug, Clone)]
pub struct IfMatch(Vec<HeaderValue>);

/// The header as it is described.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes; `IfMatch` reads")]
pub struct Seen {
    /// The `ETag` of the run, or of the status of the unit, as the caller has seen it: 412 when it has changed since.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(parts.headers.get_all(IF_MATCH).iter().cloned().collect()))
    }
}

impl IfMatch {
    /// 412 when what would be shown now is not what the caller has seen.
    pub fn check(&self, shown: &impl Serialize) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(shown).map_err(|error| ApiError::internal(&error))?;
        let tag = of_bytes(&bytes);
        // Strong comparison: a weak tag names no exact state.
        if self.0.iter().any(|value| !value.as_bytes().starts_with(b"W/") && names(value, &tag)) {
            Ok(())
        } else {
            Err(ApiError::PreconditionFailed)
        }
    }
}

fn of_bytes(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..TAG_BYTES]))
}

/// True when a header names that tag, or any.
fn names(value: &HeaderValue, tag: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let plain = |named: &str| named.strip_suffix(&format!("{COMPRESSED}\"")).map_or_else(|| named.to_owned(), |stem| format!("{stem}\""));
    value.split(',').map(str::trim).any(|named| named == "*" || plain(named.strip_prefix("W/").unwrap_or(named)) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_tags_in_every_form() {
        let tag = of_bytes(b"{}");
        let check = |value: &str, expect: bool| assert_eq!(names(&HeaderValue::try_from(value).unwrap(), &tag), expect, "{value}");
        let stem = tag.trim_matches('"');
        check(&tag, true);
        check("*", true);
        check(&format!("\"other\", {tag}"), true);
        check(&format!("W/{tag}"), true);
        check(&format!("\"{stem}-gzip\""), true);
        check("\"other\"", false);
        check(stem, false);
        check("", false);
    }
}
