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

/// Words and phrases that demand something.
const DEMANDS: [&str; 14] = [
    "must",
    "shall",
    "should",
    "needs to",
    "need to",
    "has to",
    "have to",
    "required to",
    "is required",
    "are required",
    "may not",
    "cannot",
    "is able to",
    "are able to",
];

/// True when a sentence demands something.
pub(super) fn demands(sentence: &str) -> bool {
    contains_any(sentence, &DEMANDS)
}

/// True when a sentence says must or shall.
pub(super) fn demands_strictly(sentence: &str) -> bool {
    contains_any(sentence, &["must", "shall"])
}

fn contains_any(sentence: &str, phrases: &[&str]) -> bool {
    let lower = sentence.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let padded = format!(" {} ", words.join(" "));
    phrases.iter().any(|phrase| padded.contains(&format!(" {phrase} ")))
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
    fn demands_are_whole_words() {
        assert!(demands("It MUST work.") && demands("Users are able to log in") && !demands("Mustard is yellow"));
        assert!(demands_strictly("It shall work") && !demands_strictly("It should work"));
    }

    #[test]
    fn stories_are_told_from_sentences() {
        assert_eq!(origin("As a reader, I want to search"), StatementOrigin::UserStory);
        assert_eq!(origin("As a result, it is fast"), StatementOrigin::Prose);
    }
}
