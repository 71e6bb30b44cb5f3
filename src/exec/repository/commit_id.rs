//! The name of a commit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A commit's full name: 40 or 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// The commit of that name; none when it is no full name.
    pub fn parse(text: &str) -> Option<Self> {
        full_name(text).then(|| Self(text.to_owned()))
    }

    /// As git writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// True for what git calls an object: SHA-1 or SHA-256 in lower-case hex.
pub(super) fn full_name(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for CommitId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for CommitId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if full_name(&text) { Ok(Self(text)) } else { Err(format!("{text:?} is no full name of a commit")) }
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_names_are_taken() {
        for (text, taken) in [
            ("4b825dc642cb6eb9a060e54bf8d69288fbee4904", true),
            (&"a".repeat(64), true),
            ("4b825dc", false),
            ("HEAD", false),
            ("-4b825dc642cb6eb9a060e54bf8d69288fbee490", false),
            ("4B825DC642CB6EB9A060E54BF8D69288FBEE4904", false),
        ] {
            assert_eq!(CommitId::parse(text).is_some(), taken, "{text}");
        }
    }
}
