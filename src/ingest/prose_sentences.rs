//! Sentences: where one ends, and what kind it is.

use crate::model::spec::StatementOrigin;

/// Abbreviations whose full stop ends no sentence.
const ABBREVIATIONS: [&str; 8] = ["e.g.", "i.e.", "etc.", "vs.", "cf.", "approx.", "no.", "resp."];

/// The sentences of one line of text. A stop inside code, brackets or an abbreviation ends none.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut code = false;
    let mut brackets = 0_usize;
    for (offset, character) in text.char_indices() {
        match character {
            '`' => code = !code,
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '.' | '!' | '?' if !code && brackets == 0 && ends(text, start, offset) => {
                sentences.push(text[start..=offset].trim());
                start = offset + 1;
            }
            _ => {}
        }
    }
    sentences.push(text[start..].trim());
    sentences.retain(|sentence| sentence.chars().any(char::is_alphanumeric));
    sentences
}

/// True when the stop at `offset` is followed by a new sentence and ends no abbreviation.
fn ends(text: &str, start: usize, offset: usize) -> bool {
    let after = &text[offset + 1..];
    let begins = after.starts_with(' ')
        && after.trim_start().starts_with(|next: char| next.is_uppercase() || next.is_numeric() || "\"'`*([".contains(next));
    let word = text[start..=offset].rsplit(' ').next().unwrap_or_default().trim_start_matches('(').to_lowercase();
    (after.trim().is_empty() || begins) && !ABBREVIATIONS.contains(&word.as_str())
}

/// The origin of a sentence that stands in no section of its own kind.
pub(super) fn origin(sentence: &str) -> StatementOrigin {
    let lower = sentence.to_lowercase();
    let story = ["as a ", "as an ", "as the "].iter().any(|opening| lower.trim_start_matches(['*', '"', ' ']).starts_with(opening));
    let wish =
        [" i want", " i need", " i can", " i would like", " we want", " we need", " i should"].iter().any(|wish| lower.contains(wish));
    if story && wish { StatementOrigin::UserStory } else { StatementOrigin::Prose }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(sentences(text), expected);
    }

    #[test]
    fn stops_end_sentences_only_between_them() {
        check("One. Two! Three? Four", &["One.", "Two!", "Three?", "Four"]);
        check("Use v1.2 of it, e.g. Redis. Done.", &["Use v1.2 of it, e.g. Redis.", "Done."]);
        check("Call `a. B` now. (See x. Y.) ok", &["Call `a. B` now.", "(See x. Y.) ok"]);
        check(" . ", &[]);
    }

    #[test]
    fn stories_are_told_from_sentences() {
        assert_eq!(origin("As a reader, I want to search"), StatementOrigin::UserStory);
        assert_eq!(origin("As a result, it is fast"), StatementOrigin::Prose);
    }
}
