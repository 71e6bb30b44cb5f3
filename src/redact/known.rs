//! Values that are known to be secret, found in the forms in which they leave: as they are, in pieces, backwards, in hexadecimal and in
//! base64.
//!
//! Called for whatever an agent hands over or says that was given such values. It recognises forms, not intentions: whoever wants to
//! can find one that is not among these, so what holds a secret in no form that is known here is not proved to hold none.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::redact;

/// A value that is shorter is no secret, and would tear holes into everything.
const BYTES_MIN: usize = 8;
/// Letters and digits that a value must have before it is looked for in other forms: by chance so many are found nowhere.
const ENCODED_CHARS_MIN: usize = 12;
/// Bytes that may stand before a value in the same group of base64, each of which gives another text.
const SHIFTS: [usize; 3] = [0, 1, 2];

/// Secret values by the names under which they were given.
#[derive(Clone, Default)]
pub struct KnownSecrets {
    /// The longest first: one value may hold another.
    all: Vec<Known>,
}

#[derive(Clone)]
struct Known {
    name: String,
    value: String,
    /// Letters and digits only, in lower case.
    folded: Vec<String>,
    /// Letters and digits only, as they are.
    exact: Vec<String>,
}

impl KnownSecrets {
    /// Of variables; those whose value is too short to be a secret are left out.
    pub fn of(variables: &BTreeMap<String, String>) -> Self {
        let secret = variables.iter().filter(|(_, value)| value.len() >= BYTES_MIN);
        let mut all: Vec<Known> = secret.map(|(name, value)| Known::new(name, value)).collect();
        all.sort_by_key(|known| Reverse(known.value.len()));
        Self { all }
    }

    /// The name of a secret that the text holds in one of the forms.
    pub fn held_by(&self, text: &[u8]) -> Option<&str> {
        if self.all.is_empty() {
            return None;
        }
        let seen = Seen::of(text);
        self.all.iter().find(|known| known.in_plain(&seen) || known.in_other_form(&seen)).map(|known| known.name.as_str())
    }

    /// The text without them, and without whatever else looks like a secret. A line that holds one in another form is left out whole, and
    /// so is a text that does so over several lines.
    pub fn clean(&self, text: &str) -> String {
        let plain = self.all.iter().fold(text.to_owned(), |text, known| text.replace(&known.value, "[redacted]"));
        let left_out = |name: &str| format!("[redacted: it held {name} in another form]");
        if self.held_by(plain.as_bytes()).is_none() {
            return redact(&plain);
        }
        let line = |line: &str| self.held_by(line.as_bytes()).map_or_else(|| line.to_owned(), left_out);
        let by_line = plain.split('\n').map(line).collect::<Vec<_>>().join("\n");
        redact(&self.held_by(by_line.as_bytes()).map_or(by_line.clone(), left_out))
    }
}

/// A text as it is looked through.
struct Seen {
    plain: String,
    exact: String,
    folded: String,
}

impl Seen {
    fn of(text: &[u8]) -> Self {
        let plain = String::from_utf8_lossy(text).into_owned();
        let exact = letters_and_digits(&plain);
        // Before each byte of a literal in hexadecimal there may stand one of these.
        let folded = letters_and_digits(&plain.replace("\\x", "").replace("0x", "")).to_ascii_lowercase();
        Self { plain, exact, folded }
    }
}

impl Known {
    fn new(name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        let bare = letters_and_digits(&value);
        if bare.len() < ENCODED_CHARS_MIN {
            return Self { name, value, folded: Vec::new(), exact: Vec::new() };
        }
        let bare = bare.to_ascii_lowercase();
        let folded = vec![bare.chars().rev().collect(), hex::encode(&value), bare];
        let exact = SHIFTS.map(|shift| base64_within(value.as_bytes(), shift)).to_vec();
        Self { name, value, folded, exact }
    }

    fn in_plain(&self, seen: &Seen) -> bool {
        seen.plain.contains(&self.value)
    }

    fn in_other_form(&self, seen: &Seen) -> bool {
        self.folded.iter().any(|form| seen.folded.contains(form)) || self.exact.iter().any(|form| seen.exact.contains(form))
    }
}

/// What is sure of a value's base64 when so many bytes stand before it, whatever they are and whatever comes behind; of either alphabet.
fn base64_within(value: &[u8], shift: usize) -> String {
    let bytes: Vec<u8> = std::iter::repeat_n(0, shift).chain(value.iter().copied()).collect();
    let sure = (shift * 8).div_ceil(6)..bytes.len() * 8 / 6;
    letters_and_digits(&STANDARD_NO_PAD.encode(&bytes)[sure])
}

fn letters_and_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const VALUE: &str = "sk-Correct/Horse+battery_9?staple";

    fn known() -> KnownSecrets {
        KnownSecrets::of(&BTreeMap::from([("KEY".to_owned(), VALUE.to_owned()), ("SHORT".to_owned(), "abc".to_owned())]))
    }

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let (mut half, rest) = (VALUE.to_owned(), &VALUE[9..]);
        half.truncate(9);
        let bytes = |form: &dyn Fn(u8) -> String| VALUE.bytes().map(form).collect::<String>();
        let mut texts = vec![
            format!("x {VALUE} y"),
            format!("\"{half}\" +\n    \"{rest}\""),
            VALUE.to_uppercase(),
            VALUE.split("").collect::<Vec<_>>().join(" "),
            VALUE.chars().rev().collect(),
            hex::encode(VALUE),
            hex::encode_upper(VALUE),
            bytes(&|byte| format!("\\x{byte:02x}")),
            bytes(&|byte| format!("0x{byte:02X}, ")),
            bytes(&|byte| format!("%{byte:02X}")),
        ];
        for before in ["", "k", "ke", "key"] {
            texts.push(STANDARD.encode(format!("{before}{VALUE}:behind")));
            texts.push(URL_SAFE.encode(format!("{before}{VALUE}")));
        }
        let wrapped: Vec<String> =
            STANDARD.encode(VALUE).as_bytes().chunks(8).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        texts.push(wrapped.join("\n"));
        for text in texts {
            assert_eq!(known().held_by(text.as_bytes()), Some("KEY"), "{text}");
            let cleaned = known().clean(&format!("before\n{text}\nbehind"));
            assert_eq!(known().held_by(cleaned.as_bytes()), None, "{cleaned}");
            assert!(cleaned.contains("[redacted"), "{cleaned}");
        }
    }

    #[test]
    fn what_holds_none_stays_as_it_is() {
        let other = "fn correct(horse: &str) -> bool { staple(9) && battery() }\nabc";
        assert_eq!(known().held_by(other.as_bytes()), None);
        assert_eq!(known().clean(other), other);
        assert_eq!(KnownSecrets::default().held_by(VALUE.as_bytes()), None);
    }

    #[test]
    fn a_short_value_is_found_as_it_is_only() {
        let short = KnownSecrets::of(&BTreeMap::from([("PIN".to_owned(), "horse-42".to_owned())]));
        assert_eq!(short.held_by(b"the horse-42 runs"), Some("PIN"));
        assert_eq!(short.held_by(b"horse 42"), None);
        assert_eq!(short.clean("the horse-42 runs"), "the [redacted] runs");
    }

    #[test]
    fn lines_beside_are_kept() {
        let text = format!("one\n{}\nthree", STANDARD.encode(VALUE));
        assert_eq!(known().clean(&text), "one\n[redacted: it held KEY in another form]\nthree");
        let well_known = "n 1, Authorization: Bearer abcdef0123456789";
        assert_eq!(known().clean(well_known), "n 1, Authorization: [redacted]");
    }
}
