//! Server-sent events out of bytes, whatever pieces they come in. Bounded; pure.

/// The largest event: a terminal's whole history fits.
pub(super) const EVENT_BYTES_MAX: usize = 4 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// `message` when it is not said.
    pub(super) event: String,
    pub(super) data: String,
}

/// What has come of the next event so far.
#[derive(Debug, Default)]
pub(super) struct Frames {
    line: Vec<u8>,
    event: String,
    data: String,
    held_bytes: usize,
    after_return: bool,
}

/// An event is larger than anything that is read, or no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameError {
    TooLarge,
    NoText,
}

impl Frames {
    /// Takes what was read and gives the events that are whole with it. What is left of a stream that was cut is no event.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut whole = Vec::new();
        for &byte in bytes {
            let second_half = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                _ if second_half => {}
                b'\r' | b'\n' => whole.extend(self.end_line()?),
                byte => {
                    self.held_bytes += 1;
                    if self.held_bytes > EVENT_BYTES_MAX {
                        return Err(FrameError::TooLarge);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(whole)
    }

    fn end_line(&mut self) -> Result<Option<Frame>, FrameError> {
        let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| FrameError::NoText)?;
        if line.is_empty() {
            self.held_bytes = 0;
            let (event, mut data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
            if data.pop().is_none() {
                return Ok(None);
            }
            return Ok(Some(Frame { event: if event.is_empty() { "message".to_owned() } else { event }, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            // Comments keep the connection open; ids and retry times are not used by this protocol.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        for size in [1, 2, 3, 1000] {
            let mut frames = Frames::default();
            let found: Vec<Frame> = text.as_bytes().chunks(size).flat_map(|piece| frames.push(piece).unwrap()).collect();
            let found: Vec<(&str, &str)> = found.iter().map(|frame| (frame.event.as_str(), frame.data.as_str())).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn events_are_whole_whatever_the_pieces() {
        check("event: a\ndata: é1\n\n", &[("a", "é1")]);
        check("event: a\r\ndata: 1\r\ndata:2\r\n\r\n:comment\r\n\r\ndata\r\n\r\n", &[("a", "1\n2"), ("message", "")]);
        check("data: 1\r\rid: 7\rdata:  2\r\r", &[("message", "1"), ("message", " 2")]);
        check("event: lonely\n\ndata: cut", &[]);
    }

    #[test]
    fn what_is_too_large_or_no_text_is_refused() {
        assert_eq!(Frames::default().push(&vec![b'x'; EVENT_BYTES_MAX + 1]), Err(FrameError::TooLarge));
        let line = [b"data: ".as_slice(), &vec![b'x'; 1 << 20], b"\n"].concat();
        let mut frames = Frames::default();
        assert_eq!((0..5).map(|_| frames.push(&line)).find(Result::is_err), Some(Err(FrameError::TooLarge)));
        assert_eq!(Frames::default().push(b"data: \xff\n\n"), Err(FrameError::NoText));
    }
}
