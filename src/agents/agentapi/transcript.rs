//! What was said and done, without secrets and of bounded size.

use crate::redact::redact;

/// More of one text is left out: a whole answer of usual size fits.
const ENTRY_BYTES_MAX: usize = 64 << 10;
/// More of a whole conversation is left out.
const BYTES_MAX: usize = 512 << 10;

/// One thing that was said or that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `user`, `agent`, `keys` or `note`.
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
    /// Adds a text.
    pub(super) fn add(&mut self, kind: &'static str, text: &str) {
        let text = redact(text);
        let held: usize = self.entries.iter().map(|entry| entry.text.len()).sum();
        let most = ENTRY_BYTES_MAX.min(BYTES_MAX.saturating_sub(held));
        let end = text.floor_char_boundary(most);
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
    fn what_is_beyond_the_limits_is_left_out_and_counted() {
        let mut transcript = Transcript::default();
        transcript.add("user", "password=hunter2");
        assert_eq!(transcript.entries[0].text, "password=[redacted]");
        for _ in 0..20 {
            transcript.add("agent", &"é".repeat(40_000));
        }
        let held: usize = transcript.entries.iter().map(|entry| entry.text.len()).sum();
        assert!(held <= BYTES_MAX && held + transcript.left_out_bytes == 19 + 20 * 80_000, "{held} {}", transcript.left_out_bytes);
    }
}
