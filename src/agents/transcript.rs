//! What was said, without secrets and of bounded size.

use crate::redact::redact;

/// More of one text is left out: a whole answer and a whole prompt of usual size fit.
const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// More of a whole conversation is left out.
const BYTES_MAX: usize = 512 * 1024;

/// One thing that was said or that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who said it, or what it is: `system`, `user`, `model`, `agent`, `keys`, `tool`, `note` …
    pub kind: &'static str,
    /// What.
    pub text: String,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// In their order.
    pub entries: Vec<Entry>,
    /// Bytes that were left out.
    pub left_out_bytes: usize,
}

impl Transcript {
    /// Adds a text without what looks like a secret in it.
    pub(in crate::agents) fn tell(&mut self, kind: &'static str, text: &str) {
        self.add(kind, &redact(text));
    }

    /// Adds a text that holds no secrets any more.
    pub(in crate::agents) fn add(&mut self, kind: &'static str, text: &str) {
        let held: usize = self.entries.iter().map(|entry| entry.text.len()).sum();
        let most = ENTRY_BYTES_MAX.min(BYTES_MAX.saturating_sub(held));
        let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.left_out_bytes += text.len() - end;
        if end > 0 {
            self.entries.push(Entry { kind, text: text[..end].to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_not_kept() {
        let mut transcript = Transcript::default();
        transcript.tell("user", "password=hunter2");
        assert_eq!(transcript.entries[0].text, "password=[redacted]");
    }

    #[test]
    fn what_is_beyond_the_limits_is_left_out_and_counted() {
        let mut transcript = Transcript::default();
        transcript.add("user", &"é".repeat(40_000));
        assert_eq!((transcript.entries[0].text.len(), transcript.left_out_bytes), (64 * 1024, 80_000 - 64 * 1024));
        for _ in 0..20 {
            transcript.add("model", &"x".repeat(60_000));
        }
        let held: usize = transcript.entries.iter().map(|entry| entry.text.len()).sum();
        assert_eq!((held, held + transcript.left_out_bytes), (512 * 1024, 80_000 + 20 * 60_000));
    }
}
