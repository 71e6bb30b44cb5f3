//! Lines out of pieces, of bounded length.

/// A longer line is skipped: no event is that long, tools' output in it included.
pub(super) const LINE_BYTES_MAX: usize = 4 << 20;

/// One line of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end. Bytes that are not UTF-8 became U+FFFD.
    Whole(String),
    /// It was longer than a line may be; so many bytes were skipped.
    TooLong(usize),
}

/// Collects pieces until there is a line.
#[derive(Debug)]
pub(super) struct Lines {
    held: Vec<u8>,
    skipped: usize,
    bytes_max: usize,
}

impl Lines {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { held: Vec::new(), skipped: 0, bytes_max }
    }

    /// Takes a piece; gives the lines that end in it.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Vec<Line> {
        let mut found = Vec::new();
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.hold(&piece[..end]);
            found.push(self.take());
            piece = &piece[end + 1..];
        }
        self.hold(piece);
        found
    }

    /// What came after the last line's end.
    pub(super) fn rest(&mut self) -> Option<Line> {
        (!self.held.is_empty() || self.skipped > 0).then(|| self.take())
    }

    fn hold(&mut self, piece: &[u8]) {
        if self.skipped > 0 || self.held.len() + piece.len() > self.bytes_max {
            self.skipped += self.held.len() + piece.len();
            self.held.clear();
        } else {
            self.held.extend_from_slice(piece);
        }
    }

    fn take(&mut self) -> Line {
        let (held, skipped) = (std::mem::take(&mut self.held), std::mem::take(&mut self.skipped));
        if skipped > 0 {
            return Line::TooLong(skipped);
        }
        let text = String::from_utf8_lossy(&held);
        Line::Whole(text.strip_suffix('\r').unwrap_or(&text).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[Line], rest: Option<Line>) {
        let mut lines = Lines::new(8);
        let found: Vec<Line> = pieces.iter().flat_map(|piece| lines.push(piece)).collect();
        assert_eq!((found.as_slice(), lines.rest()), (expected, rest));
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.to_owned())
    }

    #[test]
    fn lines_are_put_together_and_too_long_ones_are_skipped() {
        check(&[b"ab", b"c\nd\r\n\n", b"e"], &[whole("abc"), whole("d"), whole("")], Some(whole("e")));
        check(&[b"12345678\n", b"123456789\nx\n"], &[whole("12345678"), Line::TooLong(9), whole("x")], None);
        check(&[b"123456", b"789", b"0123456789", b"\nok\n"], &[Line::TooLong(19), whole("ok")], None);
        check(&["ä".as_bytes(), b"\xff\n"], &[whole("ä\u{fffd}")], None);
        check(&[b"0123456789"], &[], Some(Line::TooLong(10)));
    }
}
