//! What a program said and did, without secrets and of bounded size.

/// More of one text is left out: a program's tools print whole files.
const ENTRY_BYTES_MAX: usize = 16 << 10;
/// More of a whole session is left out; its end is kept apart, in the outcome's last message.
const BYTES_MAX: usize = 512 << 10;
/// So many entries are kept, however small they are.
const ENTRIES_MAX: usize = 5_000;

/// One thing that was said or that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `text`, `tool`, `edit`, `note` or `stderr`.
    pub kind: &'static str,
    /// What.
    pub text: String,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// In their order.
    pub entries: Vec<Entry>,
    /// Bytes that were left out.
    pub left_out_bytes: usize,
    held_bytes: usize,
}

impl Transcript {
    /// Adds a text that holds no secrets any more.
    pub(super) fn add(&mut self, kind: &'static str, text: &str) {
        let room = if self.entries.len() < ENTRIES_MAX { BYTES_MAX - self.held_bytes } else { 0 };
        let kept = cut(text, room.min(ENTRY_BYTES_MAX));
        self.left_out_bytes += text.len() - kept.len();
        if !kept.is_empty() {
            self.held_bytes += kept.len();
            self.entries.push(Entry { kind, text: kept.to_owned() });
        }
    }
}

/// The start of a text, of at most so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_limits_is_left_out_and_counted() {
        let mut transcript = Transcript::default();
        transcript.add("text", &"é".repeat(10_000));
        assert_eq!((transcript.entries[0].text.len(), transcript.left_out_bytes), (16 << 10, 20_000 - (16 << 10)));
        for _ in 0..100 {
            transcript.add("tool", &"x".repeat(16 << 10));
        }
        let held: usize = transcript.entries.iter().map(|entry| entry.text.len()).sum();
        assert_eq!((held, held + transcript.left_out_bytes), (512 << 10, 20_000 + 100 * (16 << 10)));
        let mut chatty = Transcript::default();
        for _ in 0..6_000 {
            chatty.add("text", "x");
        }
        assert_eq!((chatty.entries.len(), chatty.left_out_bytes), (5_000, 1_000));
    }
}
