//! Texts that match a pattern: one that is always the same, or one with a running number in it.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};
use serde_json::json;

use super::samples::Sample;
use crate::model::entity::Limits;

/// A text that contains a match of the pattern.
pub(super) fn matching(pattern: &str, limits: &Limits, unique: bool) -> Option<Sample> {
    let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
    let varies = if unique { &[Varies::Digits, Varies::Letters][..] } else { &[Varies::Nothing] };
    varies.iter().find_map(|varies| {
        let walked = |longer: u64| {
            let mut pieces = Pieces { varies: *varies, most: limits.length_max, longer, ..Pieces::default() };
            pieces.walk(&hir).map(|()| pieces)
        };
        let shortest = walked(0)?;
        let lacking = limits.length_min.unwrap_or(0).saturating_sub(shortest.length());
        let pieces = if lacking == 0 { shortest } else { walked(lacking)? };
        pieces.sample(pattern, limits)
    })
}

/// More repetitions than this are never written out.
const REPEATED_MAX: u64 = 64;

/// Which part of a pattern holds the running number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Varies {
    #[default]
    Nothing,
    /// A long run of digits.
    Digits,
    /// The first class, repeated or not, of at least ten letters.
    Letters,
}

#[derive(Default)]
struct Pieces {
    before: String,
    /// How many characters hold the running number.
    width: usize,
    /// The letters that spell it; none for digits.
    alphabet: String,
    after: String,
    varies: Varies,
    most: Option<u64>,
    /// How many characters more than usual the first repetition that may have them gets.
    longer: u64,
}

impl Pieces {
    fn push(&mut self, text: &str) {
        if self.width > 0 { self.after.push_str(text) } else { self.before.push_str(text) }
    }

    fn length(&self) -> u64 {
        (self.before.chars().count() + self.width + self.after.chars().count()) as u64
    }

    fn sample(self, pattern: &str, limits: &Limits) -> Option<Sample> {
        let length = self.length();
        if length < limits.length_min.unwrap_or(0) || limits.length_max.is_some_and(|most| length > most) {
            return None;
        }
        let Self { before, width, alphabet, after, varies, .. } = self;
        if varies == Varies::Nothing {
            return regex::Regex::new(pattern).ok()?.is_match(&before).then(|| Sample::Fixed(json!(before)));
        }
        match (width, alphabet.is_empty()) {
            (0, _) => None,
            (digits, true) => Some(Sample::Numbered { before, digits, after }),
            (length, false) => Some(Sample::Spelled { before, alphabet, length, after }),
        }
    }

    /// Lets `count` characters of a class spell the running number, if it has letters enough.
    fn spell(&mut self, class: &Class, count: u64) -> bool {
        let found = if self.varies == Varies::Letters && self.width == 0 { alphabet_of(class) } else { None };
        self.width = found.as_ref().and_then(|_| usize::try_from(count).ok()).unwrap_or(self.width);
        found.map(|alphabet| self.alphabet = alphabet).is_some()
    }

    fn walk(&mut self, hir: &Hir) -> Option<()> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.push(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => {
                if !self.spell(class, 1) {
                    self.push(&letter_of(class)?.to_string());
                }
            }
            HirKind::Repetition(repetition) => self.repeat(repetition)?,
            HirKind::Capture(capture) => self.walk(&capture.sub)?,
            HirKind::Concat(parts) => {
                for part in parts {
                    self.walk(part)?;
                }
            }
            HirKind::Alternation(parts) => self.walk(parts.first()?)?,
        }
        Some(())
    }

    fn repeat(&mut self, repetition: &Repetition) -> Option<()> {
        let room = self.most.unwrap_or(REPEATED_MAX).min(REPEATED_MAX);
        let (least, most) = (u64::from(repetition.min), repetition.max.map_or(room, u64::from).min(room));
        let digits = least.max(6).min(most);
        if self.varies == Varies::Digits && self.width == 0 && digits >= 4 && holds_digits(&repetition.sub) {
            self.width = usize::try_from(self.lengthened(digits, most)).ok()?;
            return Some(());
        }
        if let HirKind::Class(class) = repetition.sub.kind()
            && self.spell(class, least.clamp(1, room))
        {
            return Some(());
        }
        let usual = if least == 0 && self.before.is_empty() { 1.min(most) } else { least.min(REPEATED_MAX) };
        for _ in 0..self.lengthened(usual, most) {
            self.walk(&repetition.sub)?;
        }
        Some(())
    }

    /// So many repetitions, and as many more as the text lacks, up to the most that may be.
    fn lengthened(&mut self, usual: u64, most: u64) -> u64 {
        let count = (usual + self.longer).min(most).max(usual);
        self.longer -= count - usual;
        count
    }
}

fn letter_of(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let holds = |letter: char| class.ranges().iter().any(|range| range.start() <= letter && letter <= range.end());
    let liked = "aAbB01xX-_. ".chars().find(|letter| holds(*letter));
    liked.or_else(|| class.ranges().iter().map(regex_syntax::hir::ClassUnicodeRange::start).find(|letter| !letter.is_control()))
}

/// The first run of at least ten neighbouring letters or digits of a class.
fn alphabet_of(class: &Class) -> Option<String> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric();
    class
        .ranges()
        .iter()
        .map(|range| (range.start()..=range.end()).filter(|letter| plain(*letter)).take(62).collect::<String>())
        .find(|letters| letters.len() >= 10)
}

fn holds_digits(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().any(|range| range.start() <= '0' && '9' <= range.end()),
        HirKind::Capture(capture) => holds_digits(&capture.sub),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(before: &str, digits: usize, after: &str) -> Sample {
        Sample::Numbered { before: before.to_owned(), digits, after: after.to_owned() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the expectation is written in place")]
    fn check(pattern: &str, unique: bool, expect: Option<Sample>) {
        let limits = Limits { pattern: Some(pattern.to_owned()), ..Limits::default() };
        assert_eq!(matching(pattern, &limits, unique), expect, "{pattern}");
    }

    #[test]
    fn patterns_yield_matching_texts() {
        check("^97[89][0-9]{10}$", true, Some(numbered("978", 10, "")));
        check("^97[89][0-9]{10}$", false, Some(Sample::Fixed(json!("9780000000000"))));
        check("^[A-Z]{3}-[0-9]{4,}$", true, Some(numbered("AAA-", 6, "")));
        let spelled = |before: &str, length| Sample::Spelled {
            before: before.to_owned(),
            alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZ".to_owned(),
            length,
            after: String::new(),
        };
        check("^[A-Z]{2}$", true, Some(spelled("", 2)));
        check("^de-[A-Z]$", true, Some(spelled("de-", 1)));
        check("^(red|green)$", true, None);
        check("^(red|green)$", false, Some(Sample::Fixed(json!("red"))));
        check("^(?=x)y$", false, None);
    }

    #[test]
    fn patterns_are_stretched_to_the_least_length() {
        let limits = Limits { pattern: Some("^[A-Z0-9]+$".to_owned()), length_min: Some(12), length_max: Some(24), ..Limits::default() };
        assert_eq!(matching(&limits.pattern.clone().unwrap(), &limits, true), Some(numbered("", 12, "")));
        assert_eq!(matching(&limits.pattern.clone().unwrap(), &limits, false), Some(Sample::Fixed(json!("AAAAAAAAAAAA"))));
    }
}
