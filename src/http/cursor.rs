//! Cursors of pages: where the next page begins, signed, so that a caller can hand one back but not make one up.
//!
//! A cursor belongs to its question (path and filters): with another one it is refused instead of leading somewhere else.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;
use utoipa::ToSchema;

use super::error::ApiError;

/// Entries of a page when the caller says nothing.
const LIMIT_DEFAULT: u16 = 50;
/// Most entries of a page.
pub const LIMIT_MAX: u16 = 200;
/// Most characters of a cursor; ours have fewer than 200.
const CURSOR_CHARS_MAX: usize = 512;
/// Bytes of the signature that a cursor carries: half of it, which is 128 bits.
const SIGNATURE_BYTES: usize = 16;

/// The key that all processes of an installation sign with.
#[derive(Clone)]
pub struct CursorKey(Vec<u8>);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("[redacted]")
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to ask with for the next part; null when this is the last one.
    pub next: Option<String>,
}

impl CursorKey {
    /// A key of those bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The position behind an entry, for that question.
    pub fn sign(&self, question: &str, position: &str) -> String {
        let signature = self.mac(question, position).finalize().into_bytes();
        format!("{}.{}", hex::encode(position), hex::encode(&signature[..SIGNATURE_BYTES]))
    }

    /// The position of a cursor that was made for that question.
    pub fn open(&self, question: &str, cursor: &str) -> Result<String, ApiError> {
        let refused = || ApiError::BadRequest("the cursor was not made for this question; leave it out to begin anew".to_owned());
        if cursor.len() > CURSOR_CHARS_MAX {
            return Err(refused());
        }
        let (position, signature) = cursor.split_once('.').ok_or_else(refused)?;
        let position = hex::decode(position).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(refused)?;
        let signature = hex::decode(signature).ok().filter(|bytes| bytes.len() == SIGNATURE_BYTES).ok_or_else(refused)?;
        self.mac(question, &position).verify_truncated_left(&signature).map_err(|_| refused())?;
        Ok(position)
    }

    fn mac(&self, question: &str, position: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.chain_update((question.len() as u64).to_be_bytes()).chain_update(question).chain_update(position)
    }
}

/// What the caller said about a page, checked.
pub fn limit(asked: Option<u16>) -> Result<u16, ApiError> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(other) => Err(ApiError::BadRequest(format!("limit is {other}, expected 1 to {LIMIT_MAX}"))),
    }
}

/// The position that a cursor of that question names, none without one.
pub fn position<P: std::str::FromStr>(key: &CursorKey, question: &Value, cursor: Option<&str>) -> Result<Option<P>, ApiError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let position = key.open(&question.to_string(), cursor)?;
    position.parse().map(Some).map_err(|_| ApiError::BadRequest("the cursor names no position".to_owned()))
}

/// The first `limit` of what was read, which is one more where there is another page; `position` names where an entry stands.
pub fn page<R, T>(
    key: &CursorKey,
    question: &Value,
    limit: u16,
    mut rows: Vec<R>,
    position: impl Fn(&R) -> String,
    show: impl Fn(R) -> T,
) -> Page<T> {
    let more = rows.len() > usize::from(limit);
    rows.truncate(usize::from(limit));
    let next = rows.last().filter(|_| more).map(|row| key.sign(&question.to_string(), &position(row)));
    Page { items: rows.into_iter().map(show).collect(), next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_its_own_question_with_its_own_key() {
        let (ours, theirs) = (CursorKey::new(vec![1; 32]), CursorKey::new(vec![2; 32]));
        let cursor = ours.sign("runs", "7");
        assert_eq!(ours.open("runs", &cursor).unwrap(), "7");
        assert!(ours.open("specs", &cursor).is_err());
        assert!(theirs.open("runs", &cursor).is_err());
        let moved = format!("{}.{}", hex::encode("8"), cursor.split_once('.').unwrap().1);
        for wrong in ["", ".", "7", "zz.zz", &moved, &cursor[..cursor.len() - 2], &"a".repeat(600)] {
            assert!(ours.open("runs", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_has_a_next_one_exactly_when_more_was_read() {
        let key = CursorKey::new(vec![1; 32]);
        let check = |rows: usize, expect: (usize, Option<&str>)| {
            let page = page(&key, &Value::Null, 2, (0..rows).collect(), ToString::to_string, |row| row);
            let position = page.next.as_ref().map(|next| key.open("null", next).unwrap());
            assert_eq!((page.items.len(), position.as_deref()), expect);
        };
        check(0, (0, None));
        check(2, (2, None));
        check(3, (2, Some("1")));
    }

    #[test]
    fn limits_outside_their_range_are_refused() {
        assert_eq!(limit(None).unwrap(), LIMIT_DEFAULT);
        assert_eq!(limit(Some(LIMIT_MAX)).unwrap(), LIMIT_MAX);
        assert!(limit(Some(0)).is_err() && limit(Some(LIMIT_MAX + 1)).is_err());
    }
}
