//! The text being read, and where in it a byte stands.

use crate::model::Position;

/// A submitted document after the checks that hold for every format.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The whole text, without a byte order mark.
    pub(super) text: &'a str,
    /// SHA-256 of the submitted bytes, in hex.
    pub(super) content_hash: String,
    /// Byte offsets at which lines begin.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Indexes the lines of a text.
    pub(super) fn new(text: &'a str, content_hash: String) -> Self {
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(offset, _)| offset + 1));
        Self { text, content_hash, lines }
    }

    /// The position of a byte offset; offsets beyond the end are the end.
    pub(super) fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= offset);
        let column = self.text[self.lines[line - 1]..offset].chars().count() + 1;
        Position { line: saturating(line), column: saturating(column) }
    }
}

fn saturating(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let source = Source::new("aé\nxyz\n", String::new());
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(3), Position { line: 1, column: 3 });
        assert_eq!(source.position(5), Position { line: 2, column: 2 });
        assert_eq!(source.position(99), Position { line: 3, column: 1 });
    }
}
