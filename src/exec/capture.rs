//! Captured output: bounded, its start and its end kept, what was left out counted.

use std::collections::VecDeque;

/// What a command wrote to one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, when not everything fitted into `head`.
    pub tail: Vec<u8>,
    /// How many bytes between them were left out.
    pub omitted_bytes: u64,
    /// True when the stream was read to its end and nothing was left out.
    pub lossless: bool,
}

impl Captured {
    /// As text; a line says how much was left out. Bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&self.tail));
        if self.omitted_bytes == 0 {
            format!("{head}{tail}")
        } else {
            format!("{head}\n[… {} bytes left out …]\n{tail}", self.omitted_bytes)
        }
    }
}

/// A stream being captured.
#[derive(Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    seen_bytes: u64,
    ended: bool,
}

impl Capture {
    /// Keeps at most `limit_bytes`.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half: limit_bytes / 2, seen_bytes: 0, ended: false }
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.seen_bytes += bytes.len() as u64;
        let into_head = bytes.len().min(self.half - self.head.len());
        self.head.extend_from_slice(&bytes[..into_head]);
        self.tail.extend(&bytes[into_head..]);
        let excess = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..excess);
    }

    /// Notes that the stream ended.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// What is there so far.
    pub(super) fn snapshot(&self) -> Captured {
        let kept = (self.head.len() + self.tail.len()) as u64;
        let omitted_bytes = self.seen_bytes - kept;
        Captured {
            head: self.head.clone(),
            tail: self.tail.iter().copied().collect(),
            omitted_bytes,
            lossless: self.ended && omitted_bytes == 0,
        }
    }
}

/// Cuts a text in its middle to at most about `chars_max` characters and says so.
pub fn shorten(text: &str, chars_max: usize) -> String {
    let count = text.chars().count();
    if count <= chars_max {
        return text.to_owned();
    }
    let half = chars_max / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - half).collect();
    format!("{head}\n[… {} characters left out …]\n{tail}", count - 2 * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit_bytes: usize, chunks: &[&str], text: &str, lossless: bool) {
        let mut capture = Capture::new(limit_bytes);
        for chunk in chunks {
            capture.push(chunk.as_bytes());
        }
        capture.end();
        let captured = capture.snapshot();
        assert_eq!((captured.text().as_str(), captured.lossless), (text, lossless));
    }

    #[test]
    fn head_and_tail_are_kept() {
        check(8, &["abcd"], "abcd", true);
        check(8, &["abcdef", "gh"], "abcdefgh", true);
        check(8, &["abcdefghi"], "abcd\n[… 1 bytes left out …]\nfghi", false);
        check(8, &["ab", "cdefghijkl", "mnopqrstuvwxyz"], "abcd\n[… 18 bytes left out …]\nwxyz", false);
    }

    #[test]
    fn a_stream_that_did_not_end_is_not_lossless() {
        let mut capture = Capture::new(8);
        capture.push(b"ab");
        assert!(!capture.snapshot().lossless);
    }

    #[test]
    fn long_text_is_cut_in_its_middle() {
        assert_eq!(shorten("äbcdefgh", 4), "äb\n[… 4 characters left out …]\ngh");
        assert_eq!(shorten("äbcd", 4), "äbcd");
    }
}
