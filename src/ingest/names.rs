//! Names that are safe in every target: identifiers, class names, table names and slugs made from what a source writes.
//!
//! Every function is total and deterministic: characters without an ASCII spelling are replaced by a short hash, words that
//! a target reserves get an underscore, and long names are cut and told apart by a hash.

use std::collections::BTreeMap;

use heck::{ToKebabCase, ToSnakeCase, ToUpperCamelCase};
use sha2::{Digest, Sha256};

use super::limits::{IDENT_CHARS_MAX, NAME_CHARS_MAX};
use super::names_plural;
use super::names_words::{RESERVED, RESERVED_CLASSES, spelled};
use crate::model::{Finding, Position};

/// Most characters of a slug.
const SLUG_CHARS_MAX: usize = 64;
/// Characters of the hash that tells cut or replaced names apart.
const HASH_CHARS: usize = 6;

/// A snake_case identifier `[a-z][a-z0-9_]*` of at most 60 characters that no target reserves.
pub fn ident(text: &str) -> String {
    ident_within(text, IDENT_CHARS_MAX)
}

/// The same, of at most `chars_max` characters, which must be at least 16.
pub fn ident_within(text: &str, chars_max: usize) -> String {
    let mut name = ascii(text).to_snake_case();
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name = if name.is_empty() { "x".to_owned() } else { format!("n{name}") };
    }
    if RESERVED.contains(&name.as_str()) {
        name.push('_');
    }
    shortened(name, text, chars_max, '_')
}

/// A CamelCase class name `[A-Z][A-Za-z0-9]*` of at most 60 characters that no target reserves.
pub fn class(text: &str) -> String {
    let mut name = ascii(text).to_upper_camel_case();
    if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
        name.insert(0, 'N');
    }
    if RESERVED_CLASSES.contains(&name.as_str()) {
        name.push_str("Value");
    }
    if name.len() > IDENT_CHARS_MAX {
        name.truncate(IDENT_CHARS_MAX - HASH_CHARS);
        name.push_str(&hash(text));
    }
    name
}

/// The name of an entity: as written when that is CamelCase already, else made so.
pub fn entity(text: &str) -> String {
    let camel = text.starts_with(|first: char| first.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    if camel && text.len() <= IDENT_CHARS_MAX && !RESERVED_CLASSES.contains(&text) { text.to_owned() } else { class(text) }
}

/// The plural of a snake_case identifier, for tables.
pub fn plural(ident: &str) -> String {
    let (head, tail) = ident.rsplit_once('_').map_or(("", ident), |(head, tail)| (head, tail));
    let tail = names_plural::plural(tail);
    let name = if head.is_empty() { tail } else { format!("{head}_{tail}") };
    shortened(name, ident, IDENT_CHARS_MAX, '_')
}

/// A path-safe name `[a-z][a-z0-9-]*` of at most 64 characters.
pub fn slug(text: &str) -> String {
    let mut name = ascii(text).to_kebab_case();
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name = if name.is_empty() { "spec".to_owned() } else { format!("n{name}") };
    }
    shortened(name, text, SLUG_CHARS_MAX, '-')
}

/// The name itself, or with the smallest number that makes it new; the result is added to `taken`.
pub fn unique(name: String, taken: &mut std::collections::BTreeSet<String>) -> String {
    if taken.insert(name.clone()) {
        return name;
    }
    let stem: String = name.chars().take(IDENT_CHARS_MAX - HASH_CHARS).collect();
    let mut number = 2_usize;
    loop {
        let candidate = format!("{}_{number}", stem.trim_end_matches('_'));
        if taken.insert(candidate.clone()) {
            return candidate;
        }
        number += 1;
    }
}

/// What is wrong with a name that a person wrote, if anything: empty, too long, or with characters that no name needs.
pub fn check(kind: &str, name: &str, position: Option<Position>) -> Option<Finding> {
    if name.trim().is_empty() {
        return Some(Finding::error("empty-name", format!("this {kind} has no name"), position, "give it a name"));
    }
    let length = name.chars().count();
    if length > NAME_CHARS_MAX {
        let start: String = name.chars().take(24).collect();
        let message = format!("the name of {kind} `{start}…` has {length} characters, more than {NAME_CHARS_MAX}");
        return Some(Finding::error("name-too-long", message, position, "choose a shorter name"));
    }
    let strange = name.chars().find(|c| !(c.is_alphanumeric() || matches!(c, ' ' | '_' | '-')));
    if let Some(strange) = strange {
        let message = format!("the name of {kind} `{}` contains {}", name.escape_debug(), shown(strange));
        return Some(Finding::error("unsafe-name", message, position, "use letters, digits, `_` and `-` only"));
    }
    None
}

/// Names already given, by the identifier that they became.
#[derive(Debug, Default)]
pub struct Taken(BTreeMap<String, String>);

impl Taken {
    /// Takes an identifier for a name; an error when another name became the same one.
    pub fn take(&mut self, kind: &str, name: &str, ident: &str, position: Option<Position>) -> Option<Finding> {
        let other = self.0.insert(ident.to_owned(), name.to_owned())?;
        let message = if other == name {
            format!("{kind} `{name}` is declared twice")
        } else {
            format!("{kind} `{name}` and {kind} `{other}` both become `{ident}`")
        };
        Some(Finding::error("same-name", message, position, "rename one of them"))
    }
}

