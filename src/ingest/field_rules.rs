//! The rules column of a field: `required, length 1..120, unique`.

use serde_json::Number;

use super::draft::Text;
use super::nearest::nearest;
use crate::model::entity::Limits;
use crate::model::{Finding, OnDelete};

/// The words that begin a rule, for hints.
const WORDS: [&str; 17] = [
    "required",
    "optional",
    "unique",
    "indexed",
    "primary key",
    "default",
    "min",
    "max",
    "above",
    "below",
    "length",
    "pattern",
    "multiple of",
    "write only",
    "read only",
    "immutable",
    "on delete",
];
/// Longest pattern in characters.
const PATTERN_CHARS_MAX: usize = 500;

/// What the rules column says.
#[derive(Debug, Default, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent word of the column")]
pub(super) struct FieldRules {
    pub(super) required: bool,
    pub(super) unique: bool,
    pub(super) indexed: bool,
    pub(super) primary_key: bool,
    pub(super) write_only: bool,
    pub(super) read_only: bool,
    pub(super) immutable: bool,
    pub(super) default: Option<Text>,
    pub(super) on_delete: Option<OnDelete>,
    pub(super) limits: Limits,
}

/// Reads a rules column.
pub(super) fn parse(text: &Text, findings: &mut Vec<Finding>) -> FieldRules {
    let mut rules = FieldRules::default();
    for (offset, part) in split(&text.text) {
        if let Err((message, hint)) = rules.take(part, text.at(offset)) {
            findings.push(Finding::error("bad-field-rule", message, Some(text.at(offset)), hint));
        }
    }
    rules
}

/// A message and a hint.
type Refusal = (String, String);

impl FieldRules {
    fn take(&mut self, part: &str, position: crate::model::Position) -> Result<(), Refusal> {
        let lower = part.to_lowercase().replace('-', " ");
        match lower.as_str() {
            "required" | "not null" => self.required = true,
            "optional" | "nullable" => self.required = false,
            "unique" => self.unique = true,
            "indexed" | "index" => self.indexed = true,
            "primary key" => self.primary_key = true,
            "write only" => self.write_only = true,
            "read only" => self.read_only = true,
            "immutable" => self.immutable = true,
            _ => return self.take_value(part, position),
        }
        Ok(())
    }

    /// A rule that consists of a word and a value.
    fn take_value(&mut self, part: &str, position: crate::model::Position) -> Result<(), Refusal> {
        let (word, value) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let (word, value) = (word.to_lowercase(), value.trim());
        match word.as_str() {
            "default" if !value.is_empty() => self.default = Some(Text::new(value, position)),
            "min" | "above" => {
                self.limits.min = Some(number(value)?);
                self.limits.min_exclusive = word == "above";
            }
            "max" | "below" => {
                self.limits.max = Some(number(value)?);
                self.limits.max_exclusive = word == "below";
            }
            "length" => (self.limits.length_min, self.limits.length_max) = length(value)?,
            "pattern" => self.limits.pattern = Some(pattern(value)?),
            "multiple" if value.starts_with("of ") => {
                let number = number(value[3..].trim())?;
                if number.as_f64().is_none_or(|number| number <= 0.0) {
                    return Err(("a multiple is above 0".to_owned(), "write for example `multiple of 5`".to_owned()));
                }
                self.limits.multiple_of = Some(number);
            }
            "on" => self.on_delete = Some(on_delete(value)?),
            _ => return Err(unknown(part)),
        }
        Ok(())
    }
}

fn unknown(part: &str) -> Refusal {
    let lower = part.to_lowercase();
    let word = lower.split_whitespace().next().unwrap_or_default();
    let hint = match nearest(&lower, WORDS).or_else(|| nearest(word, WORDS)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the rules are {}", WORDS.join(", ")),
    };
    (format!("`{part}` is no rule of a field"), hint)
}

fn number(text: &str) -> Result<Number, Refusal> {
    let refusal = || (format!("`{text}` is no number"), "write for example `min 0` or `max 99.5`".to_owned());
    let plain = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = plain.parse::<i64>() {
        return Ok(whole.into());
    }
    plain.parse::<f64>().ok().and_then(Number::from_f64).ok_or_else(refusal)
}

