//! Text that matches a regular expression: walks its syntax tree and takes what is readable.

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// How often a part without an upper bound is repeated at most beyond its least.
const REPEAT_MAX: u32 = 64;

/// The n-th text that matches the pattern and has between `min` and `max` characters; none when the pattern uses what is not
/// understood (look-around, back references) or no such text was found.
pub(super) fn matching(pattern: &str, n: u64, min: u64, max: u64) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let regex = Regex::new(pattern).ok()?;
    let extras = [0, 1, 2, 3, 5, 8, 13, 21, 34, REPEAT_MAX];
    let texts = extras.into_iter().map(|extra| {
        let mut writer = Writer { digits: n, extra, text: String::new() };
        writer.write(&hir);
        (pad(writer.text, min), writer.digits)
    });
    let fits = |text: &String| (min..=max).contains(&(text.chars().count() as u64)) && regex.is_match(text);
    let fitting: Vec<(String, u64)> = texts.filter(|(text, _)| fits(text)).collect();
    // The shortest text that has room for all of n differs from those of all other numbers.
    let whole = fitting.iter().find(|(_, left)| *left == 0);
    whole.or(fitting.first()).map(|(text, _)| text.clone())
}

/// A pattern without anchors also matches longer text.
fn pad(mut text: String, min: u64) -> String {
    let missing = usize::try_from(min).unwrap_or(0).min(100_000).saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n('x', missing));
    text
}

struct Writer {
    /// What tells the n-th text from the others: each choice takes a digit of it.
    digits: u64,
    /// Repetitions beyond the least.
    extra: u32,
    text: String,
}

impl Writer {
    fn choose(&mut self, choices: u64) -> u64 {
        let choice = self.digits % choices.max(1);
        self.digits /= choices.max(1);
        choice
    }

    fn write(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.push_str(&String::from_utf8_lossy(&literal.0)),
            HirKind::Class(class) => {
                let characters = readable(class);
                let choice = self.choose(characters.len() as u64);
                self.text.extend(usize::try_from(choice).ok().and_then(|choice| characters.get(choice)));
            }
            HirKind::Repetition(repetition) => {
                let most = repetition.max.unwrap_or(REPEAT_MAX.max(repetition.min)).min(repetition.min + REPEAT_MAX);
                for _ in 0..(repetition.min + self.extra).min(most) {
                    self.write(&repetition.sub);
                }
            }
            HirKind::Capture(capture) => self.write(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.write(part)),
            HirKind::Alternation(parts) => {
                let choice = self.choose(parts.len() as u64);
                if let Some(part) = usize::try_from(choice).ok().and_then(|choice| parts.get(choice)) {
                    self.write(part);
                }
            }
        }
    }
}

/// Letters and digits of a class where it has any, else printable ASCII, else whatever comes first.
fn readable(class: &Class) -> Vec<char> {
    let Class::Unicode(class) = class else { return Vec::new() };
    let holds = |c: &char| class.iter().any(|range| (range.start()..=range.end()).contains(c));
    let plain: Vec<char> = ('a'..='z').chain('0'..='9').chain('A'..='Z').filter(holds).collect();
    if !plain.is_empty() {
        return plain;
    }
    let printable: Vec<char> = ('!'..='~').chain([' ']).filter(holds).collect();
    if printable.is_empty() { class.iter().map(regex_syntax::hir::ClassUnicodeRange::start).take(1).collect() } else { printable }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, min: u64, max: u64) {
        let texts: Vec<String> = (0..2).map(|n| matching(pattern, n, min, max).unwrap_or_else(|| panic!("{pattern}"))).collect();
        assert_ne!(texts[0], texts[1], "{pattern}");
    }

    #[test]
    fn common_patterns_are_met() {
        for pattern in [
            r"^97[89][0-9]{10}$",
            r"^[A-Z]{2,3}-\d{4}$",
            r"^\+?[1-9]\d{7,14}$",
            r"^(red|green|blue)$",
            r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
            r"^#[0-9a-fA-F]{6}$",
            r"^\S+$",
            r"[0-9]",
        ] {
            check(pattern, 1, 255);
        }
        check(r"^[a-z]+$", 20, 22);
        let distinct: std::collections::BTreeSet<_> = (0..2_000).map(|n| matching(r"^[a-z][a-z0-9-]*$", n, 1, 80)).collect();
        assert_eq!(distinct.len(), 2_000);
        assert_eq!(matching(r"^[a-z]{3}$", 0, 5, 9), None);
        assert_eq!(matching(r"^(?=a)a$", 0, 0, 9), None);
    }
}
