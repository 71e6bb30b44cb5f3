//! Questions that a terminal agent puts to a person, and what is answered. Pure.

use regex::Regex;

/// A question stands at the end of what the agent shows: so many lines are looked at.
const LINES_MAX: usize = 12;
/// Of a question so much is told.
const QUESTION_CHARS_MAX: usize = 1_000;

/// The questions that agents in use ask. None has an answer: whoever lets an agent do something says so.
const USUAL: [&str; 5] = [
    r"(?i)\bdo you want to (proceed|continue|allow|run|create|overwrite|make this edit|trust)\b",
    r"(?i)\bdo you trust the (files|contents|authors)\b",
    r"[❯>]\s*1[.)]\s*(?i:yes|allow|approve|trust)",
    r"(?i)[\[(]y(es)?\s*/\s*no?[\])]\s*:?\s*$",
    r"(?i)\bpress (enter|return|any key) to (continue|confirm|accept)\b",
];

/// By what a question is known, and the keystrokes that answer it.
#[derive(Debug, Clone)]
pub struct PromptRule {
    /// Looked for in each of the last lines.
    pub pattern: Regex,
    /// Sent as they are: `1\r`, `y\n`. None: a person must answer.
    pub answer: Option<String>,
}

impl PromptRule {
    /// The questions that agents in use ask, without answers. Rules with answers go in front of them: the first that matches holds.
    pub fn usual() -> Vec<Self> {
        let rule =
            |pattern: &str| Self { pattern: Regex::new(pattern).expect("the patterns are constants that a test compiles"), answer: None };
        USUAL.into_iter().map(rule).collect()
    }
}

/// The question at the end of a text, and the rule that knows it.
pub(super) fn question<'a>(rules: &'a [PromptRule], text: &str) -> Option<(String, &'a PromptRule)> {
    let mut lines: Vec<&str> = text.lines().rev().map(str::trim_end).filter(|line| !line.trim().is_empty()).take(LINES_MAX).collect();
    lines.reverse();
    let rule = rules.iter().find(|rule| lines.iter().any(|line| rule.pattern.is_match(line)))?;
    let shown = lines.join("\n");
    let skipped = shown.chars().count().saturating_sub(QUESTION_CHARS_MAX);
    Some((shown.chars().skip(skipped).collect(), rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_at_the_end_are_known_and_others_are_not() {
        let check = |text: &str, expected| assert_eq!(question(&PromptRule::usual(), text).is_some(), expected, "{text}");
        check("Edit main.rs\n\nDo you want to proceed?\n ❯ 1. Yes\n   2. No, tell me what to do\n\n", true);
        check("Overwrite? [y/N]: ", true);
        check("Do you trust the files in this folder?", true);
        check("All tests pass.", false);
        check(&format!("Do you want to proceed?\n{}", "done\n".repeat(LINES_MAX)), false);
        check("", false);
    }

    #[test]
    fn the_first_rule_that_matches_holds() {
        let own = PromptRule { pattern: Regex::new("proceed").unwrap(), answer: Some("1\r".to_owned()) };
        let rules: Vec<PromptRule> = [own].into_iter().chain(PromptRule::usual()).collect();
        assert_eq!(question(&rules, "Do you want to proceed?").unwrap().1.answer.as_deref(), Some("1\r"));
        assert_eq!(question(&rules, "Press Enter to continue").unwrap().1.answer, None);
    }
}