fn shown(character: char) -> String {
    if character.is_control() { format!("the control character U+{:04X}", u32::from(character)) } else { format!("`{character}`") }
}

/// Cuts a name that is too long and ends it with a hash of the whole source text.
fn shortened(mut name: String, text: &str, chars_max: usize, separator: char) -> String {
    if name.len() > chars_max {
        name.truncate(chars_max - HASH_CHARS - 2);
        name = format!("{}{separator}h{}", name.trim_end_matches(separator), hash(text));
    }
    name
}

/// The text in ASCII: Latin letters lose their marks, other separators become spaces, and a hash stands for the rest.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lost = false;
    for character in text.chars() {
        match character {
            c if c.is_ascii_alphanumeric() => out.push(c),
            c if c.is_ascii() || c.is_whitespace() || c.is_control() => out.push(' '),
            c => match spelled(c) {
                Some(spelling) => out.push_str(spelling),
                None if c.is_alphanumeric() => lost = true,
                None => out.push(' '),
            },
        }
    }
    if lost {
        out.push_str(" h");
        out.push_str(&hash(text));
    }
    out
}

fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..HASH_CHARS / 2])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_ident(text: &str, expected: &str) {
        assert_eq!(ident(text), expected, "{text:?}");
    }

    #[test]
    fn identifiers_are_snake_case() {
        check_ident("Book", "book");
        check_ident("OrderItem", "order_item");
        check_ident("HTTPServer", "http_server");
        check_ident("shipping address", "shipping_address");
        check_ident("created-at", "created_at");
        check_ident("2fa", "n2fa");
        check_ident("", "x");
        check_ident("../..", "x");
    }

    #[test]
    fn reserved_words_get_an_underscore() {
        for word in ["class", "type", "default", "fn", "metadata", "date", "None"] {
            check_ident(word, &format!("{}_", word.to_lowercase()));
        }
        assert_eq!(class("none"), "NoneValue");
    }

    #[test]
    fn letters_beyond_ascii_are_spelled_or_hashed() {
        check_ident("Größe", "groesse");
        check_ident("Œuvre", "oeuvre");
        assert!(ident("価格").starts_with('h'), "{}", ident("価格"));
        assert_ne!(ident("価格"), ident("品名"));
        assert_ne!(slug("価格"), slug("品名"));
    }

    #[test]
    fn long_names_stay_apart() {
        let one = "a".repeat(500);
        let two = format!("{one}b");
        assert!(ident(&one).len() <= IDENT_CHARS_MAX && class(&one).len() <= IDENT_CHARS_MAX && slug(&one).len() <= SLUG_CHARS_MAX);
        assert_ne!(ident(&one), ident(&two));
    }

    #[test]
    fn tables_are_plural() {
        for (one, many) in [("book", "books"), ("order_item", "order_items"), ("category", "categories"), ("person", "people")] {
            assert_eq!(plural(one), many);
        }
    }

    #[test]
    fn taken_names_are_numbered_or_reported() {
        let mut taken = std::collections::BTreeSet::new();
        assert_eq!(unique("a".to_owned(), &mut taken), "a");
        assert_eq!(unique("a".to_owned(), &mut taken), "a_2");
        assert_eq!(unique("a".to_owned(), &mut taken), "a_3");
        let mut taken = Taken::default();
        assert_eq!(taken.take("field", "unitPrice", "unit_price", None), None);
        let finding = taken.take("field", "unit_price", "unit_price", None).expect("reported");
        assert_eq!((finding.code.as_str(), finding.message.contains("unitPrice")), ("same-name", true));
    }

    #[test]
    fn unsafe_names_are_refused() {
        for (name, code) in [("", "empty-name"), ("../etc", "unsafe-name"), ("a\0b", "unsafe-name"), ("a{{b", "unsafe-name")] {
            assert_eq!(check("entity", name, None).expect("refused").code, code, "{name:?}");
        }
        assert_eq!(check("entity", &"x".repeat(500), None).expect("refused").code, "name-too-long");
        assert_eq!(check("entity", "Größe", None), None);
    }

    proptest! {
        #[test]
        fn every_text_becomes_safe(text in ".{0,120}") {
            let ident = ident(&text);
            prop_assert!(ident.len() <= IDENT_CHARS_MAX && ident.starts_with(|c: char| c.is_ascii_lowercase()));
            prop_assert!(ident.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
            let class = class(&text);
            prop_assert!(class.len() <= IDENT_CHARS_MAX && class.starts_with(|c: char| c.is_ascii_uppercase()));
            prop_assert!(class.chars().all(|c| c.is_ascii_alphanumeric()));
            let slug = slug(&text);
            prop_assert!(slug.len() <= SLUG_CHARS_MAX && slug.starts_with(|c: char| c.is_ascii_lowercase()));
            prop_assert!(plural(&ident).len() <= IDENT_CHARS_MAX);
        }
    }
}
