//! Secrets that were written down. What is found is never shown.

use std::sync::LazyLock;

use regex::Regex;

use super::{Check, Text, file_name};
use crate::skills::Language;
use crate::skills::skill::Parameters;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[Check::text("secret", secret).with(&[("length_min", 12), ("entropy_min_tenths", 30)])];

/// Shapes that only a secret of a known kind has.
static SHAPES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    vec![
        (compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/]{16}"), "a private key"),
        (compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"), "an access key of AWS"),
        (compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"), "a token of GitHub"),
        (compile(r"\bglpat-[A-Za-z0-9_-]{20,}\b"), "a token of GitLab"),
        (compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}\b"), "a token of Slack"),
        (compile(r"\bsk-(ant-|proj-)?[A-Za-z0-9_-]{24,}\b"), "an API key of a model provider"),
        (compile(r"\b[sr]k_live_[A-Za-z0-9]{20,}\b"), "a live key of Stripe"),
        (compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\b"), "a signed web token"),
    ]
});
/// A setting with a secret's name and a quoted value.
static SETTING: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r#"(?i)\b[\w-]*(?:password|passwd|secret|token|api_?key|private_?key|credential)s?["']?\s*(?::\s*\w+\s*)?[:=]{1,2}\s*["'`]([^"'`\s]+)["'`]"#,
    )
});
/// A password in an address.
static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@'\x22{}$<]+:([^@\s/'\x22{}$<]+)@([^/\s:'\x22]+)"));
/// Words that stand where a secret will stand.
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?i)^(x+|\*+|\.+|-+)$|example|changeme|change[-_]me|placeholder|dummy|sample|your[-_]|redacted|^(user|pass|password|passwd|secret|token|test|root|admin|postgres|hunter2)$|[<>{}$%]|not[-_]?a|fake|insecure|os\.environ|process\.env",
    )
});
/// Folders and endings of files whose secrets are made up.
const MADE_UP: &[&str] =
    &["tests/", "test/", "__tests__/", "fixtures/", "examples/", "example/", "testdata/", "docs/", "spec/", "benches/"];
const SAMPLES: &[&str] = &[".example", ".sample", ".template", ".dist", ".md", ".rst"];
/// Files full of hashes that were not written by hand.
const LOCKS: &[&str] = &["package-lock.json", "pnpm-lock.yaml", "yarn.lock", "Cargo.lock", "poetry.lock", "uv.lock", "Pipfile.lock"];
/// A longer line was not written by hand.
const LINE_BYTES_MAX: usize = 2_000;

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns are constants that the tests of the checks compile")
}

fn secret(text: &Text<'_>, parameters: &Parameters) -> Vec<Problem> {
    let name = file_name(text.path);
    if LOCKS.contains(&name) {
        return Vec::new();
    }
    let hint = "take it out, replace it at its issuer, and read it from the environment";
    let mut problems = Vec::new();
    for (shape, what) in SHAPES.iter() {
        for found in shape.find_iter(text.text).filter(|found| !found.as_str().contains("EXAMPLE")) {
            let (line, column) = place(text.text, found.start());
            problems.push(Problem::new(line, column, format!("{what} is written down"), hint));
        }
    }
    if made_up(text.path, name) {
        return problems;
    }
    let (length_min, entropy_min) = (parameters.get("length_min"), parameters.get("entropy_min_tenths"));
    // Rust keeps tests, whose secrets are made up, at the end of the file that they test.
    let tests = if Language::of(name) == Language::Rust { text.text.find("#[cfg(test)]") } else { None };
    let settings = &text.text[..tests.unwrap_or(text.text.len())];
    for (number, line) in settings.lines().enumerate().filter(|(_, line)| line.len() <= LINE_BYTES_MAX) {
        let column = |at: usize| line[..at].chars().count() + 1;
        for found in SETTING.captures_iter(line).filter_map(|found| found.get(1)) {
            let value = found.as_str();
            if value.len() >= length_min && !PLACEHOLDER.is_match(value) && random(value, entropy_min) {
                problems.push(Problem::new(number + 1, column(found.start()), "a secret is written down", hint));
            }
        }
        for found in ADDRESS.captures_iter(line) {
            let local =
                matches!(&found[2], "localhost" | "127.0.0.1" | "db" | "postgres" | "host" | "redis") || found[2].contains("example");
            if !local && !PLACEHOLDER.is_match(&found[1]) {
                let start = found.get(1).map_or(0, |password| password.start());
                problems.push(Problem::new(number + 1, column(start), "a password is written into an address", hint));
            }
        }
    }
    problems
}

fn made_up(path: &str, name: &str) -> bool {
    let folder = MADE_UP.iter().any(|folder| path.starts_with(folder) || path.contains(&format!("/{folder}")));
    folder || SAMPLES.iter().any(|end| name.ends_with(end)) || name.starts_with("test_") || name.contains(".test.") || name == "conftest.py"
}

/// True when it looks drawn at random: letters and digits, and more entropy than words have. In tenths of a bit for each character.
fn random(value: &str, entropy_min_tenths: usize) -> bool {
    let digits = value.chars().any(|c| c.is_ascii_digit());
    let letters = value.chars().any(|c| c.is_ascii_alphabetic());
    digits && letters && entropy(value) * 10.0 >= f64::from(u32::try_from(entropy_min_tenths).unwrap_or(u32::MAX))
}

/// Shannon's, in bits for each byte.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    value.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let total = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    let bits = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = f64::from(*count) / total;
        -share * share.log2()
    });
    bits.sum()
}

/// Line and column, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