/// `1..120`, `..120`, `1..` or `13`.
fn length(text: &str) -> Result<(Option<u64>, Option<u64>), Refusal> {
    let refusal = || (format!("`{text}` is no length"), "write for example `length 1..120`, `length ..120` or `length 13`".to_owned());
    let part = |part: &str| match part.trim() {
        "" => Ok(None),
        digits => digits.parse::<u64>().map(Some).map_err(|_| refusal()),
    };
    let (min, max) = match text.split_once("..") {
        Some((min, max)) => (part(min)?, part(max)?),
        None => (part(text)?, part(text)?),
    };
    if (min.is_none() && max.is_none()) || min.zip(max).is_some_and(|(min, max)| min > max) || max == Some(0) {
        return Err(refusal());
    }
    Ok((min, max))
}

fn pattern(text: &str) -> Result<String, Refusal> {
    let pattern = text.trim_matches('`');
    if pattern.is_empty() || pattern.chars().count() > PATTERN_CHARS_MAX {
        return Err(("a pattern has 1 to 500 characters".to_owned(), "write for example pattern `^[A-Z]{3}$`".to_owned()));
    }
    match regex::Regex::new(pattern) {
        Ok(_) => Ok(pattern.to_owned()),
        // The regex crate lacks look-around, and so do some of the targets.
        Err(_) => Err((
            format!("`{pattern}` is no regular expression that every target understands"),
            "balance the brackets, and use neither look-around nor back-references".to_owned(),
        )),
    }
}

fn on_delete(text: &str) -> Result<OnDelete, Refusal> {
    match text.to_lowercase().replace('-', " ").as_str() {
        "delete restrict" => Ok(OnDelete::Restrict),
        "delete cascade" => Ok(OnDelete::Cascade),
        "delete set null" => Ok(OnDelete::SetNull),
        _ => Err((format!("`on {text}` is unknown"), "write `on delete restrict`, `on delete cascade` or `on delete set null`".to_owned())),
    }
}

/// The parts between commas, with their offsets; commas inside quotes, backticks and brackets do not count.
pub(super) fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut quote = None;
    let mut depth = 0_usize;
    for (offset, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) => quote = Some(open).filter(|open| *open != character),
            (None, '`' | '"') => quote = Some(character),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push((start, &text[start..offset]));
                start = offset + 1;
            }
            _ => {}
        }
    }
    parts.push((start, &text[start..]));
    parts
        .into_iter()
        .map(|(offset, part)| (offset + part.len() - part.trim_start().len(), part.trim()))
        .filter(|(_, part)| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    fn read(text: &str) -> (FieldRules, Vec<String>) {
        let mut findings = Vec::new();
        let rules = parse(&Text::new(text, Position::line(1)), &mut findings);
        (
            rules,
            findings
                .into_iter()
                .map(|finding| format!("{} {}: {}", finding.position.expect("placed"), finding.message, finding.hint))
                .collect(),
        )
    }

    #[test]
    fn every_word_is_read() {
        let (rules, findings) = read(
            "required, unique, indexed, primary key, write only, read-only, immutable, default \"a, b\", above 0, max 9.5, \
             length 1..120, pattern `^a{1,2}$`, multiple of 0.5, on delete set null",
        );
        assert_eq!(findings, Vec::<String>::new());
        assert!(
            rules.required && rules.unique && rules.indexed && rules.primary_key && rules.write_only && rules.read_only && rules.immutable
        );
        assert_eq!(rules.default.expect("set").text, "\"a, b\"");
        assert_eq!(rules.on_delete, Some(OnDelete::SetNull));
        let limits = Limits {
            length_min: Some(1),
            length_max: Some(120),
            min: Some(0.into()),
            max: Number::from_f64(9.5),
            min_exclusive: true,
            max_exclusive: false,
            multiple_of: Number::from_f64(0.5),
            pattern: Some("^a{1,2}$".to_owned()),
        };
        assert_eq!(rules.limits, limits);
    }

    #[test]
    fn mistakes_are_placed_and_hinted() {
        assert_eq!(read("required, uniqe").1, ["1:11 `uniqe` is no rule of a field: did you mean `unique`?"]);
        for text in
            ["min x", "length 3..1", "length", "pattern `(`", "on delete never", "default", "multiple of 0", "multiple of x", "soon"]
        {
            assert_eq!(read(text).1.len(), 1, "{text}");
        }
    }
}
