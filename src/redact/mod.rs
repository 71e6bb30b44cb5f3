//! Secrets out of text: applied to whatever is logged, stored as a command's output, or shown.

mod known;

use std::sync::LazyLock;

use regex::Regex;

pub use known::KnownSecrets;

static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let compile = |pattern: &str| Regex::new(pattern).expect("the patterns are constants that a test compiles");
    vec![
        (compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^/\s:@]+):[^@\s/]+@"), "$1:[redacted]@"),
        (
            compile(
                r#"(?i)\b((?:[a-z0-9_-]*(?:password|passwd|secret|token|api[_-]?key|authorization))["']?\s*[:=]\s*["']?)(?:bearer\s+)?[^\s"',;]+"#,
            ),
            "$1[redacted]",
        ),
        (compile(r"(?i)\bbearer\s+[a-z0-9._~+/-]{8,}=*"), "Bearer [redacted]"),
        (compile(r"\b(?:sk|pk|ghp|gho|glpat|xox[abp])[-_][A-Za-z0-9_-]{16,}"), "[redacted]"),
        (compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----"), "[redacted]"),
    ]
});

/// The text without passwords in URLs, values of secret-looking settings, bearer tokens, well-known key shapes and private keys.
pub fn redact(text: &str) -> String {
    PATTERNS.iter().fold(text.to_owned(), |text, (pattern, replacement)| pattern.replace_all(&text, *replacement).into_owned())
}

#[cfg(test)]
mod tests {
    use super::redact;

    fn check(input: &str, expected: &str) {
        assert_eq!(redact(input), expected);
    }

    #[test]
    fn secrets_go_and_the_rest_stays() {
        check("connect to postgres://app:hunter2@localhost/db failed", "connect to postgres://app:[redacted]@localhost/db failed");
        check("PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted] psql");
        check(r#"{"api_key": "abc123", "name": "x"}"#, r#"{"api_key": "[redacted]", "name": "x"}"#);
        check("Authorization: Bearer abcdef0123456789", "Authorization: [redacted]");
        check("GET /books?limit=3 200 in 4 ms", "GET /books?limit=3 200 in 4 ms");
    }
}
