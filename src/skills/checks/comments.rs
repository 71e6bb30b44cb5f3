//! Comments that should not be there: code that was switched off, work that was put off.

use std::sync::LazyLock;

use regex::Regex;

use super::{Check, Code};
use crate::skills::Language;
use crate::skills::language::CODE;
use crate::skills::skill::Parameters;
use crate::skills::syntax::{Node, parses};
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] =
    &[Check::tree("commented-out-code", CODE, commented_out_code), Check::tree("open-marker", CODE, open_marker)];

/// What a line of each language looks like that no prose looks like; what fits must also parse.
static PYTHON: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"^(import [\w.]+( as \w+)?|from [\w.]+ import .+|return [\w.]+(\(.*\)|\[.*\])?|[\w.]+(\[[^\]]*\])?( [-+*/]?= )\S.*|([a-z_]\w*|[\w.]+\.\w+)\([^)]*\)|(await|yield|raise|del|assert) [\w.]+\(.*\))$",
    )
});
static BRACED: LazyLock<Regex> = LazyLock::new(|| compile(r"^([^`]*[(=][^`]*|return\b[^`]*);$"));
/// Comments that tools read.
static DIRECTIVE: LazyLock<Regex> =
    LazyLock::new(|| compile(r"^(noqa|type:|ruff:|mypy:|pyright:|pragma|fmt:|isort:|eslint|@ts-|prettier|SPDX|!)"));
/// Put together from parts, so that this file does not hold what it looks for.
static MARKER: LazyLock<Regex> = LazyLock::new(|| compile(&[r"\b(TO", r"DO|FIX", r"ME|XXX|HA", r"CK)\b"].concat()));

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns are constants that the tests of the checks compile")
}

fn commented_out_code(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let lines = code.syntax.nodes().filter(|node| node.comment()).flat_map(|comment| lines(comment, code.language));
    let looks = |text: &str| {
        let pattern = if code.language == Language::Python { &PYTHON } else { &BRACED };
        pattern.is_match(text) && !DIRECTIVE.is_match(text) && parses(code.language, &wrapped(text, code.language))
    };
    let found = lines.filter(|(_, text)| looks(text));
    let told = |(line, text): (usize, &str)| {
        let text: String = text.chars().take(60).collect();
        Problem::new(line, 1, format!("code that is switched off: `{text}`"), "delete it; the history keeps it")
    };
    found.map(told).collect()
}

/// A statement where the language wants one.
fn wrapped(text: &str, language: Language) -> String {
    match language {
        Language::Python => format!("async def f():\n    {text}\n"),
        Language::Rust => format!("fn f() {{ {text} }}"),
        _ => format!("async function f() {{ {text} }}"),
    }
}

/// The lines of a comment without its signs. Documentation shows code on purpose.
fn lines(comment: Node<'_>, language: Language) -> Vec<(usize, &str)> {
    let text = comment.text();
    if ["///", "//!", "/**", "/*!"].iter().any(|sign| text.starts_with(sign)) {
        return Vec::new();
    }
    let bare = |line: &'_ str| -> (usize, usize) {
        let signs: &[char] = if language == Language::Python { &['#'] } else { &['/', '*'] };
        let kept = line.trim_start().trim_start_matches(signs);
        (line.len() - kept.len(), line.len())
    };
    let numbered = text.lines().enumerate().map(|(number, line)| {
        let (start, end) = bare(line);
        (comment.line() + number, line[start..end].trim().trim_end_matches("*/").trim_end())
    });
    numbered.collect()
}

fn open_marker(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let comments = code.syntax.nodes().filter(|node| node.comment());
    let found = comments.filter_map(|comment| {
        let marker = MARKER.find(comment.text())?;
        let line = comment.line() + comment.text()[..marker.start()].matches('\n').count();
        let message = format!("{} marks work that is left open", marker.as_str());
        Some(Problem::new(line, comment.column(), message, "do it now, or write it down where work is planned"))
    });
    found.collect()
}
